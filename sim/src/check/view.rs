//! What can be seen of a world, without what differs between two good ones.

use kube_api::{Kind, Selector};

use crate::names::MODEL;
use crate::world::State;

use super::{misconfigured, pooler, processes, relations, residue};

/// One line per thing that two worlds with the same operators must have alike.
pub(crate) fn view(state: &State) -> Vec<String> {
    let mut lines = super::database::view(state);
    if !super::server::able(state) {
        return lines;
    }
    let backend = !relations(state, "backend-database").is_empty();
    // An invalid setting changes nothing, so what there is then depends on what was before.
    let able = pooler().and_then(|app| state.model.application(&app)).is_some_and(|app| app.trust);
    let alone = pooler().is_none_or(|app| state.model.units(&app).count() == 0);
    if !able || alone || misconfigured(state) {
        return lines;
    }
    let used = residue::used_databases(state);
    // What could not be removed any more depends on who was first.
    let known = residue::known(state);
    for (app, cluster) in state.far.clusters.iter().filter(|_| backend) {
        for (name, role) in cluster.roles.iter().filter(|(name, _)| known.contains(*name)) {
            let flags = (role.login, role.superuser, role.create_db, role.create_role);
            lines.push(format!("{app} role {name} {flags:?} {:?}", role.member_of));
        }
        for (name, database) in cluster.databases.iter().filter(|(name, _)| used.contains(*name)) {
            let connect: Vec<&String> =
                database.connect.iter().filter(|user| known.contains(*user)).collect();
            lines.push(format!("{app} database {name} {connect:?}"));
            for (user, lookup) in database.lookups.iter().filter(|(user, _)| known.contains(*user))
            {
                lines.push(format!("{app} lookup {user} in {name} {:?}", lookup.usage));
            }
        }
    }
    for (unit, service, process) in processes(state) {
        // A part of both is drawn by lot.
        let settings = process.ini.settings.iter();
        let settings =
            settings.filter(|(key, _)| !["auth_file", "syslog_ident"].contains(&key.name));
        let settings: Vec<String> =
            settings.map(|(key, value)| format!("{}={value}", key.name)).collect();
        let databases = process.ini.databases.iter().map(|database| database.to_string());
        let mut databases: Vec<String> = databases.collect();
        // Which of the privileged clients carries the wildcard depends on who came first.
        databases.retain(|line| !line.starts_with('*'));
        // With it come names for reading what earlier clients left.
        let of_client = |line: &String| {
            let name = line.split(' ').next().unwrap_or_default().trim_matches('"');
            used.contains(name.trim_end_matches("_readonly")) || !name.ends_with("_readonly")
        };
        databases.retain(of_client);
        databases.sort();
        lines.push(format!("{unit} {service} [{}] {}", databases.join("; "), settings.join(" ")));
        lines.push(format!("{unit} {service} peers {:?}", process.ini.peers));
    }
    for unit in pooler().iter().flat_map(|app| state.model.units(app)) {
        if state.model.is_leader(&unit.name) {
            continue;
        }
        lines.push(format!("a unit that does not lead: {}", unit.status().status));
    }
    for service in state.far.kube.list(Kind::Service, MODEL, &Selector::default()) {
        let ports = service["spec"]["ports"].as_array().into_iter().flatten();
        let ports: Vec<&serde_json::Value> = ports.map(|port| &port["port"]).collect();
        let (name, kind) = (&service["metadata"]["name"], &service["spec"]["type"]);
        let annotations = &service["metadata"]["annotations"];
        lines.push(format!("service {name} {kind} {ports:?} {annotations}"));
    }
    lines
}
