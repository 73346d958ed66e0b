//! Effects on PostgreSQL, and the secrets that come of them.

use std::collections::BTreeSet;

use charm::{Applied, Changes, Hook, HookError, Level, Own, RelationId, Revision, SecretContent};
use charm::{SecretOwner, Status, databag};
use interfaces::postgresql_client::{Credentials, secret_label};
use postgres::{Client, DatabaseName, Error, ExtraRoles, RoleName, User};

use crate::decide::status;
use crate::effect::{Account, Grant, Initialise, LegacyGrant, Uris};
use crate::facts::OWED;
use crate::gather::workload::words;
use crate::operator::{OperatorError, PgBouncer};
use crate::place;

/// In upstream's words.
const FAILED: &str = "Failed to initialize relation database";
/// The endpoint of clients.
const DATABASE: &str = "database";

/// Makes the user and the functions that look passwords up. Where that fails the secret
/// is not written, so the next hook tries again. What a client's database refuses is that client's
/// affair: it is asked for again with its user.
pub(super) async fn initialise(charm: &PgBouncer, hook: &mut Hook, init: &Initialise) -> Applied {
    let Some(sql) = &charm.sql else { return not_ready() };
    let ours = |name: &DatabaseName| [place::OWN_DATABASE, "postgres"].contains(&name.as_str());
    let work = async {
        sql.ensure_user(&User {
            name: init.auth_user.clone(),
            password: init.password.secret(),
            salt: init.salt,
            roles: ExtraRoles::default(),
            // Should PostgreSQL remove our user before we have cleaned up, this one goes too.
            tied_to: Some(init.owner.clone()),
            former: Vec::new(),
        })
        .await?;
        for database in &init.leftovers {
            let taken = sql.uninstall_auth_function(database, &init.auth_user).await;
            unless_ours(hook, ours(database), taken, Error::is_away)?;
        }
        for database in &init.databases {
            if sql.database_exists(database).await? {
                let user = &init.auth_user;
                let made = sql.install_auth_function(database, user, &init.superusers).await;
                unless_ours(hook, ours(database), made, Error::is_transient)?;
            }
        }
        Ok::<_, Error>(())
    };
    match work.await {
        Ok(()) => Applied::Done,
        Err(error) => {
            hook.log(Level::Warning, words(&error));
            not_ready()
        }
    }
}

/// What a database refuses that is no client's matters to all; of another it is only told,
/// unless it is such that it matters anyway.
fn unless_ours(
    hook: &mut Hook,
    ours: bool,
    done: Result<(), Error>,
    matters: fn(&Error) -> bool,
) -> Result<(), Error> {
    match done {
        Err(error) if !ours && !matters(&error) => {
            hook.log(Level::Warning, words(&error));
            Ok(())
        }
        done => done,
    }
}

fn not_ready() -> Applied {
    Applied::Stop(Status::blocked(status::BACKEND_NOT_READY))
}

/// Without a session one client's effect is not made, nor is anybody else's; the rest goes on.
fn no_session() -> Applied {
    Applied::Status(Status::blocked(status::BACKEND_NOT_READY))
}

/// Takes the lookup away, as far as PostgreSQL still lets us.
pub(super) async fn remove_auth(
    charm: &PgBouncer,
    hook: &mut Hook,
    user: &RoleName,
    databases: &[DatabaseName],
    clients: &[RoleName],
) -> Applied {
    let Some(sql) = &charm.sql else { return Applied::Done };
    let mut failed = None;
    for database in databases {
        failed = failed.or(sql.uninstall_auth_function(database, user).await.err());
    }
    // Whoever removes it later takes its lookups away.
    let bare = failed.is_none().then_some(user);
    for user in clients.iter().chain(bare) {
        failed = failed.or(sql.delete_user(user).await.err());
    }
    let Some(error) = failed else { return Applied::Done };
    hook.log(Level::Warning, words(&error));
    Applied::Status(Status::blocked(
        "failed to remove auth user when disconnecting from postgres application.",
    ))
}

/// Makes a client's user and database, then publishes the credentials.
pub(super) async fn grant(
    charm: &PgBouncer,
    hook: &mut Hook,
    grant: Grant,
) -> Result<Applied, OperatorError> {
    let Some(sql) = &charm.sql else { return Ok(no_session()) };
    if let Err(error) = make(sql, &grant.account).await {
        let bad_roles = error.refused_roles().is_some();
        let text = if bad_roles { status::BAD_ROLES } else { FAILED };
        return failed(hook, grant.relation, &grant.account, (text, &error));
    }
    settle(hook, grant.relation, grant.account.peers, false)?;
    let (user, password) = (grant.account.user.as_str(), grant.account.password.expose());
    if !grant.secret {
        let changes = grant.publish.set("username", user).set("password", password);
        let changes = changes.set("uris", grant.uris.render(user, password).0);
        hook.set_bag(grant.relation, Own::App, changes)?;
        return Ok(Applied::Done);
    }
    let content = content(&grant.uris, user, password);
    let label = secret_label(DATABASE, grant.relation, "user");
    let id = hook.put_secret(&label, &content, SecretOwner::App)?;
    let own = hook.own_bag(grant.relation, Own::App)?;
    if own.get("secret-user").and_then(|text| text.parse().ok()).as_ref() != Some(&id) {
        hook.grant_secret(&id, grant.relation)?;
    }
    let changes = grant.publish.set("secret-user", id.to_string());
    hook.set_bag(grant.relation, Own::App, changes)?;
    Ok(Applied::Done)
}

/// An account that could not be made. The next hook tries again, by itself where the client waits
/// for its credentials; where it has them already, because it is owed this. Nobody else waits.
fn failed(
    hook: &mut Hook,
    relation: RelationId,
    account: &Account,
    (text, error): (&str, &Error),
) -> Result<Applied, OperatorError> {
    let reason = words(error);
    hook.log(Level::Warning, format!("{}: {reason}", account.who));
    if account.again {
        settle(hook, relation, account.peers, true)?;
    }
    Ok(Applied::Status(status::about(text, &account.who, &reason)))
}

/// Writes down that a client is owed something on PostgreSQL, or nothing any more.
fn settle(
    hook: &mut Hook,
    relation: RelationId,
    peers: Option<RelationId>,
    owed: bool,
) -> Result<(), HookError> {
    let Some(peers) = peers else { return Ok(()) };
    let bag = hook.own_bag(peers, Own::App)?;
    let known: Option<BTreeSet<u32>> = databag::json(&bag, OWED).unwrap_or_default();
    let mut known = known.unwrap_or_default();
    let changed = if owed { known.insert(relation.0) } else { known.remove(&relation.0) };
    if changed {
        let text =
            if known.is_empty() { String::new() } else { serde_json::json!(known).to_string() };
        hook.set_bag(peers, Own::App, Changes::new().set(OWED, text))?;
    }
    Ok(())
}

/// A user that goes with the one whom PostgreSQL gave us: when the whole application is
/// removed, PostgreSQL removes that one first and lets us in no more.
async fn make(sql: &Client, account: &Account) -> Result<(), Error> {
    sql.ensure_user(&User {
        name: account.user.clone(),
        password: account.password.secret(),
        salt: account.salt,
        roles: account.roles.clone(),
        tied_to: Some(account.maker.clone()),
        former: account.former.clone(),
    })
    .await?;
    sql.ensure_database(&account.database, &account.user, account.owner).await?;
    let lookup = &account.lookup;
    for database in &lookup.databases {
        sql.install_auth_function(database, &lookup.auth_user, &lookup.superusers).await?;
    }
    Ok(())
}

/// Makes the user and database of a client of the old interface, then writes the bags.
pub(super) async fn legacy(
    charm: &PgBouncer,
    hook: &mut Hook,
    grant: LegacyGrant,
) -> Result<Applied, OperatorError> {
    let Some(sql) = &charm.sql else { return Ok(no_session()) };
    let endpoint = grant.endpoint;
    let message = format!("initialising database and user for {endpoint} relation");
    hook.set_status(&Status::maintenance(message))?;
    if let Err(error) = make(sql, &grant.account).await {
        let message = format!("failed to create database or user for {endpoint}");
        return failed(hook, grant.relation, &grant.account, (&message, &error));
    }
    settle(hook, grant.relation, grant.account.peers, false)?;
    for (own, changes) in grant.bags {
        hook.set_bag(grant.relation, own, changes)?;
    }
    Ok(Applied::Done)
}

/// Writes the connection strings of a client again: its user and password stay.
pub(super) fn uris(hook: &mut Hook, uris: &Uris) -> Result<(), HookError> {
    let label = secret_label(DATABASE, uris.relation, "user");
    let Some(old) = hook.secret(label.as_str(), Revision::Refresh)? else { return Ok(()) };
    if let Some(known) = Credentials::read(|key| old.get(key).cloned()) {
        let password = old.expose("password").unwrap_or_default();
        let new = content(uris, &known.username, password);
        hook.put_secret(&label, &new, SecretOwner::App)?;
    }
    Ok(())
}

/// What a client's secret holds.
fn content(uris: &Uris, username: &str, password: &str) -> SecretContent {
    let (uri, read_only) = uris.render(username, password);
    let content = SecretContent::new()
        .with("username", username)
        .with("password", password)
        .with("uris", uri);
    match read_only {
        Some(uri) => content.with("read-only-uris", uri),
        None => content,
    }
}

/// Removes a client's user and secret. The database and its data stay. Where that fails the user
/// is a stray, which the next hook finds on the server.
pub(super) async fn remove_client(
    charm: &PgBouncer,
    hook: &mut Hook,
    (id, peers): (RelationId, Option<RelationId>),
    user: &RoleName,
    unused: Option<(DatabaseName, RoleName)>,
) -> Result<Applied, OperatorError> {
    let Some(sql) = &charm.sql else { return Ok(no_session()) };
    let work = async {
        // An older charm told nobody that it is ours.
        sql.tie(user).await?;
        if let Some((database, auth_user)) = &unused {
            sql.uninstall_auth_function(database, auth_user).await?;
        }
        sql.delete_user(user).await
    };
    let removed = work.await;
    forget_client(hook, id)?;
    settle(hook, id, peers, false)?;
    Ok(removed.map_or_else(|error| not_deleted(hook, &error), |()| Applied::Done))
}

fn not_deleted(hook: &mut Hook, error: &Error) -> Applied {
    let reason = words(error);
    hook.log(Level::Warning, reason.clone());
    let text = "Failed to delete user during database relation broken event";
    Applied::Status(status::short(text, &reason))
}

/// Removes users of whom nothing is known, and lookups where none belongs. What fails stands in
/// the status, keeps nobody else's from going, and is tried again by the next hook.
pub(super) async fn remove_strays(
    charm: &PgBouncer,
    hook: &mut Hook,
    users: &[RoleName],
    auth_user: &RoleName,
    kept: &[String],
) -> Applied {
    let Some(sql) = &charm.sql else { return Applied::Done };
    let mut failed = None;
    match sql.databases().await {
        Ok(databases) => {
            let unused = |name: &&DatabaseName| !kept.iter().any(|kept| kept == name.as_str());
            for database in databases.iter().filter(unused) {
                let taken = sql.uninstall_auth_function(database, auth_user).await;
                failed = failed.or(taken.err());
            }
        }
        Err(error) => failed = Some(error),
    }
    // As long as one of them is there, the lookups are looked for again.
    if !failed.as_ref().is_some_and(Error::is_transient) {
        for user in users {
            failed = failed.or(sql.delete_user(user).await.err());
        }
    }
    failed.map_or(Applied::Done, |error| not_deleted(hook, &error))
}

/// Removes a client's secret.
pub(super) fn forget_client(hook: &mut Hook, id: RelationId) -> Result<(), HookError> {
    let label = secret_label(DATABASE, id, "user");
    match hook.secret_info(&label)? {
        Some(info) => hook.remove_secret(&info.id, None),
        None => Ok(()),
    }
}
