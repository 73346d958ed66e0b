//! Why a server did not do what it was asked for.

/// What the server said when it refused, or what broke on the way to it.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct Failure {
    code: Option<String>,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

impl Failure {
    /// A refusal with its SQLSTATE, or a broken connection where there is none.
    pub fn new(
        code: Option<&str>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { code: code.map(str::to_owned), cause: cause.into() }
    }

    /// Whether another session changed the same object at the same time. Grants on an object do
    /// not wait for each other, and the server has no code of its own for that.
    pub fn is_collision(&self) -> bool {
        match self.code() {
            Some("40001" | "40P01") => true,
            Some("XX000") => self.cause.to_string().contains("tuple concurrently"),
            _ => false,
        }
    }

    /// The SQLSTATE with which the server refused.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let code = error.code().map(|state| state.code().to_owned());
        // The error itself says "db error" and no more; its causes say what.
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self { code, cause: text.into() }
    }
}
