//! Units agree with each other and with their files, and statuses tell the truth.

use names::UnitName;

use crate::history::Client;
use crate::world::State;

use super::{misconfigured, pooler, processes, relations};

pub(super) fn check(state: &State, clients: &[Client]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut first: Option<(String, String)> = None;
    for (unit, service, process) in processes(state) {
        let files = state.pods.get(&unit).and_then(|pod| pod.container.as_ref());
        if files.is_some_and(|container| !process.is_current(&container.files)) {
            wrong
                .push(format!("{service} of {unit} runs with another configuration than its file"));
        }
        let databases: Vec<String> =
            process.ini.databases.iter().map(|database| database.to_string()).collect();
        let served = format!("{}{:?}", databases.join(";"), process.setting("auth_query"));
        let here = format!("{service} of {unit}");
        match &first {
            // An invalid option freezes each unit where it stands.
            Some((place, other)) if *other != served && !misconfigured(state) => {
                wrong.push(format!("{here} serves {served}, but {place} {other}"));
            }
            Some(_) => {}
            None => first = Some((here, served)),
        }
    }
    if super::database::able(state) {
        wrong.extend(statuses(state, clients));
    }
    // A cluster that cannot serve owes what it was asked for.
    let able = super::database::able(state);
    let owing = |unit: &UnitName| able || !state.patroni.contains_key(unit.app());
    for unit in state.units().into_iter().filter(owing) {
        let Some(unit) = state.model.unit(&unit) else { continue };
        if let Some(deferred) = unit.state.get("deferred") {
            wrong.push(format!("{} still owes {deferred}", unit.name));
        }
    }
    wrong
}

/// What the poolers' statuses should say.
fn statuses(state: &State, clients: &[Client]) -> Vec<String> {
    let Some(app) = pooler() else { return Vec::new() };
    let trusted = state.model.application(&app).is_some_and(|app| app.trust);
    let backend = !relations(state, "backend-database").is_empty();
    let bad = |client: &Client| {
        ["postgres", "pgbouncer"].contains(&client.database.as_str())
            || client.roles == "nosuchrole"
    };
    let related = |index: usize| {
        let name = clients.get(index).map(|client| client.app(index)).unwrap_or_default();
        relations(state, "database").iter().any(|(_, app)| app.as_str() == name)
    };
    let asked_badly = clients
        .iter()
        .enumerate()
        .any(|(index, client)| !client.old && bad(client) && related(index));
    let well = backend && trusted && !misconfigured(state) && !asked_badly;
    let balanced = state.model.application(&app).is_some_and(|app| {
        let config = app.effective_config();
        config.get("expose-external").cloned().flatten() == Some("false".into())
    });
    let mut wrong = Vec::new();
    for unit in state.model.units(&app) {
        let status = unit.status();
        let text = format!("{} says {} {:?}", unit.name, status.status, status.message);
        let active = status.status == "active";
        if well && balanced && !active {
            wrong.push(format!("{text}, but nothing is wrong"));
        }
        if !well && active && state.model.is_leader(&unit.name) {
            wrong.push(format!("{text}, but something is wrong"));
        }
    }
    wrong
}
