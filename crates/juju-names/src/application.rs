//! Names of applications, endpoints, containers and models.

use std::sync::Arc;

use serde::Deserialize;

/// An application's name, such as `pgbouncer-k8s`.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct AppName(Arc<str>);

/// A relation endpoint's name, such as `backend-database`.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct EndpointName(Arc<str>);

/// A workload container's name, such as `pgbouncer`.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct ContainerName(Arc<str>);

/// A model's name, which is also its Kubernetes namespace.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct ModelName(Arc<str>);

/// Juju's grammar: `[a-z][a-z0-9]*(-[a-z0-9]*[a-z][a-z0-9]*)*`.
fn application(text: &str) -> bool {
    let mut parts = text.split('-');
    let first = parts.next().unwrap_or_default();
    first.starts_with(|c: char| c.is_ascii_lowercase())
        && first.bytes().all(lower_or_digit)
        && parts.all(|part| {
            part.bytes().all(lower_or_digit) && part.bytes().any(|b| b.is_ascii_lowercase())
        })
}

fn endpoint(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn label(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && !text.ends_with('-')
        && text.bytes().all(|b| lower_or_digit(b) || b == b'-')
}

fn lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

crate::string_name!(AppName, Application, application);
crate::string_name!(EndpointName, Endpoint, endpoint);
crate::string_name!(ContainerName, Container, label);
crate::string_name!(ModelName, Model, label);

impl ContainerName {
    /// A name that the program has in its text.
    ///
    /// # Panics
    /// When Juju would refuse it.
    #[must_use]
    pub fn constant(text: &'static str) -> Self {
        assert!(label(text), "{text:?} is no container's name");
        Self(text.into())
    }
}

macro_rules! display {
    ($($name:ident),*) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }
    )*};
}

display!(AppName, EndpointName, ContainerName, ModelName);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, valid: bool) {
        assert_eq!(text.parse::<AppName>().is_ok(), valid, "{text:?}");
    }

    #[test]
    fn application_names_follow_jujus_grammar() {
        check("pgbouncer-k8s", true);
        check("a", true);
        check("a-1b", true);
        check("a-1", false);
        check("A", false);
        check("1a", false);
        check("", false);
        check("a b", false);
        check("a/0", false);
    }

    #[test]
    fn a_container_of_the_programs_own_has_a_name_that_juju_knows() {
        assert_eq!(Ok(ContainerName::constant("pgbouncer")), "pgbouncer".parse());
        assert!(std::panic::catch_unwind(|| ContainerName::constant("no name")).is_err());
    }
}
