//! Refusals, worded and numbered as Kubernetes does.

use serde_json::{Value, json};

use crate::Kind;
use crate::cause::{Cause, sentence};

/// Why a request is refused. The text is Kubernetes' own, because clients show and match it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// No object has this name.
    #[error("{} \"{name}\" not found", kind.qualified())]
    NotFound {
        /// What was asked for.
        kind: Kind,
        /// The name asked for.
        name: String,
    },
    /// The path names no resource.
    #[error("the server could not find the requested resource")]
    NoResource,
    /// The resource has no such verb.
    #[error("the server does not allow this method on the requested resource")]
    MethodNotAllowed,
    /// An object of this name exists.
    #[error("{} \"{name}\" already exists", kind.qualified())]
    AlreadyExists {
        /// The kind to be created.
        kind: Kind,
        /// The name that is taken.
        name: String,
    },
    /// The object changed since it was read.
    #[error(
        "Operation cannot be fulfilled on {} \"{name}\": {why}; please apply your changes \
         to the latest version and try again",
        kind.qualified()
    )]
    Conflict {
        /// The kind.
        kind: Kind,
        /// The object's name.
        name: String,
        /// What differs.
        why: String,
    },
    /// The token is missing or unknown.
    #[error("Unauthorized")]
    Unauthorized,
    /// The identity has no right to do this.
    #[error("{0}")]
    Forbidden(String),
    /// The history no longer reaches back so far.
    #[error("too old resource version: {asked} ({oldest})")]
    Expired {
        /// The version asked for.
        asked: u64,
        /// The oldest version from which the history is whole.
        oldest: u64,
    },
    /// The request cannot be understood.
    #[error("{0}")]
    BadRequest(String),
    /// The object breaks rules of its kind.
    #[error("{} \"{name}\" is invalid: {}", kind.qualified_name(), sentence(causes))]
    Invalid {
        /// The kind.
        kind: Kind,
        /// The object's name.
        name: String,
        /// The fields and the rules.
        causes: Vec<Cause>,
    },
    /// The body's content type is not known; these are.
    #[error("the body of the request was in an unknown format - accepted media types include: {0}")]
    UnsupportedMediaType(&'static str),
    /// The client has as much under way as it may have.
    #[error("Too many requests, please try again later.")]
    TooManyRequests,
    /// The body did not come in time.
    #[error("Timeout: request did not complete within the allotted timeout")]
    Timeout,
    /// The change is right and cannot be kept; nothing was changed.
    #[error("Internal error occurred: {0}")]
    Internal(String),
    /// The body is too long.
    #[error("Request entity too large: limit is {0}")]
    TooLarge(usize),
}

impl ApiError {
    /// The HTTP status.
    pub fn code(&self) -> u16 {
        match self {
            ApiError::BadRequest(_) => 400,
            ApiError::Unauthorized => 401,
            ApiError::Forbidden(_) => 403,
            ApiError::NotFound { .. } | ApiError::NoResource => 404,
            ApiError::MethodNotAllowed => 405,
            ApiError::AlreadyExists { .. } | ApiError::Conflict { .. } => 409,
            ApiError::Expired { .. } => 410,
            ApiError::TooLarge(_) => 413,
            ApiError::UnsupportedMediaType(_) => 415,
            ApiError::Invalid { .. } => 422,
            ApiError::TooManyRequests => 429,
            ApiError::Internal(_) => 500,
            ApiError::Timeout => 504,
        }
    }

    /// The machine-readable reason.
    pub fn reason(&self) -> &'static str {
        match self {
            ApiError::BadRequest(_) => "BadRequest",
            ApiError::Unauthorized => "Unauthorized",
            ApiError::Forbidden(_) => "Forbidden",
            ApiError::NotFound { .. } | ApiError::NoResource => "NotFound",
            ApiError::MethodNotAllowed => "MethodNotAllowed",
            ApiError::AlreadyExists { .. } => "AlreadyExists",
            ApiError::Conflict { .. } => "Conflict",
            ApiError::Expired { .. } => "Expired",
            ApiError::TooLarge(_) => "RequestEntityTooLarge",
            ApiError::UnsupportedMediaType(_) => "UnsupportedMediaType",
            ApiError::Invalid { .. } => "Invalid",
            ApiError::TooManyRequests => "TooManyRequests",
            ApiError::Timeout => "Timeout",
            ApiError::Internal(_) => "InternalError",
        }
    }

    /// The `Status` object that is the body of the answer.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.to_string(),
            "reason": self.reason(),
            "code": self.code(),
        });
        if let Some((kind, name)) = self.subject() {
            status["details"] = json!({ "name": name, "kind": kind.plural() });
            if !kind.group().is_empty() {
                status["details"]["group"] = json!(kind.group());
            }
        }
        if let ApiError::Invalid { kind, causes, .. } = self {
            status["details"]["kind"] = json!(kind.name());
            status["details"]["causes"] = causes.iter().map(Cause::json).collect();
        }
        if let Some(seconds) = self.retry_after() {
            status["details"]["retryAfterSeconds"] = json!(seconds);
        }
        status
    }

    /// After how many seconds the client may try again, where it is told.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        matches!(self, ApiError::TooManyRequests).then_some(1)
    }

    fn subject(&self) -> Option<(Kind, &str)> {
        match self {
            ApiError::NotFound { kind, name }
            | ApiError::AlreadyExists { kind, name }
            | ApiError::Conflict { kind, name, .. }
            | ApiError::Invalid { kind, name, .. } => Some((*kind, name)),
            _ => None,
        }
    }
}
