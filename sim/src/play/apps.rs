//! Applications come, go, and come again.

use std::collections::BTreeMap;

use juju_model::Deploy;
use juju_names::AppName;

use crate::far::kubernetes;
use crate::far::patroni;
use crate::far::postgresql::Cluster;
use crate::history::{Client, Which};
use crate::juju::apps::Kind;
use crate::names::{POOLER, SERVER};
use crate::world::State;

/// The applications of a history, deployed or not.
pub(crate) struct Apps {
    pub(crate) clients: Vec<Client>,
    /// Poolers, and units of the real PostgreSQL charm, that are deployed.
    pub(super) units: u32,
    pub(super) databases: u32,
}

impl Apps {
    /// The name of an application.
    pub(super) fn name_of(&self, which: Which) -> Option<AppName> {
        match which {
            Which::Pooler => POOLER.parse().ok(),
            Which::Server => SERVER.parse().ok(),
            Which::Client(index) => self.clients.get(index)?.app(index).parse().ok(),
        }
    }

    /// Deploys an application as the history has it; whether Juju takes it.
    pub(super) fn deploy(&self, state: &mut State, which: Which) -> bool {
        let (kind, units, options) = match which {
            Which::Pooler => (Kind::Pooler, self.units, BTreeMap::new()),
            Which::Server if self.databases == 0 => (Kind::Server, 1, BTreeMap::new()),
            Which::Server => (Kind::Database, self.databases, BTreeMap::new()),
            Which::Client(index) => match self.clients.get(index) {
                None => return false,
                Some(client) if client.old => (Kind::OldClient, 1, BTreeMap::new()),
                Some(client) => {
                    let options = [
                        ("database-name", client.database.clone()),
                        ("extra-user-roles", client.roles.clone()),
                    ];
                    let options = options.into_iter().filter(|(_, value)| !value.is_empty());
                    let options = options.map(|(key, value)| (key.to_owned(), value));
                    (Kind::Client, 1, options.collect())
                }
            },
        };
        let (Some(app), Ok(charm)) = (self.name_of(which), kind.charm()) else { return false };
        let charm_ref = app.to_string();
        let deploy =
            Deploy { app: app.clone(), charm, charm_ref, units, config: options, trust: true };
        let now = state.now();
        forget(state);
        if state.model.deploy(now, deploy).is_err() {
            return false;
        }
        state.deployed.insert(app.clone());
        kubernetes::put_application(&state.far.kube, &app);
        match kind {
            Kind::Server => drop(state.far.clusters.insert(app, Cluster::new())),
            Kind::Database => {
                let seed = state.entropy.draw();
                let cluster = patroni::Cluster::new(now.as_second(), seed);
                state.far.patroni.insert(app.clone(), cluster);
                state.far.clusters.insert(app, Cluster::of_initdb(BTreeMap::new()));
            }
            _ => {}
        }
        state.tend();
        true
    }
}

/// Removes an application; whether Juju takes it.
pub(super) fn remove(state: &mut State, app: &AppName, keeps: bool) -> bool {
    let now = state.now();
    let taken = state.model.remove_application(now, app).is_ok();
    if taken && keeps {
        state.kept_volumes.insert(app.clone());
    }
    forget(state);
    taken
}

/// Forgets what there was of applications that are gone.
pub(super) fn forget(state: &mut State) {
    let gone = |app: &AppName| state.model.application(app).is_none();
    let gone: Vec<AppName> = state.deployed.iter().filter(|app| gone(app)).cloned().collect();
    for app in gone {
        state.deployed.remove(&app);
        forget_one(state, &app);
    }
}

fn forget_one(state: &mut State, app: &AppName) {
    kubernetes::delete_application(&state.far.kube, app);
    state.far.clusters.remove(app);
    state.far.patroni.remove(app);
    if !state.kept_volumes.remove(app) {
        state.far.volumes.retain(|unit, _| unit.app() != app);
    }
    state.foreign_volumes.retain(|unit| unit.app() != app);
    let own = state
        .far
        .volumes
        .iter()
        .filter(|(unit, volume)| unit.app() == app && volume.data.is_some());
    state.foreign_volumes.extend(own.map(|(unit, _)| unit.clone()));
}

/// A person moves data that are another cluster's out of the way.
pub(super) fn set_aside(state: &mut State) -> bool {
    let foreign = std::mem::take(&mut state.foreign_volumes);
    for unit in &foreign {
        let container = state.far.pods.get_mut(unit).and_then(|pod| pod.container.as_mut());
        if let Some(volume) = state.far.volumes.get_mut(unit) {
            volume.set_aside(container.map(|container| &mut container.disk));
        }
    }
    !foreign.is_empty()
}
