//! The real PostgreSQL charm: one primary, passwords that work, clients that are led to it.

use std::collections::BTreeSet;

use juju_names::{AppName, UnitName};
use serde_json::Value;

use super::offered::{self, impossible};
use super::server::{able, certain, clients, kept, no_member_may_lead, server};
use super::{bonds, member};
use crate::far::patroni::{self, behind, members, primary};
use crate::history::Client;
use crate::world::State;

/// What is seen of a cluster without a candidate until a lost unit comes back.
pub(crate) const HEADLESS: &str = "nobody may lead";

/// What must never be, not even for a moment.
pub(super) fn always(state: &State) -> Vec<String> {
    state.far.patroni.values().flat_map(|cluster| cluster.wrong.clone()).collect()
}

pub(super) fn check(state: &State, asked: &[Client]) -> Vec<String> {
    let Some(app) = server(state) else { return Vec::new() };
    if !able(state) {
        return unable(state, &app);
    }
    let Some(primary) = primary(&state.far, &app) else {
        return vec![format!("{app} has no primary")];
    };
    let mut wrong = one_cluster(state, &app, &primary);
    wrong.extend(objects(state, &app, &primary));
    wrong.extend(passwords(state, &app));
    wrong.extend(configuration(state, &app));
    wrong.extend(peer(state, &app));
    wrong.extend(offered::check(state, &app, asked));
    wrong.extend(member::check(state, &app));
    wrong.extend(bonds::check(state, &app));
    wrong.extend(statuses(state, &app, asked));
    wrong
}

/// A unit that cannot serve says so.
fn unable(state: &State, app: &AppName) -> Vec<String> {
    let Some(application) = state.model.application(app) else { return Vec::new() };
    let headless = no_member_may_lead(state, app);
    // Without trust the rest cannot be checked, so long as it runs.
    if !application.trust {
        return Vec::new();
    }
    let silent = state.model.units(app).filter(|unit| unit.status().status == "active");
    let mut wrong = Vec::new();
    for unit in silent {
        let why = if headless { "nobody leads" } else { "an option is invalid" };
        wrong.push(format!("{} is active although {why}", unit.name));
    }
    if !headless && application.life == juju_model::Life::Alive {
        wrong.extend(stopped(state, app));
    }
    wrong
}

/// Members that an option which cannot be used keeps from running: what was in force is there.
fn stopped(state: &State, app: &AppName) -> Vec<String> {
    let has_data =
        |unit: &UnitName| state.far.volumes.get(unit).is_some_and(|it| it.data.is_some());
    let has_container =
        |unit: &UnitName| state.far.pods.get(unit).is_some_and(|it| it.container.is_some());
    let units = state.model.units(app).map(|unit| &unit.name);
    let can = units.filter(|unit| has_data(unit) && has_container(unit));
    can.filter(|unit| {
        !state.foreign_volumes.contains(*unit) && patroni::member(&state.far, unit).is_none()
    })
    .map(|unit| format!("{unit} runs no Patroni, and nothing but an option is invalid"))
    .collect()
}

/// All units are members of one cluster, and follow its primary.
fn one_cluster(state: &State, app: &AppName, primary: &UnitName) -> Vec<String> {
    let mut wrong = Vec::new();
    let content =
        |unit: &UnitName| state.far.volumes.get(unit).and_then(|volume| volume.data.as_ref());
    for unit in state.model.units(app).map(|unit| &unit.name) {
        let follows = match patroni::member(&state.far, unit) {
            None => Err("runs no Patroni"),
            Some(member) if !member.serves() => Err("does not serve"),
            Some(_) if unit == primary => Ok(()),
            Some(member) if !member.streams() => Err("does not stream"),
            Some(_) if content(unit) != content(primary) => Err("has other data than the primary"),
            Some(_) => Ok(()),
        };
        wrong.extend(follows.err().map(|what| format!("{unit} {what}")));
    }
    wrong
}

/// A charm that needs a person says so.
pub(crate) fn blocked(state: &State, word: &str) -> Vec<String> {
    let Some(app) = server(state) else { return Vec::new() };
    let says = |unit: &juju_model::Unit| {
        let status = unit.status();
        status.status == "blocked" && status.message.contains(word)
    };
    let well = state.model.units(&app).any(says);
    if well { Vec::new() } else { vec![format!("no unit of {app} asks a person for {word:?}")] }
}

/// Writers are led to the primary, whatever else is away.
pub(crate) fn routes(state: &State) -> Vec<String> {
    let Some(app) = server(state) else { return Vec::new() };
    let Some(primary) = primary(&state.far, &app) else {
        return vec![format!("{app} has no primary")];
    };
    let found = behind(&state.far, &format!("{app}-primary"));
    let well = found == [primary.clone()];
    if well { Vec::new() } else { vec![format!("writes are led to {found:?}, not to {primary}")] }
}

/// The services lead to the primary and to the others.
fn objects(state: &State, app: &AppName, primary: &UnitName) -> Vec<String> {
    let others: Vec<UnitName> = members(&state.far, app)
        .map(|(unit, _)| unit.clone())
        .filter(|unit| unit != primary)
        .collect();
    let wanted = [("primary", vec![primary.clone()]), ("replicas", others)];
    let mut wrong = Vec::new();
    for (name, units) in wanted {
        let found = behind(&state.far, &format!("{app}-{name}"));
        if found != units {
            wrong.push(format!("the service {app}-{name} leads to {found:?}, not to {units:?}"));
        }
    }
    wrong
}

/// The passwords that the charm keeps open every member.
fn passwords(state: &State, app: &AppName) -> Vec<String> {
    let mut wrong = Vec::new();
    let kept = kept(state, app);
    let distinct: BTreeSet<&String> = kept.values().collect();
    if distinct.len() < kept.len() {
        wrong.push("two users have the same password".to_owned());
    }
    for (unit, member) in members(&state.far, app) {
        let data = state.far.volumes.get(unit).and_then(|volume| volume.data.as_ref());
        for user in ["operator", "replication", "rewind", "monitoring", "backup"] {
            let opens = kept.get(user).is_some_and(|password| {
                data.is_some_and(|data| data.content.proves(user, password))
            });
            if !opens {
                wrong.push(format!("the password of {user} does not open {unit}"));
            }
        }
        for (kind, known) in member.known() {
            if known.as_ref() != kept.get(kind) {
                wrong.push(format!("Patroni of {unit} knows another password of {kind}"));
            }
        }
        let reads = patroni::read_passfile(&state.far, unit).map(|(_, password)| password);
        if member.streams() && reads.as_ref() != kept.get("replication") {
            wrong.push(format!("{unit} would not get in to stream again"));
        }
    }
    wrong
}

/// What the options say is in force everywhere.
fn configuration(state: &State, app: &AppName) -> Vec<String> {
    let mut wrong = Vec::new();
    let config = state.model.application(app).map(|app| app.effective_config());
    let config = config.unwrap_or_default();
    let option = |key: &str| config.get(key).cloned().flatten().unwrap_or_default();
    let units = state.model.units(app).count() as u64;
    let count = match option("synchronous_node_count").as_str() {
        Some("majority") => units / 2,
        Some(text) => text.parse().unwrap_or(u64::MAX).min(units - 1),
        None => units - 1,
    };
    let strict = count > 0 && option("synchronous_mode_strict") == Value::Bool(true);
    let dynamic = patroni::dynamic(&state.far, app).unwrap_or_default();
    let prepared = &dynamic["postgresql"]["parameters"]["max_prepared_transactions"];
    let lag = &dynamic["maximum_lag_on_failover"];
    let expected = [
        ("synchronous_node_count", &dynamic["synchronous_node_count"], Value::from(count)),
        ("synchronous_mode_strict", &dynamic["synchronous_mode_strict"], Value::Bool(strict)),
        ("max_prepared_transactions", prepared, option("memory_max_prepared_transactions")),
        ("maximum_lag_on_failover", lag, option("durability_maximum_lag_on_failover")),
        ("failsafe_mode", &dynamic["failsafe_mode"], Value::Bool(true)),
        ("max_timelines_history", &dynamic["max_timelines_history"], Value::from(50)),
        ("primary_start_timeout", &dynamic["primary_start_timeout"], Value::from(10)),
        ("ttl", &dynamic["ttl"], option("ttl")),
        ("loop_wait", &dynamic["loop_wait"], option("loop_wait")),
        ("retry_timeout", &dynamic["retry_timeout"], option("retry_timeout")),
    ];
    for (name, found, wanted) in expected {
        if *found != wanted {
            wrong.push(format!("{name} is {found}, not {wanted}"));
        }
    }
    let citext = option("plugin_citext_enable") == Value::Bool(true);
    for (name, database) in state.far.clusters.get(app).into_iter().flat_map(|c| &c.databases) {
        if database.extensions.iter().any(|known| known == "citext") != citext {
            wrong.push(format!("{name} has citext, or has it not, against the option"));
        }
    }
    for (unit, member) in members(&state.far, app) {
        if member.awaits_restart() {
            wrong.push(format!("{unit} still waits for a restart"));
        }
        let found = member.parameter("statement_timeout");
        if *found != option("connection_statement_timeout") {
            wrong.push(format!("{unit} has another statement_timeout than the option: {found}"));
        }
    }
    wrong
}

/// The leader lets every unit be a member.
fn peer(state: &State, app: &AppName) -> Option<String> {
    let named = |relation: &&juju_model::Relation| {
        relation.is_peer()
            && relation.end(app).is_some_and(|end| end.endpoint.as_str() == "database-peers")
    };
    let bag = &state.model.relations().find(named)?.app_bags.get(app)?.values;
    let mut listed: Vec<String> =
        serde_json::from_str(bag.get("endpoints").map_or("[]", String::as_str)).unwrap_or_default();
    listed.sort();
    let units = state.model.units(app).map(|unit| unit.name.pod());
    let units: Vec<String> = units.map(|pod| format!("{pod}.{app}-endpoints")).collect();
    (listed != units).then(|| format!("the members are listed as {listed:?}"))
}

/// What the statuses should say.
fn statuses(state: &State, app: &AppName, asked: &[Client]) -> Vec<String> {
    let related = clients(state);
    let badly = asked.iter().enumerate().any(|(index, client)| {
        let name = client.app(index);
        impossible(client) && related.iter().any(|(_, remote)| remote.as_str() == name)
    });
    let primary = primary(&state.far, app);
    let mut wrong = Vec::new();
    for unit in state.model.units(app) {
        let (status, leads) = (unit.status(), state.model.is_leader(&unit.name));
        let text = format!("{} says {} {:?}", unit.name, status.status, status.message);
        if badly && leads {
            if status.status == "active" {
                wrong.push(format!("{text}, but a client asked for what it cannot have"));
            }
            continue;
        }
        let expected = if primary.as_ref() == Some(&unit.name) { "Primary" } else { "" };
        if status.status != "active" || status.message != expected {
            wrong.push(format!("{text}, but nothing is wrong"));
        }
    }
    wrong
}

/// What two worlds with the same operators must have alike.
pub(super) fn view(state: &State) -> Vec<String> {
    let Some(app) = server(state) else { return Vec::new() };
    if no_member_may_lead(state, &app) {
        return vec![HEADLESS.to_owned()];
    }
    if !able(state) {
        return Vec::new();
    }
    let mut lines = Vec::new();
    let Some(cluster) = state.far.clusters.get(&app) else { return lines };
    let known = certain(state);
    for (name, role) in cluster.roles.iter().filter(|(name, _)| known.contains(name)) {
        let flags = (role.login, role.superuser, role.create_db, role.create_role);
        lines.push(format!("{app} has role {name} {flags:?} {:?}", role.member_of));
    }
    let dynamic = patroni::dynamic(&state.far, &app).unwrap_or_default();
    lines.push(format!("{app} has the configuration {dynamic}"));
    lines
}
