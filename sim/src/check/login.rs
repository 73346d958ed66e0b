//! Who can log in: every client to its own database through every process, and no other.

use juju_names::{AppName, RelationId, UnitName};

use crate::far::patroni;
use crate::far::pgbouncer::Process;
use crate::history::Client;
use crate::juju::apps::{old_database, read_secret};
use crate::world::State;

use super::{misconfigured, pooler, processes, relations};

/// What a client knows.
struct Credentials {
    app: AppName,
    user: String,
    password: String,
    database: String,
    /// Where it connects, to read and write and to read only.
    endpoints: String,
    /// The database by which it reads only, where it was given one.
    reads: Option<String>,
    /// What is wrong with the rest of what it was given.
    lacks: Vec<&'static str>,
    /// Whether its roles open other databases to it.
    privileged: bool,
    /// Whether it may ask for databases that the pooler does not know.
    wide: bool,
}

/// A request that no pooler grants.
fn impossible(client: &Client) -> bool {
    ["postgres", "pgbouncer"].contains(&client.database.as_str()) || client.has_bad_roles()
}

/// Whether a client is refused because another has its name.
pub(super) fn outdone(state: &State, clients: &[Client], index: usize) -> bool {
    let has = |index: usize, client: &Client| {
        let mut all = relations(state, client.endpoint()).into_iter();
        let found = all.find(|(_, app)| app.as_str() == client.app(index));
        found.is_some_and(|(id, app)| is_granted(state, id, &app, client))
    };
    let Some(client) = clients.get(index) else { return false };
    let mut others = clients.iter().enumerate().filter(|(other, _)| *other != index);
    others.any(|(other, of)| client.clashes(index, (other, of)) && has(other, of))
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
    let (user, password) = (content.get("username")?, content.get("password")?);
    let (database, endpoints) = (bag.get("database")?, bag.get("endpoints")?);
    let uri = format!("postgresql://{user}:{password}@{endpoints}/{database}");
    let readers = bag.get("read-only-endpoints").map(String::as_str).unwrap_or_default();
    let mut lacks = Vec::new();
    let outside = super::option(state, "expose-external") == "nodeport";
    let inside = endpoints.contains("cluster.local");
    lacks.extend((outside && inside).then_some("an address outside of the cluster"));
    lacks.extend((content.get("uris") != Some(&uri)).then_some("a connection string that works"));
    lacks.extend(readers.is_empty().then_some("endpoints for reading only"));
    let read_only = content.get("read-only-uris");
    let reads = read_only.and_then(|uri| uri.rsplit_once('/')).map(|(_, name)| name.to_owned());
    let reader = |name: &String| format!("postgresql://{user}:{password}@{readers}/{name}");
    let leads = read_only == reads.as_ref().map(reader).as_ref();
    lacks.extend((!leads).then_some("a connection string for reading that works"));
    lacks.extend((!bag.contains_key("version")).then_some("the server's version"));
    lacks.extend((!bag.contains_key("data")).then_some("the echo of its request"));
    Some(Credentials {
        app: app.clone(),
        user: user.clone(),
        password: password.clone(),
        database: database.clone(),
        endpoints: [endpoints.as_str(), readers].join(",").trim_end_matches(',').to_owned(),
        reads,
        lacks,
        privileged: !["", "createdb"].contains(&client.roles.as_str()),
        wide: client.is_privileged(),
    })
}

/// What a legacy client finds in the bag.
fn old(state: &State, id: RelationId, app: &AppName, client: &Client) -> Option<Credentials> {
    let bag = &state.model.relation(id)?.app_bags.get(&pooler()?)?.values;
    let field = |key: &str| bag.get(key).map(String::as_str).unwrap_or_default();
    let connects = |key: &str| {
        let words = ["user", "password", "host", "port"].map(|key| format!("{key}={}", field(key)));
        words.iter().all(|word| field(key).contains(word))
    };
    let unit = format!("{app}/0");
    let mut standbys = field("standbys").split(' ');
    let reads = standbys.find_map(|word| word.strip_prefix("dbname=")).map(str::to_owned);
    let mut lacks = Vec::new();
    lacks.extend((!connects("master")).then_some("a connection string that works"));
    lacks.extend((!connects("standbys")).then_some("a connection string for reading that works"));
    lacks.extend((!field("allowed-units").contains(&unit)).then_some("leave for its unit"));
    lacks.extend(field("allowed-subnets").is_empty().then_some("leave for its subnet"));
    lacks.extend((field("state") != "master").then_some("the state"));
    lacks.extend(field("version").is_empty().then_some("the server's version"));
    Some(Credentials {
        app: app.clone(),
        user: bag.get("user")?.clone(),
        password: bag.get("password")?.clone(),
        database: bag.get("database")?.clone(),
        endpoints: format!("{}:{}", bag.get("host")?, bag.get("port")?),
        reads,
        lacks,
        privileged: client.is_privileged(),
        wide: client.is_privileged(),
    })
}

/// Whether nothing keeps the poolers from serving.
pub(super) fn able(state: &State) -> bool {
    let backend = !relations(state, "backend-database").is_empty();
    let trusted =
        pooler().and_then(|app| state.model.application(&app)).is_some_and(|app| app.trust);
    let poolers = pooler().map_or(0, |app| state.model.units(&app).count());
    let served = super::server::able(state);
    backend && trusted && poolers > 0 && !misconfigured(state) && served
}

/// Whether a client has credentials.
pub(super) fn is_granted(state: &State, id: RelationId, app: &AppName, client: &Client) -> bool {
    match client.old {
        true => old(state, id, app, client).is_some(),
        false => modern(state, id, app, client).is_some(),
    }
}

pub(super) fn check(state: &State, clients: &[Client]) -> Vec<String> {
    let mut wrong = Vec::new();
    let able = able(state);
    let mut all = Vec::new();
    for (index, client) in clients.iter().enumerate() {
        let name = client.app(index);
        let found =
            relations(state, client.endpoint()).into_iter().find(|(_, app)| app.as_str() == name);
        let Some((id, app)) = found else { continue };
        let known =
            if client.old { old(state, id, &app, client) } else { modern(state, id, &app, client) };
        match known {
            Some(_) if !client.old && impossible(client) => {
                wrong.push(format!("{app} got what it may not have: {}", client.database));
            }
            Some(_) if outdone(state, clients, index) => {
                wrong.push(format!("{app} and another client have one name"));
            }
            None if outdone(state, clients, index) => {}
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
                |unit: &juju_names::UnitName| processes(state).iter().all(|(of, ..)| of != unit);
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
        let login = state.far.login(process, &known.user, &known.password, &known.database);
        if let Err(why) = login {
            let Credentials { app, database, .. } = known;
            wrong.push(format!("{app} cannot use {database} at {service} of {unit}: {why}"));
        }
        if let Some(Err(why)) = known.reads.as_ref().map(|name| reads(state, process, known, name))
        {
            let app = &known.app;
            wrong.push(format!("{app} cannot read at {service} of {unit}: {why}"));
        }
        if known.wide && process.entry("elsewhere").is_none() {
            wrong.push(format!("{service} of {unit} has no wildcard, but {} needs it", known.app));
        }
    }
    wrong.extend(known.lacks.iter().map(|what| format!("{} lacks {what}", known.app)));
    for endpoint in known.endpoints.split(',') {
        let (host, port) = endpoint.rsplit_once(':').unwrap_or_default();
        if !state.far.accepts(host, port.parse().unwrap_or_default()) {
            wrong.push(format!("{} was sent to {endpoint}, where nothing answers", known.app));
        }
    }
    wrong
}

/// The hosts at which the server lets clients read.
fn readers(state: &State) -> Vec<String> {
    let backend = relations(state, "backend-database").into_iter().next();
    let offered = backend.and_then(|(id, app)| {
        let bag = state.model.relation(id)?.app_bags.get(&app)?;
        bag.values.get("read-only-endpoints").cloned()
    });
    let offered = offered.unwrap_or_default();
    let hosts = offered.split(',').filter_map(|endpoint| endpoint.split(':').next());
    hosts.filter(|host| !host.is_empty()).map(str::to_owned).collect()
}

/// Whether a client that reads only gets to a server that has its database.
fn reads(state: &State, process: &Process, known: &Credentials, name: &str) -> Result<(), String> {
    let entry = process.entry(name).ok_or_else(|| format!("no entry {name}"))?;
    // A name that leaves no room for another one leads to the primary.
    let offered = if name == known.database { Vec::new() } else { readers(state) };
    if !offered.is_empty() && !offered.iter().any(|host| entry.host.as_str().contains(host)) {
        return Err(format!("{name} leads to {}, not to {offered:?}", entry.host.as_str()));
    }
    let database = entry.dbname.as_ref().map_or(name, |own| own.as_str());
    let host = entry.host.as_str().split(',').next().unwrap_or_default();
    let standby = patroni::standby_behind(&state.far, host);
    let copy = standby.and_then(|unit| patroni::copy_of(&state.far, &unit));
    let primary = || state.far.cluster_behind(host).cloned();
    let server = copy.or_else(primary).ok_or_else(|| format!("no server behind {host}"))?;
    let login = server.login(&known.user, &known.password, database);
    login.map_err(|error| format!("{name}: {error}"))
}

/// Whether a login is accepted that should not be.
fn strangers(state: &State, all: &[Credentials]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (unit, service, process) in processes(state) {
        for one in all {
            if state.far.login(process, &one.user, "wrong", &one.database).is_ok() {
                wrong.push(format!("{} gets in with a wrong password at {unit}", one.user));
            }
            let others = all.iter().filter(|other| other.database != one.database);
            for other in others.filter(|_| !one.privileged) {
                if state.far.login(process, &one.user, &one.password, &other.database).is_ok() {
                    let (app, database) = (&one.app, &other.database);
                    wrong.push(format!("{app} gets into {database} at {service} of {unit}"));
                }
            }
        }
    }
    wrong
}

/// The processes that run, with the boots of their containers.
pub(crate) fn processes_by_boot(state: &State) -> Vec<(UnitName, String, u64)> {
    let mut found = Vec::new();
    for (unit, pod) in &state.far.pods {
        let Some(container) = &pod.container else { continue };
        let names = container.poolers().map(|(name, _)| name.clone());
        found.extend(names.map(|name| (unit.clone(), name, container.boot)));
    }
    found
}

/// The clients of live relations that have credentials, with these.
fn known(state: &State, clients: &[Client]) -> Vec<Credentials> {
    let mut all = Vec::new();
    for (index, client) in clients.iter().enumerate() {
        let name = client.app(index);
        let relations = relations(state, client.endpoint());
        let Some((id, app)) = relations.into_iter().find(|(_, app)| app.as_str() == name) else {
            continue;
        };
        all.extend(match client.old {
            true => old(state, id, &app, client),
            false => modern(state, id, &app, client),
        });
    }
    all
}

/// Who has credentials but gets in no more at one of these processes.
pub(crate) fn cut_off(
    state: &State,
    clients: &[Client],
    served: &[(UnitName, String, u64)],
) -> Vec<String> {
    let mut wrong = Vec::new();
    let running = processes_by_boot(state);
    for (unit, service, process) in processes(state) {
        let alive =
            state.model.unit(&unit).is_some_and(|unit| unit.life == juju_model::Life::Alive);
        let here = |(of, name, _): &&(UnitName, String, u64)| *of == unit && *name == service;
        let now = running.iter().find(here);
        if !alive || now.is_none_or(|now| !served.contains(now)) {
            continue;
        }
        for one in known(state, clients) {
            if let Err(why) = state.far.login(process, &one.user, &one.password, &one.database) {
                let app = &one.app;
                wrong.push(format!("{app} is cut off at {service} of {unit}: {why}"));
            }
            if one.wide && process.entry("elsewhere").is_none() {
                let app = &one.app;
                wrong.push(format!("{app} is cut off from new databases at {service} of {unit}"));
            }
        }
    }
    wrong
}

/// The applications that have credentials.
pub(crate) fn granted(state: &State, clients: &[Client]) -> Vec<AppName> {
    known(state, clients).into_iter().map(|one| one.app).collect()
}

/// Who has credentials now that had none before, and gets in nowhere with them.
pub(crate) fn unopened(state: &State, clients: &[Client], before: &[AppName]) -> Vec<String> {
    let mut wrong = Vec::new();
    for one in known(state, clients).iter().filter(|one| !before.contains(&one.app)) {
        for (unit, service, process) in processes(state) {
            if let Err(why) = state.far.login(process, &one.user, &one.password, &one.database) {
                let app = &one.app;
                wrong.push(format!(
                    "{app} got credentials too early for {service} of {unit}: {why}"
                ));
            }
        }
    }
    wrong
}

/// The clients of live relations that have no credentials.
pub(crate) fn waiting(state: &State, clients: &[Client]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (index, client) in clients.iter().enumerate() {
        let name = client.app(index);
        let mut relations = relations(state, client.endpoint()).into_iter();
        let Some((id, app)) = relations.find(|(_, app)| app.as_str() == name) else { continue };
        if !is_granted(state, id, &app, client) && !outdone(state, clients, index) {
            wrong.push(format!("{app} waits for its credentials without an end"));
        }
    }
    wrong
}
