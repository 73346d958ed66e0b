//! `deploy` and `refresh`: a charm, its images and its files, taken into the engine's keeping.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use juju_model::CharmMeta;
use juju_names::AppName;
use node::ImageDefinition;
use serde_json::{Value, json};

use crate::api::{Deploy, Refresh};
use crate::daemon::engine::Engine;
use crate::daemon::error::{RequestError, list};
use crate::daemon::faults;
use crate::daemon::state::{Snapshot, State};
use crate::images;
use crate::package::charm_file;
use crate::paths::Paths;

/// The folders of one revision of an application's charm; each pod gets a copy.
pub(crate) struct CharmFolders(PathBuf);

impl CharmFolders {
    pub(crate) fn new(state: &Path, app: &AppName, revision: u32) -> Self {
        Self(app_folder(state, app).join(revision.to_string()))
    }

    /// The unpacked charm.
    pub(crate) fn charm(&self) -> PathBuf {
        self.0.join("charm")
    }

    /// `<resource>/<file>` for each resource.
    pub(crate) fn resources(&self) -> PathBuf {
        self.0.join("resources")
    }
}

fn app_folder(state: &Path, app: &AppName) -> PathBuf {
    state.join("charms").join(app.as_str())
}

/// What a charm's files say, and where they wait for their place; all of it is on the disk.
struct Staged {
    meta: CharmMeta,
    images: BTreeMap<String, ImageDefinition>,
    files: tempfile::TempDir,
}

/// Adds an application. The charm is on disk before any unit can want it.
pub(crate) async fn deploy(engine: Arc<Engine>, deploy: Deploy) -> Result<Value, RequestError> {
    let Deploy { charm, app, units, config, resources, trust, constraints } = deploy;
    let given: Vec<String> = resources.keys().cloned().collect();
    let charm_ref = format!("local:{}", charm.display());
    let paths = engine.paths.clone();
    let juju = engine.with(|state| state.persisted.model.juju());
    let (app, staged) = offthread::long(move || {
        charm_file::check_assumes(&charm, juju)?;
        let meta = charm_file::read(&charm)?;
        let app = match app {
            Some(app) => app,
            None => meta.name.parse()?,
        };
        let known = BTreeMap::new();
        let staged = stage(&paths, &app, &charm, meta, &resources, &known)?;
        Ok::<_, RequestError>((app, staged))
    })
    .await?;
    let _one_at_a_time = engine.charms.lock().await;
    let Staged { meta, images, files } = staged;
    let wanted =
        juju_model::Deploy { app: app.clone(), charm: meta, charm_ref, units: 0, config, trust };
    // Whatever has that name keeps its charm; the model says why it is refused.
    let known = engine.with(|state| state.persisted.model.application(&app).is_some());
    settle(&engine, files, &app, (!known).then_some(0)).await?;
    let now = engine.now();
    let deployed = engine.commit(|state| {
        state.persisted.model.deploy(now, wanted)?;
        state.persisted.images.insert(app.clone(), images);
        state.persisted.tokens.insert(app.clone(), token());
        let models = state.persisted.model.model_constraints();
        let constraints = crate::bundle::constraints::with_models(constraints, models);
        state.persisted.model.set_constraints(&app, constraints)?;
        state.persisted.model.resources_given(&app, given);
        state.persisted.model.scale(now, &app, units)?;
        Ok(json!(app))
    });
    let deployed = deployed.unwrap_or_else(|error| Err(error.into()));
    if deployed.is_err() {
        sweep_now(&engine).await;
    }
    deployed
}

/// Gives an application another charm; its pods are replaced one after another.
pub(crate) async fn refresh(engine: Arc<Engine>, refresh: Refresh) -> Result<Value, RequestError> {
    let Refresh { app, charm, resources, forced, config, trust } = refresh;
    let given: Vec<String> = resources.keys().cloned().collect();
    let _one_at_a_time = engine.charms.lock().await;
    let juju = engine.with(|state| state.persisted.model.juju());
    let (known, found) = engine.with(|state| {
        let found = state.persisted.model.application(&app);
        let found = found.map(|app| (app.charm_revision, app.charm_ref.clone()));
        (state.persisted.images.get(&app).cloned().unwrap_or_default(), found)
    });
    let revision = found.as_ref().map(|(revision, _)| *revision);
    let (paths, state) = (engine.paths.clone(), engine.paths.state.clone());
    let named = app.clone();
    // The charm stays where only resources change; only its revision is another.
    let (charm, charm_ref) = match charm {
        Some(charm) => (charm.clone(), format!("local:{}", charm.display())),
        None => {
            let folders = CharmFolders::new(&state, &app, revision.unwrap_or(0));
            (folders.charm(), found.map(|(_, from)| from).unwrap_or_default())
        }
    };
    let staged = offthread::long(move || {
        charm_file::check_assumes(&charm, juju)?;
        let meta = charm_file::read(&charm)?;
        let staged = stage(&paths, &named, &charm, meta, &resources, &known)?;
        let before = CharmFolders::new(&state, &named, revision.unwrap_or(0));
        let after = staged.files.path().join("resources");
        keep_files(&before.resources(), &after).map_err(|source| write_error(&after, source))?;
        Ok::<_, RequestError>(staged)
    })
    .await?;
    let Staged { meta, images, files } = staged;
    let next = revision.map(|revision| revision.saturating_add(1));
    settle(&engine, files, &app, next).await?;
    let now = engine.now();
    let refreshed = engine.commit(|state| {
        let before = state.persisted.model.clone();
        let model = &mut state.persisted.model;
        let change = || {
            model.refresh(now, &app, meta, charm_ref)?;
            if !config.is_empty() {
                model.set_config(now, &app, config)?;
            }
            if trust {
                model.set_trust(&app, true)?;
            }
            Ok::<_, RequestError>(())
        };
        if let Err(refused) = change() {
            state.persisted.model = before;
            return Err(refused);
        }
        model.force_refresh(&app, forced);
        model.resources_given(&app, given);
        state.persisted.images.insert(app.clone(), images);
        let model = &state.persisted.model;
        let held = model.units(&app).filter(|unit| model.is_held(&unit.name));
        let held: Vec<_> = held.map(|unit| unit.name.to_string()).collect();
        Ok::<_, RequestError>(json!(held))
    });
    let refreshed = refreshed.unwrap_or_else(|error| Err(error.into()));
    if refreshed.is_err() {
        sweep_now(&engine).await;
    }
    refreshed
}

/// What a bundle that makes the model again is written from.
pub(crate) async fn export(engine: &Engine) -> Value {
    let (mut parts, folders) = engine.with(|state| {
        let model = &state.persisted.model;
        let folder = |app: &juju_model::Application| {
            let folders = CharmFolders::new(&engine.paths.state, &app.name, app.charm_revision);
            (app.name.to_string(), folders.resources())
        };
        let folders: Vec<(String, PathBuf)> = model.applications().map(folder).collect();
        (crate::daemon::view::bundle(model), folders)
    });
    let all = offthread::long(move || {
        let one = |(app, folder): (String, PathBuf)| (app, given_resources(&folder));
        folders.into_iter().map(one).collect::<Vec<_>>()
    });
    for (app, resources) in all.await {
        parts["applications"][app]["resources"] = json!(resources);
    }
    parts
}

/// Where each resource of an application came from, or where its file is kept.
#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
fn given_resources(folder: &Path) -> BTreeMap<String, String> {
    let mut given = BTreeMap::new();
    for resource in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = resource.file_name().to_string_lossy().into_owned();
        for file in std::fs::read_dir(resource.path()).into_iter().flatten().flatten() {
            let text = std::fs::read_to_string(file.path()).unwrap_or_default();
            let from = text.strip_prefix("registrypath: ").map(str::trim_end).map(str::to_owned);
            let kept = file.path().display().to_string();
            given.insert(name.clone(), from.unwrap_or(kept));
        }
    }
    given
}

/// An application whose charm is not where this program keeps it.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot run {app}: there is no charm in {path}, as if the store were another program's; \
     `talisman down --destroy-storage` gives the model up, and `talisman up` makes it anew",
    path = path.display()
)]
pub(crate) struct NoCharm {
    app: AppName,
    path: PathBuf,
}

/// Sees to it that every pod of the model can be given its charm.
///
/// # Errors
/// When the charm of an application is missing.
#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
pub(crate) fn check(state: &Path, model: &juju_model::Model) -> Result<(), NoCharm> {
    for application in model.applications() {
        let app = &application.name;
        let path = CharmFolders::new(state, app, application.charm_revision).charm();
        if !path.is_dir() {
            return Err(NoCharm { app: app.clone(), path });
        }
    }
    Ok(())
}

/// Forgets the images and tokens of applications that are gone, and the builds of images that
/// no unit is made from any more.
pub(crate) fn forget(state: &mut State) {
    let Snapshot { model, images, builds, tokens, .. } = &mut state.persisted;
    images.retain(|app, _| model.application(app).is_some());
    tokens.retain(|app, _| model.application(app).is_some());
    builds.retain(|app, of_revision| {
        let Some(application) = model.application(app) else { return false };
        let used = revisions(model, application);
        of_revision.retain(|revision, _| used.contains(revision));
        true
    });
}

/// The revisions of its charm that an application's units have, and the one that new units get.
fn revisions(model: &juju_model::Model, app: &juju_model::Application) -> BTreeSet<u32> {
    let units = model.units(&app.name).map(|unit| unit.charm_revision);
    units.chain([app.charm_revision]).collect()
}

/// Deletes the charms of applications that are gone, and revisions that no unit has any more;
/// gives up the builds of images that no pod is made from.
pub(crate) async fn sweep(engine: &Engine) {
    // No charm is on its way in meanwhile.
    let _one_at_a_time = engine.charms.lock().await;
    sweep_now(engine).await;
}

/// The same for who holds the lock on charms.
#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
async fn sweep_now(engine: &Engine) {
    let trees = engine.with(|state| {
        let builds = state.persisted.builds.values().flat_map(BTreeMap::values);
        builds.flat_map(BTreeMap::values).cloned().collect()
    });
    if let Err(error) = offthread::run(|| engine.node.keep_images(&trees)) {
        engine.note("WARNING", &format!("cannot say which images are in use: {error}"));
    }
    let used: BTreeMap<String, BTreeSet<u32>> = engine.with(|state| {
        let model = &state.persisted.model;
        let all = model.applications();
        all.map(|app| (app.name.to_string(), revisions(model, app))).collect()
    });
    let folder = engine.paths.state.join("charms");
    offthread::long(move || remove_unused(&folder, &used)).await;
}

/// Deletes what no application uses. What is being unpacked is let be: it gets its place later.
#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
fn remove_unused(folder: &Path, used: &BTreeMap<String, BTreeSet<u32>>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if is_staged(&name) {
            continue;
        }
        let Some(used) = name.to_str().and_then(|name| used.get(name)) else {
            std::fs::remove_dir_all(entry.path()).ok();
            continue;
        };
        for revision in std::fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            let number = revision.file_name().to_str().and_then(|name| name.parse().ok());
            if number.is_none_or(|number: u32| !used.contains(&number)) {
                std::fs::remove_dir_all(revision.path()).ok();
            }
        }
    }
}

/// Deletes what was being unpacked when an earlier engine died; nothing is while this one starts.
#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
pub(crate) fn remove_staged(state: &Path) {
    for entry in std::fs::read_dir(state.join("charms")).into_iter().flatten().flatten() {
        if is_staged(&entry.file_name()) {
            std::fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// Whether a folder among those of the applications holds a charm on its way in.
fn is_staged(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Unpacks a charm and copies its files beside the place where they will be.
#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
fn stage(
    paths: &Paths,
    app: &AppName,
    charm: &Path,
    meta: CharmMeta,
    files: &BTreeMap<String, PathBuf>,
    known: &BTreeMap<String, ImageDefinition>,
) -> Result<Staged, RequestError> {
    let images = images_of(&paths.cache, app, &meta, files, known)?;
    let folder = paths.state.join("charms");
    let make = || {
        std::fs::create_dir_all(&folder)?;
        tempfile::Builder::new().prefix(&format!(".{app}-")).tempdir_in(&folder)
    };
    let staged = make().map_err(|source| write_error(&folder, source))?;
    charm_file::unpack(charm, &staged.path().join("charm"))?;
    let resources = staged.path().join("resources");
    for (name, file) in files {
        let Some(declared) = meta.resources.get(name) else { continue };
        let target = resources.join(name);
        let copy = || match &declared.filename {
            Some(filename) if declared.kind == "file" => {
                charm_file::copy_file(file, &target.join(filename))
            }
            // What Juju gives for an image: where it comes from.
            _ => std::fs::write(
                target.join("content.yaml"),
                format!("registrypath: {}\n", file.display()),
            ),
        };
        std::fs::create_dir_all(&target)
            .and_then(|()| copy())
            .map_err(|source| RequestError::Resource { file: file.clone(), source })?;
    }
    Ok(Staged { meta, images, files: staged })
}

/// Copies the files of resources that were not given anew.
#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
fn keep_files(before: &Path, after: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(before).into_iter().flatten() {
        let entry = entry?;
        let target = after.join(entry.file_name());
        if !target.exists() {
            charm_file::copy(&entry.path(), &target).map_err(std::io::Error::other)?;
        }
    }
    Ok(())
}

/// Moves a staged charm to its place, where a unit will look once the model knows of it; without
/// a place it goes. What an application of that name, or a refresh that was given up, left there
/// goes too.
#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
async fn settle(
    engine: &Engine,
    staged: tempfile::TempDir,
    app: &AppName,
    revision: Option<u32>,
) -> Result<(), RequestError> {
    let Some(revision) = revision else {
        offthread::run(|| drop(staged));
        return Ok(());
    };
    let state = engine.paths.state.clone();
    let folder = app_folder(&state, app);
    let place = CharmFolders::new(&state, app, revision).0;
    offthread::long(move || {
        let moved = || {
            charm_file::sync(staged.path())?;
            if revision == 0 {
                remove(&folder)?;
            }
            remove(&place)?;
            std::fs::create_dir_all(&folder)?;
            faults::point();
            std::fs::rename(staged.keep(), &place)?;
            charm_file::sync_folder(&folder)?;
            charm_file::sync_folder(&state.join("charms"))?;
            charm_file::sync_folder(&state)
        };
        moved().map_err(|source| write_error(&place, source))
    })
    .await?;
    faults::point();
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
fn remove(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn write_error(path: &Path, source: std::io::Error) -> RequestError {
    charm_file::CharmFileError::Write { path: path.to_owned(), source }.into()
}

/// The image of each resource that a container needs; `known` from an earlier deployment.
fn images_of(
    cache: &Path,
    app: &AppName,
    meta: &CharmMeta,
    files: &BTreeMap<String, PathBuf>,
    known: &BTreeMap<String, ImageDefinition>,
) -> Result<BTreeMap<String, ImageDefinition>, RequestError> {
    if let Some(resource) = files.keys().find(|name| !meta.resources.contains_key(*name)) {
        return Err(RequestError::NoResource {
            app: app.clone(),
            resource: resource.clone(),
            known: list(meta.resources.keys()),
        });
    }
    let mut images = known.clone();
    for (name, file) in files {
        if meta.resources.get(name).is_some_and(|resource| resource.kind == "oci-image") {
            images.insert(name.clone(), images::read(cache, file)?);
        }
    }
    for (container, declared) in &meta.containers {
        let Some(resource) = &declared.resource else { continue };
        if !images.contains_key(resource) {
            return Err(RequestError::NoImage {
                app: app.clone(),
                container: container.to_string(),
                resource: resource.clone(),
            });
        }
    }
    Ok(images)
}

/// A token that cannot be guessed.
fn token() -> String {
    use rand::Rng;
    let mut bytes = [0u8; 24];
    rand::rng().fill_bytes(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests wait for files")]
mod tests {
    use super::*;

    #[test]
    fn a_charm_on_its_way_in_is_not_taken_for_one_that_nobody_uses() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("charms");
        for name in ["db/0/charm", "db/1/charm", "gone/0/charm", ".db-x1y2/charm"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        remove_unused(&folder, &BTreeMap::from([("db".to_owned(), BTreeSet::from([1]))]));
        let there = |name: &str| folder.join(name).exists();
        assert!(there("db/1/charm") && there(".db-x1y2/charm"));
        assert!(!there("db/0") && !there("gone"));
        remove_staged(state.path());
        assert!(there("db/1/charm") && !there(".db-x1y2"));
    }
}
