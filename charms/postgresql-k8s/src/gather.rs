//! Reads what one decision needs to know: each bag and secret once.

pub(crate) mod objects;
mod settings;
pub(crate) mod tls;

use std::time::Duration;

use charm::{
    Bag, ContainerName, Event, ExposeSecret as _, Hook, Own, RelationId, Revision, SecretContent,
    SecretString, databag,
};
use interfaces::postgresql_client::{self, Request};
use interfaces::prometheus_scrape::ENDPOINT;
use patroni::{Health, State};
use serde_json::Value;

use crate::Error;
use crate::decide;
use crate::door::Door;
use crate::facts::{Client, Container, Facts, Peer};
use crate::layer;
use crate::options::{Plugins, Settings};
use crate::passwords::Seed;
use crate::patroni_yml;
use crate::resources::Volume;
use crate::tls::CA;
use crate::topology::Topology;

/// The own member, on the pod's own loopback address: no name has to be resolved.
pub(crate) const LOCAL: &str = "127.0.0.1";
/// How long Pebble may take to answer before the container counts as away.
const PEBBLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the facts for `event`.
pub(crate) async fn gather(
    door: &dyn Door,
    hook: &mut Hook,
    event: &Event,
) -> Result<Facts, Error> {
    let topology = topology(hook);
    let mut facts = Facts::bare(topology, hook.unit().clone());
    facts.model_uuid = hook.environment().model_uuid.clone();
    facts.metrics = metrics(hook, event)?;
    if !decide::needs_facts(event) {
        facts.leader = !facts.metrics.is_empty() && hook.is_leader()?;
        // It says whether Patroni is to be read with TLS.
        facts.peer = if facts.leader { peer(hook)? } else { None };
        return Ok(facts);
    }
    facts.leader = hook.is_leader()?;
    facts.seed = Seed(door.random().map_err(Error::Random)?);
    facts.peer = peer(hook)?;
    facts.passwords = passwords(hook, &facts)?;
    if let Event::Action { .. } = event {
        facts.parameters = hook.action_params()?;
    }
    facts.planned = planned(hook, &facts, event)?;
    facts.container = container(door, hook).await?;
    // It is mounted here at the same path as in the workload; one that cannot be looked at is
    // no reason to stop.
    let volume = facts.container.as_ref().and_then(|_| door.volume(patroni_yml::STORAGE));
    facts.nearly_full = volume.is_some_and(Volume::is_nearly_full);
    facts.tls = tls::tls(door, hook, &facts, event).await?;
    if facts.leader && facts.metrics.is_empty() && decide::is_news(&facts) {
        facts.metrics = hook.relations(ENDPOINT)?;
    }
    let pod = match &facts.container {
        Some(_) => own_pod(door, &facts).await,
        None => None,
    };
    facts.labelled = pod.as_ref().map(|pod| is_labelled(pod, &facts.topology.scope()));
    let machine = door.machine().limited(pod.as_ref(), layer::NAME);
    facts.settings = Settings::parse(&hook.config()?, machine);
    settings::check(hook, &mut facts).await?;
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
    if facts.initialised() {
        facts.cluster = cluster(door, &facts).await;
    }
    if facts.container.as_ref().is_some_and(|container| container.system.is_some()) {
        facts.system = objects::system(door, &facts.topology).await;
    }
    if facts.leader {
        facts.dynamic = dynamic(door, &facts).await;
        // Nobody is served before the cluster is set up.
        facts.clients = if facts.initialised() { clients(hook)? } else { Vec::new() };
        // No event tells that an object is gone.
        if *event == Event::UpdateStatus && facts.initialised() {
            facts.objects = objects::objects(door, &facts.topology).await;
        }
    }
    Ok(facts)
}

/// Those who measure: where one comes, and where whoever led may have gone before it told them.
fn metrics(hook: &mut Hook, event: &Event) -> Result<Vec<RelationId>, Error> {
    Ok(match event {
        Event::LeaderElected | Event::UpgradeCharm => hook.relations(ENDPOINT)?,
        Event::Relation(relation) if relation.endpoint.as_str() == ENDPOINT => {
            relation.kind.is_live().then_some(relation.id).into_iter().collect()
        }
        _ => Vec::new(),
    })
}

/// The names that follow from where the hook runs.
pub(crate) fn topology(hook: &Hook) -> Topology {
    Topology { app: hook.app().clone(), model: hook.environment().model.clone() }
}

/// The workload's Pebble.
pub(crate) fn workload(hook: &Hook) -> Option<pebble::Client> {
    let name: ContainerName = layer::NAME.parse().ok()?;
    Some(hook.pebble(&name).with_timeout(PEBBLE_TIMEOUT))
}

fn peer(hook: &mut Hook) -> Result<Option<Peer>, Error> {
    let Some(&id) = hook.relations("database-peers")?.first() else { return Ok(None) };
    let mut units = hook.remote_units(id)?;
    units.push(hook.unit().clone());
    units.sort();
    let own_app = hook.app().clone();
    let app = hook.bag(id, &own_app.into())?;
    Ok(Some(Peer { id, app, own: hook.own_bag(id, Own::Unit)?, units }))
}

fn passwords(hook: &mut Hook, facts: &Facts) -> Result<SecretContent, Error> {
    let label = facts.topology.passwords_label();
    Ok(hook.secret(label.as_str(), Revision::Refresh)?.unwrap_or_default())
}

fn planned(hook: &mut Hook, facts: &Facts, event: &Event) -> Result<u32, Error> {
    let joined = facts.peer.as_ref().map_or(1, |peer| peer.units.len());
    // The plan matters to the leader when units come and go, of which events tell. Before the
    // cluster is set up, and when nothing happened, it is who has joined.
    let plans = facts.leader && facts.initialised() && *event != Event::UpdateStatus;
    let units = if plans { hook.planned_units()?.len() } else { joined };
    Ok(u32::try_from(units).unwrap_or(u32::MAX))
}

async fn container(door: &dyn Door, hook: &Hook) -> Result<Option<Container>, Error> {
    let Some(pebble) = workload(hook) else { return Ok(None) };
    let plan = match pebble.plan().await {
        Ok(plan) => plan,
        Err(error) if error.is_unreachable() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let running = plan.services.contains_key(layer::NAME)
        && pebble.services(&[layer::NAME]).await?.iter().any(pebble::ServiceInfo::is_active);
    let paths = [patroni_yml::PATH, patroni_yml::PGPASS, CA];
    let mut texts = pebble.pull_texts(&paths).await?.into_iter();
    let config = texts.next().flatten().map(patroni_yml::read);
    let (config, marks) = config.unzip();
    let (passfile, ca) = (texts.next().flatten(), texts.next().flatten());
    let own = door.patroni(LOCAL, ca.as_deref());
    let health = if running { own.health().await.ok() } else { None };
    let pgdata = pebble.stat(patroni_yml::PGDATA).await?.is_some();
    let started = health.as_ref().is_some_and(|health: &Health| health.state.is_started());
    Ok(Some(Container {
        pgdata,
        system: if pgdata && !started { system(&pebble).await } else { None },
        unfinished: pgdata && is_stopped(health.as_ref()) && is_unfinished(&pebble).await?,
        audit: pebble.stat(patroni_yml::AUDIT).await?.is_some(),
        config,
        marks: marks.unwrap_or_default(),
        passfile: passfile.map(SecretString::from),
        ca,
        plan,
        running,
        health,
    }))
}

/// Whether Patroni answers and has nothing to do with its PostgreSQL.
fn is_stopped(health: Option<&Health>) -> bool {
    health.is_some_and(|health| matches!(&health.state, State::Other(state) if state == "stopped"))
}

/// Whether files are there but not the one that a copy gets last.
async fn is_unfinished(pebble: &pebble::Client) -> Result<bool, Error> {
    let whole = pebble.stat(patroni_yml::CONTROL).await?.is_some();
    Ok(!whole && !pebble.list_files(patroni_yml::PGDATA, "*").await?.is_empty())
}

/// The identifier of the data on the volume: PostgreSQL's control file begins with it.
async fn system(pebble: &pebble::Client) -> Option<u64> {
    let control = pebble.pull(patroni_yml::CONTROL).await.ok()?;
    Some(u64::from_le_bytes(control.get(..8)?.try_into().ok()?))
}

/// The own pod; none when the API does not answer or refuses, which an effect that needs
/// the API will say.
async fn own_pod(door: &dyn Door, facts: &Facts) -> Option<Value> {
    let client = door.kubernetes().ok()?;
    client.get(kubernetes::Resource::Pods, &facts.unit.pod()).await.ok()?
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
async fn cluster(door: &dyn Door, facts: &Facts) -> Option<patroni::Cluster> {
    if let Some(container) = facts.container.as_ref().filter(|container| container.started())
        && let Ok(cluster) = door.patroni(LOCAL, container.ca.as_deref()).cluster().await
    {
        return Some(cluster);
    }
    let own = facts.host();
    let others = facts.peer.iter().flat_map(Peer::endpoints).filter(|host| *host != own);
    let authority = facts.authority();
    let others = others.map(|host| door.patroni(&facts.topology.qualified(&host), authority));
    patroni::any_cluster(others).await
}

async fn dynamic(door: &dyn Door, facts: &Facts) -> Option<Value> {
    if !facts.initialised() {
        return None;
    }
    let member = match &facts.container {
        Some(container) if container.started() => door.patroni(LOCAL, container.ca.as_deref()),
        _ => door.patroni(&facts.topology.primary_host(), facts.authority()),
    };
    member.config().await.ok()
}

fn clients(hook: &mut Hook) -> Result<Vec<Client>, Error> {
    let ids = hook.relations("database")?;
    ids.into_iter().map(|id| client(hook, id)).collect()
}

fn client(hook: &mut Hook, id: RelationId) -> Result<Client, Error> {
    let app = hook.remote_app(id)?;
    let bag: Bag = hook.remote_app_bag(id)?;
    let offered = hook.own_bag(id, Own::App)?;
    let former = granted(&offered).and_then(|bag| Request::parse(&bag).ok());
    let mut client = Client {
        id,
        app: Some(app),
        request: Request::parse(&bag),
        seen: postgresql_client::seen(&bag),
        former: former.map(|request| request.roles),
        password: offered.get("password").map(|text| text.clone().into()),
        offered,
    };
    let asks = client
        .request
        .as_ref()
        .is_ok_and(|request| request.database.is_some() && !client.is_served(request));
    // A secret without the rest is what a hook left that died on the way.
    if asks && client.password.is_none() {
        let label = postgresql_client::secret_label("database", id, "user");
        let kept = hook.secret(label.as_str(), Revision::Peek)?;
        client.password = kept.and_then(|content| content.get("password").cloned());
    }
    Ok(client)
}
