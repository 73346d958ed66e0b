//! A request's path, query and body as types.

use hyper::Method;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::cause::Cause;
use crate::discovery::Discovery;
use crate::{ApiError, FieldSelector, Filter, Kind, Selector};

/// The longest name of a field manager, in bytes.
const MANAGER_BYTES_MAX: usize = 128;

/// A resource in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) kind: Kind,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) sub: Sub,
}

/// What of an object a path is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sub {
    /// The object itself.
    Main,
    Status,
    Eviction,
}

impl Sub {
    /// The end of the path, as roles name it: `pods/status`.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Sub::Main => "",
            Sub::Status => "/status",
            Sub::Eviction => "/eviction",
        }
    }
}

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Version,
    Health,
    Discovery(Discovery),
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
        if resource.sub == Sub::Eviction {
            return if *method == Method::POST {
                Ok(Verb::Create)
            } else {
                Err(ApiError::MethodNotAllowed)
            };
        }
        match *method {
            Method::GET if named => Ok(Verb::Get),
            Method::GET if query.is_true("watch") => Ok(Verb::Watch),
            Method::GET => Ok(Verb::List),
            Method::POST if !named && placed => Ok(Verb::Create),
            Method::PUT if named => Ok(Verb::Update),
            Method::PATCH if named => Ok(Verb::Patch),
            Method::DELETE if named && resource.sub == Sub::Main => Ok(Verb::Delete),
            Method::DELETE if !named && placed => Ok(Verb::DeleteCollection),
            _ => Err(ApiError::MethodNotAllowed),
        }
    }
}

/// Finds what a path names.
pub(crate) fn target(path: &str) -> Result<Target, ApiError> {
    let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["version"] => Ok(Target::Version),
        ["healthz" | "livez" | "readyz"] => Ok(Target::Health),
        ["api"] => Ok(Target::Discovery(Discovery::Core)),
        ["apis"] => Ok(Target::Discovery(Discovery::Groups)),
        ["api", "v1"] => Ok(Target::Discovery(Discovery::Resources(""))),
        ["api", "v1", rest @ ..] => resource("", rest),
        ["apis", name] => Ok(Target::Discovery(Discovery::Group(group(name)?))),
        ["apis", name, "v1"] => Ok(Target::Discovery(Discovery::Resources(group(name)?))),
        ["apis", name, "v1", rest @ ..] => resource(group(name)?, rest),
        _ => Err(ApiError::NoResource),
    }
}

/// A group of the API that has that name.
fn group(name: &str) -> Result<&'static str, ApiError> {
    let found = Kind::GROUPS.into_iter().find(|group| *group == name);
    found.ok_or(ApiError::NoResource)
}

fn resource(group: &str, rest: &[&str]) -> Result<Target, ApiError> {
    let (namespace, rest) = match rest {
        // These two are about the namespace itself.
        ["namespaces", _] | ["namespaces", _, "status"] => (None, rest),
        ["namespaces", namespace, rest @ ..] if group.is_empty() || !rest.is_empty() => {
            (Some(*namespace), rest)
        }
        rest => (None, rest),
    };
    let (plural, name, sub) = match rest {
        [plural] => (plural, None, Sub::Main),
        [plural, name] => (plural, Some(*name), Sub::Main),
        [plural, name, "status"] => (plural, Some(*name), Sub::Status),
        [plural, name, "eviction"] => (plural, Some(*name), Sub::Eviction),
        _ => return Err(ApiError::NoResource),
    };
    let kind = Kind::find(group, plural).ok_or(ApiError::NoResource)?;
    let fits = match namespace {
        Some(_) => kind.namespaced(),
        None => !kind.namespaced() || name.is_none(),
    };
    let has = match sub {
        Sub::Main => true,
        Sub::Status => kind.has_status(),
        Sub::Eviction => kind == Kind::Pod,
    };
    if !fits || !has {
        return Err(ApiError::NoResource);
    }
    let own = |text: &str| text.to_owned();
    Ok(Target::Resource(Resource { kind, namespace: namespace.map(own), name: name.map(own), sub }))
}

/// The parameters of a request.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Query {
        Query(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
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

    /// Whether a client only wants to know what a write to an object of `kind` would do.
    pub(crate) fn is_dry_run(&self, kind: Kind) -> Result<bool, ApiError> {
        let odd = self.0.iter().find(|(key, value)| key == "dryRun" && value != "All");
        match odd {
            None => Ok(self.get("dryRun").is_some()),
            Some((_, word)) => {
                let causes = vec![Cause::unsupported("dryRun", word, &["All"])];
                Err(ApiError::Invalid { kind, name: String::new(), causes })
            }
        }
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
        Ok(Filter {
            kind: resource.kind,
            namespace: resource.namespace.clone(),
            name: None,
            selector: Selector::parse(self.get("labelSelector").unwrap_or_default())?,
            fields: FieldSelector::parse(
                resource.kind,
                self.get("fieldSelector").unwrap_or_default(),
            )?,
        })
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

/// Undoes percent encoding.
fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, kind: Kind, namespace: Option<&str>, name: Option<&str>, sub: Sub) {
        let own = |text: &str| text.to_owned();
        let expected = Resource { kind, namespace: namespace.map(own), name: name.map(own), sub };
        assert_eq!(target(path), Ok(Target::Resource(expected)), "{path}");
    }

    #[test]
    fn paths_name_resources() {
        check("/api/v1/namespaces/a/pods", Kind::Pod, Some("a"), None, Sub::Main);
        check("/api/v1/namespaces/a/pods/b-0", Kind::Pod, Some("a"), Some("b-0"), Sub::Main);
        check("/api/v1/namespaces/a/pods/b/status", Kind::Pod, Some("a"), Some("b"), Sub::Status);
        check("/api/v1/nodes/n", Kind::Node, None, Some("n"), Sub::Main);
        check("/api/v1/services", Kind::Service, None, None, Sub::Main);
        let sets = "/apis/apps/v1/namespaces/a/statefulsets/s";
        check(sets, Kind::StatefulSet, Some("a"), Some("s"), Sub::Main);
        check("/api/v1/namespaces", Kind::Namespace, None, None, Sub::Main);
        check("/api/v1/namespaces/a", Kind::Namespace, None, Some("a"), Sub::Main);
        let routes = "/apis/networking.k8s.io/v1/namespaces/a/ingresses";
        check(routes, Kind::Ingress, Some("a"), None, Sub::Main);
        let evicted = "/api/v1/namespaces/a/pods/p/eviction";
        check(evicted, Kind::Pod, Some("a"), Some("p"), Sub::Eviction);
    }

    #[test]
    fn other_paths_name_nothing() {
        for path in [
            "/api/v1/namespaces/a/nodes",
            "/api/v1/pods/b",
            "/api/v1/namespaces/a/leases",
            "/apis/apps/v1/namespaces/a/pods",
            "/api/v1/namespaces/a/endpoints/e/status",
            "/apis/batch/v1/namespaces/a/jobs",
            "/apis/apps/v1/namespaces/a",
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
