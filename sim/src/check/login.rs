//! Who can log in: every client to its own database through every process, nobody else.

use names::{AppName, RelationId};

use crate::apps::{old_database, read_secret};
use crate::history::Client;
use crate::world::State;

use super::{misconfigured, pooler, processes, relations};

/// What a client knows.
struct Credentials {
    app: AppName,
    user: String,
    password: String,
    database: String,
    /// Where it connects.
    endpoints: String,
    /// Whether its roles open other databases to it.
    privileged: bool,
}

/// A request that no pooler grants.
fn impossible(client: &Client) -> bool {
    ["postgres", "pgbouncer"].contains(&client.database.as_str()) || client.roles == "nosuchrole"
}

/// What a client of today finds in the bag and the secret.
fn modern(state: &State, id: RelationId, app: &AppName, client: &Client) -> Option<Credentials> {
    let relation = state.model.relation(id)?;
    let bag = &relation.app_bags.get(&pooler()?)?.values;
    let reference = bag.get("secret-user")?;
    let secret = state.model.secret(&reference.parse().ok()?)?;
    if !secret.grants.iter().any(|grant| grant.app == *app) {
        return None;
    }
    let content = read_secret(state, reference)?;
    Some(Credentials {
        app: app.clone(),
        user: content.get("username")?.clone(),
        password: content.get("password")?.clone(),
        database: bag.get("database")?.clone(),
        endpoints: bag.get("endpoints")?.clone(),
        privileged: !["", "createdb"].contains(&client.roles.as_str()),
    })
}

/// What a client of the old interface finds in the bag.
fn old(state: &State, id: RelationId, app: &AppName) -> Option<Credentials> {
    let bag = &state.model.relation(id)?.app_bags.get(&pooler()?)?.values;
    Some(Credentials {
        app: app.clone(),
        user: bag.get("user")?.clone(),
        password: bag.get("password")?.clone(),
        database: bag.get("database")?.clone(),
        endpoints: format!("{}:{}", bag.get("host")?, bag.get("port")?),
        privileged: false,
    })
}

pub(super) fn check(state: &State, clients: &[Client]) -> Vec<String> {
    let mut wrong = Vec::new();
    let backend = !relations(state, "backend-database").is_empty();
    let trusted =
        pooler().and_then(|app| state.model.application(&app)).is_some_and(|app| app.trust);
    let poolers = pooler().map_or(0, |app| state.model.units(&app).count());
    let able = backend && trusted && poolers > 0 && !misconfigured(state);
    let mut all = Vec::new();
    for (index, client) in clients.iter().enumerate() {
        let name = client.app(index);
        let endpoint = if client.old { "db" } else { "database" };
        let found = relations(state, endpoint).into_iter().find(|(_, app)| app.as_str() == name);
        let Some((id, app)) = found else { continue };
        let known = if client.old { old(state, id, &app) } else { modern(state, id, &app, client) };
        match known {
            Some(_) if !client.old && impossible(client) => {
                wrong.push(format!("{app} got what it may not have: {}", client.database));
            }
            None if able && (client.old || !impossible(client)) => {
                wrong.push(format!("{app} got no credentials in relation {id}"));
            }
            Some(known) => {
                let asked = if client.old { old_database(&app) } else { client.database.clone() };
                if able && known.database != asked {
                    wrong.push(format!("{app} asked for {asked} and got {}", known.database));
                }
                all.push(known);
            }
            None => {}
        }
    }
    if able {
        for known in &all {
            wrong.extend(serves(state, known));
        }
        let down = pooler().map(|app| {
            let units = state.model.units(&app).map(|unit| unit.name.clone());
            let silent =
                |unit: &names::UnitName| processes(state).iter().all(|(of, ..)| of != unit);
            units.filter(silent).map(|unit| format!("{unit} runs no PgBouncer")).collect::<Vec<_>>()
        });
        wrong.extend(down.unwrap_or_default());
    }
    wrong.extend(strangers(state, &all));
    wrong
}

/// Whether a client gets in through every process.
fn serves(state: &State, known: &Credentials) -> Vec<String> {
    let mut wrong = Vec::new();
    for (unit, service, process) in processes(state) {
        let login = process.login(state, &known.user, &known.password, &known.database);
        if let Err(why) = login {
            let Credentials { app, database, .. } = known;
            wrong.push(format!("{app} cannot use {database} at {service} of {unit}: {why}"));
        }
    }
    for endpoint in known.endpoints.split(',') {
        let (host, port) = endpoint.rsplit_once(':').unwrap_or_default();
        if !super::serves(state, host, port.parse().unwrap_or_default()) {
            wrong.push(format!("{} was sent to {endpoint}, where nothing answers", known.app));
        }
    }
    wrong
}

/// Whether somebody gets in who should not.
fn strangers(state: &State, all: &[Credentials]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (unit, service, process) in processes(state) {
        for one in all {
            if process.login(state, &one.user, "wrong", &one.database).is_ok() {
                wrong.push(format!("{} gets in with a wrong password at {unit}", one.user));
            }
            let others = all.iter().filter(|other| other.database != one.database);
            for other in others.filter(|_| !one.privileged) {
                if process.login(state, &one.user, &one.password, &other.database).is_ok() {
                    let (app, database) = (&one.app, &other.database);
                    wrong.push(format!("{app} gets into {database} at {service} of {unit}"));
                }
            }
        }
    }
    wrong
}
