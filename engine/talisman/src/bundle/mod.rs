//! Juju bundle files.

pub(crate) mod constraints;
mod overlay;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Why a bundle cannot be deployed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    /// The file cannot be read.
    #[error("cannot read the bundle {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// The file is not a bundle.
    #[error("cannot use the bundle {path}: {reason}", path = path.display())]
    Malformed { path: PathBuf, reason: String },
    /// An overlay adds an application without saying which charm.
    #[error("cannot use the overlay {path}: the bundle has no application {name:?}, and the overlay names no charm for it", path = path.display())]
    NoCharm { path: PathBuf, name: String },
    /// A relation names an application that the bundle lacks.
    #[error("cannot use the bundle {path}: the relation {relation} names {name:?}; the bundle has {known}", path = path.display())]
    UnknownApplication { path: PathBuf, relation: String, name: String, known: String },
}

/// A bundle, as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bundle {
    /// `kubernetes`, the only kind the engine runs.
    #[serde(default, rename = "bundle")]
    pub(crate) kind: Option<String>,
    /// Free text.
    #[serde(default)]
    #[expect(dead_code, reason = "bundles carry it; the engine does not use it")]
    pub(crate) name: Option<String>,
    /// What to deploy.
    pub(crate) applications: BTreeMap<juju_names::AppName, BundleApplication>,
    /// Pairs of `application[:endpoint]`.
    #[serde(default)]
    pub(crate) relations: Vec<(String, String)>,
}

/// One application of a bundle.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BundleApplication {
    /// A path to a charm folder or `.charm` file, relative to the bundle.
    pub(crate) charm: String,
    /// Option values.
    #[serde(default)]
    pub(crate) options: BTreeMap<String, serde_json::Value>,
    /// Files by resource name, relative to the bundle: image definitions, and what the charm
    /// calls a file.
    #[serde(default)]
    pub(crate) resources: BTreeMap<String, String>,
    /// Units.
    #[serde(default, alias = "num_units")]
    pub(crate) scale: Option<u32>,
    /// Access to the Kubernetes API.
    #[serde(default)]
    pub(crate) trust: bool,
    /// `mem=… cpu-power=…`
    #[serde(default)]
    pub(crate) constraints: String,
}

impl BundleApplication {
    /// One unit of a charm.
    pub(crate) fn new(charm: String) -> Self {
        Self {
            charm,
            options: BTreeMap::new(),
            resources: BTreeMap::new(),
            scale: None,
            trust: false,
            constraints: String::new(),
        }
    }
}

impl Bundle {
    /// Reads a bundle; paths in it come back absolute.
    pub(crate) fn read(path: &Path) -> Result<Self, BundleError> {
        Self::read_with(path, &[])
    }

    fn read_alone(path: &Path) -> Result<Self, BundleError> {
        let text = crate::files::read_given(path)
            .map_err(|source| BundleError::Read { path: path.to_owned(), source })?;
        let mut bundle: Self = serde_saphyr::from_str(&text).map_err(|error| {
            BundleError::Malformed { path: path.to_owned(), reason: error.to_string() }
        })?;
        if let Some(kind) = bundle.kind.as_deref().filter(|kind| *kind != "kubernetes") {
            let reason = format!("it is of kind {kind:?}; write `bundle: kubernetes`");
            return Err(BundleError::Malformed { path: path.to_owned(), reason });
        }
        let folder = std::path::absolute(path)
            .map_err(|source| BundleError::Read { path: path.to_owned(), source })?;
        let folder = folder.parent().unwrap_or(Path::new("/")).to_owned();
        for application in bundle.applications.values_mut() {
            application.charm = absolute(&folder, &application.charm);
            for file in application.resources.values_mut() {
                *file = absolute(&folder, file);
            }
        }
        Ok(bundle)
    }

    fn check_relations(&self, path: &Path) -> Result<(), BundleError> {
        for (left, right) in &self.relations {
            for side in [left, right] {
                let name = side.split(':').next().unwrap_or(side);
                if !self.applications.keys().any(|app| app.as_str() == name) {
                    let known: Vec<_> = self.applications.keys().map(|app| app.as_str()).collect();
                    return Err(BundleError::UnknownApplication {
                        path: path.to_owned(),
                        relation: format!("[{left}, {right}]"),
                        name: name.to_owned(),
                        known: known.join(", "),
                    });
                }
            }
        }
        Ok(())
    }
}

/// A path of a file in a folder.
pub(crate) fn absolute(folder: &Path, file: &str) -> String {
    let path = folder.join(file);
    path.components()
        .filter(|part| *part != std::path::Component::CurDir)
        .collect::<PathBuf>()
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.yaml");
        std::fs::write(&path, text).unwrap();
        let error = Bundle::read(&path).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }

    #[test]
    fn a_typo_is_named() {
        check("applicatons: {}", "applicatons");
        check("applications: {a: {charm: x, optoins: {}}}", "optoins");
        check(
            "applications: {a: {charm: x}}\nrelations: [[a, b:db]]",
            "names \"b\"; the bundle has a",
        );
        check("bundle: machine\napplications: {}", "of kind \"machine\"");
    }

    #[track_caller]
    fn overlay(text: &str) -> Result<Bundle, BundleError> {
        let folder = tempfile::tempdir().unwrap();
        let (bundle, over) = (folder.path().join("b.yaml"), folder.path().join("o/o.yaml"));
        std::fs::create_dir(folder.path().join("o")).unwrap();
        let base = "applications:
  a: {charm: ./a, options: {x: 1, y: 2}, trust: true}
  b: {charm: ./b}
relations: [[a:db, b:db]]";
        std::fs::write(&bundle, base).unwrap();
        std::fs::write(&over, text).unwrap();
        Bundle::read_with(&bundle, &[over])
    }

    #[test]
    fn an_overlay_changes_adds_and_removes() {
        let bundle = overlay(
            "applications: {a: {options: {y: 3}, num_units: 2}, b: , c: {charm: ./c}}
relations: [[a, c]]",
        )
        .unwrap();
        let known: Vec<_> = bundle.applications.keys().map(|app| app.as_str()).collect();
        assert_eq!(known, ["a", "c"]);
        let a = &bundle.applications[&"a".parse().unwrap()];
        assert_eq!((&a.options["x"], &a.options["y"]), (&1.into(), &3.into()));
        assert_eq!((a.scale, a.trust), (Some(2), true));
        let c = &bundle.applications[&"c".parse().unwrap()];
        assert!(c.charm.ends_with("/o/c"), "{}", c.charm);
        assert_eq!(bundle.relations, [("a".to_owned(), "c".to_owned())]);
    }

    #[test]
    fn an_overlay_with_an_unknown_application_or_word_is_refused() {
        let error = |text| overlay(text).unwrap_err().to_string();
        assert!(error("applications: {d: {scale: 1}}").contains("no charm"));
        assert!(error("applications: {a: {scael: 1}}").contains("scael"));
        assert!(error("relations: [[a, d]]").contains("names \"d\""));
    }

    #[test]
    fn paths_are_relative_to_the_bundle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.yaml");
        std::fs::write(&path, "applications: {a: {charm: ./x.charm, num_units: 2}}").unwrap();
        let bundle = Bundle::read(&path).unwrap();
        let application = bundle.applications.values().next().unwrap();
        assert_eq!(application.charm, folder.path().join("x.charm").display().to_string());
        assert_eq!(application.scale, Some(2));
    }
}
