//! The statements that the charms' SQL crate runs.

use std::collections::BTreeSet;

use postgres::Failure;

use crate::mutants;

use super::tokens::{Token, statements};
use super::{AVAILABLE, Cluster, Database, Role, TEMPLATE};

/// A statement for the trace, without what may be secret.
pub(super) fn shown(text: &str) -> String {
    let shown = text.split("PASSWORD").next().unwrap_or_default();
    let shown: String = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    shown.chars().take(120).collect()
}

fn refused(code: &str, text: String) -> Failure {
    Failure::new(Some(code), text)
}

/// Runs statements one after another; the caller undoes all if one is refused.
pub(super) fn run_all(cluster: &mut Cluster, database: &str, text: &str) -> Result<(), Failure> {
    let left_out = mutants::left_out();
    end_idle(cluster, text);
    for statement in statements(text) {
        if left_out.is_some_and(|words| begins(&statement, words)) {
            continue;
        }
        let unknown = || refused("0A000", format!("no simulation of: {}", shown(text)));
        run(cluster, database, &statement).ok_or_else(unknown)??;
    }
    Ok(())
}

/// Ends idle sessions, where a text asks for that: those in the template, or a role's.
fn end_idle(cluster: &mut Cluster, text: &str) {
    if !text.contains("pg_terminate_backend") {
        return;
    }
    if text.contains("a.datname = 'template1'")
        && let Some(template) = cluster.databases.get_mut(TEMPLATE)
    {
        template.idle.clear();
    }
    for statement in statements(text) {
        if let Some(role) = text_of(&statement) {
            for database in cluster.databases.values_mut() {
                database.idle.remove(role);
            }
        }
    }
}

/// Whether any statement of a text changes something.
pub(super) fn writes(text: &str) -> bool {
    let reads = |statement: &Vec<Token>| {
        let first = statement.first();
        first.is_some_and(|first| ["SET", "RESET", "SELECT"].iter().any(|word| first.is(word)))
    };
    !statements(text).iter().all(reads)
}

/// Whether a statement begins with these words; `$` stands for a name.
fn begins(statement: &[Token], words: &str) -> bool {
    let mut tokens = statement.iter();
    words.split(' ').all(|word| match tokens.next() {
        Some(Token::Name(_)) => word == "$",
        Some(token) => token.is(word),
        None => false,
    })
}

/// The names in a statement.
fn names(statement: &[Token]) -> Vec<String> {
    let name = |token: &Token| match token {
        Token::Name(name) => Some(name.clone()),
        _ => None,
    };
    statement.iter().filter_map(name).collect()
}

/// Runs one statement; none where it is none that the charms run.
fn run(cluster: &mut Cluster, here: &str, statement: &[Token]) -> Option<Result<(), Failure>> {
    let words: Vec<&str> = statement
        .iter()
        .take_while(|token| matches!(token, Token::Word(_)))
        .filter_map(|token| if let Token::Word(word) = token { Some(word.as_str()) } else { None })
        .collect();
    let names = names(statement);
    let name = names.first().cloned().unwrap_or_default();
    match words.as_slice() {
        ["SET", ..] | ["RESET", ..] | ["SELECT", ..] | ["DO"] => Some(Ok(())),
        ["COMMENT", "ON", "ROLE"] => {
            let text = text_of(statement)?.to_owned();
            let role = cluster.roles.get_mut(&name).ok_or_else(|| missing(&name));
            Some(role.map(|role| role.comment = text))
        }
        ["CREATE", "ROLE"] => Some(create_role(cluster, &name, statement)),
        ["ALTER", "ROLE"] => Some(alter_role(cluster, &name, statement)),
        ["DROP", "ROLE", "IF", "EXISTS"] => Some(drop_role(cluster, &name)),
        ["CREATE", "EXTENSION", ..] => {
            if !AVAILABLE.contains(&name.as_str()) {
                let text = format!("extension \"{name}\" is not available");
                return Some(Err(refused("0A000", text)));
            }
            cluster.databases.get_mut(here)?.extensions.insert(name);
            Some(Ok(()))
        }
        ["ALTER", "EXTENSION"] => Some(Ok(())),
        ["DROP", "EXTENSION", ..] => {
            cluster.databases.get_mut(here)?.extensions.remove(&name);
            Some(Ok(()))
        }
        ["CREATE", "DATABASE"] => Some(create_database(cluster, &name)),
        ["REASSIGN" | "DROP", "OWNED", "BY"] if !cluster.roles.contains_key(&name) => {
            Some(Err(missing(&name)))
        }
        ["REASSIGN", "OWNED", "BY"] => {
            let database = cluster.databases.get_mut(here)?;
            database.owner = database.owner.take().filter(|owner| *owner != name);
            database.objects.remove(&name);
            Some(Ok(()))
        }
        ["DROP", "OWNED", "BY"] => {
            drop_owned(cluster, here, &name);
            Some(Ok(()))
        }
        ["ALTER", "SCHEMA"] => {
            if name == "public" {
                cluster.databases.get_mut(here)?.owner = names.get(1).cloned();
            }
            Some(Ok(()))
        }
        ["GRANT", "PG_READ_ALL_DATA"] => {
            let predefined = ["pg_read_all_data", "pg_write_all_data"].map(str::to_owned);
            cluster.roles.get_mut(&name)?.member_of.extend(predefined);
            Some(Ok(()))
        }
        ["REVOKE", "CREATE", "ON", "SCHEMA", ..] => Some(Ok(())),
        ["REVOKE" | "GRANT", .., "ON", "DATABASE"] => {
            on_database(cluster, statement, &name, names.get(1).map(String::as_str))
        }
        ["GRANT"] => Some(join(cluster, &name, names.get(1)?)),
        ["REVOKE"] => {
            cluster.roles.get_mut(names.get(1)?)?.member_of.remove(&name);
            Some(Ok(()))
        }
        _ => schema(cluster, here, &words, &names, statement),
    }
}

/// Statements on a pooler's schema, and on the clients' one.
fn schema(
    cluster: &mut Cluster,
    here: &str,
    words: &[&str],
    names: &[String],
    statement: &[Token],
) -> Option<Result<(), Failure>> {
    let user = names.first()?.clone();
    let to = names.last().cloned().unwrap_or_default();
    if words.first() == Some(&"GRANT") && !cluster.roles.contains_key(&to) {
        return Some(Err(missing(&to)));
    }
    let database = cluster.databases.get_mut(here)?;
    match words {
        ["CREATE", "SCHEMA", ..] => drop(database.lookups.entry(user).or_default()),
        ["DROP", "SCHEMA", ..] => drop(database.lookups.remove(&user)),
        ["REVOKE", "ALL", "ON", "SCHEMA"] => {
            if let Some(lookup) = database.lookups.get_mut(&user) {
                revoke(&mut lookup.usage, statement, &to);
            }
        }
        ["GRANT", "USAGE"] => drop(database.users.insert(to)),
        ["GRANT", "USAGE", "ON", "SCHEMA"] => {
            database.lookups.get_mut(&user)?.usage.insert(to);
        }
        ["DROP", "ROUTINE", ..] => {
            if let Some(lookup) = database.lookups.get_mut(&user) {
                lookup.superusers = None;
                lookup.execute.clear();
            }
        }
        ["CREATE", "FUNCTION"] => {
            let body = statements(text_of(statement)?);
            let lookup = database.lookups.get_mut(&user)?;
            if lookup.superusers.is_some() {
                let text = "function \"get_auth\" already exists with same argument types";
                return Some(Err(refused("42723", text.to_owned())));
            }
            lookup.blind = is_blind(body.first()?);
            lookup.superusers = Some(found_superusers(body.first()?)?);
            lookup.execute.insert("public".to_owned());
        }
        ["REVOKE", "ALL", "ON", "FUNCTION"] => {
            revoke(&mut database.lookups.get_mut(&user)?.execute, statement, &to);
        }
        ["GRANT", "EXECUTE", "ON", "FUNCTION"] => {
            database.lookups.get_mut(&user)?.execute.insert(to);
        }
        _ => return None,
    }
    Some(Ok(()))
}

/// Takes a right from everybody, where the statement says so, and from one.
fn revoke(from: &mut BTreeSet<String>, statement: &[Token], one: &str) {
    if statement.iter().any(|token| token.is("PUBLIC")) {
        from.remove("public");
    }
    from.remove(one);
}

/// The first quoted text of a statement.
fn text_of(statement: &[Token]) -> Option<&str> {
    statement.iter().find_map(|token| match token {
        Token::Text(text) => Some(text.as_str()),
        _ => None,
    })
}

/// Whether a lookup's body shows only those superusers who are none.
fn is_blind(body: &[Token]) -> bool {
    let guard = body.iter().position(|token| token.is("ROLSUPER"));
    let after = guard.and_then(|guard| body.get(guard + 1..)).unwrap_or_default();
    after.first().is_some_and(|token| token.is("AND")) && after.iter().any(|token| token.is("IN"))
}

/// The superusers whom a lookup's body lets through; none where it lets all of them.
fn found_superusers(body: &[Token]) -> Option<BTreeSet<String>> {
    let guard = body.iter().position(|token| token.is("ROLSUPER"))?;
    let list = &body[guard..];
    let Some(start) = list.iter().position(|token| token.is("IN")) else {
        return Some(BTreeSet::new());
    };
    let names = list[start..].iter().take_while(|token| **token != Token::Sign(')'));
    Some(
        names
            .filter_map(|token| match token {
                Token::Text(text) => Some(text.clone()),
                _ => None,
            })
            .collect(),
    )
}

fn attributes(role: &mut Role, statement: &[Token]) {
    let mut tokens = statement.iter();
    while let Some(token) = tokens.next() {
        let Token::Word(word) = token else { continue };
        match word.as_str() {
            "LOGIN" => role.login = true,
            "NOLOGIN" => role.login = false,
            "SUPERUSER" => role.superuser = true,
            "NOSUPERUSER" => role.superuser = false,
            "CREATEDB" => role.create_db = true,
            "NOCREATEDB" => role.create_db = false,
            "CREATEROLE" => role.create_role = true,
            "SEARCH_PATH" => role.pinned = true,
            "NOCREATEROLE" => role.create_role = false,
            "PASSWORD" => {
                if let Some(Token::Text(text)) = tokens.next() {
                    role.verifier = Some(text.clone());
                }
            }
            _ => {}
        }
    }
}

fn create_role(cluster: &mut Cluster, name: &str, statement: &[Token]) -> Result<(), Failure> {
    if cluster.roles.contains_key(name) {
        return Err(refused("42710", format!("role \"{name}\" already exists")));
    }
    let mut role = Role::default();
    attributes(&mut role, statement);
    cluster.roles.insert(name.to_owned(), role);
    Ok(())
}

fn missing(name: &str) -> Failure {
    refused("42704", format!("role \"{name}\" does not exist"))
}

fn alter_role(cluster: &mut Cluster, name: &str, statement: &[Token]) -> Result<(), Failure> {
    let role = cluster.roles.get_mut(name).ok_or_else(|| missing(name))?;
    attributes(role, statement);
    Ok(())
}

fn drop_role(cluster: &mut Cluster, name: &str) -> Result<(), Failure> {
    if cluster.is_used(name) {
        let text = format!("role \"{name}\" cannot be dropped because some objects depend on it");
        return Err(refused("2BP01", text));
    }
    cluster.roles.remove(name);
    for role in cluster.roles.values_mut() {
        role.member_of.remove(name);
    }
    Ok(())
}

fn create_database(cluster: &mut Cluster, name: &str) -> Result<(), Failure> {
    if cluster.databases.contains_key(name) {
        return Err(refused("42P04", format!("database \"{name}\" already exists")));
    }
    let template = cluster.databases.get(TEMPLATE).cloned().unwrap_or_default();
    if !template.idle.is_empty() {
        let text = format!("source database \"{TEMPLATE}\" is being accessed by other users");
        return Err(refused("55006", text));
    }
    let copy = Database { extensions: template.extensions, ..Database::default() };
    cluster.databases.insert(name.to_owned(), copy);
    Ok(())
}

/// Privileges of a role here, and on every database, which are shared.
fn drop_owned(cluster: &mut Cluster, here: &str, name: &str) {
    for (database, state) in &mut cluster.databases {
        state.connect.remove(name);
        if database != here {
            continue;
        }
        state.users.remove(name);
        for lookup in state.lookups.values_mut() {
            lookup.usage.remove(name);
            lookup.execute.remove(name);
        }
    }
}

fn join(cluster: &mut Cluster, group: &str, member: &str) -> Result<(), Failure> {
    if !cluster.roles.contains_key(group) {
        return Err(missing(group));
    }
    let member = cluster.roles.get_mut(member).ok_or_else(|| missing(member))?;
    member.member_of.insert(group.to_owned());
    Ok(())
}

fn on_database(
    cluster: &mut Cluster,
    statement: &[Token],
    name: &str,
    role: Option<&str>,
) -> Option<Result<(), Failure>> {
    if let Some(role) = role.filter(|role| !cluster.roles.contains_key(*role)) {
        return Some(Err(missing(role)));
    }
    let public = statement.iter().any(|token| token.is("PUBLIC"));
    let Some(database) = cluster.databases.get_mut(name) else {
        return Some(Err(refused("3D000", format!("database \"{name}\" does not exist"))));
    };
    let who = if public { "public" } else { role? };
    if statement.first()?.is("GRANT") {
        database.connect.insert(who.to_owned());
    } else {
        database.connect.remove(who);
    }
    Some(Ok(()))
}
