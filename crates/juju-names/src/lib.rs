//! Juju's names as types: unit, application, relation, secret.
//!
//! Each type is parsed once, at the edge, so that a value is a valid name.

mod application;
mod relation;
mod secret;
mod unit;

pub use application::{AppName, ContainerName, EndpointName, ModelName};
pub use relation::RelationId;
pub use secret::SecretId;
pub use unit::UnitName;

/// A name that Juju would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// An application name outside Juju's grammar.
    #[error(
        "cannot use {0:?} as an application name: use lower-case letters, digits and single hyphens, starting with a letter"
    )]
    Application(String),
    /// A relation endpoint outside Juju's grammar.
    #[error("cannot use {0:?} as an endpoint name: use letters, digits, hyphens and underscores")]
    Endpoint(String),
    /// A container name outside Juju's grammar.
    #[error("cannot use {0:?} as a container name: use lower-case letters, digits and hyphens")]
    Container(String),
    /// A model name outside Juju's grammar.
    #[error("cannot use {0:?} as a model name: use lower-case letters, digits and hyphens")]
    Model(String),
    /// A unit name that is not `<application>/<number>`.
    #[error("cannot use {0:?} as a unit name: write <application>/<number>")]
    Unit(String),
    /// A relation id that is neither `7` nor `name:7`.
    #[error("cannot use {0:?} as a relation id: write a number or <endpoint>:<number>")]
    Relation(String),
    /// A secret id in none of Juju's three spellings.
    #[error("cannot use {0:?} as a secret id: write secret:<20 characters>")]
    Secret(String),
}

/// Implements the traits that every name over a text shares. Names are handed around much, so
/// a copy of one shares the text.
macro_rules! string_name {
    ($name:ident, $error:ident, $valid:path) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                if std::sync::Arc::ptr_eq(&self.0, &other.0) {
                    return std::cmp::Ordering::Equal;
                }
                self.0.cmp(&other.0)
            }
        }
        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }
        impl std::str::FromStr for $name {
            type Err = $crate::NameError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                if $valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err($crate::NameError::$error(text.to_owned()))
                }
            }
        }
        $crate::text_traits!($name);
    };
}

/// Implements serde, `Display` and `Debug` by way of `FromStr` and the text form.
macro_rules! text_traits {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = $crate::NameError;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.to_string()
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{self}")
            }
        }
    };
}

pub(crate) use {string_name, text_traits};
