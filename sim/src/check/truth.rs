//! Units agree with each other and with their files, and statuses are true.

use std::collections::BTreeSet;

use juju_names::UnitName;

use crate::fault::{Fault, Port};
use crate::history::Client;
use crate::world::State;

use super::{misconfigured, peers, pooler, processes, relations};

pub(super) fn check(state: &State, clients: &[Client]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut first: Option<(String, String)> = None;
    for (unit, service, process) in processes(state) {
        let files = state.far.pods.get(&unit).and_then(|pod| pod.container.as_ref());
        // With a bad option everything stays as it was, half of a change that Pebble broke off too.
        let settled = !misconfigured(state);
        if settled && files.is_some_and(|container| !process.is_current(&container.disk.files)) {
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
    if super::server::able(state) {
        wrong.extend(statuses(state, clients));
        wrong.extend(leader_name(state));
        wrong.extend(forwards(state));
    }
    // A cluster that cannot serve owes what it was asked for.
    let able = super::server::able(state);
    let owing = |unit: &UnitName| able || !state.far.patroni.contains_key(unit.app());
    for unit in state.units().into_iter().filter(owing) {
        let Some(unit) = state.model.unit(&unit) else { continue };
        if let Some(deferred) = unit.state.get("deferred") {
            wrong.push(format!("{} still owes {deferred}", unit.name));
        }
    }
    wrong
}

/// Cancel requests are forwarded to every other unit, and to none that has left.
fn forwards(state: &State) -> Vec<String> {
    let Some(app) = pooler().filter(|_| super::login::able(state)) else { return Vec::new() };
    let alive = || state.model.units(&app).map(|unit| unit.name.pod()).collect::<BTreeSet<_>>();
    let mut wrong = Vec::new();
    for (unit, service, process) in processes(state) {
        // An old PgBouncer knows no peers.
        if process.ini.peers.is_empty() {
            continue;
        }
        let hosts = process.ini.peers.iter().map(|peer| peer.host.as_str());
        let named = hosts.filter(|host| !host.starts_with('/'));
        let named: BTreeSet<String> =
            named.filter_map(|host| host.split('.').next()).map(str::to_owned).collect();
        let others: BTreeSet<String> =
            alive().into_iter().filter(|pod| *pod != unit.pod()).collect();
        if named != others {
            wrong.push(format!("{service} of {unit} forwards to {named:?}, not to {others:?}"));
        }
    }
    wrong
}

/// What the poolers' statuses should say.
pub(crate) fn statuses(state: &State, clients: &[Client]) -> Vec<String> {
    let Some(app) = pooler() else { return Vec::new() };
    let trusted = state.model.application(&app).is_some_and(|app| app.trust);
    let backend = !relations(state, "backend-database").is_empty();
    let bad = |client: &Client| {
        ["postgres", "pgbouncer"].contains(&client.database.as_str()) || client.has_bad_roles()
    };
    let related = |index: usize| {
        let name = clients.get(index).map(|client| client.app(index)).unwrap_or_default();
        relations(state, "database").iter().any(|(_, app)| app.as_str() == name)
    };
    let asked_badly = clients.iter().enumerate().any(|(index, client)| {
        let old = || super::old_relations(state);
        let name = client.app(index);
        let there = related(index) || old().iter().any(|(_, app)| app.as_str() == name);
        let outdone = there && super::login::outdone(state, clients, index);
        outdone || (!client.old && bad(client) && related(index))
    });
    let up = state.far.clusters.values().all(|cluster| cluster.up);
    // Without trust a pooler sees and patches its services all the same, and may go on.
    let sound = up && backend && !misconfigured(state) && !asked_badly;
    let well = sound && trusted;
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
        if !sound && active && state.model.is_leader(&unit.name) {
            wrong.push(format!("{text}, but something is wrong"));
        }
    }
    wrong
}

/// What is wrong where the user of a client that is gone cannot be removed: no status names it, or
/// a client waits for it.
pub(crate) fn stuck(state: &State, clients: &[Client]) -> Vec<String> {
    let mut wrong = super::login::waiting(state, clients);
    wrong.extend(super::offered::waiting(state, clients));
    let apps = [super::pooler(), super::server::server(state)];
    let mut any = false;
    for app in apps.into_iter().flatten() {
        for user in super::owed(state, &app) {
            any = true;
            let says = |unit: &juju_model::Unit| {
                let status = unit.status();
                status.status == "blocked" && status.message.contains(&user)
            };
            if !state.model.units(&app).any(says) {
                wrong.push(format!("no unit of {app} says that {user} cannot be removed"));
            }
        }
    }
    if !any {
        wrong.push("nothing is in the way of any user".to_owned());
    }
    wrong
}

/// The poolers know by name who leads them.
fn leader_name(state: &State) -> Option<String> {
    let app = pooler()?;
    let leader = state.model.application(&app)?.leader.as_ref()?.pod();
    let peers = peers(state, &app)?;
    let told = peers.app_bags.get(&app)?.values.get("leader_hostname")?;
    let well = misconfigured(state) || told.split('.').next() == Some(leader.as_str());
    (!well).then(|| format!("the poolers hold {told} for their leader, but {leader} leads"))
}

/// The latest credentials that an operator was shown open the console.
pub(crate) fn console(state: &State) -> Vec<String> {
    let mut wrong = Vec::new();
    let Some(action) = state.model.actions().filter(|action| action.completed.is_some()).last()
    else {
        return wrong;
    };
    for user in ["admin", "statistics"] {
        let text = |key: &str| action.results[user][key].as_str().unwrap_or_default();
        let (name, password) = (text("username"), text("password"));
        if action.status == juju_model::ActionStatus::Failed {
            wrong.push(format!("the console has no credentials: {}", action.message));
        }
        for (unit, service, process) in processes(state) {
            let verifier = process.listed(name).unwrap_or_default();
            if !postgres::scram::matches(&verifier, password) {
                wrong.push(format!("{name} has no password for {service} of {unit}"));
            }
        }
    }
    wrong
}

/// What a leader conceals that says it is active at the end of a hook in which this struck.
pub(crate) fn lies(
    state: &State,
    clients: &[Client],
    unit: &UnitName,
    fault: Fault,
) -> Vec<String> {
    let status = state.model.unit(unit).map(juju_model::Unit::status);
    let active = status.is_some_and(|status| status.status == "active");
    if active && fault.port() == Some(Port::Sql) && state.model.is_leader(unit) {
        let owed = super::owed(state, unit.app());
        if !owed.is_empty() {
            return owed
                .iter()
                .map(|user| format!("{user} is there, but {unit} is active"))
                .collect();
        }
    }
    if !active || pooler().as_ref() != Some(unit.app()) || !state.model.is_leader(unit) {
        return Vec::new();
    }
    match fault.port() {
        Some(Port::Kubernetes) => {
            vec![format!("{unit} says it is active although the API refused something")]
        }
        Some(Port::Sql) => {
            let mut wrong = super::login::waiting(state, clients);
            let users = super::residue::lookups(state);
            let known = |user: &String| {
                let mut databases =
                    state.far.clusters.values().flat_map(|cluster| cluster.databases.values());
                databases.any(|database| database.lookups.contains_key(user))
            };
            let missing = users.iter().filter(|user| !known(user));
            wrong.extend(missing.map(|user| format!("{user} has no lookup, but {unit} is active")));
            wrong
        }
        _ => Vec::new(),
    }
}
