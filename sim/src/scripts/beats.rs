//! Beats of scripts with the real PostgreSQL charm.

use std::collections::BTreeMap;

use kube_api::Kind;
use names::{AppName, UnitName};
use serde_json::json;

use super::Beat;
use crate::gate::{Fault, Mischief};
use crate::history::{DatabaseOp, Op, POOLER, Run, SERVER, heal, strike_at};
use crate::sql::{Database, TEMPLATE};
use crate::world::MODEL;
use crate::{check, patroni};

/// The most effects of a hook at which it dies.
const DEATHS: u32 = 60;

/// Plays a beat; whether everything is looked at once it has come to rest.
pub(super) fn play(run: &mut Run, beat: &Beat) -> bool {
    match beat {
        Beat::Act(op) => {
            let before = run.world.look(check::cluster);
            run.operate(&Op::Database(op.clone()));
            run.settle();
            run.look(|state, _| check::acted(state, op, &before));
        }
        Beat::Unit(fault, number) => strike(run, *fault, server(*number).as_ref()),
        Beat::Primary(fault) => {
            let app = SERVER.parse().ok();
            let primary = app.and_then(|app| run.world.look(|state| patroni::primary(state, &app)));
            strike(run, *fault, primary.as_ref());
            run.settle();
            run.look(|state, _| check::routes(state));
            return false;
        }
        Beat::Rush(ops) => {
            for op in ops {
                run.operate(op);
            }
            return false;
        }
        Beat::Early(op) => {
            run.operate(op);
            run.settle_without(|unit| ![POOLER, SERVER].contains(&unit.app().as_str()));
        }
        Beat::Late(index) => late(run, *index),
        Beat::Dies(ops) => dies(run, ops),
        Beat::Doom => {
            doom(run);
            return false;
        }
        Beat::Distrusted => distrusted(run),
        Beat::Litter => {
            litter(run);
            return false;
        }
        Beat::Aside => {
            run.look(|state, _| check::blocked(state, "another cluster"));
            run.operate(&Op::Database(DatabaseOp::SetAside));
            run.settle();
            run.round();
        }
        Beat::Heal => run.world.change(heal),
        Beat::Stuck(goes, comes) => stuck(run, goes, comes),
        Beat::Roles(index, roles) => ask_roles(run, *index, roles),
        Beat::Opened => {
            run.world.change(|state| {
                let clusters = state.clusters.values_mut();
                for template in clusters.filter_map(|c| c.databases.get_mut(TEMPLATE)) {
                    template.connect.insert("public".to_owned());
                }
            });
            run.round();
        }
        Beat::Deleted(kind, name) => {
            drop(run.world.look(|state| state.kube.delete(*kind, MODEL, name)));
            run.settle();
            run.round();
        }
        Beat::Unseen => run.world.change(|state| state.deaf = true),
        Beat::Stray => {
            run.world.change(|state| {
                for cluster in state.clusters.values_mut() {
                    let client = cluster.roles.get("relation_id_3").cloned();
                    cluster.roles.extend(client.map(|role| ("relation_id_99".to_owned(), role)));
                }
            });
            run.round();
        }
        Beat::Dropped => {
            run.world.change(|state| {
                for cluster in state.clusters.values_mut() {
                    let kept = |name: &String| name.starts_with("pgbouncer_auth");
                    cluster.roles.retain(|name, role| role.comment.is_empty() || kept(name));
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

fn strike(run: &Run, fault: Fault, unit: Option<&UnitName>) {
    run.world.change(|state| {
        strike_at(state, fault, unit, 0);
        state.tend();
    });
}

/// The hook of a command dies after one effect, and with the next such command after the next.
fn dies(run: &mut Run, ops: &[DatabaseOp]) {
    run.calm = false;
    for (at, op) in (0..DEATHS).zip(ops.iter().cycle()) {
        run.operate(&Op::Database(op.clone()));
        run.strike = Some((run.played.hooks, Mischief { fault: Fault::KillAfter, at }));
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
        for cluster in state.clusters.values_mut() {
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
        for cluster in state.clusters.values_mut() {
            cluster.databases.remove(ATTIC);
        }
    });
    run.round();
}

/// A client asks for other roles than before.
fn ask_roles(run: &mut Run, index: usize, roles: &str) {
    let Some(client) = run.clients.get_mut(index) else { return };
    client.roles = roles.to_owned();
    let Ok(app) = client.app(index).parse::<AppName>() else { return };
    let option = BTreeMap::from([("extra-user-roles".to_owned(), roles.to_owned())]);
    run.world.change(|state| {
        let now = state.now();
        drop(state.model.set_config(now, &app, option));
    });
}

/// The primary and the standbys that commits wait for come back on empty volumes.
fn doom(run: &mut Run) {
    let Ok(app) = SERVER.parse() else { return };
    run.world.change(|state| {
        for unit in patroni::chosen(state, &app) {
            state.stop_pod(&unit);
            state.volumes.remove(&unit);
        }
        state.tend();
    });
    run.settle();
}

fn distrusted(run: &mut Run) {
    run.operate(&Op::Database(DatabaseOp::Trust(false)));
    strike(run, Fault::PodChurn, server(1).as_ref());
    run.round();
    run.look(|state, _| check::blocked(state, "juju trust"));
    run.operate(&Op::Database(DatabaseOp::Trust(true)));
    run.settle();
    run.round();
}

/// A client is related, and asks for its database only then.
fn late(run: &mut Run, index: usize) {
    let client = run.clients.get(index).cloned();
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
fn litter(run: &Run) {
    let annotations = [
        ("", json!({"leader": "postgresql-k8s-7", "optime": "999"})),
        ("-config", json!({"initialize": "77", "config": "{}"})),
    ];
    for (suffix, annotations) in annotations {
        let name = format!("patroni-{SERVER}{suffix}");
        let labels = json!({"application": "patroni", "cluster-name": format!("patroni-{SERVER}")});
        let metadata = json!({"name": name, "labels": labels, "annotations": annotations});
        let object = json!({"metadata": metadata});
        drop(run.world.look(|state| state.kube.put(Kind::Endpoints, MODEL, &object)));
    }
}
