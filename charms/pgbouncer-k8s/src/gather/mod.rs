//! All reads, each at most once, and only those that the event needs.

mod legacy;
mod pause;
mod peers;
mod relations;
mod relevance;
mod server;
mod service;
mod tls;
mod trial;
mod workload;

use charm_kit::certificates::{KeyRequest, SET_KEY};
use charm_kit::credentials::Seed;
use charm_kit::watch::Watchers;
use juju_charm::{
    AppName, Cause, EndpointSet as _, Error, Event, HookError, Own, Reader, RelationId,
    RelationKind, Revision, SecretContent,
};
use juju_interfaces::pgb_peers;

use crate::connections::Connections;
use crate::decide::actions::{CONSOLE, LAST_PAUSE};
use crate::decide::start::processes;
use crate::endpoint::{CLIENTS, Endpoint};
use crate::facts::{
    Access, Common, ConsoleFacts, DatabaseRelation, Effective, Facts, FullFacts, LegacyRelation,
    Peers, StartFacts,
};
use crate::names;
use crate::options::Options;
use crate::ports::Ports;
use crate::settings;
use crate::state_keys::{BARRIER, EFFECTIVE, PAUSED};
use crate::validate::client::is_privileged;

/// Reads what the event needs.
pub(crate) async fn facts(
    connections: &mut Connections,
    hook: &mut Reader,
    event: &Event,
) -> Result<Facts, Error> {
    match event {
        Event::Start => Ok(Facts::Start(Box::new(start(connections, hook).await?))),
        Event::Action { name, .. } if name == CONSOLE => {
            let label = pgb_peers::app_secret_label(hook.app());
            let secret = hook.secret(label.as_str(), Revision::Refresh)?;
            Ok(Facts::Console(Box::new(ConsoleFacts {
                common: common(connections, hook)?,
                secret,
            })))
        }
        Event::Action { name, .. } if name == LAST_PAUSE => {
            Ok(Facts::LastPause(Box::new(pause::shown(hook).await)))
        }
        Event::Action { name, .. } if name == SET_KEY => {
            Ok(Facts::Key(Box::new(KeyRequest::read(hook)?)))
        }
        Event::ConfigChanged
        | Event::UpdateStatus
        | Event::LeaderElected
        | Event::PebbleReady { .. }
        | Event::PebbleCheckFailed { .. }
        | Event::PebbleCheckRecovered { .. }
        | Event::UpgradeCharm
        | Event::SecretChanged { .. } => known(connections, hook, event).await,
        Event::Relation(relation) => match Endpoint::from_name(relation.endpoint.as_str()) {
            Some(Endpoint::Metrics | Endpoint::Dashboards | Endpoint::Logging) => {
                let watchers = Watchers::gather(hook, event)?;
                Ok(Facts::Watchers(Box::new((common(connections, hook)?, watchers))))
            }
            Some(_) if relevance::why_irrelevant(hook, relation)?.is_none() => {
                known(connections, hook, event).await
            }
            _ => Ok(Facts::None),
        },
        Event::Install
        | Event::Stop
        | Event::Remove
        | Event::PebbleCustomNotice { .. }
        | Event::SecretRemove { .. }
        | Event::SecretRotate { .. }
        | Event::SecretExpired { .. }
        | Event::StorageAttached { .. }
        | Event::StorageDetaching { .. }
        | Event::Action { .. }
        | Event::Custom(_) => Ok(Facts::None),
    }
}

fn common(connections: &Connections, hook: &mut Reader) -> Result<Common, Error> {
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
        processes: processes(connections.ports.processors().unwrap_or(2)),
        program: connections.ports.program_version()?,
    })
}

async fn start(connections: &Connections, hook: &mut Reader) -> Result<StartFacts, Error> {
    let common = common(connections, hook)?;
    let (container, configured) = workload::configured(hook).await?;
    let mut peers = None;
    if container
        && !configured
        && let Some(id) = hook.relations(Endpoint::Peers)?.first().copied()
    {
        let bag = hook.own_bag(id, Own::App)?;
        peers = Some((id, peers::parse_app(hook, &bag)));
    }
    Ok(StartFacts { common, container, configured, peers })
}

/// Everything. A remembered relation that Juju knows no more is no reason to fail.
async fn known(
    connections: &mut Connections,
    hook: &mut Reader,
    event: &Event,
) -> Result<Facts, Error> {
    match full(connections, hook, event).await {
        Err(Error::Context(error)) if error.is_not_found() => {
            hook.invalidate(Cause::UnknownRelation)?;
            full(connections, hook, event).await
        }
        result => result,
    }
}

async fn full(
    connections: &mut Connections,
    hook: &mut Reader,
    event: &Event,
) -> Result<Facts, Error> {
    let leaving = hook.is_leaving()?;
    let common = common(connections, hook)?;
    let mut peers = peers::peers(hook)?;
    invalidate_if_other_leader(hook, &common, peers.as_ref())?;
    let mut backend = relations::backend(hook, common.leader)?;
    let offered = backend.as_ref().is_some_and(|backend| backend.offered);
    let secret = secret(hook, event, offered, peers.as_ref())?;
    server::connect(connections, hook, backend.as_mut()).await;
    let renewed = server::needs_populated(hook, event, backend.as_mut(), secret.as_ref())?;
    let clients = match common.leader {
        true => relations::clients(hook, backend.as_ref(), peers.as_ref(), renewed)?,
        false => Vec::new(),
    };
    let legacy = legacy::clients(hook, common.leader)?;
    let events_pending =
        common.leader && events_pending(hook, event, peers.as_ref(), &clients, &legacy)?;
    let extensions = legacy::extensions(connections, hook, &legacy).await;
    if clients.iter().any(is_privileged) || legacy.iter().any(|old| old.access == Access::Admin) {
        server::databases(connections, backend.as_mut()).await;
    }
    let served = backend.as_ref().is_some_and(|backend| backend.server.is_some());
    if let (true, Some(peers)) = (served, &mut peers) {
        let waits = |client: &LegacyRelation| !client.own_app.contains_key("password");
        if clients.iter().any(|client| !client.granted()) || legacy.iter().any(waits) {
            peers.digests = peers::digests(hook, peers.id)?;
        }
    }
    let now = connections.ports.now();
    let tls = tls::tls(hook, event, peers.as_ref(), common.leader, now)?;
    let id = peers.as_ref().map(|peers| peers.id);
    let nonce = peers.as_ref().and_then(|peers| peers.own.userlist_nonce.clone());
    if common.leader {
        let live = clients.iter().map(|client| client.id).chain(legacy.iter().map(|old| old.id));
        let live = live.chain(id).chain(backend.as_ref().map(|backend| backend.id));
        hook.forget_relations_besides(&live.collect())?;
    }
    let effective = Effective::parse(&hook.state(EFFECTIVE)?.unwrap_or_default());
    let workload = workload::workload(hook, event, &common, nonce.as_deref(), &effective).await?;
    let service = service::service(connections, hook, event, &common).await;
    let barrier = hook.state(BARRIER)?.and_then(|text| serde_json::from_str(&text).ok());
    let facts = FullFacts {
        common,
        seed: seed(connections.ports.as_ref())?,
        others: peers::others(hook, id)?,
        peers,
        secret,
        backend,
        clients,
        legacy,
        events_pending,
        extensions,
        workload,
        service,
        effective,
        now,
        barrier,
        tls,
        watchers: Watchers::gather(hook, event)?,
        leaving,
        paused: None,
        was_paused: hook.state(PAUSED)?.is_some(),
        held: None,
    };
    ask_processes(connections, hook, event, facts).await
}

/// What only the processes know: whether they hold clients, and whether they would start.
async fn ask_processes(
    connections: &Connections,
    hook: &mut Reader,
    event: &Event,
    mut facts: FullFacts,
) -> Result<Facts, Error> {
    facts.paused = pause::look(connections, hook, event, &facts).await?;
    facts.held = pause::held(hook, &facts).await;
    trial::check(hook, event, &mut facts).await?;
    Ok(Facts::Full(Box::new(facts)))
}

/// What this hook's passwords and salts are derived from.
fn seed(ports: &dyn Ports) -> Result<Seed, Error> {
    let seed = Seed::new(ports.random()?, names::PASSWORD_LENGTH);
    Ok(seed.with_iterations(ports.iterations()))
}

/// Whether Juju knows an application whose relation's events this unit has not had yet: then a
/// relation that the map has and Juju does not list may be that one, and not one that has ended.
/// Juju lists the application of a relation that is broken now, until the hook has ended.
fn events_pending(
    hook: &mut Reader,
    event: &Event,
    peers: Option<&Peers>,
    clients: &[DatabaseRelation],
    legacy: &[LegacyRelation],
) -> Result<bool, HookError> {
    let listed = |id: &RelationId| {
        clients.iter().any(|client| client.id == *id) || legacy.iter().any(|old| old.id == *id)
    };
    let mut mapped = peers.into_iter().flat_map(|peers| &peers.databases);
    if mapped.all(|map| map.relations.keys().all(listed)) {
        return Ok(false);
    }
    for endpoint in CLIENTS {
        let broken = event.relation(endpoint);
        let broken = broken.filter(|relation| relation.kind == RelationKind::Broken);
        let ended = match broken {
            Some(relation) => match &relation.remote_app {
                Some(app) => Some(app.clone()),
                None => Some(hook.cached_remote_app(relation.id)?),
            },
            None => None,
        };
        let known = |app: &AppName| {
            clients.iter().any(|client| client.app == *app)
                || legacy.iter().any(|old| old.app == *app)
                || ended.as_ref() == Some(app)
        };
        if !hook.related_apps(endpoint)?.iter().all(known) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is remembered may be what another unit that led has changed since.
fn invalidate_if_other_leader(
    hook: &mut Reader,
    common: &Common,
    peers: Option<&Peers>,
) -> Result<(), HookError> {
    let leader = peers.and_then(|peers| peers.app.leader_hostname.as_deref());
    let own = leader == Some(&names::hostname(&common.unit, &common.model));
    if common.leader && !own { hook.invalidate(Cause::AnotherLed) } else { Ok(()) }
}

/// The application's secret, unless there is nothing it could be needed for.
fn secret(
    hook: &mut Reader,
    event: &Event,
    offered: bool,
    peers: Option<&Peers>,
) -> Result<Option<SecretContent>, HookError> {
    let published = peers.and_then(|peers| peers.app.cfg_file.as_ref());
    let in_use = published.is_some_and(|text| text.contains("auth_query"));
    // What an ended relation leaves in it has to go, even if nothing was published.
    let ends = event.relation(Endpoint::Backend).is_some_and(|relation| {
        matches!(relation.kind, RelationKind::Departed | RelationKind::Broken)
    });
    let ended = ends || *event == Event::LeaderElected;
    if !offered && !in_use && !ended {
        return Ok(None);
    }
    let label = pgb_peers::app_secret_label(hook.app());
    hook.secret(label.as_str(), Revision::Refresh)
}
