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
        ("storage", "storage"),
    ] {
        let names = metadata.get(section).into_iter().flat_map(keys);
        all.extend(names.map(|name| (what, name)));
    }
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

/// Whether the code has the name as a text, or the part of it that tells plugins apart.
fn is_used(code: &str, name: &str) -> bool {
    let has = |name: &str| code.contains(&format!("\"{name}\""));
    let plugin = name.strip_prefix("plugin_").and_then(|rest| rest.strip_suffix("_enable"));
    has(name) || plugin.is_some_and(has)
}

#[test]
fn what_a_charm_declares_it_uses() {
    let charms = std::fs::read_dir(root().join("charms")).unwrap();
    let idle = charms.map(|charm| charm.unwrap().path()).flat_map(|charm| {
        let code = code(&charm);
        let all = declared(&charm).into_iter().filter(move |(_, name)| !is_used(&code, name));
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
