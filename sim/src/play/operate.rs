//! What operators ask of a history's applications.

use std::collections::BTreeMap;

use juju_names::AppName;

use super::apps::{self, Apps};
use super::database;
use crate::far::postgresql::Cluster;
use crate::history::{Client, Op};
use crate::juju::apps::ROTATE;
use crate::names::{POOLER, SERVER};
use crate::world::State;

fn app(name: &str) -> Option<AppName> {
    name.parse().ok()
}

/// Does what an operator asks; whether Juju takes it.
pub(super) fn operate(state: &mut State, apps: &Apps, op: &Op) -> bool {
    if let Op::Deploy(which) = op {
        return apps.deploy(state, *which);
    }
    let name = |index: usize| apps.clients.get(index).map(|client| client.app(index));
    let endpoint = |app: &str, index: usize| {
        let client = apps.clients.get(index);
        format!("{app}:{}", client.map_or("database", Client::endpoint))
    };
    let Some(pooler) = app(POOLER) else { return false };
    let now = state.now();
    let server = format!("{SERVER}:database");
    let backend = format!("{POOLER}:backend-database");
    let model = &mut state.model;
    let taken = match op {
        Op::Relate(index) => {
            let Some(name) = name(*index) else { return false };
            model.integrate(now, &endpoint(POOLER, *index), &name).is_ok()
        }
        Op::Unrelate(index) => {
            let Some(name) = name(*index) else { return false };
            model.remove_relation(now, &endpoint(POOLER, *index), &name).is_ok()
        }
        Op::Backend => model.integrate(now, &backend, &server).is_ok(),
        Op::NoBackend => model.remove_relation(now, &backend, &server).is_ok(),
        Op::Config(key, value) => {
            let set = BTreeMap::from([((*key).to_owned(), (*value).to_owned())]);
            model.set_config(now, &pooler, set).is_ok()
        }
        Op::Scale(units) => model.scale(now, &pooler, *units).is_ok(),
        Op::Refresh => {
            let charm = model.application(&pooler).map(|app| app.charm.clone());
            let Some(charm) = charm else { return false };
            model.refresh(now, &pooler, charm, POOLER.to_owned()).is_ok()
        }
        Op::Action(action) => {
            let unit = model.units(&pooler).next().map(|unit| unit.name.clone());
            let Some(unit) = unit else { return false };
            model.enqueue_action(now, &unit, action, Default::default()).is_ok()
        }
        Op::Rotate if state.far.patroni.is_empty() => {
            let leader = app(SERVER).and_then(|app| model.application(&app)?.leader.clone());
            let Some(leader) = leader else { return false };
            model.enqueue_exec(&leader, ROTATE).is_ok()
        }
        Op::Rotate => false,
        Op::Trust(trusted) => model.set_trust(&pooler, *trusted).is_ok(),
        Op::Direct(index) => {
            let Some(name) = name(*index) else { return false };
            model.integrate(now, &endpoint(SERVER, *index), &name).is_ok()
        }
        Op::UnrelateDirect(index) => {
            let Some(name) = name(*index) else { return false };
            model.remove_relation(now, &endpoint(SERVER, *index), &name).is_ok()
        }
        Op::Database(op) => database::operate(state, op),
        Op::Remove(which, keeps) => {
            apps.name_of(*which).is_some_and(|app| apps::remove(state, &app, *keeps))
        }
        Op::Deploy(_) => false,
    };
    state.tend();
    state.far.clusters.values_mut().for_each(Cluster::trespass);
    taken
}
