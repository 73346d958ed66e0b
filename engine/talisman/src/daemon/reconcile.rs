//! Tasks that keep the world as the model wants it: units, names, routes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use juju_names::AppName;
use kube_api::{Authority, Authorize, Identity, ServerTls};
use secrecy::{ExposeSecret, SecretString};

use crate::daemon::agents::Agents;
use crate::daemon::engine::Engine;
use crate::daemon::kubernetes::created_by::created_by;
use crate::daemon::kubernetes::forwards;
use crate::daemon::kubernetes::network;
use crate::daemon::kubernetes::objects;
use crate::daemon::kubernetes::pod_objects;
use crate::daemon::kubernetes::template;
use crate::daemon::unit;
use crate::daemon::unit::replace;

/// Puts the objects of the cluster itself there: its node and namespaces.
#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
pub(crate) fn put_node(engine: &Engine, port: u16) -> Result<()> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = offthread::run(|| std::fs::read_to_string("/proc/meminfo")).unwrap_or_default();
    let total = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok())
        .unwrap_or(0);
    objects::put_node(&engine.kubernetes, node::ENGINE, cpus, total)?;
    let model = engine.with(|state| state.persisted.model.name().to_string());
    objects::put_namespaces(&engine.kubernetes, &model, node::ENGINE, port)?;
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
pub(crate) async fn serve_kubernetes(engine: &Arc<Engine>, port: u16) -> Result<()> {
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
    let api = engine.kubernetes.clone();
    let tls =
        ServerTls::new(&certificate).context("cannot use the Kubernetes API's certificate")?;
    let limits = kube_api::Limits::within(crate::daemon::files::open_files());
    tokio::spawn(kube_api::serve(api, listener, tls, authorize, limits));
    Ok(())
}

/// The authority that running pods trust already, or a new one.
fn authority(engine: &Engine) -> Result<Authority> {
    let known = engine.with(|state| state.persisted.authority.clone());
    if let Some((certificate, key)) = known {
        return Authority::from_pem(certificate, &SecretString::from(key))
            .context("cannot read the certificate authority in the store");
    }
    let authority = Authority::generate().context("cannot make a certificate authority")?;
    let pair = (authority.cert_pem().to_owned(), authority.key_pem().expose_secret().to_owned());
    engine.commit(|state| state.persisted.authority = Some(pair))?;
    Ok(authority)
}

/// Opens the loopback ports that were asked for before a restart.
pub(crate) async fn reopen_forwards(engine: &Arc<Engine>) {
    let wanted = engine.with(|state| state.persisted.forwards.clone());
    for (port, (service, target)) in wanted {
        if let Err(error) = forwards::open(engine, port, &service, target).await {
            engine.note("WARNING", &error.to_string());
        }
    }
}

/// Keeps names and service routes as the Kubernetes objects say.
pub(crate) async fn keep_network(engine: Arc<Engine>) {
    let mut changes = engine.kubernetes.subscribe();
    loop {
        changes.mark_unchanged();
        if let Err(error) = network::balance(&engine.kubernetes) {
            engine.note("ERROR", &format!("cannot give a load balancer its address: {error}"));
        }
        engine.node.sync_names(network::zone(&engine.kubernetes));
        if let Err(error) = engine.node.sync_services(&network::routes(&engine.kubernetes)).await {
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
    let mut objects = engine.kubernetes.subscribe();
    let mut agents = Agents::new();
    let mut applications: BTreeMap<AppName, Wanted> = BTreeMap::new();
    let mut told = BTreeSet::new();
    let mut moved = true;
    loop {
        moved |= changes.has_changed().unwrap_or(true);
        changes.mark_unchanged();
        objects.mark_unchanged();
        // Objects change far more often than the model does.
        let mut faults = BTreeSet::new();
        if std::mem::take(&mut moved) || !told.is_empty() {
            faults = keep_applications(&engine, &mut applications);
        }
        faults.extend(keep_statuses(&engine, applications.keys()));
        faults.difference(&told).for_each(|words| engine.note("ERROR", words));
        told = faults;
        replace::roll(&engine);
        replace::follow(&engine);
        let units = engine.with(|state| crate::daemon::state::all_units(&state.persisted.model));
        agents.keep(&units, |unit| unit::live(engine.clone(), unit, api_port));
        tokio::select! {
            changed = changes.changed() => {
                if changed.is_err() { return }
                moved = true;
            }
            changed = objects.changed() => if changed.is_err() { return },
            () = agents.ended() => {}
            () = tokio::time::sleep(WRITE_RETRY), if !told.is_empty() => {}
            () = engine.stopped() => break,
        }
    }
    // Tasks that start a pod or run a hook end before the pods are removed.
    let (all, aborts) = agents.join();
    if tokio::time::timeout(LAST_HOOKS_MAX, all).await.is_err() {
        aborts.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

/// Says of each application's pods how they are; the answer is what could not be written.
fn keep_statuses<'a>(engine: &Engine, apps: impl Iterator<Item = &'a AppName>) -> Vec<String> {
    let namespace = engine.with(|state| state.persisted.model.name().to_string());
    let fault = |app: &AppName| {
        let written = pod_objects::put_set_status(&engine.kubernetes, &namespace, app);
        Some(format!("cannot say how the pods of {app} are: {}", written.err()?))
    };
    apps.filter_map(fault).collect()
}

/// What the objects of an application follow.
#[derive(PartialEq, Eq)]
struct Wanted {
    units: u32,
    ports: objects::Ports,
    /// The stateful set's, but for the number of units.
    spec: serde_json::Value,
}

impl Wanted {
    fn of(model: &juju_model::Model, app: &juju_model::Application) -> Wanted {
        let ports = model.units(&app.name).flat_map(|unit| &unit.ports);
        let ports = ports.map(|port| (port.protocol.clone(), port.number)).collect();
        Wanted { units: app.scale, ports, spec: template::set_spec(model, app) }
    }
}

/// Makes and removes the objects of applications; `known` are those that are as wanted. The
/// answer is what could not be written, in words.
fn keep_applications(engine: &Engine, known: &mut BTreeMap<AppName, Wanted>) -> BTreeSet<String> {
    let (namespace, wanted, gone) = engine.with(|state| {
        let model = &state.persisted.model;
        let wanted: BTreeMap<AppName, Wanted> =
            model.applications().map(|app| (app.name.clone(), Wanted::of(model, app))).collect();
        let gone = known.keys().filter(|app| !wanted.contains_key(*app));
        let gone: BTreeMap<AppName, _> =
            gone.map(|app| (app.clone(), created_by(model, app.as_str()))).collect();
        (model.name().to_string(), wanted, gone)
    });
    let mut faults = BTreeSet::new();
    known.retain(|app, _| {
        let Some(written) = gone.get(app) else { return true };
        let gone = objects::delete_application(&engine.kubernetes, &namespace, app, written);
        if let Err(error) = &gone {
            faults.insert(format!("cannot remove the services of {app}: {error}"));
        }
        gone.is_err()
    });
    for (app, wanted) in wanted {
        if known.get(&app) == Some(&wanted) {
            continue;
        }
        match put_application(engine, &namespace, &app, &wanted) {
            Ok(()) => drop(known.insert(app, wanted)),
            Err(error) => {
                faults.insert(format!("cannot make the services of {app}: {error:#}"));
            }
        }
    }
    faults
}

fn put_application(engine: &Engine, namespace: &str, app: &AppName, wanted: &Wanted) -> Result<()> {
    let Wanted { units, spec, .. } = wanted;
    let address = objects::put_application(&engine.kubernetes, namespace, app, *units, spec)?;
    objects::put_ports(&engine.kubernetes, namespace, app, &wanted.ports)?;
    // Last, because it wakes tasks that would retry at once what has failed.
    engine.commit(|state| state.persisted.model.service_address(app, address))?;
    Ok(())
}
