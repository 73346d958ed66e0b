//! Why a request to Pebble failed.

use std::time::Duration;

/// Why a request to Pebble failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing listens on the socket: the container is missing or not started.
    #[error("cannot reach Pebble at {at}: {source}")]
    Connect {
        /// The socket's path.
        at: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("cannot {doing}: Pebble closed the connection")]
    Exchange {
        /// What was wanted.
        doing: String,
        /// What broke.
        source: http1_client::Error,
    },
    /// No answer in time.
    #[error("cannot {doing}: no answer from Pebble within {} s", after.as_secs())]
    Timeout {
        /// What was wanted.
        doing: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// Pebble said no.
    #[error("cannot {doing}: Pebble refused: {message}")]
    Refused {
        /// What was wanted.
        doing: String,
        /// The HTTP status, or 200 where one file of a request was refused.
        status: u16,
        /// Pebble's word for the refusal, such as `not-found`; may be empty.
        kind: String,
        /// Pebble's sentence.
        message: String,
    },
    /// The answer is none of Pebble's.
    #[error("cannot {doing}: the answer of Pebble is malformed: {why}")]
    Answer {
        /// What was wanted.
        doing: String,
        /// What is wrong with the answer.
        why: String,
    },
    /// A change ended badly.
    #[error("cannot {doing}: {message}")]
    Change {
        /// What was wanted.
        doing: String,
        /// Pebble's sentence, which names the failed tasks.
        message: String,
    },
    /// A web socket of a running command broke.
    #[error("cannot {doing}: the web socket {socket} broke")]
    WebSocket {
        /// What was wanted.
        doing: String,
        /// `control`, `stdio` or `stderr`.
        socket: &'static str,
        /// What broke.
        source: Box<tokio_tungstenite::tungstenite::Error>,
    },
}

impl Error {
    /// Whether Pebble is not there (yet): waiting may help.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Exchange { .. } | Self::Timeout { .. })
    }

    /// Whether Pebble knows no such file, service or change.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Refused { status, kind, .. } => *status == 404 || kind == "not-found",
            _ => false,
        }
    }
}
