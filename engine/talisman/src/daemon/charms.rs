//! `deploy` and `refresh`: a charm, its images and its files, taken into the engine's keeping.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::CharmMeta;
use names::AppName;
use node::ImageDefinition;
use serde_json::{Value, json};

use super::engine::{Engine, Inner, Snapshot};
use super::verbs::{VerbError, list};
use crate::api::{Deploy, Refresh};
use crate::charm_file;
use crate::images;

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

/// Adds an application. The charm is on disk before any unit can want it.
pub(crate) fn deploy(engine: &Arc<Engine>, deploy: Deploy) -> Result<Value, VerbError> {
    let meta = charm_file::read(&deploy.charm)?;
    let app = match deploy.app {
        Some(app) => app,
        None => meta.name.parse()?,
    };
    let images = images_of(&app, &meta, &deploy.resources, &BTreeMap::new())?;
    let state = &engine.paths.state;
    let staged = stage(state, &app, &deploy.charm, &meta, &deploy.resources)?;
    let now = engine.now();
    let (units, constraints) = (deploy.units, deploy.constraints);
    let wanted = model::Deploy {
        app: app.clone(),
        charm: meta,
        charm_ref: format!("local:{}", deploy.charm.display()),
        units: 0,
        config: deploy.config,
        trust: deploy.trust,
    };
    engine.change(|inner| {
        inner.kept.model.deploy(now, wanted)?;
        // What an application of that name left behind is of no use to this one.
        std::fs::remove_dir_all(app_folder(state, &app)).ok();
        settle(staged, &CharmFolders::new(state, &app, 0))?;
        inner.kept.images.insert(app.clone(), images);
        inner.kept.tokens.insert(app.clone(), token());
        inner.kept.model.set_constraints(&app, constraints)?;
        inner.kept.model.resources_given(&app, deploy.resources.into_keys());
        inner.kept.model.scale(now, &app, units)?;
        Ok(json!(app))
    })?
}

/// Gives an application another charm; its pods are replaced one after another.
pub(crate) fn refresh(engine: &Arc<Engine>, refresh: Refresh) -> Result<Value, VerbError> {
    let Refresh { app, charm, resources, forced } = refresh;
    let meta = charm_file::read(&charm)?;
    let state = &engine.paths.state;
    let (known, revision) = engine.look(|inner| {
        let found = inner.kept.model.application(&app).map(|app| app.charm_revision);
        (inner.kept.images.get(&app).cloned().unwrap_or_default(), found.unwrap_or(0))
    });
    let images = images_of(&app, &meta, &resources, &known)?;
    let staged = stage(state, &app, &charm, &meta, &resources)?;
    let before = CharmFolders::new(state, &app, revision);
    keep_files(&before.resources(), &staged.path().join("resources"))
        .map_err(|source| write_error(staged.path(), source))?;
    let now = engine.now();
    let charm_ref = format!("local:{}", charm.display());
    engine.change(|inner| {
        inner.kept.model.refresh(now, &app, meta, charm_ref)?;
        inner.kept.model.force_refresh(&app, forced);
        inner.kept.model.resources_given(&app, resources.into_keys());
        let revision = inner.kept.model.application(&app).map_or(0, |app| app.charm_revision);
        settle(staged, &CharmFolders::new(state, &app, revision))?;
        inner.kept.images.insert(app.clone(), images);
        let model = &inner.kept.model;
        let held = model.units(&app).filter(|unit| model.is_held(&unit.name));
        let held: Vec<_> = held.map(|unit| unit.name.to_string()).collect();
        Ok::<_, VerbError>(json!(held))
    })?
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
pub(crate) fn check(state: &Path, model: &model::Model) -> Result<(), NoCharm> {
    for application in model.applications() {
        let app = &application.name;
        let path = CharmFolders::new(state, app, application.charm_revision).charm();
        if !path.is_dir() {
            return Err(NoCharm { app: app.clone(), path });
        }
    }
    Ok(())
}

/// Forgets the images and tokens of applications that are gone.
pub(crate) fn forget(inner: &mut Inner) {
    let Snapshot { model, images, tokens, .. } = &mut inner.kept;
    images.retain(|app, _| model.application(app).is_some());
    tokens.retain(|app, _| model.application(app).is_some());
}

/// Deletes the charms of applications that are gone, and revisions that no unit has any more.
pub(crate) fn sweep(engine: &Engine) {
    let folder = engine.paths.state.join("charms");
    // Under the model's lock, so that no charm is on its way in.
    engine.look(|inner| {
        let model = &inner.kept.model;
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            let app = model.applications().find(|app| app.name.as_str() == name);
            let Some(app) = app else {
                std::fs::remove_dir_all(entry.path()).ok();
                continue;
            };
            let mut used: BTreeSet<u32> =
                model.units(&app.name).map(|unit| unit.charm_revision).collect();
            used.insert(app.charm_revision);
            for revision in std::fs::read_dir(entry.path()).into_iter().flatten().flatten() {
                let number = revision.file_name().to_str().and_then(|name| name.parse().ok());
                if number.is_some_and(|number: u32| !used.contains(&number)) {
                    std::fs::remove_dir_all(revision.path()).ok();
                }
            }
        }
    });
}

/// Unpacks a charm and copies its files beside the place where they will be.
fn stage(
    state: &Path,
    app: &AppName,
    charm: &Path,
    meta: &CharmMeta,
    files: &BTreeMap<String, PathBuf>,
) -> Result<tempfile::TempDir, VerbError> {
    let folder = state.join("charms");
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
        let copy = || {
            std::fs::create_dir_all(&target)?;
            match &declared.filename {
                Some(filename) if declared.kind == "file" => std::fs::copy(
                    file,
                    target.join(Path::new(filename).file_name().unwrap_or_default()),
                )
                .map(drop),
                // What Juju gives for an image: where it comes from.
                _ => std::fs::write(
                    target.join("content.yaml"),
                    format!("registrypath: {}\n", file.display()),
                ),
            }
        };
        copy().map_err(|source| VerbError::Resource { file: file.clone(), source })?;
    }
    Ok(staged)
}

/// Copies the files of resources that were not given anew.
fn keep_files(before: &Path, after: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(before).into_iter().flatten() {
        let entry = entry?;
        let target = after.join(entry.file_name());
        if !target.exists() {
            charm_file::copy_tree(&entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Moves a staged charm to its place.
fn settle(staged: tempfile::TempDir, folders: &CharmFolders) -> Result<(), VerbError> {
    let place = &folders.0;
    let result = place.parent().map_or(Ok(()), std::fs::create_dir_all);
    std::fs::remove_dir_all(place).ok();
    result
        .and_then(|()| std::fs::rename(staged.keep(), place))
        .map_err(|source| write_error(place, source))
}

fn write_error(path: &Path, source: std::io::Error) -> VerbError {
    charm_file::CharmFileError::Write { path: path.to_owned(), source }.into()
}

/// The image of each resource that a container needs; `known` from an earlier deployment.
fn images_of(
    app: &AppName,
    meta: &CharmMeta,
    files: &BTreeMap<String, PathBuf>,
    known: &BTreeMap<String, ImageDefinition>,
) -> Result<BTreeMap<String, ImageDefinition>, VerbError> {
    if let Some(resource) = files.keys().find(|name| !meta.resources.contains_key(*name)) {
        return Err(VerbError::NoResource {
            app: app.clone(),
            resource: resource.clone(),
            known: list(meta.resources.keys()),
        });
    }
    let mut images = known.clone();
    for (name, file) in files {
        if meta.resources.get(name).is_some_and(|resource| resource.kind == "oci-image") {
            images.insert(name.clone(), images::read(file)?);
        }
    }
    for (container, declared) in &meta.containers {
        let Some(resource) = &declared.resource else { continue };
        if !images.contains_key(resource) {
            return Err(VerbError::NoImage {
                app: app.clone(),
                container: container.to_string(),
                resource: resource.clone(),
            });
        }
    }
    Ok(images)
}

/// A token that nobody can guess.
fn token() -> String {
    use rand::Rng;
    let mut bytes = [0u8; 24];
    rand::rng().fill_bytes(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
