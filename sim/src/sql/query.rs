//! The queries that the charms' SQL crate asks.

use postgres::sql::{
    EXTENSION, GRANT_ON_OBJECTS, HELD_ON_EXTENSIONS, LET_IN, MEMBERS, OWNED, PARTING,
    TAKE_OWNERSHIP,
};
use postgres::{Failure, Row, quote_ident};

use super::tokens::{Token, statements};
use super::{AVAILABLE, Cluster, Database, TEMPLATE};

/// The rows of a query; one that no charm asks is refused.
pub(super) fn answer(
    cluster: &Cluster,
    (user, database): (&str, &str),
    text: &str,
    parameters: &[&str],
) -> Result<Vec<Row>, Failure> {
    let first = parameters.first().copied().unwrap_or_default();
    let second = parameters.get(1).copied();
    let here = cluster.databases.get(database);
    let names: Vec<String> = match text {
        "SHOW server_version" => vec!["17.5".to_owned()],
        TAKE_OWNERSHIP => match here {
            Some(here) if here.owner.is_none() => {
                vec![format!("ALTER SCHEMA \"public\" OWNER TO {}", quote_ident(first))]
            }
            _ => Vec::new(),
        },
        GRANT_ON_OBJECTS if here.and_then(|here| here.owner.as_deref()) == second => Vec::new(),
        GRANT_ON_OBJECTS => {
            vec![format!("GRANT USAGE, CREATE ON SCHEMA \"public\" TO {}", quote_ident(first))]
        }
        // No extension here keeps anything from anybody, and no client makes a database.
        HELD_ON_EXTENSIONS | LET_IN | OWNED => Vec::new(),
        MEMBERS => members(cluster, first),
        PARTING => parting(cluster),
        _ if text.contains("max_connections") => {
            let known = cluster.roles.contains_key(first).to_string();
            let row = ["17.5", "100", "97", &known].map(|column| Some(column.to_owned()));
            // The name of the log's segment begins with the timeline; a standby writes none.
            let segment = format!("{:08X}0000000000000003", cluster.timeline);
            let segment = (cluster.timeline > 0).then_some(segment);
            let tied = cluster.roles.iter().filter(|(_, role)| Some(&*role.comment) == second);
            let tied: Vec<&String> = tied.map(|(name, _)| name).collect();
            let tied = Some(serde_json::json!(tied).to_string());
            return Ok(vec![row.into_iter().chain([segment, tied]).collect()]);
        }
        _ if text.contains("RECURSIVE reached") => {
            let looked = text.contains("WHERE r.rolcanlogin OR r.rolsuper");
            if looked { somebody(cluster, first) } else { Vec::new() }
        }
        _ if text.contains("pg_prepared_xacts") || text.contains("pg_subscription") => Vec::new(),
        _ if text.contains("aclexplode") => {
            let shared = ["postgres", TEMPLATE].into_iter();
            let open = |name: &&str| {
                cluster.databases.get(*name).is_some_and(|found| found.connect.contains("public"))
            };
            shared.filter(open).map(str::to_owned).collect()
        }
        _ if text.contains("pg_shdescription") => {
            let tied = cluster.roles.iter().filter(|(_, role)| role.comment == first);
            tied.map(|(name, _)| name.clone()).collect()
        }
        _ if text.contains("pg_database WHERE datname = $1") => {
            cluster.databases.keys().filter(|name| *name == first).cloned().collect()
        }
        _ if text.contains("pg_database") => {
            let all = !text.contains("datistemplate");
            let shown = |(name, database): &(&String, &Database)| {
                !database.closed && (all || *name != TEMPLATE)
            };
            cluster.databases.iter().filter(shown).map(|(name, _)| name.clone()).collect()
        }
        EXTENSION if AVAILABLE.contains(&first) => {
            let there = here.is_some_and(|here| here.extensions.contains(first)).to_string();
            let number = cluster.life.to_string();
            return Ok(vec![vec![Some(there), None, Some("true".to_owned()), Some(number)]]);
        }
        EXTENSION => Vec::new(),
        _ if text.contains("pg_available_extensions") => {
            AVAILABLE.iter().map(|&name| name.to_owned()).collect()
        }
        _ if text.contains("pg_extension") => {
            here.map(|here| here.extensions.iter().cloned().collect()).unwrap_or_default()
        }
        _ if text.contains("o.oid = p.proowner") => {
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
        _ if text.contains("FROM pg_catalog.pg_authid") => {
            if !cluster.roles.get(user).is_some_and(|role| role.superuser) {
                return Err(Failure::new(Some("42501"), "permission denied for table pg_authid"));
            }
            return Ok(state(cluster, first));
        }
        _ if text.contains("pg_roles ORDER BY 1") => cluster.roles.keys().cloned().collect(),
        _ if text.contains(".get_auth($1)") => {
            return look_up(cluster, user, database, text, first);
        }
        _ => return Err(Failure::new(Some("0A000"), format!("no simulation of: {text}"))),
    };
    Ok(names.into_iter().map(|name| vec![Some(name)]).collect())
}

/// The roles that a member of this one is by it, if they are somebody.
fn somebody(cluster: &Cluster, name: &str) -> Vec<String> {
    let mut reached = std::collections::BTreeSet::new();
    let mut next = vec![name.to_owned()];
    while let Some(name) = next.pop() {
        if let Some(role) = cluster.roles.get(&name).filter(|_| reached.insert(name)) {
            next.extend(role.member_of.iter().cloned());
        }
    }
    let is = |role: &super::Role| role.login || role.superuser;
    reached.retain(|name| cluster.roles.get(name).is_some_and(is));
    reached.into_iter().collect()
}

/// What ends the memberships in a role, but of superusers.
fn members(cluster: &Cluster, name: &str) -> Vec<String> {
    let is_in =
        |(_, role): &(&String, &super::Role)| !role.superuser && role.member_of.contains(name);
    let revoke = |(member, _): (&String, &super::Role)| {
        format!("REVOKE {} FROM {} CASCADE", quote_ident(name), quote_ident(member))
    };
    cluster.roles.iter().filter(is_in).map(revoke).collect()
}

/// What takes clients' users out of each other and out of the charm's own.
fn parting(cluster: &Cluster) -> Vec<String> {
    let is_in = |name: &str, groups: &[&str]| {
        let role = cluster.roles.get(name).filter(|role| role.login);
        role.is_some_and(|role| groups.iter().any(|group| role.member_of.contains(*group)))
    };
    let mut found = Vec::new();
    for (name, role) in cluster.roles.iter().filter(|(name, _)| is_in(name, &["relation_access"])) {
        let groups = role.member_of.iter();
        let wrong = groups.filter(|group| is_in(group, &["relation_access", "internal_access"]));
        let revoke =
            |group: &String| format!("REVOKE {} FROM {}", quote_ident(group), quote_ident(name));
        found.extend(wrong.map(revoke));
    }
    found
}

/// What a lookup answers, in a text that names its schema first.
fn look_up(
    cluster: &Cluster,
    user: &str,
    database: &str,
    text: &str,
    wanted: &str,
) -> Result<Vec<Row>, Failure> {
    let forbidden = || Failure::new(Some("42501"), "permission denied for schema");
    let statement = statements(text).into_iter().flatten();
    let names =
        statement.filter_map(|token| if let Token::Name(name) = token { Some(name) } else { None });
    let owner = names.into_iter().next().ok_or_else(forbidden)?;
    let found = cluster.look_up((user, &owner), database, wanted).ok_or_else(forbidden)?;
    let row = |verifier: &str| vec![Some(wanted.to_owned()), Some(verifier.to_owned())];
    Ok(found.map(row).into_iter().collect())
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
