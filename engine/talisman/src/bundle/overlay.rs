//! Overlays: files that change a bundle before it is deployed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use juju_names::AppName;
use serde::Deserialize;

use crate::bundle::{Bundle, BundleApplication, BundleError, absolute};

/// What an overlay says, as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Overlay {
    /// Changes by application; an application without one leaves the bundle.
    #[serde(default)]
    pub(crate) applications: BTreeMap<AppName, Option<Change>>,
    /// Relations beside those of the bundle.
    #[serde(default)]
    pub(crate) relations: Vec<(String, String)>,
}

/// What is different for one application; options and resources that are not named stay.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    #[serde(default)]
    charm: Option<String>,
    #[serde(default)]
    options: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    resources: BTreeMap<String, String>,
    #[serde(default, alias = "num_units")]
    scale: Option<u32>,
    #[serde(default)]
    trust: Option<bool>,
    #[serde(default)]
    constraints: Option<String>,
}

impl Bundle {
    /// Reads a bundle and changes it as overlays say, one after another.
    pub(crate) fn read_with(path: &Path, overlays: &[PathBuf]) -> Result<Self, BundleError> {
        let mut bundle = Self::read_alone(path)?;
        for overlay in overlays {
            bundle.change(overlay)?;
        }
        bundle.check_relations(path)?;
        Ok(bundle)
    }

    fn change(&mut self, path: &Path) -> Result<(), BundleError> {
        let overlay = Overlay::read(path)?;
        for (name, change) in overlay.applications {
            let before = self.applications.remove(&name);
            let Some(change) = change else {
                let is_its = |side: &String| side.split(':').next() == Some(name.as_str());
                self.relations.retain(|(left, right)| !is_its(left) && !is_its(right));
                continue;
            };
            let no_charm =
                || BundleError::NoCharm { path: path.to_owned(), name: name.to_string() };
            let application = change.apply(before).ok_or_else(no_charm)?;
            self.applications.insert(name, application);
        }
        self.relations.extend(overlay.relations);
        Ok(())
    }
}

impl Overlay {
    /// Reads an overlay; paths in it come back absolute.
    pub(crate) fn read(path: &Path) -> Result<Self, BundleError> {
        let text = crate::files::read_given(path)
            .map_err(|source| BundleError::Read { path: path.to_owned(), source })?;
        let mut overlay: Self = serde_saphyr::from_str(&text).map_err(|error| {
            BundleError::Malformed { path: path.to_owned(), reason: error.to_string() }
        })?;
        let folder = std::path::absolute(path)
            .map_err(|source| BundleError::Read { path: path.to_owned(), source })?;
        let folder = folder.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
        for change in overlay.applications.values_mut().flatten() {
            let files = change.charm.iter_mut().chain(change.resources.values_mut());
            files.for_each(|file| *file = absolute(&folder, file));
        }
        Ok(overlay)
    }
}

impl Change {
    /// Changes an application of the bundle, or makes one that it lacks: that needs a charm.
    pub(crate) fn apply(self, before: Option<BundleApplication>) -> Option<BundleApplication> {
        let mut application = match (before, &self.charm) {
            (Some(before), _) => before,
            (None, Some(charm)) => BundleApplication::new(charm.clone()),
            (None, None) => return None,
        };
        application.charm = self.charm.unwrap_or(application.charm);
        application.options.extend(self.options);
        application.resources.extend(self.resources);
        application.scale = self.scale.or(application.scale);
        application.trust = self.trust.unwrap_or(application.trust);
        application.constraints = self.constraints.unwrap_or(application.constraints);
        Some(application)
    }
}
