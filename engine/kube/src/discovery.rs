//! The answers that tell clients what there is.

use serde_json::{Value, json};

use crate::Kind;

/// The Kubernetes version whose behaviour is followed.
pub(crate) fn version() -> Value {
    json!({
        "major": "1",
        "minor": "32",
        "gitVersion": "v1.32.0+talisman",
        "platform": "linux/amd64",
    })
}

/// The answer at one of the discovery paths.
pub(crate) fn discovery(path: &str) -> Value {
    match path {
        "/api" => json!({ "kind": "APIVersions", "versions": ["v1"] }),
        "/apis" => {
            let version = json!({ "groupVersion": "apps/v1", "version": "v1" });
            let group =
                json!({ "name": "apps", "versions": [version], "preferredVersion": version });
            json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [group] })
        }
        "/apis/apps/v1" => resources("apps", "apps/v1"),
        _ => resources("", "v1"),
    }
}

fn resources(group: &str, version: &str) -> Value {
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.group() == group);
    let resources: Vec<Value> = kinds
        .map(|kind| {
            json!({
                "name": kind.plural(),
                "singularName": kind.name().to_lowercase(),
                "namespaced": kind.namespaced(),
                "kind": kind.name(),
                "shortNames": short_names(kind),
                "verbs": [
                    "create", "delete", "deletecollection", "get", "list", "patch", "update",
                    "watch",
                ],
            })
        })
        .collect();
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": version,
        "resources": resources,
    })
}

fn short_names(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Pod => &["po"],
        Kind::Endpoints => &["ep"],
        Kind::Service => &["svc"],
        Kind::Node => &["no"],
        Kind::StatefulSet => &["sts"],
    }
}
