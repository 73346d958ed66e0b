//! `export-bundle`: the model as a bundle that would make it again.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, Value, json};

use super::invocation::Invocation;
use super::output::{print, say, yaml};
use super::values::option_text;
use crate::api::Task;

/// Writes the model as a bundle.
#[derive(Debug, Args)]
pub(crate) struct ExportBundle {
    /// The file, standard output where absent.
    #[arg(long)]
    filename: Option<PathBuf>,
    /// Options that were not set too.
    #[arg(long)]
    include_charm_defaults: bool,
}

impl ExportBundle {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let client = at.client()?;
        let parts = client.ask(Task::ExportBundle).await?;
        let text = yaml(&bundle(&parts, self.include_charm_defaults))?;
        let Some(filename) = self.filename else { return print(&text) };
        // It may hold an operator's options.
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = std::fs::OpenOptions::new();
        let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&filename);
        opened
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .with_context(|| format!("cannot write {}", filename.display()))?;
        say(&format!("Bundle successfully exported to {}", filename.display()))
    }
}

fn bundle(parts: &Value, with_defaults: bool) -> Value {
    let mut applications = Map::new();
    for (name, app) in parts["applications"].as_object().into_iter().flatten() {
        let is_wanted = |option: &Value| option["source"] == "user" || with_defaults;
        let options = app["settings"].as_object().into_iter().flatten();
        let options: Map<_, _> = options
            .filter(|(_, option)| is_wanted(option) && option.get("value").is_some())
            .map(|(key, option)| (key.clone(), option["value"].clone()))
            .collect();
        let mut shown = json!({"charm": app["charm"], "scale": app["scale"]});
        let constraints = app["constraints"].as_object().into_iter().flatten();
        let constraints: Vec<String> =
            constraints.map(|(key, value)| format!("{key}={}", option_text(value))).collect();
        let rest = [
            ("options", Value::Object(options), json!({})),
            ("resources", app["resources"].clone(), json!({})),
            ("constraints", json!(constraints.join(" ")), json!("")),
            ("trust", app["trust"].clone(), json!(false)),
        ];
        for (key, value, nothing) in rest {
            if value != nothing {
                shown[key] = value;
            }
        }
        applications.insert(name.clone(), shown);
    }
    let mut bundle = json!({"bundle": "kubernetes", "applications": applications});
    if parts["relations"].as_array().is_some_and(|all| !all.is_empty()) {
        bundle["relations"] = parts["relations"].clone();
    }
    bundle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_names_what_was_set() {
        let option = |source: &str| json!({"source": source, "value": 5});
        let parts = json!({
            "applications": {"db": {
                "charm": "/charms/db.charm", "scale": 2, "trust": true,
                "settings": {"a": option("user"), "b": option("default")},
                "resources": {"image": "/images/db.yaml"}, "constraints": {"mem": "512M"},
            }, "client": {"charm": "/c", "scale": 1, "trust": false, "settings": {},
                "resources": {}, "constraints": {}}},
            "relations": [["client", "db:db"]],
        });
        let text = yaml(&bundle(&parts, false)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle.yaml");
        std::fs::write(&path, &text).unwrap();
        let read = crate::bundle::Bundle::read(&path).unwrap();
        let db = &read.applications[&"db".parse().unwrap()];
        assert_eq!((db.charm.as_str(), db.scale, db.trust), ("/charms/db.charm", Some(2), true));
        assert_eq!(db.options.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(db.constraints, "mem=512M");
        assert_eq!(read.relations, [("client".to_owned(), "db:db".to_owned())]);
        assert!(bundle(&parts, true)["applications"]["db"]["options"]["b"] == 5, "{text}");
    }
}
