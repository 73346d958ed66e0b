//! A request's path, query and body as types.

use hyper::Method;
use serde_json::Value;

use crate::cause::Cause;
use crate::{ApiError, Filter, Kind, Selector};

/// The longest name of a field manager, in bytes.
const MANAGER_BYTES_MAX: usize = 128;

/// A resource in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) kind: Kind,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    /// The path ends in `/status`.
    pub(crate) status: bool,
}

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Version,
    Health,
    /// `/api`, `/apis`, `/api/v1`, `/apis/apps/v1`.
    Discovery(&'static str),
    Resource(Resource),
}

/// What is to be done, named as roles name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
        }
    }

    /// The verb of a method on a resource.
    pub(crate) fn of(
        method: &Method,
        resource: &Resource,
        query: &Query,
    ) -> Result<Verb, ApiError> {
        let named = resource.name.is_some();
        let placed = resource.namespace.is_some() || !resource.kind.namespaced();
        match *method {
            Method::GET if named => Ok(Verb::Get),
            Method::GET if query.is_true("watch") => Ok(Verb::Watch),
            Method::GET => Ok(Verb::List),
            Method::POST if !named && placed => Ok(Verb::Create),
            Method::PUT if named => Ok(Verb::Update),
            Method::PATCH if named => Ok(Verb::Patch),
            Method::DELETE if named && !resource.status => Ok(Verb::Delete),
            Method::DELETE if !named && placed => Ok(Verb::DeleteCollection),
            _ => Err(ApiError::MethodNotAllowed),
        }
    }
}

/// Finds what a path names.
pub(crate) fn target(path: &str) -> Result<Target, ApiError> {
    let parts: Vec<String> =
        path.split('/').filter(|part| !part.is_empty()).map(|part| decode(part, false)).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["version"] => Ok(Target::Version),
        ["healthz" | "livez" | "readyz"] => Ok(Target::Health),
        ["api"] => Ok(Target::Discovery("/api")),
        ["apis"] => Ok(Target::Discovery("/apis")),
        ["api", "v1"] => Ok(Target::Discovery("/api/v1")),
        ["apis", "apps", "v1"] => Ok(Target::Discovery("/apis/apps/v1")),
        ["api", "v1", rest @ ..] => resource("", rest),
        ["apis", "apps", "v1", rest @ ..] => resource("apps", rest),
        _ => Err(ApiError::NoResource),
    }
}

fn resource(group: &str, rest: &[&str]) -> Result<Target, ApiError> {
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] => (Some(*namespace), rest),
        rest => (None, rest),
    };
    let (plural, name, status) = match rest {
        [plural] => (plural, None, false),
        [plural, name] => (plural, Some(*name), false),
        [plural, name, "status"] => (plural, Some(*name), true),
        _ => return Err(ApiError::NoResource),
    };
    let kind = Kind::find(group, plural).ok_or(ApiError::NoResource)?;
    let fits = match namespace {
        Some(_) => kind.namespaced(),
        None => !kind.namespaced() || name.is_none(),
    };
    if !fits || (status && kind == Kind::Endpoints) {
        return Err(ApiError::NoResource);
    }
    let own = |text: &str| text.to_owned();
    Ok(Target::Resource(Resource {
        kind,
        namespace: namespace.map(own),
        name: name.map(own),
        status,
    }))
}

/// The parameters of a request.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key, true), decode(value, true))
        });
        Query(pairs.collect())
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Python's clients write `True`.
    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let wrong = |_| ApiError::BadRequest(format!("invalid {key}: {text:?}"));
        text.parse().map(Some).map_err(wrong)
    }

    /// In whose name a client writes an object of `kind`.
    pub(crate) fn field_manager(&self, kind: Kind) -> Result<Option<&str>, ApiError> {
        let Some(manager) = self.get("fieldManager") else { return Ok(None) };
        let mut causes = Vec::new();
        if manager.len() > MANAGER_BYTES_MAX {
            causes.push(Cause::too_long("fieldManager", MANAGER_BYTES_MAX));
        }
        let printable = |one: char| one == ' ' || !(one.is_control() || one.is_whitespace());
        if let Some((at, odd)) = manager.char_indices().find(|(_, one)| !printable(*one)) {
            let rule = format!("invalid character U+{:04X} (at position {at})", u32::from(odd));
            causes.push(Cause::invalid("fieldManager", manager, &rule));
        }
        match causes.is_empty() {
            true => Ok(Some(manager)),
            false => Err(ApiError::Invalid { kind, name: String::new(), causes }),
        }
    }

    /// The objects that a list or a watch of `resource` wants.
    pub(crate) fn filter(&self, resource: &Resource) -> Result<Filter, ApiError> {
        let mut filter = Filter {
            kind: resource.kind,
            namespace: resource.namespace.clone(),
            name: None,
            selector: Selector::parse(self.get("labelSelector").unwrap_or_default())?,
        };
        for part in self.get("fieldSelector").into_iter().flat_map(|text| text.split(',')) {
            let (field, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim_start_matches('=').to_owned();
            match field {
                "metadata.name" => filter.name = Some(value),
                "metadata.namespace" => filter.namespace = Some(value),
                _ => {
                    let why = format!("field label not supported: {field}");
                    return Err(ApiError::BadRequest(why));
                }
            }
        }
        Ok(filter)
    }
}

/// Reads a body as JSON, or as YAML when the content type allows it.
pub(crate) fn body(bytes: &[u8], content_type: &str) -> Result<Value, ApiError> {
    let json = match serde_json::from_slice(bytes) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if content_type.contains("yaml") {
        let text = String::from_utf8_lossy(bytes);
        return serde_saphyr::from_str(&text)
            .map_err(|error| ApiError::BadRequest(format!("error decoding YAML: {error}")));
    }
    Err(ApiError::BadRequest(format!("the object provided is unrecognized: {json}")))
}

/// Undoes percent encoding; in queries `+` is a space.
fn decode(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| hex(bytes.get(at + 1..at + 3)?)).flatten();
        decoded.push(match (escaped, bytes[at]) {
            (Some(byte), _) => byte,
            (None, b'+') if plus => b' ',
            (None, byte) => byte,
        });
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The byte that two hexadecimal digits write.
fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(digits[at]).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, kind: Kind, namespace: Option<&str>, name: Option<&str>, status: bool) {
        let own = |text: &str| text.to_owned();
        let expected =
            Resource { kind, namespace: namespace.map(own), name: name.map(own), status };
        assert_eq!(target(path), Ok(Target::Resource(expected)), "{path}");
    }

    #[test]
    fn paths_name_resources() {
        check("/api/v1/namespaces/a/pods", Kind::Pod, Some("a"), None, false);
        check("/api/v1/namespaces/a/pods/b-0", Kind::Pod, Some("a"), Some("b-0"), false);
        check("/api/v1/namespaces/a/pods/b/status", Kind::Pod, Some("a"), Some("b"), true);
        check("/api/v1/nodes/n", Kind::Node, None, Some("n"), false);
        check("/api/v1/services", Kind::Service, None, None, false);
        let sets = "/apis/apps/v1/namespaces/a/statefulsets/s";
        check(sets, Kind::StatefulSet, Some("a"), Some("s"), false);
    }

    #[test]
    fn other_paths_name_nothing() {
        for path in [
            "/api/v1/namespaces/a/nodes",
            "/api/v1/pods/b",
            "/api/v1/namespaces/a/leases",
            "/apis/apps/v1/namespaces/a/pods",
            "/api/v1/namespaces/a/endpoints/e/status",
            "/api/v1/namespaces/a",
            "/metrics",
        ] {
            assert_eq!(target(path), Err(ApiError::NoResource), "{path}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("labelSelector=a%3Db%2Cc+in%20(d)&watch=True&bad=%zz%2&empty=");
        assert_eq!(query.get("labelSelector"), Some("a=b,c in (d)"));
        assert!(query.is_true("watch"));
        assert_eq!(query.get("bad"), Some("%zz%2"));
        assert_eq!(query.get("empty"), None);
        assert!(query.number("watch").is_err());
    }
}
