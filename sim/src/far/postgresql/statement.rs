//! The statements that the charms run.

use std::collections::BTreeSet;

use postgres::sql::{Attributes, OnExtension, OnLookup, Statement, holder_comment};
use postgres::{Failure, RoleName, Verifier};
use serde::{Deserialize, Serialize};

use super::{AVAILABLE, Cluster, Database, Role, TEMPLATE};
use crate::mutant::{self, Twist};

/// A statement that the simulated server puts together and the charms hand back to it, in a form
/// of its own.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Found {
    /// Makes a user the owner of what clients made.
    Own(String),
    /// Lets a user use what clients made.
    Use(String),
    /// Takes a member out of a role.
    Revoke(String, String),
    /// Takes from a user what it has on members of extensions.
    Disentangle(String),
}

impl Found {
    /// As a row of an answer.
    pub(super) fn row(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Own(_) => "ALTER SCHEMA",
            Self::Use(_) => "GRANT USAGE",
            Self::Revoke(..) => "REVOKE role",
            Self::Disentangle(_) => "REVOKE ALL PRIVILEGES ON ROUTINE",
        }
    }

    fn run(self, cluster: &mut Cluster, here: &str) -> Result<(), Failure> {
        match self {
            Self::Own(user) => database(cluster, here)?.owner = Some(user),
            Self::Use(user) => {
                role(cluster, &user)?;
                database(cluster, here)?.users.insert(user);
            }
            Self::Revoke(group, member) => drop(role(cluster, &member)?.member_of.remove(&group)),
            Self::Disentangle(user) => drop(database(cluster, here)?.extended.remove(&user)),
        }
        Ok(())
    }
}

/// Statements for the trace, without what may be secret.
pub(crate) fn shown(statements: &[Statement]) -> String {
    let text = postgres::sql::text(statements);
    let shown = text.split("PASSWORD").next().unwrap_or_default();
    let shown: String = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    shown.chars().take(120).collect()
}

/// The roles that read and write everything.
const ALL_DATA: [&str; 2] = ["pg_read_all_data", "pg_write_all_data"];

/// The user of the standbys.
const REPLICATION: &str = "replication";

/// PUBLIC, where a role might stand.
const PUBLIC: &str = "public";

fn refused(code: &str, text: String) -> Failure {
    Failure::new(Some(code), text)
}

fn missing(name: &str) -> Failure {
    refused("42704", format!("role \"{name}\" does not exist"))
}

fn role<'a>(cluster: &'a mut Cluster, name: &str) -> Result<&'a mut Role, Failure> {
    cluster.roles.get_mut(name).ok_or_else(|| missing(name))
}

fn database<'a>(cluster: &'a mut Cluster, name: &str) -> Result<&'a mut Database, Failure> {
    let missing = || refused("3D000", format!("database \"{name}\" does not exist"));
    cluster.databases.get_mut(name).ok_or_else(missing)
}

/// Runs statements one after another; the caller undoes all if one is refused.
pub(crate) fn run_all(
    cluster: &mut Cluster,
    here: &str,
    statements: &[Statement],
) -> Result<(), Failure> {
    for statement in statements {
        let Statement::Found(text) = statement else {
            if !mutant::leaves_out(statement.kind()) {
                run(cluster, here, statement)?;
            }
            continue;
        };
        let unknown = |_| refused("0A000", format!("no simulation of: {text}"));
        let found: Found = serde_json::from_str(text).map_err(unknown)?;
        if !mutant::leaves_out(found.kind()) {
            found.run(cluster, here)?;
        }
    }
    Ok(())
}

/// Runs one statement.
fn run(cluster: &mut Cluster, here: &str, statement: &Statement) -> Result<(), Failure> {
    match statement {
        // No role here has prepared a transaction, has an event trigger, a wrapper of foreign data
        // or a subscription, and no client owns a database.
        Statement::QuietLog
        | Statement::RestoreLog
        | Statement::HandDatabases(_)
        | Statement::RestSubscriptions(_)
        | Statement::RollBackPrepared(_)
        | Statement::DropEventTriggers(_)
        | Statement::HandWrappers(_)
        | Statement::ClosePublicSchema
        | Statement::Found(_) => {}
        Statement::CreateUser { name, attributes, verifier } => {
            set(create_role(cluster, name.as_str())?, *attributes, Some(verifier));
        }
        Statement::AlterUser { name, attributes, verifier } => {
            set(role(cluster, name.as_str())?, *attributes, verifier.as_ref());
        }
        Statement::CreateGroup(name) => drop(create_role(cluster, name.as_str())?),
        Statement::SetPassword { name, verifier } => {
            let mistaken = mutant::twisted(Twist::AnothersPassword) && name.as_str() == REPLICATION;
            let name = if mistaken { "rewind" } else { name.as_str() };
            role(cluster, name)?.verifier = Some(verifier.expose().to_owned());
        }
        Statement::ForbidLogin(name) => role(cluster, name.as_str())?.login = false,
        Statement::PinSearchPath(name) => role(cluster, name.as_str())?.pinned = true,
        Statement::GrantRole { role: group, to } => {
            role(cluster, group.as_str())?;
            role(cluster, to.as_str())?.member_of.insert(group.to_string());
        }
        Statement::RevokeRole { role: group, from } => {
            role(cluster, from.as_str())?.member_of.remove(group.as_str());
        }
        Statement::GrantAllData(name) => {
            role(cluster, name.as_str())?.member_of.extend(ALL_DATA.map(str::to_owned));
        }
        Statement::SetHolder { name, holder } => {
            role(cluster, name.as_str())?.comment = holder_comment(holder);
        }
        Statement::DropRole(name) => drop_role(cluster, name.as_str())?,
        Statement::EndSessions(name) => {
            let databases = cluster.databases.values_mut();
            databases.for_each(|database| database.idle.retain(|user| user != name.as_str()));
        }
        Statement::ReassignOwned(name) => reassign_owned(cluster, here, name.as_str())?,
        Statement::DropOwned(name) => drop_owned(cluster, here, name.as_str())?,
        Statement::CreateDatabase(name) => create_database(cluster, name.as_str())?,
        Statement::EndTemplateSessions => database(cluster, TEMPLATE)?.idle.clear(),
        Statement::CloseDatabase(name) => {
            let mistaken = mutant::twisted(Twist::TemplateStaysOpen) && name.as_str() == TEMPLATE;
            admit(cluster, if mistaken { "postgres" } else { name.as_str() }, PUBLIC, false)?;
        }
        Statement::OpenDatabase(name) => admit(cluster, name.as_str(), PUBLIC, true)?,
        Statement::GrantDatabase { database, to } | Statement::GrantConnect { database, to } => {
            admit(cluster, database.as_str(), to.as_str(), true)?;
        }
        Statement::RevokeConnect { database, from } => {
            admit(cluster, database.as_str(), from.as_str(), false)?;
        }
        Statement::GrantRoutine { to, .. } => {
            database(cluster, here)?.extended.insert(to.to_string());
        }
        Statement::Lookup { user, does } => on_lookup(cluster, here, user, does)?,
        Statement::Extension(does) => on_extension(database(cluster, here)?, does)?,
    }
    Ok(())
}

/// Gives a role its attributes, with which it may log in, and a password where there is a new one.
fn set(role: &mut Role, attributes: Attributes, verifier: Option<&Verifier>) {
    if let Some(verifier) = verifier {
        role.verifier = Some(verifier.expose().to_owned());
    }
    role.login = !mutant::twisted(Twist::NobodyLogsIn);
    role.superuser = (attributes.superuser || mutant::twisted(Twist::AllSuperusers))
        && !mutant::twisted(Twist::NoSuperusers);
    role.create_db = attributes.create_db || mutant::twisted(Twist::AllMakeDatabases);
    role.create_role = attributes.create_role;
}

/// Statements on an extension.
fn on_extension(database: &mut Database, does: &OnExtension) -> Result<(), Failure> {
    match does {
        OnExtension::Create(name, _) if !AVAILABLE.contains(&name.as_str()) => {
            return Err(refused("0A000", format!("extension \"{name}\" is not available")));
        }
        OnExtension::Create(name, _) => drop(database.extensions.insert(name.clone())),
        OnExtension::Drop(name) => drop(database.extensions.remove(name)),
        // No client makes a function or an operator.
        OnExtension::Lock
        | OnExtension::Refuse(_)
        | OnExtension::CreateSchema(_)
        | OnExtension::Publish(_)
        | OnExtension::DropSchema(_) => {}
    }
    Ok(())
}

/// Statements on a pooler's schema and the lookup in it.
fn on_lookup(
    cluster: &mut Cluster,
    here: &str,
    user: &RoleName,
    does: &OnLookup,
) -> Result<(), Failure> {
    let name = user.as_str();
    role(cluster, name)?;
    let shows_all = mutant::twisted(Twist::LookupShowsSuperusers).then(|| cluster.superusers());
    let lookups = &mut database(cluster, here)?.lookups;
    let there = lookups.get_mut(name);
    let there = there.ok_or_else(|| refused("3F000", format!("schema \"{name}\" does not exist")));
    let everybody = !mutant::twisted(Twist::LookupStaysOpen);
    match does {
        OnLookup::CreateSchema => drop(lookups.entry(name.to_owned()).or_default()),
        OnLookup::DropSchema => drop(lookups.remove(name)),
        OnLookup::OwnSchema => drop(there?),
        OnLookup::CloseSchema => revoke(&mut there?.usage, name, everybody),
        OnLookup::GrantSchema => drop(there?.usage.insert(name.to_owned())),
        OnLookup::Drop => {
            let lookup = there?;
            lookup.superusers = None;
            lookup.execute.clear();
        }
        OnLookup::Create(superusers) => {
            let lookup = there?;
            if lookup.superusers.is_some() {
                let text = "function \"get_auth\" already exists with same argument types";
                return Err(refused("42723", text.to_owned()));
            }
            let shown = superusers.iter().map(ToString::to_string).collect();
            lookup.blind = mutant::twisted(Twist::LookupHidesSuperusers) && !superusers.is_empty();
            lookup.body = postgres::sql::lookup_body(user, superusers);
            lookup.superusers = Some(shows_all.filter(|_| superusers.is_empty()).unwrap_or(shown));
            lookup.execute.insert("public".to_owned());
        }
        OnLookup::Close => revoke(&mut there?.execute, name, everybody),
        OnLookup::Grant => drop(there?.execute.insert(name.to_owned())),
    }
    Ok(())
}

/// Revokes a right from one role, and from PUBLIC.
fn revoke(from: &mut BTreeSet<String>, one: &str, everybody: bool) {
    if everybody {
        from.remove(PUBLIC);
    }
    from.remove(one);
}

fn create_role<'a>(cluster: &'a mut Cluster, name: &str) -> Result<&'a mut Role, Failure> {
    if cluster.roles.contains_key(name) {
        return Err(refused("42710", format!("role \"{name}\" already exists")));
    }
    Ok(cluster.roles.entry(name.to_owned()).or_default())
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

/// What a role owns here is a superuser's.
fn reassign_owned(cluster: &mut Cluster, here: &str, name: &str) -> Result<(), Failure> {
    role(cluster, name)?;
    let database = database(cluster, here)?;
    database.owner = database.owner.take().filter(|owner| owner != name);
    database.objects.remove(name);
    Ok(())
}

/// Privileges of a role here, and on every database, which are shared.
fn drop_owned(cluster: &mut Cluster, here: &str, name: &str) -> Result<(), Failure> {
    role(cluster, name)?;
    for (database, state) in &mut cluster.databases {
        state.connect.remove(name);
        if database != here {
            continue;
        }
        state.users.remove(name);
        state.extended.remove(name);
        for lookup in state.lookups.values_mut() {
            lookup.usage.remove(name);
            lookup.execute.remove(name);
        }
    }
    Ok(())
}

/// Opens a database to a role, or closes it.
fn admit(cluster: &mut Cluster, name: &str, who: &str, enters: bool) -> Result<(), Failure> {
    if who != PUBLIC {
        role(cluster, who)?;
    }
    let database = database(cluster, name)?;
    if enters {
        database.connect.insert(who.to_owned());
    } else {
        database.connect.remove(who);
    }
    Ok(())
}
