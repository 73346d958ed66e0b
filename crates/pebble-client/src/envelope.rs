//! The envelope of Pebble's answers: a result or a refusal, and the change that was started.

use http1_client::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::Error;

/// The id of a change.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ChangeId(pub String);

impl std::fmt::Display for ChangeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The envelope of every JSON answer.
#[derive(Deserialize)]
struct Envelope<T> {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(rename = "status-code")]
    status: u16,
    #[serde(default)]
    change: Option<ChangeId>,
    result: Option<T>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Error,
    #[serde(other)]
    Success,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
    #[serde(default)]
    kind: String,
}

/// That an answer is none of Pebble's.
pub(crate) fn malformed(doing: &str, why: impl ToString) -> Error {
    Error::Answer { doing: doing.to_owned(), why: why.to_string() }
}

/// The result in an envelope and, where Pebble started one, the change.
fn open<T: DeserializeOwned>(
    doing: &str,
    envelope: &[u8],
) -> Result<(Option<T>, Option<ChangeId>), Error> {
    let why = match serde_json::from_slice::<Envelope<T>>(envelope) {
        Ok(Envelope { kind: Kind::Success, change, result, .. }) => return Ok((result, change)),
        Ok(_) => "its error has no message".to_owned(),
        Err(error) => error.to_string(),
    };
    match serde_json::from_slice(envelope) {
        Ok(Envelope { kind: Kind::Error, status, result: Some(refusal), .. }) => {
            let Refusal { kind, message } = refusal;
            Err(Error::Refused { doing: doing.to_owned(), status, kind, message })
        }
        _ => Err(malformed(doing, why)),
    }
}

/// The result in an envelope.
pub(crate) fn result<T: DeserializeOwned>(doing: &str, envelope: &[u8]) -> Result<T, Error> {
    open(doing, envelope)?.0.ok_or_else(|| malformed(doing, "it has no result"))
}

/// The answer to a request that changes something.
pub(crate) struct Answer(pub(crate) Bytes);

impl Answer {
    /// The result of the expected shape.
    pub(crate) fn result<T: DeserializeOwned>(&self, doing: &str) -> Result<T, Error> {
        result(doing, &self.0)
    }

    /// That it was done; the result says no more.
    pub(crate) fn done(&self, doing: &str) -> Result<(), Error> {
        open::<IgnoredAny>(doing, &self.0).map(drop)
    }

    /// The change that Pebble started.
    pub(crate) fn change(&self, doing: &str) -> Result<ChangeId, Error> {
        let (_, change) = open::<IgnoredAny>(doing, &self.0)?;
        change.ok_or_else(|| malformed(doing, "it names no change"))
    }
}
