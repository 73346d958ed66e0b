//! Reads what one decision needs to know: each bag and secret once.

mod legacy;
pub(crate) mod objects;
mod parameters;
mod settings;
pub(crate) mod tls;
mod upgrade;
mod wal;

use std::time::Duration;

use charm_kit::certificates::{KeyRequest, SET_KEY};
use charm_kit::credentials::Seed;
use charm_kit::watch::Watchers;
use juju_charm::{
    AppName, Bag, ContainerName, Error, Event, ExposeSecret as _, HookError, Own, Reader,
    RelationId, Revision, SecretContent, SecretString, databag,
};
use juju_interfaces::postgresql_client::{self, Request};
use patroni::{Health, State};
use pebble_client::FileInfo;
use serde_json::Value;

use crate::decide;
use crate::endpoint::{Endpoint, OF_CLIENTS};
use crate::facts::{Container, DatabaseRelation, Facts, Peer};
use crate::layer;
use crate::options::{Plugins, Settings};
use crate::passwords::LENGTH;
use crate::patroni_yml;
use crate::ports::Ports;
use crate::resources::Resources;
use crate::tls::CA;
use crate::topology::Topology;

/// The own member, on the pod's own loopback address: no name has to be resolved.
pub(crate) const LOCAL: &str = "127.0.0.1";
/// How long Pebble may take to answer before the container counts as away.
const PEBBLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the facts for `event`.
pub(crate) async fn gather(
    ports: &dyn Ports,
    hook: &mut Reader,
    event: &Event,
) -> Result<Facts, Error> {
    let topology = topology(hook);
    let mut facts = Facts::bare(topology, hook.unit().clone());
    facts.watchers = Watchers::gather(hook, event)?;
    if !decide::needs_facts(event) {
        facts.leader = facts.watchers.are_shared_with() && hook.is_leader()?;
        // It says whether Patroni is to be read with TLS.
        facts.peer = if facts.leader { peer(hook)? } else { None };
        return Ok(facts);
    }
    facts.leader = hook.is_leader()?;
    facts.seed = Seed::new(ports.random()?, LENGTH);
    facts.program = ports.program_version()?;
    facts.peer = peer(hook)?;
    facts.secret = passwords(hook, &facts)?;
    if let Event::Action { name, .. } = event {
        action(hook, &mut facts, name)?;
    }
    facts.planned = planned(hook, &facts, event)?;
    if facts.peer.is_some() {
        facts.units = u32::try_from(hook.planned_units()?.len()).unwrap_or(u32::MAX);
    }
    facts.container = container(ports, hook).await?;
    // It is mounted here at the same path as in the workload; one that cannot be looked at is
    // no reason to stop.
    facts.volume = facts.container.as_ref().and_then(|_| ports.volume(patroni_yml::STORAGE));
    if facts.full_volume().is_some() {
        facts.wal = wal::size(hook).await;
    }
    facts.tls = tls::tls(ports, hook, &facts, event).await?;
    if facts.leader && facts.watchers.metrics.is_empty() && has_changed(&facts) {
        facts.watchers.metrics = hook.cached_relations(Endpoint::Metrics)?;
    }
    let pod = match &facts.container {
        Some(_) => own_pod(ports, &facts).await,
        None => None,
    };
    facts.labelled = pod.as_ref().map(|pod| is_labelled(pod, &facts.topology.scope()));
    let machine = ports.machine().limited(pod.as_ref(), layer::NAME);
    options(hook, &mut facts, machine).await?;
    if facts.initialised() {
        look_at_cluster(ports, &mut facts, event).await;
    }
    if facts.container.as_ref().is_some_and(|container| container.system.is_some()) {
        facts.system = objects::system(ports, &facts.topology).await;
    }
    let own = facts.unit.pod();
    let leads = |cluster: &patroni::Cluster| cluster.leader().is_some_and(|it| it.name == own);
    if facts.leader || facts.cluster.as_ref().is_some_and(leads) {
        facts.dynamic = dynamic(ports, &facts).await;
    }
    facts.upgrade = upgrade::upgrade(ports, hook, &facts, event).await?;
    if facts.leader {
        // No client is served before the cluster is set up.
        if facts.initialised() {
            facts.clients = clients(hook)?;
            facts.events_pending = events_pending(hook, &facts.clients)?;
        }
        // No event reports that an object is gone.
        if *event == Event::UpdateStatus && facts.initialised() {
            facts.objects = objects::objects(ports, &facts.topology).await;
        }
    }
    Ok(facts)
}

/// What an action asks for.
fn action(hook: &mut Reader, facts: &mut Facts, name: &str) -> Result<(), Error> {
    facts.parameters = hook.action_params()?;
    if name == SET_KEY {
        facts.key = Some(KeyRequest::read(hook)?);
    }
    Ok(())
}

/// The cluster and, from time to time, what only the own server knows: it may have missed a reload,
/// or keep WAL for a standby that is away, and no event reports either.
async fn look_at_cluster(ports: &dyn Ports, facts: &mut Facts, event: &Event) {
    facts.cluster = cluster(ports, facts).await;
    facts.not_streaming = wal::not_streaming(ports, facts).await;
    if *event != Event::UpdateStatus {
        return;
    }
    facts.unlike = parameters::unlike(ports, facts).await;
    if let Some(volume) = facts.volume {
        facts.away = wal::away(ports, facts, volume).await;
    }
}

/// Whether another CA is to be published to clients than before.
fn has_changed(facts: &Facts) -> bool {
    facts.trust(&facts.tls.steps()).is_some_and(|trust| trust.has_changed())
}

/// The options, or what is in force while they cannot be used.
async fn options(hook: &mut Reader, facts: &mut Facts, machine: Resources) -> Result<(), Error> {
    let volume = facts.volume;
    facts.settings = Settings::parse(&hook.config()?, machine).and_then(|settings| match volume {
        Some(volume) => settings.on_volume(volume),
        None => Ok(settings),
    });
    settings::check(hook, facts).await?;
    facts.plugins = Plugins::parse(&hook.config()?);
    match (&mut facts.settings, &facts.container) {
        (Ok(settings), Some(container)) => {
            settings.parameters.extend(facts.plugins.parameters(container.audit));
        }
        (Err(_), Some(Container { config: Some(text), .. })) => {
            facts.in_force = patroni_yml::in_force(text.expose_secret(), &hook.config()?);
        }
        _ => {}
    }
    Ok(())
}

/// The names that follow from where the hook runs.
pub(crate) fn topology(hook: &Reader) -> Topology {
    Topology { app: hook.app().clone(), model: hook.environment().model.clone() }
}

/// The workload's Pebble.
pub(crate) fn workload(hook: &Reader) -> pebble_client::Client {
    hook.pebble(&ContainerName::constant(layer::NAME)).with_timeout(PEBBLE_TIMEOUT)
}

pub(crate) fn peer(hook: &mut Reader) -> Result<Option<Peer>, HookError> {
    let Some(&id) = hook.relations(Endpoint::Peers)?.first() else { return Ok(None) };
    let own = hook.unit().clone();
    let leaving = !hook.planned_units()?.contains(&own);
    let mut units = hook.peer_units(id)?;
    units.push(own);
    units.sort();
    let own_app = hook.app().clone();
    let app = hook.bag(id, &own_app.into())?;
    Ok(Some(Peer { id, app, own: hook.own_bag(id, Own::Unit)?, units, leaving }))
}

fn passwords(hook: &mut Reader, facts: &Facts) -> Result<SecretContent, Error> {
    let label = facts.topology.passwords_label();
    Ok(hook.secret(label.as_str(), Revision::Refresh)?.unwrap_or_default())
}

fn planned(hook: &mut Reader, facts: &Facts, event: &Event) -> Result<u32, Error> {
    let joined = facts.peer.as_ref().map_or(1, |peer| peer.units.len());
    // The plan matters to the leader when units come and go, which events report. Before the
    // cluster is set up, and when nothing happened, it is who has joined.
    let plans = facts.leader && facts.initialised() && *event != Event::UpdateStatus;
    let units = if plans { hook.planned_units()?.len() } else { joined };
    Ok(u32::try_from(units).unwrap_or(u32::MAX))
}

async fn container(ports: &dyn Ports, hook: &Reader) -> Result<Option<Container>, Error> {
    let pebble = workload(hook);
    let plan = match pebble.plan().await {
        Ok(plan) => plan,
        Err(error) if error.is_unreachable() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let running = plan.services.contains_key(layer::NAME)
        && pebble.services(&[layer::NAME]).await?.iter().any(pebble_client::ServiceInfo::is_active);
    let paths = [layer::PATRONI_YML, patroni_yml::PGPASS, CA, layer::BEFORE_STOP_VERSION];
    let mut texts = pebble.pull_texts(&paths).await?.into_iter();
    let config = texts.next().flatten().map(patroni_yml::read);
    let (config, marks) = config.unzip();
    let (passfile, ca) = (texts.next().flatten(), texts.next().flatten());
    let before_stop = texts.next().flatten();
    let own = ports.patroni(LOCAL, ca.as_deref());
    let health = if running { own.health().await.ok() } else { None };
    let data = pebble.stat(patroni_yml::PGDATA).await?;
    let pgdata = data.is_some();
    let started = health.as_ref().is_some_and(|health: &Health| health.state.is_started());
    Ok(Some(Container {
        prepared: started || is_prepared(&pebble, data.as_ref()).await?,
        system: if pgdata && !started { system(&pebble).await } else { None },
        unfinished: pgdata && is_stopped(health.as_ref()) && is_unfinished(&pebble).await?,
        aside: pebble.stat(patroni_yml::ASIDE).await?.is_some(),
        audit: pebble.stat(patroni_yml::AUDIT).await?.is_some(),
        before_stop,
        config,
        marks: marks.unwrap_or_default(),
        passfile: passfile.map(SecretString::from),
        ca,
        plan,
        running,
        health,
    }))
}

/// Whether PostgreSQL's folders are there and are its own.
async fn is_prepared(
    pebble: &pebble_client::Client,
    data: Option<&FileInfo>,
) -> Result<bool, Error> {
    let own = |folder: Option<&FileInfo>| {
        folder.is_some_and(|folder| {
            let open = folder.mode().is_some_and(|mode| mode & 0o700 == 0o700);
            open && folder.user.as_deref() == Some(layer::USER)
        })
    };
    for path in [patroni_yml::STORAGE, patroni_yml::SOCKETS] {
        if !own(pebble.stat(path).await?.as_ref()) {
            return Ok(false);
        }
    }
    Ok(own(data))
}

/// Whether Patroni answers and has nothing to do with its PostgreSQL.
fn is_stopped(health: Option<&Health>) -> bool {
    health.is_some_and(|health| matches!(&health.state, State::Other(state) if state == "stopped"))
}

/// Whether files are there but not the one that a copy gets last.
async fn is_unfinished(pebble: &pebble_client::Client) -> Result<bool, Error> {
    let whole = pebble.stat(patroni_yml::CONTROL).await?.is_some();
    Ok(!whole && !pebble.list_files(patroni_yml::PGDATA, "*").await?.is_empty())
}

/// The identifier of the data on the volume: PostgreSQL's control file begins with it.
async fn system(pebble: &pebble_client::Client) -> Option<u64> {
    let control = pebble.pull(patroni_yml::CONTROL).await.ok()?;
    Some(u64::from_le_bytes(control.get(..8)?.try_into().ok()?))
}

/// The own pod; none when the API does not answer or refuses, which an effect that needs
/// the API will say.
async fn own_pod(ports: &dyn Ports, facts: &Facts) -> Option<Value> {
    let client = ports.kubernetes().ok()?;
    client.get(kubernetes_client::Resource::Pods, &facts.unit.pod()).await.ok()?
}

fn is_labelled(pod: &Value, scope: &str) -> bool {
    let labels = &pod["metadata"]["labels"];
    labels["application"] == "patroni" && labels["cluster-name"] == scope
}

/// The request as it was when it was granted.
fn granted(offered: &Bag) -> Option<Bag> {
    databag::text(offered, "database")?;
    databag::json(offered, "data").ok()?
}

/// The cluster as the own member sees it, or as any other does.
async fn cluster(ports: &dyn Ports, facts: &Facts) -> Option<patroni::Cluster> {
    if let Some(container) = facts.container.as_ref().filter(|container| container.started())
        && let Ok(cluster) = ports.patroni(LOCAL, container.ca.as_deref()).cluster().await
    {
        return Some(cluster);
    }
    let own = facts.host();
    let others = facts.peer.iter().flat_map(Peer::endpoints).filter(|host| *host != own);
    let authority = facts.authority();
    let others = others.map(|host| ports.patroni(&facts.topology.qualified(&host), authority));
    patroni::any_cluster(others).await
}

async fn dynamic(ports: &dyn Ports, facts: &Facts) -> Option<Value> {
    if !facts.initialised() {
        return None;
    }
    let member = match &facts.container {
        Some(container) if container.started() => ports.patroni(LOCAL, container.ca.as_deref()),
        _ => {
            let leader = facts.cluster.as_ref().and_then(patroni::Cluster::leader)?;
            ports.patroni(&facts.topology.host_of_pod(&leader.name)?, facts.authority())
        }
    };
    member.config().await.ok()
}

fn clients(hook: &mut Reader) -> Result<Vec<DatabaseRelation>, Error> {
    let ids = hook.relations(Endpoint::Database)?;
    let mut all = ids.into_iter().map(|id| client(hook, id)).collect::<Result<Vec<_>, Error>>()?;
    for endpoint in [Endpoint::Db, Endpoint::DbAdmin] {
        for id in hook.cached_relations(endpoint)? {
            all.push(legacy::client(hook, endpoint, id)?);
        }
    }
    Ok(all)
}

/// Whether an application is related to which no relation leads that this unit knows.
fn events_pending(hook: &mut Reader, clients: &[DatabaseRelation]) -> Result<bool, Error> {
    for endpoint in OF_CLIENTS {
        let related = hook.related_apps(endpoint)?;
        let is = |client: &DatabaseRelation, app: &AppName| {
            client.endpoint() == endpoint && client.app.as_ref() == Some(app)
        };
        if !related.iter().all(|app| clients.iter().any(|client| is(client, app))) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn client(hook: &mut Reader, id: RelationId) -> Result<DatabaseRelation, Error> {
    let app = hook.remote_app(id)?;
    let bag: Bag = hook.remote_app_bag(id)?;
    let offered = hook.own_bag(id, Own::App)?;
    let former = granted(&offered).and_then(|bag| Request::parse(&bag).ok());
    let mut client = DatabaseRelation {
        id,
        app: Some(app),
        request: Request::parse(&bag),
        seen: postgresql_client::seen(&bag),
        former: former.map(|request| request.roles),
        password: offered.get("password").map(|text| text.clone().into()),
        offered,
        legacy: None,
    };
    let asks = client
        .request
        .as_ref()
        .is_ok_and(|request| request.database.is_some() && !client.is_served(request));
    // A secret without the rest is what a hook left that died on the way.
    if asks && client.password.is_none() {
        let label = postgresql_client::secret_label(Endpoint::Database, id, "user");
        let kept = hook.secret(label.as_str(), Revision::Peek)?;
        client.password = kept.and_then(|content| content.get("password").cloned());
    }
    Ok(client)
}
