//! Reads what one decision needs to know: each bag and secret once.

pub(crate) mod tls;

use std::time::Duration;

use charm::{
    Bag, ContainerName, Event, Hook, Own, RelationId, Revision, SecretContent, SecretString,
    databag,
};
use interfaces::postgresql_client::{self, Request};
use patroni::Rest;
use serde_json::Value;

use crate::Error;
use crate::decide;
use crate::facts::{Client, Container, Facts, Peer};
use crate::layer;
use crate::options::Settings;
use crate::passwords::Seed;
use crate::patroni_yml;
use crate::resources::{self, Resources};
use crate::topology::{PATRONI_PORT, Topology};

/// The own member, on the pod's own loopback address: no name has to be resolved.
const LOCAL: &str = "127.0.0.1";
/// How long Pebble may take to answer before the container counts as away.
const PEBBLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the facts for `event`.
pub(crate) async fn gather(hook: &mut Hook, event: &Event) -> Result<Facts, Error> {
    let topology = topology(hook);
    let mut facts = Facts::bare(topology, hook.unit().clone());
    if !decide::needs_facts(event) {
        return Ok(facts);
    }
    facts.leader = hook.is_leader()?;
    facts.seed = seed()?;
    facts.peer = peer(hook)?;
    facts.passwords = passwords(hook, &facts)?;
    if let Event::Action { .. } = event {
        facts.parameters = hook.action_params()?;
    }
    facts.planned = planned(hook, &facts, event)?;
    facts.container = container(hook).await?;
    facts.nearly_full = facts.container.is_some() && nearly_full(patroni_yml::STORAGE);
    facts.tls = tls::tls(hook, &facts, event).await?;
    let pod = match &facts.container {
        Some(_) => own_pod(&facts).await,
        None => None,
    };
    facts.labelled = pod.as_ref().map(|pod| is_labelled(pod, &facts.topology.scope()));
    let machine = machine().limited(pod.as_ref(), layer::NAME);
    facts.settings = Settings::parse(&hook.config()?, machine);
    if facts.initialised() {
        facts.cluster = cluster(&facts).await;
    }
    if facts.leader {
        facts.dynamic = dynamic(&facts).await;
        // Nobody is served before the cluster is set up.
        facts.clients = if facts.initialised() { clients(hook, event)? } else { Vec::new() };
    }
    Ok(facts)
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

/// The Kubernetes API, as the pod's service account.
pub(crate) fn kubernetes() -> Result<kubernetes::Client, kubernetes::InClusterError> {
    let variable = |name: &str| std::env::var(name).ok();
    kubernetes::Client::in_cluster(std::path::Path::new("/"), variable)
}

fn seed() -> Result<Seed, Error> {
    use rand::TryRng as _;
    let mut seed = [0; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut seed).map_err(Error::Random)?;
    Ok(Seed(seed))
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
    let units = if plans { hook.planned_units()? } else { joined };
    Ok(u32::try_from(units).unwrap_or(u32::MAX))
}

async fn container(hook: &Hook) -> Result<Option<Container>, Error> {
    let Some(pebble) = workload(hook) else { return Ok(None) };
    let plan = match pebble.plan().await {
        Ok(plan) => plan,
        Err(error) if error.is_unreachable() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let running = plan.services.contains_key(layer::NAME)
        && pebble.services(&[layer::NAME]).await?.iter().any(pebble::ServiceInfo::is_active);
    let health = if running { Rest::new(LOCAL, PATRONI_PORT).health().await.ok() } else { None };
    Ok(Some(Container {
        pgdata: pebble.stat(patroni_yml::PGDATA).await?.is_some(),
        config: pebble.pull_text(patroni_yml::PATH).await?.map(SecretString::from),
        passfile: pebble.pull_text(patroni_yml::PGPASS).await?.map(SecretString::from),
        plan,
        running,
        health,
    }))
}

/// The own pod; none when the API does not answer or refuses, which an effect that needs
/// the API will say.
async fn own_pod(facts: &Facts) -> Option<Value> {
    let client = kubernetes().ok()?;
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

/// Whether a volume is nearly full. It is mounted here at the same path as in the workload; one
/// that cannot be looked at is no reason to stop.
fn nearly_full(path: &str) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|volume| {
        // As df counts: what nobody but root may use, or a quota withholds, belongs to neither.
        let bytes = |blocks: u64| blocks.saturating_mul(volume.f_frsize);
        let used = bytes(volume.f_blocks.saturating_sub(volume.f_bfree));
        resources::nearly_full(used, bytes(volume.f_bavail))
    })
}

fn machine() -> Resources {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    Resources { cores, memory: resources::memory_total(&meminfo).unwrap_or(1 << 30) }
}

/// The cluster as the own member sees it, or as any other does.
async fn cluster(facts: &Facts) -> Option<patroni::Cluster> {
    if facts.container.as_ref().is_some_and(Container::started)
        && let Ok(cluster) = Rest::new(LOCAL, PATRONI_PORT).cluster().await
    {
        return Some(cluster);
    }
    let own = facts.host();
    let others = facts.peer.iter().flat_map(Peer::endpoints).filter(|host| *host != own);
    let others = others.map(|host| Rest::new(facts.topology.qualified(&host), PATRONI_PORT));
    patroni::any_cluster(others).await
}

async fn dynamic(facts: &Facts) -> Option<Value> {
    if !facts.initialised() {
        return None;
    }
    let host = match &facts.container {
        Some(container) if container.started() => LOCAL.to_owned(),
        _ => facts.topology.primary_host(),
    };
    Rest::new(host, PATRONI_PORT).config().await.ok()
}

fn clients(hook: &mut Hook, event: &Event) -> Result<Vec<Client>, Error> {
    let ids = hook.relations("database")?;
    ids.into_iter().map(|id| client(hook, id, event)).collect()
}

fn client(hook: &mut Hook, id: RelationId, event: &Event) -> Result<Client, Error> {
    let offered = hook.own_bag(id, Own::App)?;
    // Of a request that changed since it was granted an event would tell.
    let granted = (*event == Event::UpdateStatus).then(|| granted(&offered)).flatten();
    let bag: Bag = match granted {
        Some(granted) => granted,
        None => hook.remote_app_bag(id)?,
    };
    let request = Request::parse(&bag);
    let unserved = !offered.contains_key("database")
        && request.as_ref().is_ok_and(|request| request.database.is_some());
    // A secret without the rest is what a hook left that died on the way.
    let password = if unserved {
        let label = postgresql_client::secret_label("database", id, "user");
        let kept = hook.secret(label.as_str(), Revision::Peek)?;
        kept.and_then(|content| content.get("password").cloned())
    } else {
        None
    };
    Ok(Client { id, request, seen: postgresql_client::seen(&bag), offered, password })
}
