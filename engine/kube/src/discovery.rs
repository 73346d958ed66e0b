//! The answers of API discovery.

use serde_json::{Value, json};

use crate::Kind;

/// The Kubernetes version whose behaviour is followed. Clients want every field, and take any
/// text in most.
pub(crate) fn version() -> Value {
    json!({
        "major": "1",
        "minor": "34",
        "gitVersion": "v1.34.4+talisman",
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}

/// What a client may ask about the API itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Discovery {
    /// `/api`: the versions of the core group.
    Core,
    /// `/apis`: the other groups.
    Groups,
    /// `/apis/apps`: one of them.
    Group(&'static str),
    /// `/api/v1`, `/apis/apps/v1`: the resources of a group, empty for the core group.
    Resources(&'static str),
}

/// The answer at one of the discovery paths.
pub(crate) fn discovery(asked: Discovery) -> Value {
    match asked {
        Discovery::Core => json!({ "kind": "APIVersions", "versions": ["v1"] }),
        Discovery::Groups => {
            let groups: Vec<Value> = Kind::GROUPS.into_iter().map(group).collect();
            json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
        }
        Discovery::Group(name) => {
            let mut group = group(name);
            group["kind"] = json!("APIGroup");
            group["apiVersion"] = json!("v1");
            group
        }
        Discovery::Resources(group) => resources(group),
    }
}

fn group(name: &str) -> Value {
    let version = json!({ "groupVersion": format!("{name}/v1"), "version": "v1" });
    json!({ "name": name, "versions": [version], "preferredVersion": version })
}

fn resources(group: &str) -> Value {
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.group() == group);
    let mut resources = Vec::new();
    for kind in kinds {
        let mut resource = json!({
            "name": kind.plural(),
            "singularName": kind.name().to_lowercase(),
            "namespaced": kind.namespaced(),
            "kind": kind.name(),
            "verbs": [
                "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch",
            ],
        });
        if !kind.short().is_empty() {
            resource["shortNames"] = json!(kind.short());
        }
        resources.push(resource);
        let sub = |name: &str, kind_name: &str, verbs: Value| {
            json!({
                "name": format!("{}/{name}", kind.plural()), "singularName": "",
                "namespaced": kind.namespaced(), "kind": kind_name, "verbs": verbs,
            })
        };
        if kind.has_status() {
            resources.push(sub("status", kind.name(), json!(["get", "patch", "update"])));
        }
        if kind == Kind::Pod {
            let mut eviction = sub("eviction", "Eviction", json!(["create"]));
            eviction["group"] = json!("policy");
            eviction["version"] = json!("v1");
            resources.push(eviction);
        }
    }
    let version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": version,
        "resources": resources,
    })
}
