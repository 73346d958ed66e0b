//! All reads, each at most once, and only those that the event needs.

mod legacy;
mod peers;
mod relations;
mod server;
pub(crate) mod service;
mod silent;
mod tls;
mod trial;
pub(crate) mod workload;

use std::collections::{BTreeMap, BTreeSet};

use charm::{AppName, Event, Hook, HookError, RelationId, RelationKind, Revision, SecretContent};
use interfaces::pgb_peers;
use interfaces::prometheus_scrape::ENDPOINT;

use crate::decide::{actions::CONSOLE, is_wide, start::processes};
use crate::facts::{
    Access, Common, ConsoleFacts, Effective, Facts, FullFacts, Legacy, Metrics, Peers, StartFacts,
};
use crate::operator::{OperatorError, PgBouncer};
use crate::options::Options;
use crate::password::Seed;
use crate::place;
use crate::settings;

/// The controller-state key of what is effective in the container.
pub(crate) const EFFECTIVE: &str = "effective";
/// The controller-state key of the applications at the other ends: they never change,
/// so asking once is enough.
const APPS: &str = "apps";
/// The controller-state key of the map that the leader waits for, and since when.
pub(crate) const BARRIER: &str = "barrier";
/// The controller-state key of a unit that is being removed.
const LEAVING: &str = "leaving";
/// The controller-state key of the relations to those who measure.
const METRICS: &str = "metrics";

pub(crate) use tls::ISSUER;

/// Reads what the event needs.
pub(crate) async fn facts(
    charm: &mut PgBouncer,
    hook: &mut Hook,
    event: &Event,
) -> Result<Facts, OperatorError> {
    match event {
        Event::Start => Ok(Facts::Start(Box::new(start(charm, hook).await?))),
        Event::Action { name, .. } if name == CONSOLE => {
            let label = pgb_peers::app_secret_label(hook.app());
            let secret = hook.secret(label.as_str(), Revision::Refresh)?;
            Ok(Facts::Console(Box::new(ConsoleFacts { common: common(charm, hook)?, secret })))
        }
        Event::ConfigChanged
        | Event::UpdateStatus
        | Event::LeaderElected
        | Event::PebbleReady { .. }
        | Event::PebbleCheckFailed { .. }
        | Event::PebbleCheckRecovered { .. }
        | Event::UpgradeCharm
        | Event::SecretChanged { .. } => known(charm, hook, event).await,
        Event::Relation(relation) => match relation.endpoint.as_str() {
            "database" | "db" | "db-admin" if relation.kind == RelationKind::Created => {
                Ok(Facts::None)
            }
            // A client's units say nothing; what the client says comes with *changed*.
            "database" if relation.kind == RelationKind::Joined => Ok(Facts::None),
            ENDPOINT => {
                let metrics = metrics(hook, event)?;
                Ok(Facts::Metrics(Box::new((common(charm, hook)?, metrics))))
            }
            _ if silent::is_silent(hook, relation)? => Ok(Facts::None),
            "pgb-peers" | "backend-database" | "database" | "db" | "db-admin" | "certificates" => {
                known(charm, hook, event).await
            }
            _ => Ok(Facts::None),
        },
        _ => Ok(Facts::None),
    }
}

/// Those who measure: whoever comes, and on a new leader all that are remembered, because the
/// one before may have gone before it told them.
fn metrics(hook: &mut Hook, event: &Event) -> Result<Metrics, HookError> {
    let known = hook.state(METRICS)?.and_then(|text| serde_json::from_str(&text).ok());
    let mut known: BTreeSet<RelationId> = known.unwrap_or_default();
    let relations = match event {
        Event::Relation(relation) if relation.endpoint.as_str() == ENDPOINT => {
            let live = relation.kind.is_live();
            if live {
                known.insert(relation.id);
            } else if relation.kind == RelationKind::Broken {
                known.remove(&relation.id);
            }
            let text = serde_json::json!(known).to_string();
            hook.set_state(METRICS, (!known.is_empty()).then_some(text))?;
            live.then_some(relation.id).into_iter().collect()
        }
        Event::LeaderElected => known.into_iter().collect(),
        Event::UpgradeCharm => hook.relations(ENDPOINT)?,
        _ => Vec::new(),
    };
    Ok(Metrics { model_uuid: hook.environment().model_uuid.clone(), relations })
}

fn common(charm: &PgBouncer, hook: &mut Hook) -> Result<Common, HookError> {
    let config = hook.config()?;
    let (options, refused) = match Options::parse(&config) {
        Err(error) if error.option == settings::OPTION => {
            (Options::parse_without_settings(&config), Some(error))
        }
        options => (options, None),
    };
    Ok(Common {
        options,
        refused,
        leader: hook.is_leader()?,
        unit: hook.unit().clone(),
        model: hook.environment().model.clone(),
        processes: processes(charm.door.processors()),
    })
}

async fn start(charm: &PgBouncer, hook: &mut Hook) -> Result<StartFacts, OperatorError> {
    let common = common(charm, hook)?;
    let (container, configured) = workload::configured(hook).await?;
    let mut peers = None;
    if container
        && !configured
        && let Some(id) = hook.relations("pgb-peers")?.first().copied()
    {
        let bag = hook.bag(id, &hook.app().clone().into())?;
        peers = Some((id, peers::parse_app(hook, &bag)));
    }
    Ok(StartFacts { common, container, configured, peers })
}

/// Everything. A remembered relation that Juju knows no more is no reason to fail.
async fn known(
    charm: &mut PgBouncer,
    hook: &mut Hook,
    event: &Event,
) -> Result<Facts, OperatorError> {
    match full(charm, hook, event).await {
        Err(OperatorError::Hook(error)) if error.is_not_found() => {
            legacy::forget(hook)?;
            full(charm, hook, event).await
        }
        result => result,
    }
}

async fn full(
    charm: &mut PgBouncer,
    hook: &mut Hook,
    event: &Event,
) -> Result<Facts, OperatorError> {
    let leaving = leaving(hook, event)?;
    let common = common(charm, hook)?;
    let mut peers = peers::peers(hook)?;
    doubt(hook, &common, peers.as_ref())?;
    let mut backend = relations::backend(hook, event, common.leader)?;
    let offered = backend.as_ref().is_some_and(|backend| backend.offered);
    let secret = secret(hook, event, offered, peers.as_ref())?;
    server::connect(charm, hook, backend.as_mut()).await;
    let renewed = server::needs_populated(hook, event, backend.as_mut(), secret.as_ref())?;
    let clients = match common.leader {
        true => relations::clients(hook, event, backend.as_ref(), peers.as_ref(), renewed)?,
        false => Vec::new(),
    };
    let legacy = legacy::clients(hook, event, common.leader)?;
    let extensions = legacy::extensions(charm, hook, &legacy).await;
    if clients.iter().any(is_wide) || legacy.iter().any(|old| old.access == Access::Admin) {
        server::databases(charm, backend.as_mut()).await;
    }
    let served = backend.as_ref().is_some_and(|backend| backend.server.is_some());
    if let (true, Some(peers)) = (served, &mut peers) {
        let waits = |client: &Legacy| !client.own_app.contains_key("password");
        if clients.iter().any(|client| !client.granted()) || legacy.iter().any(waits) {
            peers.digests = peers::digests(hook, peers.id)?;
        }
    }
    let now = charm.door.now();
    let tls = tls::tls(hook, event, peers.as_ref(), common.leader, now)?;
    let id = peers.as_ref().map(|peers| peers.id);
    let nonce = peers.as_ref().and_then(|peers| peers.own.userlist_nonce.clone());
    if common.leader {
        let live = clients.iter().map(|client| client.id).chain(legacy.iter().map(|old| old.id));
        let live = live.chain(id).chain(backend.as_ref().map(|backend| backend.id));
        forget_gone(hook, &live.collect())?;
    }
    let effective = Effective::parse(&hook.state(EFFECTIVE)?.unwrap_or_default());
    let nonce = nonce.as_deref();
    let workload = workload::workload(hook, event, &common, nonce, &effective).await?;
    let service = service::service(charm, hook, event, &common).await;
    let barrier = hook.state(BARRIER)?.and_then(|text| serde_json::from_str(&text).ok());
    let mut facts = FullFacts {
        common,
        seed: Seed::new(charm.door.random()).with_iterations(charm.door.iterations()),
        others: peers::others(hook, event, id)?,
        peers,
        secret,
        backend,
        clients,
        legacy,
        extensions,
        workload,
        service,
        effective,
        now,
        barrier,
        tls,
        metrics: metrics(hook, event)?,
        leaving,
    };
    trial::check(hook, event, &mut facts).await?;
    Ok(Facts::Full(Box::new(facts)))
}

/// Forgets what another unit that led may have changed since it was read.
fn doubt(hook: &mut Hook, common: &Common, peers: Option<&Peers>) -> Result<(), HookError> {
    let leader = peers.and_then(|peers| peers.app.leader_hostname.as_deref());
    if leader == Some(&place::hostname(&common.unit, &common.model)) {
        return Ok(());
    }
    hook.forget_app_bags()?;
    if common.leader {
        // It may have served relations of which this one has not heard yet.
        legacy::forget(hook)?;
    }
    Ok(())
}

/// Whether this unit is being removed. Juju says so with each remote unit that departs from it,
/// but not when a relation is broken, and nobody promises in which order relations end.
fn leaving(hook: &mut Hook, event: &Event) -> Result<bool, HookError> {
    if hook.state(LEAVING)?.is_some() {
        return Ok(true);
    }
    let Event::Relation(relation) = event else { return Ok(false) };
    let leaves = relation.departing_unit.as_ref() == Some(hook.unit());
    if leaves {
        hook.set_state(LEAVING, Some("true".to_owned()))?;
    }
    Ok(leaves)
}

/// The application's secret, unless there is nothing it could be needed for.
fn secret(
    hook: &mut Hook,
    event: &Event,
    offered: bool,
    peers: Option<&Peers>,
) -> Result<Option<SecretContent>, HookError> {
    let published = peers.and_then(|peers| peers.app.cfg_file.as_ref());
    let in_use = published.is_some_and(|text| text.contains("auth_query"));
    // What an ended relation leaves in it has to go, even if nothing was published.
    let ended = match event {
        Event::LeaderElected => true,
        event => event.relation("backend-database").is_some_and(|relation| {
            matches!(relation.kind, RelationKind::Departed | RelationKind::Broken)
        }),
    };
    if !offered && !in_use && !ended {
        return Ok(None);
    }
    let label = pgb_peers::app_secret_label(hook.app());
    hook.secret(label.as_str(), Revision::Refresh)
}

/// The live relations of an endpoint: Juju may still list the one that is broken now.
fn live(hook: &mut Hook, event: &Event, endpoint: &str) -> Result<Vec<RelationId>, HookError> {
    let mut ids = hook.relations(endpoint)?;
    if let Some(relation) = event.relation(endpoint)
        && relation.kind == RelationKind::Broken
    {
        ids.retain(|id| *id != relation.id);
    }
    Ok(ids)
}

/// Forgets relations that are gone.
fn forget_gone(hook: &mut Hook, live: &BTreeSet<RelationId>) -> Result<(), HookError> {
    hook.forget_bags_besides(live)?;
    let mut known = remote_apps(hook)?;
    let before = known.len();
    known.retain(|id, _| live.contains(id));
    if known.len() < before {
        hook.set_state(APPS, Some(serde_json::json!(known).to_string()))?;
    }
    Ok(())
}

/// The applications at the other ends of relations, as they are remembered.
fn remote_apps(hook: &mut Hook) -> Result<BTreeMap<RelationId, AppName>, HookError> {
    let text = hook.state(APPS)?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// The application at the other end of a relation.
fn remote_app(hook: &mut Hook, id: RelationId) -> Result<AppName, HookError> {
    let mut known = remote_apps(hook)?;
    if let Some(app) = known.get(&id) {
        return Ok(app.clone());
    }
    let app = hook.remote_app(id)?;
    known.insert(id, app.clone());
    hook.set_state(APPS, Some(serde_json::json!(known).to_string()))?;
    Ok(app)
}
