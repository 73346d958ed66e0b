//! What operators ask of the real PostgreSQL charm, done.

use std::collections::BTreeMap;

use juju_names::{AppName, UnitName};
use serde_json::{Map, Value, json};

use super::apps::set_aside;
use crate::check;
use crate::history::{DatabaseOp, FORCE};
use crate::names::SERVER;
use crate::world::State;

/// Does what an operator asks; whether Juju takes it.
pub(super) fn operate(state: &mut State, op: &DatabaseOp) -> bool {
    let Ok(app) = SERVER.parse::<AppName>() else { return false };
    let now = state.now();
    let guarded = matches!(op, DatabaseOp::Refresh) && check::is_guarded(state, &app);
    if let Some(cluster) = state.far.patroni.get_mut(&app) {
        cluster.guarded = guarded;
    }
    let model = &mut state.model;
    match op {
        DatabaseOp::Config(key, value) => {
            let set = BTreeMap::from([((*key).to_owned(), (*value).to_owned())]);
            model.set_config(now, &app, set).is_ok()
        }
        DatabaseOp::Scale(units) => model.scale(now, &app, *units).is_ok(),
        DatabaseOp::Refresh => {
            let charm = model.application(&app).map(|app| app.charm.clone());
            charm.is_some_and(|charm| model.refresh(now, &app, charm, SERVER.to_owned()).is_ok())
        }
        DatabaseOp::SetPassword(user) => {
            let leader = model.application(&app).and_then(|app| app.leader.clone());
            let Some(leader) = leader else { return false };
            act(state, &leader, "set-password", json!({"username": user}))
        }
        DatabaseOp::Act(name, number) => {
            let parameters = match *name {
                "promote-to-primary" => json!({"scope": "unit"}),
                FORCE => json!({"scope": "unit", "force": true}),
                _ => json!({}),
            };
            let name = if *name == FORCE { "promote-to-primary" } else { name };
            act(state, &UnitName::new(app, *number), name, parameters)
        }
        DatabaseOp::SetAside => set_aside(state),
        DatabaseOp::Trust(trusted) => model.set_trust(&app, *trusted).is_ok(),
    }
}

fn act(state: &mut State, unit: &UnitName, name: &str, parameters: Value) -> bool {
    let parameters: Map<String, Value> = parameters.as_object().cloned().unwrap_or_default();
    let now = state.now();
    state.model.enqueue_action(now, unit, name, parameters).is_ok()
}
