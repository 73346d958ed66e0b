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
        "Operation cannot be fulfilled on {} \"{name}\": {why}",
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
    /// Other managers own what is applied.
    #[error("{words}")]
    ApplyConflict {
        /// All of them in one text.
        words: String,
        /// Each field and its manager.
        causes: Vec<Cause>,
    },
    /// What is applied has fields that its kind does not have.
    #[error(
        "failed to create typed patch object ({namespace}/{name}; {}, Kind={}): {}",
        typed_version(*kind), kind.name(), undeclared(unknown)
    )]
    Undeclared {
        /// The kind.
        kind: Kind,
        /// Where the body says that it is.
        namespace: String,
        /// The object's name.
        name: String,
        /// The paths of the fields.
        unknown: Vec<String>,
    },
    /// The token is missing or unknown.
    #[error("Unauthorized")]
    Unauthorized,
    /// The user has no right to do this.
    #[error("{words}")]
    Forbidden {
        /// What of; none for a path.
        kind: Option<Kind>,
        /// The object's name, if it is about one.
        name: String,
        /// All of the text.
        words: String,
    },
    /// The history no longer reaches back so far.
    #[error("too old resource version: {asked} ({oldest})")]
    Expired {
        /// The version asked for.
        asked: u64,
        /// The oldest version from which the history is whole.
        oldest: u64,
    },
    /// The version asked for is not there yet.
    #[error("Timeout: Too large resource version: {asked}, current: {newest}")]
    TooLargeVersion {
        /// The version asked for.
        asked: u64,
        /// The version of the last change.
        newest: u64,
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
    /// The options of a request break their rules.
    #[error("{name}.meta.k8s.io \"\" is invalid: {}", sentence(causes))]
    Options {
        /// Their kind.
        name: &'static str,
        /// The fields and the rules.
        causes: Vec<Cause>,
    },
    /// What a patch makes of an object is none of its kind.
    #[error(" \"\" is invalid: {}", sentence(causes))]
    Unfit {
        /// What it makes, and why that is none.
        causes: Vec<Cause>,
    },
    /// A patch does not fit the object; the rest is for the server's log.
    #[error("the server rejected our request due to an error in our request")]
    Unprocessable,
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
    /// A patch has too many parts.
    #[error(
        "Request entity too large: The allowed maximum operations in a JSON patch is {most}, got \
         {found}"
    )]
    TooManyOperations {
        /// How many it has.
        found: usize,
        /// How many it may have.
        most: usize,
    },
}

impl ApiError {
    /// The HTTP status.
    pub fn code(&self) -> u16 {
        match self {
            ApiError::BadRequest(_) => 400,
            ApiError::Unauthorized => 401,
            ApiError::Forbidden { .. } => 403,
            ApiError::NotFound { .. } | ApiError::NoResource => 404,
            ApiError::MethodNotAllowed => 405,
            ApiError::AlreadyExists { .. }
            | ApiError::Conflict { .. }
            | ApiError::ApplyConflict { .. } => 409,
            ApiError::Expired { .. } => 410,
            ApiError::TooLarge(_) | ApiError::TooManyOperations { .. } => 413,
            ApiError::UnsupportedMediaType(_) => 415,
            ApiError::Invalid { .. }
            | ApiError::Options { .. }
            | ApiError::Unfit { .. }
            | ApiError::Unprocessable => 422,
            ApiError::TooManyRequests => 429,
            ApiError::Internal(_) | ApiError::Undeclared { .. } => 500,
            ApiError::Timeout | ApiError::TooLargeVersion { .. } => 504,
        }
    }

    /// The machine-readable reason.
    pub fn reason(&self) -> &'static str {
        match self {
            ApiError::BadRequest(_) => "BadRequest",
            ApiError::Unauthorized => "Unauthorized",
            ApiError::Forbidden { .. } => "Forbidden",
            ApiError::NotFound { .. } | ApiError::NoResource => "NotFound",
            ApiError::MethodNotAllowed => "MethodNotAllowed",
            ApiError::AlreadyExists { .. } => "AlreadyExists",
            ApiError::Conflict { .. } | ApiError::ApplyConflict { .. } => "Conflict",
            ApiError::Undeclared { .. } => "",
            ApiError::Expired { .. } => "Expired",
            ApiError::TooLarge(_) | ApiError::TooManyOperations { .. } => "RequestEntityTooLarge",
            ApiError::UnsupportedMediaType(_) => "UnsupportedMediaType",
            ApiError::Invalid { .. }
            | ApiError::Options { .. }
            | ApiError::Unfit { .. }
            | ApiError::Unprocessable => "Invalid",
            ApiError::TooManyRequests => "TooManyRequests",
            ApiError::Timeout | ApiError::TooLargeVersion { .. } => "Timeout",
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
        if self.reason().is_empty() {
            status.as_object_mut().map(|fields| fields.remove("reason"));
        }
        if let ApiError::NoResource | ApiError::MethodNotAllowed | ApiError::Forbidden { .. } = self
        {
            status["details"] = json!({});
        }
        if let Some((kind, name)) = self.subject() {
            status["details"] = json!({ "kind": kind.plural() });
            if !name.is_empty() {
                status["details"]["name"] = json!(name);
            }
            if !kind.group().is_empty() {
                status["details"]["group"] = json!(kind.group());
            }
        }
        if let ApiError::Invalid { kind, causes, .. } = self {
            status["details"]["kind"] = json!(kind.name());
            status["details"]["causes"] = causes.iter().map(Cause::json).collect();
        }
        if let ApiError::ApplyConflict { causes, .. } | ApiError::Unfit { causes } = self {
            let causes: Vec<Value> = causes.iter().map(Cause::json).collect();
            status["details"] = json!({ "causes": causes });
        }
        if let ApiError::Options { name, causes } = self {
            status["details"] = json!({ "group": "meta.k8s.io", "kind": name });
            status["details"]["causes"] = causes.iter().map(Cause::json).collect();
        }
        if matches!(self, ApiError::TooLargeVersion { .. }) {
            let cause = json!({
                "reason": "ResourceVersionTooLarge", "message": "Too large resource version",
            });
            status["details"] = json!({ "causes": [cause] });
        }
        if let Some(seconds) = self.retry_after() {
            status["details"]["retryAfterSeconds"] = json!(seconds);
        }
        status
    }

    /// After how many seconds the client may try again, where it is sent.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        let soon = matches!(self, ApiError::TooManyRequests | ApiError::TooLargeVersion { .. });
        soon.then_some(1)
    }

    fn subject(&self) -> Option<(Kind, &str)> {
        match self {
            ApiError::NotFound { kind, name }
            | ApiError::AlreadyExists { kind, name }
            | ApiError::Conflict { kind, name, .. }
            | ApiError::Forbidden { kind: Some(kind), name, .. }
            | ApiError::Invalid { kind, name, .. } => Some((*kind, name)),
            _ => None,
        }
    }
}

/// The API's version as an apply names it.
fn typed_version(kind: Kind) -> String {
    let slash = if kind.group().is_empty() { "/" } else { "" };
    format!("{slash}{}", kind.api_version())
}

/// The fields that no kind declares, in one text.
fn undeclared(unknown: &[String]) -> String {
    let line = |path: &String| format!(".{path}: field not declared in schema");
    match unknown {
        [one] => line(one),
        many => {
            let lines: Vec<String> = many.iter().map(|path| format!("  {}", line(path))).collect();
            format!("errors:\n{}", lines.join("\n"))
        }
    }
}
