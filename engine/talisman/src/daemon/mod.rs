//! The daemon: the only place that wires model, hook tools, Kubernetes and node together.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod agents;
mod charms;
mod commands;
mod engine;
mod error;
mod faults;
mod files;
mod history;
mod kubernetes;
mod log;
mod measure;
mod page;
mod reconcile;
pub(crate) mod requests;
mod server;
mod state;
#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
mod store;
mod unit;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use node::Node;

use crate::paths::Paths;
use engine::Engine;
use state::Snapshot;
use store::{Part, Store};

/// The range of service addresses: the first one and how many.
const SERVICES: (std::net::Ipv4Addr, u32) = (std::net::Ipv4Addr::new(10, 152, 183, 2), 250);
/// The port of the Kubernetes API at the engine's address.
const API_PORT: u16 = 6443;

/// Between two looks at the size of the store.
const SHRINK_EVERY: std::time::Duration = std::time::Duration::from_secs(60);

/// Runs the engine until a request or a signal stops it.
#[allow(clippy::disallowed_methods, reason = "nothing is answered yet, or no longer")]
pub(crate) async fn run(paths: Paths) -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::new("info"))
        .with_ansi(false)
        .init();
    files::raise();
    node::private_folder(&paths.cache)
        .with_context(|| format!("cannot keep images in {}", paths.cache.display()))?;
    for folder in [&paths.state, &paths.run] {
        private(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let store = Arc::new(Store::open(&paths.store())?);
    store.shrink()?;
    let persisted = match store.load::<Snapshot>(Part::Engine)? {
        Some(persisted) => persisted,
        None => empty(&paths.instance)?,
    };
    charms::check(&paths.state, &persisted.model)?;
    charms::remove_staged(&paths.state);
    let kubernetes = kubernetes_api(&store)?;
    let node = Node::open(paths.node()).await?;
    tokio::spawn(keep_small(store.clone()));
    let engine = Arc::new(Engine::new(paths, node, kubernetes, store, persisted));
    forget_agents(&engine)?;
    charms::sweep(&engine).await;
    let result = serve(&engine).await;
    stop_pods(&engine).await;
    engine.node.teardown().await?;
    for folder in [engine.paths.units(), engine.paths.run.clone()] {
        node::remove_all(&folder).ok();
    }
    result
}

/// Gives back the room of what was in the store and is no more.
async fn keep_small(store: Arc<Store>) {
    loop {
        tokio::time::sleep(SHRINK_EVERY).await;
        let store = store.clone();
        if let Err(error) = offthread::long(move || store.shrink()).await {
            tracing::warn!("{error}");
        }
    }
}

/// The Kubernetes objects as they were, each change on disk before it is answered.
fn kubernetes_api(store: &Arc<Store>) -> Result<kube_api::Api> {
    let mut options = kube_api::ApiOptions::new(SERVICES, rand::random());
    let keeping = store.clone();
    options.keeper = Some(Arc::new(move |objects: &kube_api::Store| {
        keeping.save(Part::Kubernetes, objects)?;
        Ok(())
    }));
    Ok(match store.load(Part::Kubernetes)? {
        Some(snapshot) => kube_api::Api::restore(options, snapshot)?,
        None => kube_api::Api::new(options),
    })
}

async fn serve(engine: &Arc<Engine>) -> Result<()> {
    reconcile::put_node(engine, API_PORT)?;
    reconcile::serve_kubernetes(engine, API_PORT).await?;
    let network = tokio::spawn(reconcile::keep_network(engine.clone()));
    let logs = tokio::spawn(reconcile::keep_logs(engine.clone()));
    let units = tokio::spawn(reconcile::keep_units(engine.clone(), API_PORT));
    reconcile::reopen_forwards(engine).await;
    server::serve(engine).await.context("cannot answer the command line")?;
    units.await.ok();
    network.abort();
    logs.abort();
    Ok(())
}

/// A folder that only root may enter: it holds secrets.
#[allow(clippy::disallowed_methods, reason = "nothing is answered yet, or no longer")]
fn private(folder: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

/// The agents that the store remembers ended with the engine before this one.
fn forget_agents(engine: &Engine) -> Result<()> {
    let now = engine.now();
    let seed = std::env::var("TALISMAN_SHUFFLE").ok().and_then(|seed| seed.parse().ok());
    engine.commit(|state| {
        charms::forget(state);
        let model = &mut state.persisted.model;
        model.shuffle(seed);
        for unit in state::all_units(model) {
            model.agent_stopped(&unit, now);
        }
    })?;
    Ok(())
}

/// A new model.
fn empty(instance: &str) -> Result<Snapshot> {
    let juju = match std::env::var(crate::models::JUJU) {
        Ok(text) => text.parse()?,
        Err(_) => juju_model::Juju::default(),
    };
    let uuid = uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string();
    let model = juju_model::Model::new(crate::models::name_of(instance)?, uuid, rand::random());
    Ok(Snapshot {
        model: model.under(juju).made_at(jiff::Timestamp::now()),
        images: BTreeMap::new(),
        builds: BTreeMap::new(),
        forwards: BTreeMap::new(),
        tokens: BTreeMap::new(),
        authority: None,
    })
}

/// Lets every pod's processes stop on their own, all at once.
async fn stop_pods(engine: &Engine) {
    let pods = engine.node.all_pods();
    let stops =
        pods.iter().map(|pod| engine.node.stop_pod(pod.name(), kubernetes::template::STOP_GRACE));
    for result in futures_util::future::join_all(stops).await {
        if let Err(error) = result {
            tracing::warn!("{error}");
        }
    }
}

/// Removes what an engine that was killed left behind.
#[allow(clippy::disallowed_methods, reason = "nothing is answered yet, or no longer")]
pub(crate) async fn teardown(paths: &Paths) -> Result<()> {
    // The machine may have been started anew since, with all that is not on disk gone.
    if ![&paths.run, &paths.units(), &paths.state.join("pods")].iter().any(|one| one.exists()) {
        return Ok(());
    }
    node::sweep(&paths.node()).await?;
    for folder in [&paths.units(), &paths.run] {
        node::remove_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}
