//! Models: each is an instance of the engine of its own, found by its name.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use juju_names::ModelName;
use serde::{Deserialize, Serialize};

/// The model that an instance has without being asked.
pub(crate) const FIRST: &str = "talisman";
/// The variable that says which Juju a new model plays.
pub(crate) const JUJU: &str = "TALISMAN_JUJU";
/// Where instances keep what outlives them.
const STATE: &str = "/var/lib/talisman";

/// What makes an instance a model of another one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Marker {
    /// The model's name.
    pub(crate) name: ModelName,
    /// The instance that it was added to.
    pub(crate) controller: String,
}

/// A model beside the first one.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) name: ModelName,
    /// The instance that runs it.
    pub(crate) instance: String,
}

fn marker_file(instance: &str) -> PathBuf {
    Path::new(STATE).join(instance).join("model.json")
}

/// The name of the model that an instance runs.
pub(crate) fn name_of(instance: &str) -> Result<ModelName> {
    match std::fs::read(marker_file(instance)) {
        Ok(bytes) => Ok(serde_json::from_slice::<Marker>(&bytes)?.name),
        Err(_) => Ok(FIRST.parse()?),
    }
}

/// The models that were added to an instance, by name.
pub(crate) fn all(controller: &str) -> Vec<Found> {
    let folders = std::fs::read_dir(STATE).into_iter().flatten().flatten();
    let mut found: Vec<Found> = folders
        .filter_map(|entry| {
            let instance = entry.file_name().into_string().ok()?;
            let marker = std::fs::read(marker_file(&instance)).ok()?;
            let marker: Marker = serde_json::from_slice(&marker).ok()?;
            (marker.controller == controller).then_some(Found { name: marker.name, instance })
        })
        .collect();
    found.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
    found
}

/// The instance of the model that a command means: the one that it names, else the one in use.
pub(crate) fn instance(controller: &str, named: Option<&str>) -> Result<String> {
    let wanted = match named {
        Some(text) => short(text).to_owned(),
        None => current(controller),
    };
    if wanted == FIRST {
        return Ok(controller.to_owned());
    }
    let all = all(controller);
    match all.iter().find(|model| model.name.as_str() == wanted) {
        Some(model) => Ok(model.instance.clone()),
        None if named.is_none() => Ok(controller.to_owned()),
        None => {
            let known: Vec<&str> = all.iter().map(|model| model.name.as_str()).collect();
            let known = [&[FIRST], known.as_slice()].concat().join(", ");
            bail!("model {wanted:?} not found; there is {known}")
        }
    }
}

/// A model's name without controller and user.
pub(crate) fn short(text: &str) -> &str {
    text.rsplit([':', '/']).next().unwrap_or(text)
}

/// The name of the model in use.
pub(crate) fn current(controller: &str) -> String {
    let text = std::fs::read_to_string(current_file(controller)).unwrap_or_default();
    let known = |name: &str| all(controller).iter().any(|model| model.name.as_str() == name);
    if known(text.trim()) { text.trim().to_owned() } else { FIRST.to_owned() }
}

/// Uses a model from now on.
pub(crate) fn switch(controller: &str, model: &str) -> Result<()> {
    let file = current_file(controller);
    let write = || {
        std::fs::create_dir_all(Path::new(STATE).join(controller))?;
        std::fs::write(&file, model)
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

fn current_file(controller: &str) -> PathBuf {
    Path::new(STATE).join(controller).join("current-model")
}

/// Makes the folder of a new model and gives the instance that will run it.
pub(crate) fn create(controller: &str, name: &ModelName) -> Result<String> {
    let taken = all(controller).iter().any(|model| model.name == *name);
    if taken || name.as_str() == FIRST {
        bail!("cannot add model {name}: model {name:?} already exists; choose another name");
    }
    let number: u64 = rand::random();
    let instance = format!("m{:07x}", number & 0x0fff_ffff);
    let file = marker_file(&instance);
    let marker = Marker { name: name.clone(), controller: controller.to_owned() };
    let text = serde_json::to_vec(&marker)?;
    let write = || {
        std::fs::create_dir_all(Path::new(STATE).join(&instance))?;
        std::fs::write(&file, text)
    };
    write().with_context(|| format!("cannot write {}", file.display()))?;
    Ok(instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_its_last_part() {
        assert_eq!(short("talisman:admin/dev"), "dev");
        assert_eq!(short("admin/dev"), "dev");
        assert_eq!(short("dev"), "dev");
    }
}
