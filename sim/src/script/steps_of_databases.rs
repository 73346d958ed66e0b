//! Steps of scripts with the real PostgreSQL charm.

use std::collections::BTreeMap;

use juju_names::{AppName, RelationId, UnitName};
use kube_api::Kind;
use serde_json::json;

use super::step::Step;
use crate::check;
use crate::far::disk::{File, Owner};
use crate::far::patroni;
use crate::far::postgresql::{Cluster, Database, TEMPLATE};
use crate::fault::{Fault, Injection};
use crate::history::{DatabaseOp, Op};
use crate::juju::apps::server_user;
use crate::names::{MODEL, POOLER, SERVER};
use crate::play::Run;
use crate::world::{heal, inject_into};

/// The most effects of a hook at which it dies.
const DEATHS: u32 = 60;

/// Plays a step; whether everything is looked at once it has come to rest.
pub(super) fn play(run: &mut Run, step: &Step) -> bool {
    match step {
        Step::Act(op) => {
            let before = run.world.look(check::cluster);
            run.operate(&Op::Database(op.clone()));
            run.settle();
            run.look(|state, _| check::acted(state, op, &before));
        }
        Step::Unit(fault, number) => strike(run, *fault, server(*number).as_ref()),
        Step::Primary(fault) => {
            let app = SERVER.parse().ok();
            let primary =
                app.and_then(|app| run.world.look(|state| patroni::primary(&state.far, &app)));
            strike(run, *fault, primary.as_ref());
            run.settle();
            run.look(|state, _| check::routes(state));
            return false;
        }
        Step::AtOnce(ops) => {
            for op in ops {
                run.operate(op);
            }
            return false;
        }
        Step::ClientsLast(op) => {
            run.operate(op);
            run.settle_without(|unit| ![POOLER, SERVER].contains(&unit.app().as_str()));
        }
        Step::NameLater(index) => late(run, *index),
        Step::Die(ops) => dies(run, ops),
        Step::LoseQuorum => {
            lose_quorum(run);
            return false;
        }
        Step::Untrusted => untrusted(run),
        Step::LeaveObjects => {
            leave_objects(run);
            return false;
        }
        Step::SetAside => {
            run.look(|state, _| check::blocked(state, "another cluster"));
            run.operate(&Op::Database(DatabaseOp::SetAside));
            run.settle();
            run.round();
        }
        Step::LacksLog => {
            lack_log(run);
            return true;
        }
        Step::Heal => run.world.change(heal),
        Step::Undroppable(goes, comes) => stuck(run, goes, comes),
        Step::AskRoles(index, roles) => ask_roles(run, *index, roles),
        Step::OpenTemplate => {
            run.world.change(|state| {
                let clusters = state.far.clusters.values_mut();
                for template in clusters.filter_map(|c| c.databases.get_mut(TEMPLATE)) {
                    template.connect.insert("public".to_owned());
                }
            });
            run.round();
        }
        Step::GrantAsOlder => {
            run.world.change(|state| state.far.clusters.values_mut().for_each(Cluster::entangle));
            run.round();
        }
        Step::ForeseeUser(index) => {
            run.world.change(|state| {
                let last = state.model.relations().map(|relation| relation.id.0).max();
                let next = server_user(RelationId(last.map_or(0, |last| last + 1)));
                state.far.clusters.values_mut().for_each(|cluster| cluster.foresee(&next));
            });
            run.operate(&Op::Direct(*index));
        }
        Step::Certify => {
            certify(run);
            run.round();
        }
        Step::DeleteObject(kind, name) => {
            drop(run.world.look(|state| state.far.kube.delete(*kind, MODEL, name)));
            run.settle();
            run.round();
        }
        Step::SuppressChecks => run.world.change(|state| state.checks_suppressed = true),
        Step::OrphanUser => {
            run.world.change(|state| {
                for cluster in state.far.clusters.values_mut() {
                    let client = cluster.roles.get("relation_id_3").cloned();
                    cluster.roles.extend(client.map(|role| ("relation_id_99".to_owned(), role)));
                }
            });
            run.round();
        }
        Step::DropUsers => {
            run.world.change(|state| {
                for cluster in state.far.clusters.values_mut() {
                    let kept = |name: &String| name.starts_with("pgbouncer_auth");
                    cluster.roles.retain(|name, role| {
                        role.comment.is_empty() || role.is_of_operator() || kept(name)
                    });
                }
            });
            run.round();
        }
        _ => {}
    }
    true
}

fn server(number: u32) -> Option<UnitName> {
    Some(UnitName::new(SERVER.parse().ok()?, number))
}

/// Where a server finds its certificate, its key and its CA.
const CERTIFICATE: [&str; 3] = ["cert", "key", "ca"];

/// A person puts a certificate on every server's volume.
fn certify(run: &mut Run) {
    let made = rcgen::generate_simple_self_signed(vec![SERVER.to_owned()]);
    let Ok(made) = made else { return run.blame(vec!["no certificate can be made".to_owned()]) };
    let certificate = made.cert.pem();
    let texts = [certificate.clone(), made.signing_key.serialize_pem(), certificate];
    run.world.change(|state| {
        let pods = state.far.pods.iter_mut().filter(|(unit, _)| unit.app().as_str() == SERVER);
        for container in pods.filter_map(|(_, pod)| pod.container.as_mut()) {
            for (name, text) in CERTIFICATE.iter().zip(&texts) {
                let path = format!("/var/lib/postgresql/data/{name}.pem");
                let content = text.clone().into_bytes();
                container
                    .disk
                    .files
                    .insert(path, File { content, mode: 0o600, owner: Owner::Postgres });
            }
        }
    });
}

fn strike(run: &Run, fault: Fault, unit: Option<&UnitName>) {
    run.world.change(|state| {
        inject_into(state, fault, unit, 0);
        state.tend();
    });
}

/// The hook of a command dies after one effect, and with the next such command after the next.
fn dies(run: &mut Run, ops: &[DatabaseOp]) {
    run.calm = false;
    for (at, op) in (0..DEATHS).zip(ops.iter().cycle()) {
        run.operate(&Op::Database(op.clone()));
        run.strike = Some((run.played.hooks, Injection { fault: Fault::KillAfter, at }));
        run.settle();
        run.strike = None;
        run.round();
        run.look(check::at_peace);
    }
    run.calm = true;
}

/// A database that takes no connections has something of every client.
const ATTIC: &str = "attic";

fn stuck(run: &mut Run, goes: &Op, comes: &Op) {
    run.world.change(|state| {
        for cluster in state.far.clusters.values_mut() {
            let clients = cluster.roles.keys().filter(|name| name.starts_with("relation_id_"));
            let objects = clients.cloned().collect();
            let attic = Database { objects, closed: true, ..Database::default() };
            cluster.databases.insert(ATTIC.to_owned(), attic);
        }
    });
    run.operate(goes);
    run.settle();
    run.operate(comes);
    run.settle();
    run.round();
    run.look(check::stuck);
    run.world.change(|state| {
        for cluster in state.far.clusters.values_mut() {
            cluster.databases.remove(ATTIC);
        }
    });
    run.round();
}

/// A client asks for other roles than before.
fn ask_roles(run: &mut Run, index: usize, roles: &str) {
    let Some(client) = run.apps.clients.get_mut(index) else { return };
    client.roles = roles.to_owned();
    let Ok(app) = client.app(index).parse::<AppName>() else { return };
    let option = BTreeMap::from([("extra-user-roles".to_owned(), roles.to_owned())]);
    run.world.change(|state| {
        let now = state.now();
        drop(state.model.set_config(now, &app, option));
    });
}

/// The primary and the standbys that commits wait for come back on empty volumes.
fn lose_quorum(run: &mut Run) {
    let Ok(app) = SERVER.parse() else { return };
    run.world.change(|state| {
        for unit in patroni::chosen(&state.far, &app) {
            state.stop_pod(&unit);
            state.far.volumes.remove(&unit);
        }
        state.tend();
    });
    run.settle();
}

fn untrusted(run: &mut Run) {
    let first = server(0).is_none_or(|unit| {
        run.world.look(|state| patroni::primary(&state.far, unit.app())).is_none()
    });
    run.operate(&Op::Database(DatabaseOp::Trust(false)));
    strike(run, Fault::PodChurn, server(1).as_ref());
    run.round();
    // Once all its objects are there the charm may do without: pods are labelled all the same.
    if first {
        run.look(|state, _| check::blocked(state, "juju trust"));
    }
    run.operate(&Op::Database(DatabaseOp::Trust(true)));
    run.settle();
    run.round();
}

/// A client is related, and asks for its database only then.
fn late(run: &mut Run, index: usize) {
    let client = run.apps.clients.get(index).cloned();
    let Some((app, client)) = client.and_then(|c| Some((c.app(index).parse().ok()?, c))) else {
        return;
    };
    let ask = |run: &Run, name: String| {
        let option = BTreeMap::from([("database-name".to_owned(), name)]);
        run.world.change(|state| {
            let now = state.now();
            drop(state.model.set_config(now, &app, option));
        });
    };
    ask(run, String::new());
    run.operate(&Op::Direct(index));
    run.settle();
    ask(run, client.database);
}

/// Endpoints as Patroni keeps them, of a cluster that is gone.
fn leave_objects(run: &Run) {
    let annotations = [
        ("", json!({"leader": "postgresql-k8s-7", "optime": "999"})),
        ("-config", json!({"initialize": "77", "config": "{}"})),
    ];
    for (suffix, annotations) in annotations {
        let name = format!("patroni-{SERVER}{suffix}");
        let labels = json!({"application": "patroni", "cluster-name": format!("patroni-{SERVER}")});
        let metadata = json!({"name": name, "labels": labels, "annotations": annotations});
        let object = json!({"metadata": metadata});
        drop(run.world.look(|state| state.far.kube.put(Kind::Endpoints, MODEL, &object)));
    }
}

/// A standby does not reach the primary, which removes the log of a commit meanwhile; it is copied
/// anew by itself.
fn lack_log(run: &mut Run) {
    let Ok(app) = SERVER.parse::<AppName>() else { return };
    let standby = run.world.look(|state| {
        let primary = patroni::primary(&state.far, &app);
        let mut members = patroni::members(&state.far, &app).map(|(unit, _)| unit.clone());
        members.find(|unit| Some(unit) != primary.as_ref())
    });
    strike(run, Fault::StreamCut, standby.as_ref());
    run.settle();
    strike(run, Fault::LogRemoved, standby.as_ref());
    run.world.change(heal);
    run.round();
    run.round();
}
