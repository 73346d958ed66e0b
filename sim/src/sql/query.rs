//! The queries that the charms' SQL crate asks.

use postgres::sql::{GRANT_ON_OBJECTS, TAKE_OWNERSHIP};
use postgres::{Failure, Row, quote_ident};

use super::Cluster;

/// The rows of a query; one that no charm asks is refused.
pub(super) fn answer(
    cluster: &Cluster,
    database: &str,
    text: &str,
    parameters: &[&str],
) -> Result<Vec<Row>, Failure> {
    let first = parameters.first().copied().unwrap_or_default();
    let here = cluster.databases.get(database);
    let names: Vec<String> = match text {
        "SHOW server_version" => vec!["17.5".to_owned()],
        TAKE_OWNERSHIP => match here {
            Some(here) if here.owner.is_none() => {
                vec![format!("ALTER SCHEMA \"public\" OWNER TO {}", quote_ident(first))]
            }
            _ => Vec::new(),
        },
        GRANT_ON_OBJECTS => {
            vec![format!("GRANT USAGE, CREATE ON SCHEMA \"public\" TO {}", quote_ident(first))]
        }
        _ if text.contains("max_connections") => {
            let known = cluster.roles.contains_key(first).to_string();
            let row = ["17.5", "100", "97", &known].map(|column| Some(column.to_owned()));
            // The name of the log's segment begins with the timeline.
            let segment = format!("{:08X}0000000000000003", cluster.timeline);
            let segment = (cluster.timeline > 0).then_some(segment);
            return Ok(vec![row.into_iter().chain([segment]).collect()]);
        }
        _ if text.contains("pg_shdescription") => {
            let tied = cluster.roles.iter().filter(|(_, role)| role.comment == first);
            tied.map(|(name, _)| name.clone()).collect()
        }
        _ if text.contains("pg_database WHERE datname = $1") => {
            cluster.databases.keys().filter(|name| *name == first).cloned().collect()
        }
        _ if text.contains("pg_database") => cluster.databases.keys().cloned().collect(),
        _ if text.contains("pg_available_extensions") => vec!["pgaudit".to_owned()],
        _ if text.contains("pg_extension") => {
            here.map(|here| here.extensions.clone()).unwrap_or_default()
        }
        _ if text.contains("pg_get_userbyid(p.proowner)") => {
            let lookups = here.map(|here| &here.lookups).into_iter().flatten();
            let made = lookups.filter(|(_, lookup)| lookup.superusers.is_some());
            made.map(|(user, _)| user.clone()).collect()
        }
        _ if text.contains("pg_proc") => {
            let found = here.and_then(|here| here.lookups.get(first));
            let found = found.is_some_and(|lookup| lookup.superusers.is_some());
            if found { vec!["get_auth".to_owned()] } else { Vec::new() }
        }
        _ if text.contains("pg_auth_members") => {
            let role = cluster.roles.get(first);
            role.map(|role| role.member_of.iter().cloned().collect()).unwrap_or_default()
        }
        _ if text.contains("pg_authid") => return Ok(state(cluster, first)),
        _ if text.contains("pg_roles ORDER BY 1") => cluster.roles.keys().cloned().collect(),
        _ => return Err(Failure::new(Some("0A000"), format!("no simulation of: {text}"))),
    };
    Ok(names.into_iter().map(|name| vec![Some(name)]).collect())
}

/// The row that says how a role is.
fn state(cluster: &Cluster, name: &str) -> Vec<Row> {
    let Some(role) = cluster.roles.get(name) else { return Vec::new() };
    let flags = [role.login, role.superuser, role.create_db, role.create_role];
    let mut row: Row = flags.iter().map(|flag| Some(flag.to_string())).collect();
    row.push(role.verifier.clone());
    row.push(Some(role.comment.clone()));
    vec![row]
}
