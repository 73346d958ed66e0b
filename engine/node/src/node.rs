//! The node: one instance of the engine on this machine.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::address::{self, ENGINE};
use crate::agent::ask::Agents;
use crate::command::{CommandError, find, run};
use crate::container::{ContainerError, Runtime, id, with_files};
use crate::dns::{self, SharedZone, Zone};
use crate::etc::write_etc;
use crate::forward::{Forward, ForwardError};
use crate::image::{self, Image, ImageError};
use crate::image_definition::ImageDefinition;
use crate::netns::{Network, SocketError};
use crate::options::NodeOptions;
use crate::pod::{Entry, Pod, PodRecord, Step, decide, digest};
use crate::services::{self, ServiceRoute};
use crate::spec::PodSpec;
use crate::sweep::{self, SweepError};
use crate::{cgroups, image_store, mounts, network};

/// Something that the node could not do.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The instance's name does not fit.
    #[error("cannot name an instance {0:?}: use 1 to 24 lower-case letters, digits and hyphens")]
    Name(String),
    /// A pod's or volume's name does not fit.
    #[error(
        "cannot use {0:?} as a name of a pod, container or volume: use letters, digits, - and _"
    )]
    Part(String),
    /// A file or folder could not be written or removed.
    #[error("cannot change {path}: {source}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The system does not say what of a pod runs.
    #[error("cannot tell what of {pod} runs, so it is left alone: {source}")]
    Unknown {
        /// The pod's name.
        pod: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Every pod address is taken.
    #[error("cannot start {0}: no address is free, remove some units")]
    Addresses(String),
    /// Another engine has the instance, or something stayed behind.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// A program of this machine failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A container failed.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// A socket failed.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// A forwarded port failed.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// An image failed.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// A running instance. Copies share it; pods go on running when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Node(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    entry: Arc<Entry>,
    network: Network,
    zone: SharedZone,
    rules: tokio::sync::Mutex<Option<String>>,
    pods: Mutex<Pods>,
    servers: Vec<JoinHandle<()>>,
    _lock: File,
}

#[derive(Debug, Default)]
struct Pods {
    records: BTreeMap<String, Arc<PodRecord>>,
    /// Addresses of pods that are being started, by name.
    reserved: BTreeMap<String, std::net::Ipv4Addr>,
    last: Option<std::net::Ipv4Addr>,
    /// One lock per pod name: a pod is started or stopped by one task at a time.
    locks: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

impl Node {
    /// Opens the instance: makes its network if that is missing, answers names on
    /// [`ENGINE`]`:53`, and takes over the pods that an earlier engine left running.
    ///
    /// # Errors
    /// When another engine has the instance, or the machine lacks something; run
    /// [`preflight`](crate::preflight) first for a list.
    pub async fn open(options: NodeOptions) -> Result<Self, NodeError> {
        if !options.valid_name() {
            return Err(NodeError::Name(options.instance));
        }
        let lock = sweep::lock(&options)?;
        for path in [options.pods(), options.disks(), options.runtime()] {
            let made = std::fs::create_dir_all(&path);
            made.map_err(|source| NodeError::File { path, source })?;
        }
        let namespace = network::ensure_instance(&options.instance).await?;
        let network = Network::enter(&network::namespace_file(&namespace))?;
        let zone = SharedZone::default();
        let names = SocketAddrV4::new(ENGINE, 53);
        let servers = vec![
            tokio::spawn(dns::serve_udp(network.bind_udp(names).await?, zone.clone())),
            tokio::spawn(dns::serve_tcp(network.listen_tcp(names).await?, zone.clone())),
        ];
        let records = adopt(&options)?;
        clear(&options, &records)?;
        let runtime = Runtime::new(&options)?;
        Ok(Self(Arc::new(Inner {
            entry: Arc::new(Entry { options, runtime, agents: Agents::default() }),
            network,
            zone,
            rules: tokio::sync::Mutex::new(None),
            pods: Mutex::new(Pods {
                last: records.values().map(|record| record.address).max(),
                records,
                ..Pods::default()
            }),
            servers,
            _lock: lock,
        })))
    }

    /// The options that it was opened with.
    pub fn options(&self) -> &NodeOptions {
        &self.0.entry.options
    }

    /// The newest build of that definition, built now if there is none. `progress` gets one
    /// line per step of a build. The build stays until this instance says that it is of no more
    /// use to it; see [`Node::keep_images`].
    pub async fn image(
        &self,
        definition: &ImageDefinition,
        progress: impl Fn(&str),
    ) -> Result<Image, NodeError> {
        loop {
            let folder = &self.options().images_dir;
            let image = image::build_image(folder, definition, &progress).await?;
            // One that went while this was on its way is built again.
            let tree = image.root.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if self.build(&tree)?.is_some() {
                return Ok(image);
            }
        }
    }

    /// The root file system of the build called `tree`, if it is there; it stays, as with
    /// [`Node::image`].
    pub fn build(&self, tree: &str) -> Result<Option<PathBuf>, NodeError> {
        let folder = &self.options().images_dir;
        let claimed = image_store::claim(self.options(), tree)
            .map_err(|source| NodeError::File { path: folder.clone(), source })?;
        Ok(claimed.then(|| folder.join(tree)))
    }

    /// Says which builds are of use to this instance from now on; others may go.
    pub fn keep_images(&self, trees: &BTreeSet<String>) -> Result<(), NodeError> {
        image_store::set_uses(self.options(), trees)
            .map_err(|source| NodeError::File { path: self.options().images_dir.clone(), source })
    }

    /// Makes the pod run as specified. A pod that does is left alone; containers that ended
    /// are started again on a fresh file system; a pod of another specification is replaced
    /// and gets a new address.
    pub async fn start_pod(&self, spec: &PodSpec) -> Result<Pod, NodeError> {
        self.start(spec, None).await
    }

    /// As [`start_pod`](Self::start_pod), but of the containers that have ended in a pod that
    /// runs, only this one is started again.
    pub async fn start_container(&self, spec: &PodSpec, name: &str) -> Result<Pod, NodeError> {
        self.start(spec, Some(name)).await
    }

    async fn start(&self, spec: &PodSpec, only: Option<&str>) -> Result<Pod, NodeError> {
        check_part(&spec.name)?;
        spec.containers.iter().try_for_each(|container| check_part(&container.name))?;
        spec.shared().into_iter().try_for_each(check_part)?;
        let lock = self.lock_of(&spec.name);
        let _one_at_a_time = lock.lock().await;
        let found = self.pods().records.get(&spec.name).cloned();
        let step = decide(spec, found.as_deref())
            .map_err(|source| NodeError::Unknown { pod: spec.name.clone(), source })?;
        let started = match (step, found) {
            // What runs goes on, even when what ended cannot be started again.
            (Step::Restart(mut names), Some(record)) => {
                names.retain(|name| only.is_none_or(|only| only == name));
                self.restart(spec, &record, &names).await?
            }
            (_, _) => match self.create(spec).await {
                Ok(record) => record,
                Err(error) => {
                    let _ = self.remove(&spec.name, Duration::ZERO).await;
                    return Err(error);
                }
            },
        };
        let record = Arc::new(started);
        self.pods().records.insert(spec.name.clone(), record.clone());
        Ok(self.handle(record))
    }

    /// Ends the pod, its containers having `grace` to stop on their own, and removes all of
    /// it but volumes. Does nothing when there is no such pod.
    pub async fn stop_pod(&self, name: &str, grace: Duration) -> Result<(), NodeError> {
        check_part(name)?;
        let lock = self.lock_of(name);
        let _one_at_a_time = lock.lock().await;
        self.remove(name, grace).await
    }

    /// The pod of that name, if it was started and not stopped; see [`Pod::running`].
    pub fn pod(&self, name: &str) -> Option<Pod> {
        let record = self.pods().records.get(name).cloned();
        record.map(|record| self.handle(record))
    }

    /// All pods, those included that an earlier engine started.
    pub fn all_pods(&self) -> Vec<Pod> {
        let records: Vec<_> = self.pods().records.values().cloned().collect();
        records.into_iter().map(|record| self.handle(record)).collect()
    }

    /// The folder of a unit's volume, made if missing. It outlives the unit's pods.
    pub fn volume(&self, unit: &str, storage: &str) -> Result<PathBuf, NodeError> {
        check_part(unit)?;
        check_part(storage)?;
        let path = self.options().volume(unit, storage);
        match offthread::run(|| std::fs::create_dir_all(&path)) {
            Ok(()) => Ok(path),
            Err(source) => Err(NodeError::File { path, source }),
        }
    }

    /// Removes a unit's volume with its data.
    pub fn remove_volume(&self, unit: &str, storage: &str) -> Result<(), NodeError> {
        check_part(unit)?;
        check_part(storage)?;
        let path = self.options().volume(unit, storage);
        mounts::remove_tree(&path).map_err(|source| NodeError::File { path, source })
    }

    /// Makes `routes` the services of the instance. Connections that are open stay as they
    /// are. Does nothing when nothing changed.
    pub async fn sync_services(&self, routes: &[ServiceRoute]) -> Result<(), NodeError> {
        let wanted = services::render(routes);
        let mut rules = self.0.rules.lock().await;
        if rules.as_ref() == Some(&wanted) {
            return Ok(());
        }
        let namespace = network::instance_namespace(&self.options().instance);
        let (ip, nft) = (find("ip")?, find("nft")?);
        let nft = nft.to_string_lossy();
        run(&ip, &["netns", "exec", &namespace, &nft, "-f", "-"], Some(&wanted)).await?;
        *rules = Some(wanted);
        Ok(())
    }

    /// Sets aside what containers' logs are too long for; see [`rotate`](crate::rotate()).
    pub fn rotate_logs(&self) {
        for pod in self.all_pods() {
            for container in pod.containers() {
                let log = pod.log_file(container);
                if let Err(error) = crate::rotate(&log) {
                    tracing::warn!("cannot set the log {} aside: {error}", log.display());
                }
            }
        }
    }

    /// Makes `zone` the names of the instance. Says whether anything changed.
    pub fn sync_names(&self, zone: Zone) -> bool {
        self.0.zone.replace(zone)
    }

    /// Opens `port` of this machine's loopback address (0: any free port) as a way to `target`
    /// in the instance's network.
    pub async fn forward(&self, port: u16, target: SocketAddrV4) -> Result<Forward, NodeError> {
        Ok(Forward::open(self.0.network.clone(), port, target).await?)
    }

    /// Listens on a port of the engine's address in the instance's network.
    pub async fn listen_tcp(&self, port: u16) -> Result<TcpListener, NodeError> {
        Ok(self.0.network.listen_tcp(SocketAddrV4::new(ENGINE, port)).await?)
    }

    /// Connects to `address` in the instance's network: a pod, or a service.
    pub async fn connect(
        &self,
        address: SocketAddrV4,
        timeout: Duration,
    ) -> Result<TcpStream, NodeError> {
        Ok(self.0.network.connect(address, timeout).await?)
    }

    /// The instance's network, for sockets beyond those above.
    pub fn network(&self) -> &Network {
        &self.0.network
    }

    /// Removes all that the instance made on this machine, apart from volumes and images.
    /// The node is of no use afterwards.
    pub async fn teardown(&self) -> Result<(), NodeError> {
        self.0.servers.iter().for_each(JoinHandle::abort);
        self.pods().records.clear();
        Ok(sweep::sweep_locked(self.options()).await?)
    }
}

/// Starting and removing, for who holds the pod's lock.
impl Node {
    async fn create(&self, spec: &PodSpec) -> Result<PodRecord, NodeError> {
        self.remove(&spec.name, Duration::from_secs(10)).await?;
        let options = self.options();
        let address = self.reserve(&spec.name)?;
        let folder = options.disk(&spec.name);
        let write = || {
            for name in spec.shared() {
                std::fs::create_dir_all(folder.join("shared").join(name))?;
            }
            write_etc(&folder.join("etc"), spec, address)
        };
        offthread::run(write).map_err(|source| NodeError::File { path: folder, source })?;
        let mut record = PodRecord {
            name: spec.name.clone(),
            namespace: spec.namespace.clone(),
            address,
            digest: digest(spec),
            containers: BTreeMap::new(),
        };
        // Saved before anything is made, so that a crash leaves word of the address.
        self.save(&record)?;
        network::add_pod(&options.instance, &spec.name, address).await?;
        let all = spec.containers.iter().map(|container| async {
            let process = self.0.entry.runtime.start(options, spec, container).await?;
            Ok::<_, NodeError>((container.name.clone(), process))
        });
        record.containers = try_join_all(all).await?.into_iter().collect();
        self.save(&record)?;
        Ok(record)
    }

    async fn restart(
        &self,
        spec: &PodSpec,
        record: &PodRecord,
        names: &[String],
    ) -> Result<PodRecord, NodeError> {
        let mut record = record.clone();
        for container in spec.containers.iter().filter(|own| names.contains(&own.name)) {
            let process = self.0.entry.runtime.start(self.options(), spec, container).await?;
            record.containers.insert(container.name.clone(), process);
            self.save(&record)?;
        }
        Ok(record)
    }

    async fn remove(&self, name: &str, grace: Duration) -> Result<(), NodeError> {
        let options = self.options();
        let folder = options.pod(name);
        let file = |path: PathBuf| move |source| NodeError::File { path, source };
        let record = PodRecord::load(&folder).map_err(file(folder.clone()))?;
        if let Some(record) = &record {
            let stops = record.containers.iter().map(|(container, process)| async move {
                process.stop(grace).await.map_err(file(PathBuf::from(container)))
            });
            // One that cannot be stopped keeps none of the others alive.
            join_all(stops).await.into_iter().collect::<Result<(), _>>()?;
        }
        let disk = options.disk(name);
        for container in with_files(&disk).map_err(file(disk.clone()))? {
            self.0.entry.agents.forget(&id(name, &container));
            self.0.entry.runtime.delete(&id(name, &container)).await?;
        }
        if let Some(record) = &record {
            network::remove_pod(&options.instance, name, record.address).await?;
        }
        network::remove(&network::pod_namespace(&options.instance, name)).await?;
        // The record goes last: what it names may still have to be removed.
        mounts::remove_tree(&disk).map_err(file(disk.clone()))?;
        mounts::remove_tree(&folder).map_err(file(folder.clone()))?;
        let cgroup = format!("{}/{name}", options.cgroup());
        cgroups::remove(&cgroup).await.map_err(file(cgroup.into()))?;
        let mut pods = self.pods();
        pods.records.remove(name);
        pods.reserved.remove(name);
        Ok(())
    }

    /// Takes an address for a pod that is about to start; it stays taken until the pod goes.
    fn reserve(&self, name: &str) -> Result<std::net::Ipv4Addr, NodeError> {
        let mut pods = self.pods();
        let running = pods.records.values().map(|record| record.address);
        let used = running.chain(pods.reserved.values().copied()).collect();
        let address =
            address::next(pods.last, &used).ok_or_else(|| NodeError::Addresses(name.to_owned()))?;
        pods.last = Some(address);
        pods.reserved.insert(name.to_owned(), address);
        Ok(address)
    }

    fn save(&self, record: &PodRecord) -> Result<(), NodeError> {
        let path = self.options().pod(&record.name);
        offthread::run(|| record.save(&path)).map_err(|source| NodeError::File { path, source })
    }

    fn handle(&self, record: Arc<PodRecord>) -> Pod {
        Pod { record, entry: self.0.entry.clone() }
    }

    fn lock_of(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.pods().locks.entry(name.to_owned()).or_default().clone()
    }

    fn pods(&self) -> MutexGuard<'_, Pods> {
        self.0.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Descriptions of the pods that an earlier engine left. Those that were only half started
/// are kept too: their names and addresses are taken until they are started again or stopped.
fn adopt(options: &NodeOptions) -> Result<BTreeMap<String, Arc<PodRecord>>, NodeError> {
    let path = options.pods();
    let all = || {
        let folders = std::fs::read_dir(&path)?.collect::<std::io::Result<Vec<_>>>()?;
        let records = folders.iter().map(|entry| PodRecord::load(&entry.path()));
        records.collect::<std::io::Result<Vec<_>>>()
    };
    let records = all().map_err(|source| NodeError::File { path: path.clone(), source })?;
    let records = records.into_iter().flatten();
    Ok(records.map(|record| (record.name.clone(), Arc::new(record))).collect())
}

/// Removes the files of pods that nothing is recorded of: the machine was started anew since.
fn clear(
    options: &NodeOptions,
    records: &BTreeMap<String, Arc<PodRecord>>,
) -> Result<(), NodeError> {
    let folders = std::fs::read_dir(options.disks()).into_iter().flatten().flatten();
    for folder in folders {
        let name = folder.file_name();
        if !name.to_str().is_some_and(|name| records.contains_key(name)) {
            let path = folder.path();
            mounts::remove_tree(&path).map_err(|source| NodeError::File { path, source })?;
        }
    }
    Ok(())
}

/// A part of a path and of other names: nothing that could lead elsewhere.
fn check_part(name: &str) -> Result<(), NodeError> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !name.is_empty() && name.len() <= 100 && name.bytes().all(good) {
        return Ok(());
    }
    Err(NodeError::Part(name.to_owned()))
}
