//! Names of databases as PgBouncer's clients use them.

/// A database name that PgBouncer accepts as an entry of `[databases]`.
///
/// At most 63 bytes, no control characters, neither `pgbouncer` (the admin console) nor
/// `*` (the fallback entry, quoted or not).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatabaseName(String);

/// A name PgBouncer would refuse; with it in the file PgBouncer does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No characters at all.
    #[error("cannot use an empty database name: give it at least one character")]
    Empty,
    /// Longer than PgBouncer's and PostgreSQL's names.
    #[error("cannot use {0:?} as a database name: shorten it to 63 bytes")]
    TooLong(String),
    /// `pgbouncer` or `*`.
    #[error("cannot use {0:?} as a database name: PgBouncer reserves it, choose another")]
    Reserved(String),
    /// A line feed or its like.
    #[error("cannot use {0:?} as a database name: remove its control characters")]
    Control(String),
}

/// The longest name in bytes.
const LONGEST: usize = 63;

impl DatabaseName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with a suffix such as `_readonly`, unless that would be too long.
    pub fn with_suffix(&self, suffix: &str) -> Option<Self> {
        format!("{}{suffix}", self.0).parse().ok()
    }

    /// As a key of the file: bare if it is a plain word, else in doubled double quotes.
    pub(crate) fn key(&self) -> String {
        if self.0.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            self.0.clone()
        } else {
            format!("\"{}\"", self.0.replace('"', "\"\""))
        }
    }
}

impl std::str::FromStr for DatabaseName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err(NameError::Empty),
            "pgbouncer" | "*" => Err(NameError::Reserved(text.to_owned())),
            _ if text.len() > LONGEST => Err(NameError::TooLong(text.to_owned())),
            _ if text.chars().any(char::is_control) => Err(NameError::Control(text.to_owned())),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl std::fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, key: Result<&str, NameError>) {
        assert_eq!(text.parse().map(|n: DatabaseName| n.key()), key.map(str::to_owned), "{text:?}");
    }

    #[test]
    fn names_are_quoted_or_refused() {
        check("waltz_1", Ok("waltz_1"));
        check("test-database", Ok("\"test-database\""));
        check("a\"b = c", Ok("\"a\"\"b = c\""));
        check("", Err(NameError::Empty));
        check("pgbouncer", Err(NameError::Reserved("pgbouncer".into())));
        check("*", Err(NameError::Reserved("*".into())));
        check("a\nb", Err(NameError::Control("a\nb".into())));
        check(&"x".repeat(64), Err(NameError::TooLong("x".repeat(64))));
    }

    #[test]
    fn a_suffix_that_makes_the_name_too_long_is_left_out() {
        let name: DatabaseName = "x".repeat(54).parse().unwrap();
        assert!(name.with_suffix("_readonly").is_some());
        let name: DatabaseName = "x".repeat(55).parse().unwrap();
        assert_eq!(name.with_suffix("_readonly"), None);
    }
}
