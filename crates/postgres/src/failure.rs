//! Why a server did not do what it was asked for.

/// PostgreSQL's code for a write on a server that was the primary a moment ago.
pub(crate) const READ_ONLY: &str = "25006";

/// What the client library says instead of a password that it was not given.
const PASSWORD_MISSING: &str = "password missing";

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

    /// Whether a later try may succeed without the operator: the server is away, starting, shutting
    /// down, without room, or follows another now. What it refused otherwise, it refuses again.
    pub fn is_transient(&self) -> bool {
        self.code().is_none_or(|code| {
            code == READ_ONLY || matches!(code.get(..2), Some("57" | "08" | "53"))
        })
    }

    /// Whether the server asked for a password where there was none to give.
    pub(crate) fn is_password_missing(&self) -> bool {
        self.code.is_none() && self.cause.to_string().ends_with(PASSWORD_MISSING)
    }

    /// Whether a PgBouncer does not know the user, or not with this password. All that PgBouncer
    /// refuses has one SQLSTATE.
    pub fn is_login_refused(&self) -> bool {
        self.code() == Some("08P01")
            && self.cause.to_string().contains("SASL authentication failed")
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
