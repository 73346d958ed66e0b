//! What ends a hook, and errors as text.

use juju_names::NameError;

use crate::HookError;

/// What makes the hook of a charm fail that has no errors of its own; Juju then retries it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Juju refused a read or a write.
    #[error(transparent)]
    Context(#[from] HookError),
    /// A container's Pebble refused what should always be possible.
    #[error(transparent)]
    Pebble(#[from] pebble_client::Error),
    /// A name that the charm made is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The operating system did not do what the text says.
    #[error("cannot {0}")]
    System(&'static str, #[source] std::io::Error),
}

/// An error and its causes on one line; a cause that the text quotes already is not repeated.
///
/// ```
/// # use juju_charm::error_chain;
/// let error = "x/y".parse::<juju_charm::UnitName>().unwrap_err();
/// assert!(error_chain(&error).contains("x/y"));
/// ```
pub fn error_chain(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}
