//! Names of roles and databases, and the quoting of names and texts.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The longest name PostgreSQL keeps, in bytes; a longer one would be cut silently.
pub const NAME_BYTES_MAX: usize = 63;

/// Why a text is no name of a role or a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("cannot use an empty {0} name: give it at least one character")]
    Empty(&'static str),
    /// The text is over [`NAME_BYTES_MAX`] bytes.
    #[error("cannot use {1:?} as a {0} name: it has over {NAME_BYTES_MAX} bytes, shorten it")]
    TooLong(&'static str, String),
    /// The text has a NUL byte, which PostgreSQL cannot store.
    #[error("cannot use {1:?} as a {0} name: remove its NUL character")]
    Nul(&'static str, String),
    /// The text means every role or none, even between quotes.
    #[error("cannot use {1:?} as a {0} name: PostgreSQL reserves it, choose another")]
    Reserved(&'static str, String),
}

const ROLE: &str = "role";

fn check(kind: &'static str, text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        Err(NameError::Empty(kind))
    } else if text.len() > NAME_BYTES_MAX {
        Err(NameError::TooLong(kind, text.to_owned()))
    } else if text.contains('\0') {
        Err(NameError::Nul(kind, text.to_owned()))
    } else if kind == ROLE && matches!(text, "public" | "none") {
        Err(NameError::Reserved(kind, text.to_owned()))
    } else {
        Ok(())
    }
}

macro_rules! name {
    ($(#[$docs:meta])* $name:ident, $kind:expr) => {
        $(#[$docs])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Cow<'static, str>);

        impl $name {
            /// A name that the program has in its text.
            ///
            /// # Panics
            /// When PostgreSQL would cut or refuse it: as a constant it does not compile.
            pub const fn constant(text: &'static str) -> Self {
                assert!(!text.is_empty() && text.len() <= NAME_BYTES_MAX);
                Self(Cow::Borrowed(text))
            }

            /// The name as stored, not quoted.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name as a quoted SQL identifier.
            pub fn quoted(&self) -> String {
                quote_ident(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check($kind, text)?;
                Ok(Self(Cow::Owned(text.to_owned())))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                check($kind, &text)?;
                Ok(Self(Cow::Owned(text)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A role: 1 to [`NAME_BYTES_MAX`] bytes without NUL, neither `public` nor `none`.
    RoleName,
    ROLE
);
name!(
    /// A database: 1 to [`NAME_BYTES_MAX`] bytes without NUL.
    DatabaseName,
    "database"
);

impl RoleName {
    /// The user of the client that has the relation of this number: both charms' databases say so.
    pub fn of_relation(id: u32) -> Self {
        Self(Cow::Owned(format!("relation_id_{id}")))
    }
}

/// `name` as a SQL identifier that nothing can leave.
pub fn quote_ident(name: &str) -> String {
    postgres_protocol::escape::escape_identifier(name)
}

/// `text` as a SQL literal that nothing can leave.
pub fn quote_literal(text: &str) -> String {
    postgres_protocol::escape::escape_literal(text).trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check_ident(name: &str, expected: &str) {
        assert_eq!(quote_ident(name), expected);
    }

    #[test]
    fn an_identifier_doubles_its_quotes() {
        check_ident("app", "\"app\"");
        check_ident("Two Words", "\"Two Words\"");
        check_ident("a\"; DROP ROLE b; --", "\"a\"\"; DROP ROLE b; --\"");
    }

    #[test]
    fn a_literal_doubles_its_quotes() {
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal("a\\'b"), "E'a\\\\''b'");
    }

    #[test]
    fn names_that_the_server_would_cut_or_refuse_are_refused() {
        assert!("".parse::<RoleName>().is_err());
        assert!("x".repeat(64).parse::<RoleName>().is_err());
        assert!("a\0b".parse::<DatabaseName>().is_err());
        assert!("public".parse::<RoleName>().is_err());
        assert!("public".parse::<DatabaseName>().is_ok());
        assert!("x".repeat(63).parse::<DatabaseName>().is_ok());
        let last = RoleName::of_relation(u32::MAX);
        assert_eq!(Ok(last), "relation_id_4294967295".parse());
    }

    proptest! {
        #[test]
        fn an_identifier_reads_back(name in "[^\0]{1,20}") {
            let quoted = quote_ident(&name);
            let inner = quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"')).unwrap();
            prop_assert_eq!(inner.replace("\"\"", "\"").clone(), name);
            prop_assert_eq!(inner.replace("\"\"", "").contains('"'), false);
        }

        #[test]
        fn a_literal_never_ends_early(text in "[^\0]{0,20}") {
            let quoted = quote_literal(&text);
            let inner = quoted.trim_start_matches('E');
            let inner = inner.strip_prefix('\'').and_then(|q| q.strip_suffix('\'')).unwrap();
            prop_assert!(!inner.replace("''", "").contains('\''));
        }
    }
}
