//! A unit's pod: what the model says of it, and its folders on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use juju_model::{Model, Unit};
use juju_names::{ContainerName, ModelName, UnitName};
use node::{ImageDefinition, Limits, NodeError, Storage, UnitPod, Workload};

use crate::daemon::charms::CharmFolders;
use crate::daemon::engine::Engine;
use crate::paths::Paths;

/// Why a pod does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PodError {
    /// The unit or its application has left the model.
    #[error("cannot start the pod of {0}: it is not in the model any more")]
    Gone(UnitName),
    /// The system does not say whether it runs.
    #[error("cannot tell whether {pod} runs: {source}")]
    Unknown { pod: String, source: std::io::Error },
    /// A container has no image.
    #[error(
        "cannot start the pod of {unit}: no image is known for its container {container}; deploy it again with --resource"
    )]
    NoImage { unit: UnitName, container: String },
    /// A folder cannot be made.
    #[error("cannot prepare {path} for the pod of {unit}: {source}", path = path.display())]
    Folder { unit: UnitName, path: PathBuf, source: std::io::Error },
    /// The charm that the engine keeps cannot be started.
    #[error(
        "cannot start the pod of {unit}: the dispatch of its charm in {path} {fault}, as if the disk had lost it; refresh {app} with its charm", path = path.display(), app = unit.app()
    )]
    Damaged { unit: UnitName, path: PathBuf, fault: &'static str },
    /// The charm's own container has no image.
    #[error(transparent)]
    Base(#[from] crate::images::ImagesError),
    /// The node cannot start it.
    #[error("cannot start the pod of {unit}: {source}")]
    Start { unit: UnitName, source: NodeError },
    /// Something of it may still run.
    #[error("cannot stop the pod of {unit}: {source}")]
    Stop { unit: UnitName, source: NodeError },
    /// Its Kubernetes object or its place in the model cannot be written.
    #[error("cannot record the pod of {unit}: {reason}")]
    Record { unit: UnitName, reason: String },
}

/// What the pod is made from, copied out of the model.
pub(crate) struct Plan {
    pub(crate) unit: UnitName,
    pub(crate) model: ModelName,
    pub(crate) charm_revision: u32,
    /// The revision whose builds of images it is made from: the charm's, or that of the pod
    /// that runs already.
    pub(crate) image_revision: u32,
    pub(crate) workloads: Vec<PlannedWorkload>,
    /// The most that each workload may use.
    pub(crate) limits: Limits,
    /// The most that single containers may use, where the stateful set says so.
    pub(crate) container_limits: BTreeMap<String, Limits>,
    /// Storage instances: name, number, and the path where the charm sees it.
    pub(crate) storage: Vec<(String, u32, String)>,
    pub(crate) token: String,
    pub(crate) authority: String,
}

/// One workload container.
pub(crate) struct PlannedWorkload {
    pub(crate) name: ContainerName,
    pub(crate) resource: String,
    pub(crate) image: ImageDefinition,
    /// Storage name and the path where the container sees it.
    pub(crate) mounts: Vec<(String, String)>,
}

/// The folders of one unit on this machine.
pub(crate) struct UnitFolders {
    disk: PathBuf,
    run: PathBuf,
}

impl UnitFolders {
    pub(crate) fn new(paths: &Paths, unit: &UnitName) -> Self {
        let pod = unit.pod();
        Self { disk: paths.units().join(&pod), run: paths.run.join("units").join(pod) }
    }

    /// `charm/` and the hook tools' socket. The charm's container writes to it.
    fn agent(&self) -> PathBuf {
        self.disk.join("agent")
    }

    /// The hook tools' socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.agent().join("agent.socket")
    }

    fn tools(&self) -> PathBuf {
        self.disk.join("tools")
    }

    /// Secrets, hence on no disk.
    fn account(&self) -> PathBuf {
        self.run.join("account")
    }

    /// Removes everything.
    #[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
    pub(crate) fn remove(&self) {
        node::remove_all(&self.disk).ok();
        node::remove_all(&self.run).ok();
    }
}

/// Reads from the model what the pod of a unit needs.
pub(crate) fn plan(
    model: &Model,
    images: &BTreeMap<String, ImageDefinition>,
    unit: &Unit,
) -> Result<Plan, PodError> {
    let app =
        model.application(unit.name.app()).ok_or_else(|| PodError::Gone(unit.name.clone()))?;
    let mut workloads = Vec::new();
    for (name, declared) in &app.charm.containers {
        let known = declared.resource.as_ref().and_then(|resource| images.get_key_value(resource));
        let (resource, image) = known.ok_or_else(|| PodError::NoImage {
            unit: unit.name.clone(),
            container: name.to_string(),
        })?;
        workloads.push(PlannedWorkload {
            name: name.clone(),
            resource: resource.clone(),
            image: image.clone(),
            mounts: declared.mounts.clone(),
        });
    }
    let owned = model.storage().filter(|storage| storage.owner.as_ref() == Some(&unit.name));
    let parts = |storage: &juju_model::StorageInstance| {
        let (name, number) = storage.id.split_once('/')?;
        Some((name.to_owned(), number.parse().ok()?, storage.location.clone()))
    };
    Ok(Plan {
        unit: unit.name.clone(),
        model: model.name().clone(),
        charm_revision: app.charm_revision,
        image_revision: app.charm_revision,
        workloads,
        limits: Limits {
            memory: app.constraints.memory.and_then(|mebibytes| mebibytes.checked_mul(1 << 20)),
            cpu: app.constraints.cpu,
        },
        container_limits: BTreeMap::new(),
        storage: owned.filter_map(parts).collect(),
        token: String::new(),
        authority: String::new(),
    })
}

/// Makes the folders that the pod mounts, with a fresh copy of the charm.
#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
pub(crate) fn prepare(plan: &Plan, paths: &Paths) -> Result<(), PodError> {
    let folders = UnitFolders::new(paths, &plan.unit);
    let fail = |path: &Path| {
        let (unit, path) = (plan.unit.clone(), path.to_owned());
        move |source| PodError::Folder { unit, path, source }
    };
    empty(&folders.agent()).map_err(fail(&folders.agent()))?;
    let charm = folders.agent().join("charm");
    let kept = CharmFolders::new(&paths.state, plan.unit.app(), plan.charm_revision);
    if let Some(fault) = crate::package::charm_file::fault_of_dispatch(&kept.charm()) {
        let (unit, path) = (plan.unit.clone(), kept.charm());
        return Err(PodError::Damaged { unit, path, fault });
    }
    copy(&kept.charm(), &charm).map_err(fail(&charm))?;
    let resources = folders.agent().join("resources");
    if kept.resources().is_dir() {
        copy(&kept.resources(), &resources).map_err(fail(&resources))?;
    }
    node::link_tools(&folders.tools(), juju_hooktools::TOOLS).map_err(fail(&folders.tools()))?;
    let account = folders.account();
    std::fs::create_dir_all(&account).map_err(fail(&account))?;
    let namespace = plan.model.to_string();
    for (file, text) in
        [("token", &plan.token), ("ca.crt", &plan.authority), ("namespace", &namespace)]
    {
        let path = account.join(file);
        std::fs::write(&path, text).map_err(fail(&path))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    crate::package::charm_file::copy(from, to).map_err(std::io::Error::other)
}

/// Makes the folder, or removes what an earlier pod left in it.
#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
fn empty(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => node::remove_all(&entry.path())?,
            false => std::fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// Under which name the build of the charm container's image is remembered. No resource has it.
const CHARM_BASE: &str = "(charm)";

/// The root file system that pods of the application are made from: the build that the first
/// of them took, until a refresh. A pod that is replaced by accident comes back as it was.
async fn tree(
    engine: &Engine,
    plan: &Plan,
    resource: &str,
    definition: &ImageDefinition,
) -> Result<PathBuf, PodError> {
    let start = |source| PodError::Start { unit: plan.unit.clone(), source };
    let (app, revision) = (plan.unit.app(), plan.image_revision);
    loop {
        let known = engine.with(|state| {
            let builds = state.persisted.builds.get(app)?.get(&revision)?;
            builds.get(resource).cloned()
        });
        if let Some(known) = &known {
            // Asked for after it was noted, so that it is not removed in between.
            if let Some(root) = engine.node.build(known).map_err(start)? {
                return Ok(root);
            }
            let words = format!("the image {known} of {app} is gone; its pods get the newest");
            engine.note("WARNING", &words);
        }
        let image = engine.node.image(definition, |line| engine.note("INFO", line));
        let root = image.await.map_err(start)?.root;
        let newest = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let noted = engine.commit(|state| {
            let builds = state.persisted.builds.entry(app.clone()).or_default();
            let builds = builds.entry(revision).or_default();
            // Another unit that started meanwhile may have chosen already.
            if builds.get(resource) == known.as_ref() {
                builds.insert(resource.to_owned(), newest);
            }
        });
        noted.map_err(|error| PodError::Record {
            unit: plan.unit.clone(),
            reason: error.to_string(),
        })?;
    }
}

/// The pod as Juju would lay it out; images that are missing are built.
pub(crate) async fn pod(engine: &Engine, plan: &Plan, api_port: u16) -> Result<UnitPod, PodError> {
    let start = |source| PodError::Start { unit: plan.unit.clone(), source };
    let folders = UnitFolders::new(&engine.paths, &plan.unit);
    let mut workloads = Vec::new();
    for PlannedWorkload { name, resource, image, mounts } in &plan.workloads {
        workloads.push(Workload {
            name: name.to_string(),
            image: tree(engine, plan, resource, image).await?,
            storage: mounts.iter().map(|(name, path)| (name.clone(), path.into())).collect(),
            limits: plan.container_limits.get(name.as_str()).copied().unwrap_or(plan.limits),
        });
    }
    let volume = |name: &str, number: u32| {
        engine.node.volume(&plan.unit.pod(), &format!("{name}-{number}")).map_err(start)
    };
    let storage = plan.storage.iter().map(|(name, number, location)| {
        let (source, location) = (volume(name, *number)?, location.into());
        Ok(Storage { name: name.clone(), location, source })
    });
    Ok(UnitPod {
        unit: plan.unit.clone(),
        model: plan.model.clone(),
        charm_image: tree(engine, plan, CHARM_BASE, &crate::images::charm_base()?).await?,
        agent_dir: folders.agent(),
        tools_dir: folders.tools(),
        hooktool: engine.paths.lib.join("hooktool"),
        pebble: engine.paths.lib.join("pebble"),
        service_account: Some(folders.account()),
        kubernetes: Some(std::net::SocketAddrV4::new(node::ENGINE, api_port)),
        storage: storage.collect::<Result<_, PodError>>()?,
        workloads,
    })
}
