//! All reads, each at most once, and only those that the event needs.

mod legacy;
mod relations;
pub(crate) mod service;
mod tls;
pub(crate) mod workload;

use std::collections::{BTreeMap, BTreeSet};

use charm::{AppName, Event, Hook, HookError, Level, Own, RelationEvent, RelationId, RelationKind};
use charm::{Revision, SecretContent, UnitName};
use interfaces::pgb_peers;
use interfaces::prometheus_scrape::ENDPOINT;

use crate::decide::{actions::CONSOLE, backend::initialised, is_wide, start::processes};
use crate::facts::{
    Access, Backend, Common, ConsoleFacts, Effective, Facts, FullFacts, Legacy, Metrics, Peers,
    Room, StartFacts,
};
use crate::operator::{OperatorError, PgBouncer};
use crate::options::Options;
use crate::password::Seed;
use crate::place;

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
/// The controller-state key of the other units' numbers.
const OTHERS: &str = "units";

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
            _ if is_silent(hook, relation)? => Ok(Facts::None),
            "pgb-peers" | "backend-database" | "database" | "db" | "db-admin" | "certificates" => {
                known(charm, hook, event).await
            }
            _ => Ok(Facts::None),
        },
        _ => Ok(Facts::None),
    }
}

/// Whether the event tells this unit nothing.
///
/// Applications speak for their units: of those only the last that goes matters, and with it
/// the unit that is being removed itself. A unit of PostgreSQL that has become the primary says so
/// itself: the leader leads the connections away from the one before. What clients ask for the leader alone grants. A peer
/// that joins is mostly known as one that is to come, and what it serves only the leader wants to
/// know, while a client waits for it.
fn is_silent(hook: &mut Hook, relation: &RelationEvent) -> Result<bool, HookError> {
    let of_unit = relation.remote_unit.is_some();
    let leaves = relation.departing_unit.as_ref() == Some(hook.unit());
    match (relation.endpoint.as_str(), relation.kind) {
        ("backend-database", RelationKind::Changed) if of_unit => {
            Ok(!hook.is_leader()? || !has_taken_over(hook, relation)?)
        }
        ("database", RelationKind::Changed) if of_unit => Ok(true),
        ("database", RelationKind::Changed) => Ok(!hook.is_leader()?),
        ("database", RelationKind::Departed) => Ok(!leaves),
        ("backend-database", RelationKind::Joined) => Ok(!hook.is_leader()?),
        ("backend-database", RelationKind::Departed) => Ok(!leaves && !hook.is_leader()?),
        ("pgb-peers", RelationKind::Changed) if of_unit => Ok(hook.state(BARRIER)?.is_none()),
        ("pgb-peers", RelationKind::Joined) => {
            let number = relation.remote_unit.as_ref().map(UnitName::number);
            let known = known_others(hook)?.zip(number);
            Ok(known.is_some_and(|(known, number)| known.contains(&number)))
        }
        _ => Ok(false),
    }
}

/// Whether a unit of PostgreSQL tells of a timeline that began when a primary took over.
fn has_taken_over(hook: &mut Hook, relation: &RelationEvent) -> Result<bool, HookError> {
    let Some(unit) = relation.remote_unit.clone() else { return Ok(false) };
    let bag = hook.bag(relation.id, &unit.into())?;
    let timeline = bag.get("timeline").and_then(|timeline| timeline.parse::<u32>().ok());
    Ok(timeline.is_some_and(|timeline| timeline > 1))
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
    Ok(Common {
        options: Options::parse(&hook.config()?),
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
        peers = Some((id, parse_app(hook, &bag)));
    }
    Ok(StartFacts { common, container, configured, peers })
}

/// A bag of our own that cannot be read counts as empty, and is written anew.
fn parse_app(hook: &mut Hook, bag: &charm::Bag) -> pgb_peers::AppBag {
    pgb_peers::AppBag::parse(bag).unwrap_or_else(|error| {
        hook.log(Level::Warning, format!("the peers' databag: {error}"));
        pgb_peers::AppBag::default()
    })
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
    let mut peers = peers(hook)?;
    doubt(hook, &common, peers.as_ref())?;
    let mut backend = relations::backend(hook, event, common.leader)?;
    let offered = backend.as_ref().is_some_and(|backend| backend.offered);
    let secret = secret(hook, event, offered, peers.as_ref())?;
    connect(charm, hook, backend.as_mut()).await;
    let renewed = needs_populated(hook, event, backend.as_mut(), secret.as_ref())?;
    let clients = match common.leader {
        true => relations::clients(hook, event, backend.as_ref(), renewed)?,
        false => Vec::new(),
    };
    let legacy = legacy::clients(hook, event, common.leader)?;
    let extensions = legacy::extensions(charm, hook, &legacy).await;
    if clients.iter().any(is_wide) || legacy.iter().any(|old| old.access == Access::Admin) {
        databases(charm, backend.as_mut()).await;
    }
    let served = backend.as_ref().is_some_and(|backend| backend.server.is_some());
    if let (true, Some(peers)) = (served, &mut peers) {
        let waits = |client: &Legacy| !client.own_app.contains_key("password");
        if clients.iter().any(|client| !client.granted()) || legacy.iter().any(waits) {
            peers.digests = digests(hook, peers.id)?;
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
    let workload =
        workload::workload(hook, event, &common, nonce, tls.is_known(), &effective).await?;
    let service = service::service(charm, hook, event, &common).await;
    let barrier = hook.state(BARRIER)?.and_then(|text| serde_json::from_str(&text).ok());
    Ok(Facts::Full(Box::new(FullFacts {
        common,
        seed: Seed::new(charm.door.random()).with_iterations(charm.door.iterations()),
        others: others(hook, event, id)?,
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
    })))
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

fn peers(hook: &mut Hook) -> Result<Option<Peers>, HookError> {
    let Some(id) = hook.relations("pgb-peers")?.first().copied() else { return Ok(None) };
    let app_bag = hook.bag(id, &hook.app().clone().into())?;
    let own_bag = hook.remembered_bag(id, Own::Unit)?;
    Ok(Some(Peers {
        id,
        app: parse_app(hook, &app_bag),
        app_bag,
        own: pgb_peers::UnitBag::parse(&own_bag),
        own_bag,
        digests: BTreeMap::new(),
    }))
}

/// The other units that are meant to be, up or not: so most units that join were known before.
///
/// They come and go by events of the peer relation, and between those the list that was read
/// last still holds. Of a unit that goes before it was up no event tells, but update-status looks.
fn others(
    hook: &mut Hook,
    event: &Event,
    peers: Option<RelationId>,
) -> Result<BTreeSet<u32>, HookError> {
    if peers.is_none() {
        return Ok(BTreeSet::new());
    }
    let moved = match event {
        Event::Relation(relation) if relation.endpoint.as_str() == "pgb-peers" => {
            relation.kind != RelationKind::Changed
        }
        event => matches!(event, Event::UpgradeCharm | Event::UpdateStatus),
    };
    if let (Some(known), false) = (known_others(hook)?, moved) {
        return Ok(known);
    }
    let own = hook.unit().number();
    let planned = hook.planned_units()?;
    let others = planned.iter().map(UnitName::number).filter(|number| *number != own);
    let others: BTreeSet<u32> = others.collect();
    hook.set_state(OTHERS, Some(serde_json::json!(others).to_string()))?;
    Ok(others)
}

/// The other units, as they were read last.
fn known_others(hook: &mut Hook) -> Result<Option<BTreeSet<u32>>, HookError> {
    Ok(hook.state(OTHERS)?.and_then(|text| serde_json::from_str(&text).ok()))
}

fn digests(
    hook: &mut Hook,
    peers: RelationId,
) -> Result<BTreeMap<charm::UnitName, Option<String>>, HookError> {
    let mut digests = BTreeMap::new();
    for unit in hook.remote_units(peers)? {
        let bag = hook.bag(peers, &unit.clone().into())?;
        digests.insert(unit, pgb_peers::UnitBag::parse(&bag).databases_digest);
    }
    Ok(digests)
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

/// Connects to the backend, on the leader, and asks what has to be known of it.
async fn connect(charm: &mut PgBouncer, hook: &mut Hook, backend: Option<&mut Backend>) {
    charm.sql = None;
    let Some(backend) = backend else { return };
    let Some(login) = &backend.login else { return };
    match workload::server(charm, login, backend.ca.as_deref()).await {
        Ok((client, facts)) => {
            let (most, for_clients) = (facts.max_connections, facts.for_clients);
            backend.room = (most > 0).then_some(Room { most, for_clients });
            backend.knows_lookup = facts.knows_role;
            // A standby may not have heard of all of them yet.
            backend.tied = facts.timeline.is_some().then_some(facts.tied);
            backend.timeline = facts.timeline;
            backend.server = Some(facts.version.text);
            charm.sql = Some(client);
        }
        Err(error) => hook.log(Level::Warning, format!("the backend: {error}")),
    }
}

/// Asks for the backend's databases, all of which a client may use.
async fn databases(charm: &PgBouncer, backend: Option<&mut Backend>) {
    let (Some(client), Some(backend)) = (&charm.sql, backend) else { return };
    if let Ok(found) = client.databases().await {
        backend.databases = Some(found.iter().map(ToString::to_string).collect());
    }
}

/// Reads whether PostgreSQL has units, where that matters, and returns whether the
/// backend is one that has to be initialised.
fn needs_populated(
    hook: &mut Hook,
    event: &Event,
    backend: Option<&mut Backend>,
    secret: Option<&SecretContent>,
) -> Result<bool, HookError> {
    let Some(backend) = backend else { return Ok(false) };
    let Some(login) = &backend.login else { return Ok(false) };
    let lost = backend.server.is_some() && !backend.knows_lookup;
    let renewed = lost || !initialised(secret, &place::auth_user(&login.username));
    let departed = event
        .relation("backend-database")
        .is_some_and(|relation| relation.kind == RelationKind::Departed);
    if renewed || departed {
        backend.populated = !hook.remote_units(backend.id)?.is_empty();
    }
    Ok(renewed)
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
