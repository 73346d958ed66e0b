//! Tasks that keep the world as the model wants it: units, names, routes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use kube_api::{Authority, Authorize, Identity, ServerTls};
use names::{AppName, UnitName};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;

use super::engine::Engine;
use super::{agent, cluster, forwards, replace};

/// Puts the node's object there.
#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
pub(crate) fn put_node(engine: &Engine) -> Result<()> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = offthread::run(|| std::fs::read_to_string("/proc/meminfo")).unwrap_or_default();
    let total = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok())
        .unwrap_or(0);
    cluster::put_node(&engine.cluster, node::ENGINE, cpus, total)?;
    Ok(())
}

/// Who a token stands for.
struct Tokens(Arc<Engine>);

impl Authorize for Tokens {
    fn identify(&self, token: &str) -> Option<Identity> {
        self.0.identify(token)
    }
}

/// Serves the Kubernetes API at the engine's address.
pub(crate) async fn serve_cluster(engine: &Arc<Engine>, port: u16) -> Result<()> {
    let authority = authority(engine)?;
    let certificate = authority
        .issue(&[node::ENGINE.into()])
        .context("cannot make the Kubernetes API's certificate")?;
    let listener = engine
        .node
        .listen_tcp(port)
        .await
        .context("cannot serve the Kubernetes API inside the model's network")?;
    let authorize: Arc<dyn Authorize> = Arc::new(Tokens(engine.clone()));
    let api = engine.cluster.clone();
    let tls =
        ServerTls::new(&certificate).context("cannot use the Kubernetes API's certificate")?;
    let limits = kube_api::Limits::within(super::files::open_files());
    tokio::spawn(kube_api::serve(api, listener, tls, authorize, limits));
    Ok(())
}

/// The authority that running pods trust already, or a new one.
fn authority(engine: &Engine) -> Result<Authority> {
    let known = engine.look(|inner| inner.kept.authority.clone());
    if let Some((certificate, key)) = known {
        return Authority::from_pem(certificate, &SecretString::from(key))
            .context("cannot read the certificate authority in the store");
    }
    let authority = Authority::generate().context("cannot make a certificate authority")?;
    let pair = (authority.cert_pem().to_owned(), authority.key_pem().expose_secret().to_owned());
    engine.change(|inner| inner.kept.authority = Some(pair))?;
    Ok(authority)
}

/// Opens the loopback ports that were asked for before a restart.
pub(crate) async fn reopen_forwards(engine: &Arc<Engine>) {
    let wanted = engine.look(|inner| inner.kept.forwards.clone());
    for (port, (service, target)) in wanted {
        if let Err(error) = forwards::open(engine, port, &service, target).await {
            engine.note("WARNING", &error.to_string());
        }
    }
}

/// Keeps names and service routes as the Kubernetes objects say.
pub(crate) async fn keep_network(engine: Arc<Engine>) {
    let mut changes = engine.cluster.subscribe();
    loop {
        changes.mark_unchanged();
        if let Err(error) = cluster::balance(&engine.cluster) {
            engine.note("ERROR", &format!("cannot give a load balancer its address: {error}"));
        }
        engine.node.sync_names(cluster::zone(&engine.cluster));
        if let Err(error) = engine.node.sync_services(&cluster::routes(&engine.cluster)).await {
            engine.note("ERROR", &format!("cannot route the services: {error}"));
        }
        forwards::sync_node_ports(&engine).await;
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Between two looks at the logs; kubelet's is the same.
const LOGS_EVERY: Duration = Duration::from_secs(10);

/// Keeps the logs of containers, and the engine's own, from growing for ever.
pub(crate) async fn keep_logs(engine: Arc<Engine>) {
    loop {
        tokio::time::sleep(LOGS_EVERY).await;
        let engine = engine.clone();
        let rotated = tokio::task::spawn_blocking(move || {
            engine.node.rotate_logs();
            node::rotate(&engine.paths.daemon_log())
        });
        if let Ok(Err(error)) = rotated.await {
            tracing::warn!("cannot set the engine's own log aside: {error}");
        }
    }
}

/// How long after objects could not be written they are tried again.
const WRITE_RETRY: Duration = Duration::from_secs(3);

/// How long hooks that run when the engine stops may go on.
const LAST_HOOKS_MAX: Duration = Duration::from_secs(10);

/// Keeps one agent per unit, and the Kubernetes objects of each application.
pub(crate) async fn keep_units(engine: Arc<Engine>, api_port: u16) {
    let mut changes = engine.changes();
    let mut objects = engine.cluster.subscribe();
    let mut agents: BTreeMap<UnitName, JoinHandle<()>> = BTreeMap::new();
    let mut applications: BTreeMap<AppName, u32> = BTreeMap::new();
    loop {
        changes.mark_unchanged();
        objects.mark_unchanged();
        let kept = keep_applications(&engine, &mut applications);
        replace::roll(&engine);
        let units = engine.look(|inner| super::verbs::all_units(&inner.kept.model));
        agents.retain(|unit, task| units.contains(unit) || !task.is_finished());
        for unit in units {
            let ended = agents.get(&unit).is_none_or(JoinHandle::is_finished);
            if ended {
                let task = tokio::spawn(agent::live(engine.clone(), unit.clone(), api_port));
                agents.insert(unit, task);
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            changed = objects.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(WRITE_RETRY), if !kept => {}
            () = engine.stopped() => break,
        }
    }
    // Whoever starts a pod or runs a hook now ends before the pods are removed.
    let aborts: Vec<_> = agents.values().map(JoinHandle::abort_handle).collect();
    let all = futures_util::future::join_all(agents.into_values());
    if tokio::time::timeout(LAST_HOOKS_MAX, all).await.is_err() {
        aborts.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

/// Makes and removes the objects of applications; `known` are those that are as wanted.
/// `false`: something could not be written.
fn keep_applications(engine: &Engine, known: &mut BTreeMap<AppName, u32>) -> bool {
    let (namespace, wanted) = engine.look(|inner| {
        let model = &inner.kept.model;
        let wanted: BTreeMap<AppName, u32> =
            model.applications().map(|app| (app.name.clone(), app.scale)).collect();
        (model.name().to_string(), wanted)
    });
    let mut whole = true;
    known.retain(|app, _| {
        if wanted.contains_key(app) {
            return true;
        }
        let gone = cluster::delete_application(&engine.cluster, &namespace, app);
        if let Err(error) = &gone {
            engine.note("ERROR", &format!("cannot remove the services of {app}: {error}"));
            whole = false;
        }
        gone.is_err()
    });
    for (app, units) in &wanted {
        if known.get(app) == Some(units) {
            continue;
        }
        let noted = cluster::put_application(&engine.cluster, &namespace, app, *units)
            .map_err(|error| error.to_string())
            .and_then(|address| {
                engine
                    .change(|inner| inner.kept.model.service_address(app, address))
                    .map_err(|error| error.to_string())
            });
        match noted {
            Ok(()) => drop(known.insert(app.clone(), *units)),
            Err(error) => {
                engine.note("ERROR", &format!("cannot make the services of {app}: {error}"));
                whole = false;
            }
        }
    }
    whole
}
