//! Facts for tests of decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use certificates::Issuer;
use charm::{AppName, Bag, Config, Decision, RelationId, UnitName};
use interfaces::Endpoint;
use interfaces::pgb_peers::{AppBag, DatabaseMap, MappedDatabase, UnitBag};
use interfaces::postgresql_client::{Request, seen};
use pgbouncer::Ini;

use crate::decide::{Step, decide};
use crate::effect::{Effect, File};
use crate::facts::{Backend, Client, Common, Effective, Facts, FullFacts, Login, Peers};
use crate::facts::{Metrics, Service, ServiceView, Workload};
use crate::options::Options;
use crate::password::{Password, Seed};
use crate::place;
use crate::shared::Shape;
use crate::tls::Tls;

pub(crate) const PEERS: RelationId = RelationId(1);
pub(crate) const BACKEND: RelationId = RelationId(3);
pub(crate) const CLIENT: RelationId = RelationId(7);

pub(crate) fn app() -> AppName {
    "pgbouncer-k8s".parse().unwrap()
}

pub(crate) fn unit(number: u32) -> UnitName {
    UnitName::new(app(), number)
}

pub(crate) fn options() -> Options {
    Options::parse(&Config::default()).unwrap()
}

pub(crate) fn common(leader: bool) -> Common {
    Common {
        unit: unit(0),
        model: "m".into(),
        leader,
        options: Ok(options()),
        refused: None,
        processes: NonZeroU32::new(2).unwrap(),
    }
}

pub(crate) fn login() -> Login {
    let host = |role: &str| Endpoint {
        host: format!("postgresql-k8s-{role}.m.svc.cluster.local"),
        port: 5432,
    };
    Login {
        username: "relation_id_3".into(),
        password: Password::from("backend"),
        primary: host("primary"),
        replicas: vec![host("replicas")],
    }
}

pub(crate) fn map(databases: &[(u32, &str)]) -> DatabaseMap {
    let relations = databases
        .iter()
        .map(|(id, name)| (RelationId(*id), MappedDatabase { name: (*name).into(), legacy: false }))
        .collect();
    DatabaseMap { relations, wildcard: None }
}

pub(crate) fn shape() -> Shape<'static> {
    Shape { version: pgbouncer::Version::TRIXIE, share: None, readonly: &[], timeline: None }
}

pub(crate) fn shared_ini() -> Ini {
    let map = map(&[(7, "waltz")]);
    crate::shared::shared(&app(), &options(), Some(&login()), &map, &shape()).unwrap()
}

/// The leader of one unit, in a container that answers but runs nothing, with peers.
pub(crate) fn fresh() -> FullFacts {
    FullFacts {
        common: common(true),
        seed: Seed::new([7; 32]),
        peers: Some(Peers {
            id: PEERS,
            app: AppBag::default(),
            app_bag: Bag::new(),
            own: UnitBag::default(),
            own_bag: Bag::new(),
            digests: BTreeMap::new(),
        }),
        others: BTreeSet::new(),
        secret: None,
        backend: None,
        clients: Vec::new(),
        legacy: Vec::new(),
        extensions: BTreeSet::new(),
        workload: Some(Workload {
            version: Some(pgbouncer::Version::TRIXIE),
            ..Workload::default()
        }),
        service: Service::Absent,
        effective: Effective::default(),
        now: 1_000,
        barrier: None,
        tls: Tls::none(),
        metrics: Metrics::default(),
        leaving: false,
    }
}

pub(crate) fn backend() -> Backend {
    Backend {
        id: BACKEND,
        requested: true,
        populated: true,
        problem: None,
        offered: true,
        primary: Some(login().primary),
        version: Some("17.5".into()),
        ca: None,
        login: Some(login()),
        server: Some("17.5".into()),
        room: None,
        knows_lookup: true,
        tied: None,
        timeline: Some(1),
        databases: None,
    }
}

pub(crate) fn client(id: u32, database: &str) -> Client {
    let secrets = ["username", "password", "uris", "read-only-uris"].map(str::to_owned);
    let request = Request {
        database: Some(database.into()),
        requested_secrets: Some(secrets.to_vec()),
        ..Request::default()
    };
    Client {
        id: RelationId(id),
        app: "waltz".parse().unwrap(),
        seen: seen(&request.render()),
        request: Ok(request),
        own: Bag::new(),
        password: None,
    }
}

/// The facts after the effects of a decision, as the next hook would gather them.
pub(crate) fn settle(mut facts: FullFacts, decision: &Decision<Effect>) -> FullFacts {
    for effect in &decision.effects {
        settle_one(&mut facts, effect);
    }
    facts
}

fn settle_one(facts: &mut FullFacts, effect: &Effect) {
    let workload = facts.workload.get_or_insert_default();
    match effect {
        Effect::Bag(id, own, changes) => settle_bag(facts, *id, *own, changes),
        Effect::Initialise(_) => facts.backend.as_mut().unwrap().knows_lookup = true,
        Effect::TellVersion(version) => workload.told = Some(*version),
        Effect::RememberBarrier(digest, since) => facts.barrier = Some((digest.clone(), *since)),
        Effect::ForgetBarrier => facts.barrier = None,
        Effect::PeerSecret(content) => facts.secret = Some(content.clone()),
        Effect::KeepCertificate(content) => facts.tls = Tls::read(content),
        Effect::ForgetCertificate => facts.tls = Tls::none(),
        Effect::Push(files) => {
            let files = files.iter().map(|file| (file.path.clone(), file.content.clone()));
            workload.files.extend(files);
        }
        Effect::RemoveFile(path) => drop(workload.files.remove(path)),
        Effect::Replan(layer) => {
            let enabled =
                |service: &pebble::Service| service.startup == Some(pebble::Startup::Enabled);
            workload.plan = Some((**layer).clone());
            workload.planned = layer.services.keys().cloned().collect();
            let names = layer.services.iter().filter(|(_, service)| enabled(service));
            workload.active = names.map(|(name, _)| name.clone()).collect();
        }
        Effect::Remember(effective) => facts.effective = effective.clone(),
        Effect::Confirm(confirm) => facts.effective = confirm.effective.clone(),
        Effect::ApplyService(spec) => {
            facts.service = Service::Present(ServiceView {
                kind: spec.expose.service_type().into(),
                port: spec.port,
                annotations: spec.annotations.clone(),
                endpoints: None,
                connectable: true,
            });
        }
        Effect::LegacyGrant(grant) => {
            for (own, changes) in &grant.bags {
                settle_bag(facts, grant.relation, *own, changes);
            }
        }
        Effect::Grant(grant) => {
            let client = facts.clients.iter_mut().find(|client| client.id == grant.relation);
            let own = &mut client.unwrap().own;
            grant.publish.apply_to(own);
            if grant.secret {
                own.entry("secret-user".into()).or_insert("secret:x".into());
            } else {
                let (user, password) =
                    (grant.account.user.as_str(), grant.account.password.expose());
                own.insert("username".into(), user.into());
                own.insert("password".into(), password.into());
                own.insert("uris".into(), grant.uris.render(user, password).0);
            }
        }
        _ => {}
    }
}

fn settle_bag(facts: &mut FullFacts, id: RelationId, own: charm::Own, changes: &charm::Changes) {
    if id == PEERS {
        let peers = facts.peers.as_mut().unwrap();
        if own == charm::Own::App {
            changes.apply_to(&mut peers.app_bag);
            peers.app = AppBag::parse(&peers.app_bag).unwrap();
        } else {
            changes.apply_to(&mut peers.own_bag);
            peers.own = UnitBag::parse(&peers.own_bag);
        }
    } else if id == BACKEND {
        facts.backend.as_mut().unwrap().requested = true;
    } else {
        if let Some(client) = facts.legacy.iter_mut().find(|client| client.id == id) {
            let bag =
                if own == charm::Own::App { &mut client.own_app } else { &mut client.own_unit };
            return changes.apply_to(bag);
        }
        if let Some(client) = facts.clients.iter_mut().find(|client| client.id == id) {
            changes.apply_to(&mut client.own);
        }
    }
}

/// A copy of facts, which outside tests nobody needs.
pub(crate) fn copy(facts: &FullFacts) -> FullFacts {
    let peers = facts.peers.as_ref().map(|peers| Peers {
        id: peers.id,
        app: peers.app.clone(),
        app_bag: peers.app_bag.clone(),
        own: peers.own.clone(),
        own_bag: peers.own_bag.clone(),
        digests: peers.digests.clone(),
    });
    let backend = facts.backend.as_ref().map(|backend| Backend {
        problem: backend.problem.clone(),
        tied: backend.tied.clone(),
        primary: backend.primary.clone(),
        version: backend.version.clone(),
        ca: backend.ca.clone(),
        login: backend.login.clone(),
        server: backend.server.clone(),
        databases: backend.databases.clone(),
        ..*backend
    });
    let clients = facts.clients.iter().map(|client| Client {
        id: client.id,
        app: client.app.clone(),
        request: client.request.clone(),
        seen: client.seen.clone(),
        own: client.own.clone(),
        password: client.password.clone(),
    });
    FullFacts {
        common: facts.common.clone(),
        seed: facts.seed.clone(),
        peers,
        others: facts.others.clone(),
        secret: facts.secret.clone(),
        backend,
        clients: clients.collect(),
        legacy: facts.legacy.clone(),
        extensions: facts.extensions.clone(),
        workload: facts.workload.clone(),
        service: facts.service.clone(),
        effective: facts.effective.clone(),
        now: facts.now,
        barrier: facts.barrier.clone(),
        tls: Tls {
            request: facts.tls.request.clone(),
            files: facts.tls.files.clone(),
            issuer: Issuer::Unknown,
            ..facts.tls
        },
        metrics: facts.metrics.clone(),
        leaving: facts.leaving,
    }
}

/// Decides, and returns what the next hook would find.
#[track_caller]
pub(crate) fn step(event: &charm::Event, facts: FullFacts) -> (FullFacts, Decision<Effect>) {
    let facts = Facts::Full(Box::new(facts));
    let decision = decide(event, &facts);
    let Facts::Full(facts) = facts else { unreachable!() };
    (settle(*facts, &decision), decision)
}

/// The leader after pebble-ready, without a backend.
#[track_caller]
pub(crate) fn running() -> FullFacts {
    step(&pebble_ready(), fresh()).0
}

/// The leader after pebble-ready and the first backend-changed.
#[track_caller]
pub(crate) fn ready() -> FullFacts {
    let facts = FullFacts { backend: Some(backend()), ..running() };
    step(&charm::Event::UpdateStatus, facts).0
}

pub(crate) fn pebble_ready() -> charm::Event {
    charm::Event::PebbleReady { container: place::CONTAINER.parse().unwrap() }
}

pub(crate) fn relation(endpoint: &str, kind: charm::RelationKind) -> charm::Event {
    let id = match endpoint {
        "pgb-peers" => PEERS,
        "backend-database" => BACKEND,
        _ => CLIENT,
    };
    charm::Event::Relation(charm::RelationEvent {
        kind,
        endpoint: endpoint.parse().unwrap(),
        id,
        remote_app: Some("other".parse().unwrap()),
        remote_unit: None,
        departing_unit: None,
    })
}

/// The text of a file that a decision pushes.
#[track_caller]
pub(crate) fn pushed<'a>(decision: &'a Decision<Effect>, path: &str) -> &'a str {
    let found = files(decision).find(|file| file.path == path);
    found.unwrap_or_else(|| panic!("{path} is not pushed")).content.expose()
}

/// The files that a decision pushes, in their order.
pub(crate) fn files(decision: &Decision<Effect>) -> impl Iterator<Item = &File> {
    let files = decision.effects.iter().filter_map(|effect| match effect {
        Effect::Push(files) => Some(files),
        _ => None,
    });
    files.flatten()
}

/// The name of a step, for assertions.
pub(crate) fn name(step: &Step) -> &'static str {
    match step {
        Step::Absent => "absent",
        Step::Follower => "follower",
        Step::NotRunning => "not running",
        Step::NotReady => "not ready",
        Step::Initialise(_) => "initialise",
        Step::Ready(_) => "ready",
    }
}
