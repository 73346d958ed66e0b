//! What a charm declares, it uses: endpoints, containers, storage, resources, options and actions.

use std::path::Path;

use serde_json::{Map, Value};

use super::{check, circles, root, rust_files};

/// The folders whose code runs in every charm.
const SHARED: [&str; 2] = ["crates/charm-kit/src", "crates/juju-charm/src"];

fn yaml(path: &Path) -> Map<String, Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|_| "{}".to_owned());
    serde_saphyr::from_str(&text).unwrap()
}

/// What is declared and not used, and why.
const IDLE: [(&str, &str, &str); 1] = [(
    "pgbouncer-k8s",
    "upgrade",
    "a charm before this one has it, and Juju refuses a refresh that ends a relation",
)];

fn keys(value: &Value) -> impl Iterator<Item = String> {
    value.as_object().into_iter().flat_map(|object| object.keys().cloned())
}

/// The names that a charm declares, each with what it is.
fn declared(charm: &Path) -> Vec<(&'static str, String)> {
    let metadata = yaml(&charm.join("metadata.yaml"));
    let mut all = Vec::new();
    for (section, what) in [
        ("peers", "endpoint"),
        ("provides", "endpoint"),
        ("requires", "endpoint"),
        ("containers", "container"),
    ] {
        let names = metadata.get(section).into_iter().flat_map(keys);
        all.extend(names.map(|name| (what, name)));
    }
    // The code knows a storage by where it is mounted.
    let storage = metadata.get("storage").and_then(Value::as_object).into_iter().flatten();
    let places = storage.filter_map(|(_, one)| one["location"].as_str().map(str::to_owned));
    all.extend(places.map(|place| ("storage at", place)));
    let config = yaml(&charm.join("config.yaml"));
    let options = config.get("options").into_iter().flat_map(keys);
    all.extend(options.map(|name| ("option", name)));
    all.extend(yaml(&charm.join("actions.yaml")).into_iter().map(|(name, _)| ("action", name)));
    all
}

/// What a charm ships, as one text.
fn code(charm: &Path) -> String {
    let own = charm.strip_prefix(root()).unwrap().join("src");
    let ships = |path: &Path| {
        let folder = path.starts_with(&own) || SHARED.iter().any(|one| path.starts_with(one));
        let tests = path.components().any(|part| part.as_os_str() == "tests");
        folder && !tests && path.file_stem().is_none_or(|name| name != "tests" && name != "fixture")
    };
    let files = rust_files().into_iter().filter(|(path, _)| ships(path));
    files.map(|(_, text)| circles::shipping(&text)).collect()
}

/// Whether the code has the name as a text, or the part of it that tells plugins apart, or a field
/// of the name.
fn is_used(code: &str, name: &str) -> bool {
    let has = |name: &str| code.contains(&format!("\"{name}\""));
    let plugin = name.strip_prefix("plugin_").and_then(|rest| rest.strip_suffix("_enable"));
    let field = format!("{}: ", name.replace('-', "_"));
    has(name) || plugin.is_some_and(has) || code.contains(&field)
}

#[test]
fn what_a_charm_declares_it_uses() {
    let charms = std::fs::read_dir(root().join("charms")).unwrap();
    let idle = charms.map(|charm| charm.unwrap().path()).flat_map(|charm| {
        let code = code(&charm);
        let listed = |name: &str| IDLE.iter().any(|one| charm.ends_with(one.0) && one.1 == name);
        let all = declared(&charm).into_iter();
        let all: Vec<_> = all.filter(|(_, name)| !is_used(&code, name) && !listed(name)).collect();
        let all = all.into_iter();
        all.map(move |(what, name)| {
            format!("{}: the {what} {name} is in no line of its code", charm.display())
        })
    });
    check(idle.collect());
}

#[test]
fn an_idle_name_is_found() {
    let found = |name: &str| is_used(r#"["database", "hll"]"#, name);
    assert!(found("database") && found("plugin_hll_enable"));
    assert!(!found("ldap_map") && !found("plugin_vector_enable"));
}
