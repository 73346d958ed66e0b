//! What runs in a container has what it needs, and does what the options say.

use std::collections::BTreeSet;

use juju_names::UnitName;
use pebble_client::Startup;
use pgbouncer::{Key, Version};
use postgres::scram;

use super::login::able;
use super::{misconfigured, option, pooler, processes, relations};
use crate::far::pebble::Container;
use crate::far::pgbouncer::Process;
use crate::world::State;

/// The rules by which logs are rotated.
const ROTATION: &str = "/etc/logrotate.d/pgbouncer";

/// The first PgBouncer that hands requests to cancel on.
const PEERS: Version = Version { minor: 19, patch: 0 };

/// The folder in memory where secrets are.
const MEMORY: &str = "/dev/shm/";

pub(super) fn check(state: &State) -> Vec<String> {
    let mut wrong = Vec::new();
    // An invalid option freezes each unit where it stands, and so does a server that cannot serve.
    if misconfigured(state) || !super::able(state) {
        return wrong;
    }
    let able = able(state);
    for (unit, pod) in &state.far.pods {
        let Some(container) = &pod.container else { continue };
        for text in services(container, able).into_iter().chain(secrets(container)) {
            wrong.push(format!("{unit}: {text}"));
        }
    }
    wrong.extend(settings(state));
    wrong.extend(connections(state));
    wrong
}

fn services(container: &Container, able: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let exporters = || container.plan().services.keys().filter(|name| name.starts_with("metrics"));
    let watched = able && container.poolers().next().is_some();
    if watched && !exporters().any(|name| container.is_active(name)) {
        wrong.push("nobody exports metrics".to_owned());
    }
    for (name, service) in &container.plan().services {
        let enabled = service.startup == Some(Startup::Enabled);
        if container.is_active(name) && !enabled {
            wrong.push(format!("{name} runs although it is disabled"));
        }
        let passfile = service.environment.get("PGPASSFILE").filter(|_| enabled);
        if passfile.is_some_and(|path| !opens(container, path)) {
            wrong.push(format!("{name} has no password that works"));
        }
    }
    if container.poolers().next().is_some() && !container.disk.files.contains_key(ROTATION) {
        wrong.push("nothing says how logs are rotated".to_owned());
    }
    wrong
}

/// Whether the password file at this path opens every process that runs.
fn opens(container: &Container, path: &str) -> bool {
    let Some(file) = container.disk.files.get(path) else { return false };
    let text = String::from_utf8_lossy(&file.content);
    let mut fields = text.trim().split(':').skip(3);
    let (Some(user), Some(password)) = (fields.next(), fields.next()) else { return false };
    container.poolers().all(|(_, process)| {
        let allowed = process.setting("stats_users").is_some_and(|users| users == user);
        let verifier = process.listed(user);
        allowed && verifier.is_some_and(|verifier| scram::matches(&verifier, password))
    })
}

/// Lists of users that no process reads.
fn secrets(container: &Container) -> Vec<String> {
    let read: BTreeSet<&str> =
        container.poolers().filter_map(|(_, process)| process.setting("auth_file")).collect();
    let lists = container.disk.files.iter().filter(|(path, file)| {
        path.starts_with(MEMORY) && file.content.starts_with(b"\"") && !read.contains(path.as_str())
    });
    lists.map(|(path, _)| format!("nobody reads the user list {path}")).collect()
}

/// What the options say is in force, and what no pooler should be without.
fn settings(state: &State) -> Vec<String> {
    let mut wrong = Vec::new();
    let backend = !relations(state, "backend-database").is_empty();
    let text = |key: &str| option(state, key);
    let mut ids = BTreeSet::new();
    let (able, all) = (able(state), processes(state));
    for (unit, service, process) in &all {
        let here = format!("{service} of {unit}");
        let mut expect = |key: &str, holds: &dyn Fn(&str) -> bool| {
            let value = process.setting(key).unwrap_or_default();
            if !holds(value) {
                wrong.push(format!("{here} has {key} {value:?}"));
            }
        };
        for key in ["listen_port", "pool_mode", "max_prepared_statements"] {
            if Key::find(key).is_ok_and(|key| key.known_to(state.far.version)) {
                expect(key, &|value| value == text(key));
            }
        }
        expect("server_reset_query", &|value| value == "DISCARD ALL");
        expect("auth_type", &|value| value == "scram-sha-256");
        expect("so_reuseport", &|value| value == "1");
        expect("ignore_startup_parameters", &|value| value.contains("extra_float_digits"));
        expect("max_db_connections", &|value| value.parse::<u32>().is_ok());
        expect("stats_users", &|user| !user.is_empty());
        // Users that it knew it keeps until it is restarted, as PgBouncer does.
        expect("auth_file", &|list| backend || list.is_empty());
        // Without trust the address for clients is unknown, and a server waits for that.
        if able {
            expect("admin_users", &|user| process.listed(user).is_some());
        }
        // An old PgBouncer has no peers.
        if state.far.version < PEERS {
            continue;
        }
        if !ids.insert(process.setting("peer_id").unwrap_or_default().to_owned()) {
            wrong.push(format!("{here} has the peer_id of another"));
        }
        wrong.extend(peers(state, process, &all).map(|text| format!("{here} {text}")));
    }
    wrong
}

/// Which connections a process keeps, and which logins it accepts, follow from what is published.
fn connections(state: &State) -> Vec<String> {
    let mut wrong = Vec::new();
    let peers = pooler().and_then(|app| super::peers(state, &app));
    for (unit, service, process) in processes(state) {
        let here = format!("{service} of {unit}");
        let bag = peers.and_then(|relation| relation.unit_bags.get(&unit));
        let nonce = bag.and_then(|bag| bag.values.get("userlist_nonce"));
        let list = process.setting("auth_file").unwrap_or_default();
        if !list.is_empty() && !nonce.is_some_and(|nonce| list.ends_with(nonce)) {
            wrong.push(format!("{here} reads {list}, but its unit tells {nonce:?}"));
        }
    }
    wrong
}

/// Requests to cancel find their process: every one knows all of its own unit.
fn peers(state: &State, process: &Process, all: &[(UnitName, String, &Process)]) -> Option<String> {
    let known: BTreeSet<String> =
        process.ini.peers.iter().map(|peer| peer.id.to_string()).collect();
    let missing = all.iter().filter_map(|(_, _, other)| other.setting("peer_id"));
    let missing: Vec<&str> = missing.filter(|id| !known.contains(*id)).collect();
    if !missing.is_empty() {
        return Some(format!("does not know the peers {missing:?}"));
    }
    let pods: BTreeSet<String> = state.units().iter().map(|unit| unit.pod()).collect();
    let hosts = process.ini.peers.iter().filter(|peer| !peer.host.as_str().starts_with('/'));
    let gone = hosts.map(|peer| peer.host.as_str().split('.').next().unwrap_or_default());
    let gone: Vec<&str> = gone.filter(|pod| !pods.contains(*pod)).collect();
    (!gone.is_empty()).then(|| format!("knows the peers {gone:?}, which are gone"))
}

/// What Pebble could not do although nothing was spoilt.
pub(crate) fn failed_changes(state: &State) -> Vec<String> {
    let mut wrong = Vec::new();
    for (unit, pod) in &state.far.pods {
        let changes = pod.container.iter().flat_map(|container| &container.changes);
        for why in changes.filter_map(|ended| ended.as_ref().err()) {
            wrong.push(format!("{unit}: Pebble failed without a cause: {why}"));
        }
    }
    wrong
}
