//! Names of databases as PgBouncer's clients use them.

/// A database name that PgBouncer accepts as an entry of `[databases]`.
///
/// At most 63 letters, digits and `_.-`: PgBouncer 1.24 reads no other key, not even between
/// quotes as its manual has it, and one key that it cannot read keeps it from the whole file.
/// Not `pgbouncer`, which is the admin console.
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
    /// `pgbouncer`.
    #[error("cannot use {0:?} as a database name: PgBouncer reserves it, choose another")]
    Reserved(String),
    /// A character that ends a key.
    #[error("cannot use {0:?} as a database name: PgBouncer knows letters, digits and _.- only")]
    Character(String),
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
}

impl std::str::FromStr for DatabaseName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        match text {
            "" => Err(NameError::Empty),
            "pgbouncer" => Err(NameError::Reserved(text.to_owned())),
            _ if text.len() > LONGEST => Err(NameError::TooLong(text.to_owned())),
            _ if !text.bytes().all(plain) => Err(NameError::Character(text.to_owned())),
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
    fn check(text: &str, refused: Option<NameError>) {
        assert_eq!(text.parse::<DatabaseName>().err(), refused, "{text:?}");
    }

    #[test]
    fn names_that_pgbouncer_cannot_read_are_refused() {
        check("waltz_1", None);
        check("test-database", None);
        check("Two.Words", None);
        check("", Some(NameError::Empty));
        check("pgbouncer", Some(NameError::Reserved("pgbouncer".into())));
        for text in ["*", "two words", "a=b", "\"a\"", "a\nb", ";a", "é"] {
            check(text, Some(NameError::Character(text.into())));
        }
        check(&"x".repeat(64), Some(NameError::TooLong("x".repeat(64))));
    }

    #[test]
    fn a_suffix_that_makes_the_name_too_long_is_left_out() {
        let name: DatabaseName = "x".repeat(54).parse().unwrap();
        assert!(name.with_suffix("_readonly").is_some());
        let name: DatabaseName = "x".repeat(55).parse().unwrap();
        assert_eq!(name.with_suffix("_readonly"), None);
    }
}
