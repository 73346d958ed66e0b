//! Effects on PostgreSQL, and the secrets that come of them.

use std::collections::BTreeSet;

use juju_charm::{
    Applied, Changes, Context, HookError, Level, Own, RelationId, Revision, SecretContent,
    SecretOwner, SecretString, Status, databag, error_chain,
};
use juju_interfaces::pgb_peers::{self, secret_keys};
use juju_interfaces::postgresql_client::{Credentials, secret_label};
use postgres::{Client, DatabaseName, Error, ExtraRoles, RoleName, User};

use crate::connections::Connections;
use crate::effect::{Account, Grant, Initialise, LegacyGrant, Lookup, Uris};
use crate::endpoint::Endpoint;
use crate::facts::OWED;
use crate::names;
use crate::wording;

/// Makes the user and the functions that look passwords up. Where that fails the secret
/// is not written, so the next hook tries again. What a client's database refuses is that client's
/// affair: it is asked for again with its user.
pub(super) async fn initialise(
    connections: &Connections,
    hook: &mut Context,
    init: &Initialise,
) -> Applied {
    let Some(sql) = &connections.sql else { return not_ready() };
    let work = async {
        sql.ensure_user(&User {
            name: init.auth_user.clone(),
            password: init.password.secret(),
            salt: init.salt,
            roles: ExtraRoles::default(),
            // Should PostgreSQL remove our user before we have cleaned up, this one goes too.
            holder: Some(init.owner.clone()),
            // It is named after ours, which is unique.
            takes_over: true,
            former: Vec::new(),
        })
        .await?;
        for database in &init.stale_lookups {
            let taken = sql.uninstall_auth_function(database, &init.auth_user).await;
            unless_ours(sql, hook, ours(database), taken).await?;
        }
        let Initialise { auth_user, databases, superusers, .. } = init;
        install(sql, hook, auth_user, databases, superusers).await
    };
    done(work.await, hook)
}

/// Makes the functions that look passwords up anew.
pub(super) async fn install_lookup(
    connections: &Connections,
    hook: &mut Context,
    lookup: &Lookup,
) -> Applied {
    let Some(sql) = &connections.sql else { return not_ready() };
    let Lookup { auth_user, databases, superusers } = lookup;
    let made = install(sql, hook, auth_user, databases, superusers).await;
    done(made, hook)
}

/// Installs the lookup in those of the databases that exist.
async fn install(
    sql: &Client,
    hook: &mut Context,
    auth_user: &RoleName,
    databases: &[DatabaseName],
    superusers: &[RoleName],
) -> Result<(), Error> {
    for database in databases {
        if sql.database_exists(database).await? {
            let made = sql.install_auth_function(database, auth_user, superusers).await;
            unless_ours(sql, hook, ours(database), made).await?;
        }
    }
    Ok(())
}

fn ours(database: &DatabaseName) -> bool {
    [names::OWN_DATABASE, names::POSTGRES].contains(database)
}

fn done(work: Result<(), Error>, hook: &mut Context) -> Applied {
    match work {
        Ok(()) => Applied::Done,
        Err(error) => {
            hook.log(Level::Warning, error_chain(&error));
            not_ready()
        }
    }
}

/// What a database refuses that is no client's matters to all; of another it is only logged, and
/// stands in the status when its client is served, unless none can be had any more.
async fn unless_ours(
    sql: &Client,
    hook: &mut Context,
    ours: bool,
    done: Result<(), Error>,
) -> Result<(), Error> {
    match done {
        Err(error) if !ours && !sql.is_lost(&error).await => {
            hook.log(Level::Warning, error_chain(&error));
            Ok(())
        }
        done => done,
    }
}

fn not_ready() -> Applied {
    Applied::Stop(Status::blocked(wording::BACKEND_NOT_READY))
}

/// Without a session no client's effect is made; the rest goes on.
fn no_session() -> Applied {
    Applied::Status(Status::blocked(wording::BACKEND_NOT_READY))
}

/// Takes the lookup away, as far as PostgreSQL still lets us.
pub(super) async fn remove_auth(
    connections: &Connections,
    hook: &mut Context,
    user: &RoleName,
    databases: &[DatabaseName],
    clients: &[RoleName],
) -> Applied {
    let Some(sql) = &connections.sql else { return Applied::Done };
    let mut failed = None;
    for database in databases {
        failed = failed.or(sql.uninstall_auth_function(database, user).await.err());
    }
    // The hook that removes it later drops its lookups.
    let bare = failed.is_none().then_some(user);
    for user in clients.iter().chain(bare) {
        failed = failed.or(delete(sql, hook, user, None).await.err());
    }
    let Some(error) = failed else { return Applied::Done };
    hook.log(Level::Warning, error_chain(&error));
    Applied::Status(Status::blocked(wording::AUTH_STAYS))
}

/// Makes a client's user and database, then publishes the credentials.
pub(super) async fn grant(
    connections: &Connections,
    hook: &mut Context,
    grant: Grant,
) -> Result<Applied, crate::Error> {
    let Some(sql) = &connections.sql else { return Ok(no_session()) };
    if let Err(error) = make(sql, &grant.account).await {
        let bad_roles = error.refused_roles().is_some();
        let text = if bad_roles { wording::BAD_ROLES } else { wording::BAD_REQUEST };
        return failed(hook, grant.relation, &grant.account, (text, &error));
    }
    settle(hook, grant.relation, grant.account.peers, false)?;
    let request = &grant.account.request;
    let (user, password) = (request.user.as_str(), grant.account.password.expose());
    if !request.secret {
        let changes = grant.publish.set("username", user).set("password", password);
        let changes = changes.set("uris", grant.uris.render(user, password).0);
        hook.set_bag(grant.relation, Own::App, changes)?;
        return Ok(Applied::Done);
    }
    let content = content(&grant.uris, user, password);
    let label = secret_label(Endpoint::Database, grant.relation, "user");
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
/// for its credentials; where it has them already, because it is owed this. No other client waits.
fn failed(
    hook: &mut Context,
    relation: RelationId,
    account: &Account,
    (text, error): (&str, &Error),
) -> Result<Applied, crate::Error> {
    let reason = error_chain(error);
    hook.log(Level::Warning, format!("{}: {reason}", account.who));
    if account.recreated {
        settle(hook, relation, account.peers, true)?;
    }
    Ok(Applied::Status(wording::about(text, &account.who, &reason)))
}

/// Writes down that a client is owed something on PostgreSQL, or nothing any more.
fn settle(
    hook: &mut Context,
    relation: RelationId,
    peers: Option<RelationId>,
    owed: bool,
) -> Result<(), HookError> {
    let Some(peers) = peers else { return Ok(()) };
    let bag = hook.own_bag(peers, Own::App)?;
    let known: Result<Option<BTreeSet<u32>>, _> = databag::json(&bag, OWED);
    // Where it cannot be read all clients are served anew, and come by here.
    let anew = known.is_err();
    let mut known = known.unwrap_or_default().unwrap_or_default();
    let changed = if owed { known.insert(relation.0) } else { known.remove(&relation.0) };
    if changed || anew {
        let text =
            if known.is_empty() { String::new() } else { serde_json::json!(known).to_string() };
        hook.set_bag(peers, Own::App, Changes::new().set(OWED, text))?;
    }
    Ok(())
}

/// A user that is removed with the one that PostgreSQL gave us: when the whole application is
/// removed, PostgreSQL removes that one first and lets us in no more.
async fn make(sql: &Client, account: &Account) -> Result<(), Error> {
    let request = &account.request;
    sql.ensure_user(&User {
        name: request.user.clone(),
        password: account.password.secret(),
        salt: account.salt,
        roles: request.roles.clone(),
        holder: Some(account.grantor.clone()),
        takes_over: false,
        former: request.former.clone().unwrap_or_default(),
    })
    .await?;
    sql.ensure_database(request.database.sql(), &request.user, account.owner).await?;
    let lookup = &account.lookup;
    for database in &lookup.databases {
        sql.install_auth_function(database, &lookup.auth_user, &lookup.superusers).await?;
    }
    Ok(())
}

/// Makes the user and database of a legacy client, then writes the bags.
pub(super) async fn legacy(
    connections: &Connections,
    hook: &mut Context,
    grant: LegacyGrant,
) -> Result<Applied, crate::Error> {
    let Some(sql) = &connections.sql else { return Ok(no_session()) };
    let endpoint = grant.endpoint.as_str();
    hook.set_status(&Status::maintenance(wording::legacy_initialising(endpoint)))?;
    if let Err(error) = make(sql, &grant.account).await {
        let message = wording::legacy_failed(endpoint);
        return failed(hook, grant.relation, &grant.account, (&message, &error));
    }
    settle(hook, grant.relation, grant.account.peers, false)?;
    for (own, changes) in grant.bags {
        hook.set_bag(grant.relation, own, changes)?;
    }
    Ok(Applied::Done)
}

/// Writes the connection strings of a client again: its user and password stay.
pub(super) fn uris(hook: &mut Context, uris: &Uris) -> Result<(), HookError> {
    let label = secret_label(Endpoint::Database, uris.relation, "user");
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
/// is orphaned, which the next hook finds on the server.
pub(super) async fn remove_client(
    connections: &Connections,
    hook: &mut Context,
    (id, peers): (RelationId, Option<RelationId>),
    user: &RoleName,
    unused: Option<(DatabaseName, RoleName)>,
) -> Result<Applied, crate::Error> {
    let Some(sql) = &connections.sql else { return Ok(no_session()) };
    let password = password(hook, id)?;
    let work = async {
        if let Some((database, auth_user)) = &unused {
            sql.uninstall_auth_function(database, auth_user).await?;
        }
        delete(sql, hook, user, password.as_ref()).await
    };
    let removed = work.await;
    forget_client(hook, id)?;
    settle(hook, id, peers, false)?;
    Ok(removed.map_or_else(|error| not_deleted(hook, &error), |()| Applied::Done))
}

/// Deletes a user that this charm made, which is known by its password where an older charm
/// recorded nothing. One of the same name that a charm of another model made stays.
async fn delete(
    sql: &Client,
    hook: &mut Context,
    user: &RoleName,
    password: Option<&SecretString>,
) -> Result<(), Error> {
    if sql.claim(user, password).await? {
        return sql.delete_user(user).await;
    }
    if sql.role_exists(user).await? {
        hook.log(Level::Info, format!("the user {user} belongs to another: it stays"));
    }
    Ok(())
}

/// The password of a client whose relation has ended.
fn password(hook: &mut Context, id: RelationId) -> Result<Option<SecretString>, HookError> {
    let label = secret_label(Endpoint::Database, id, "user");
    if let Some(known) = hook.secret(label.as_str(), Revision::Refresh)? {
        return Ok(known.get("password").cloned());
    }
    let label = pgb_peers::app_secret_label(hook.app());
    let known = hook.secret(label.as_str(), Revision::Refresh)?;
    Ok(known.and_then(|known| known.get(&secret_keys::legacy_password(id)).cloned()))
}

fn not_deleted(hook: &mut Context, error: &Error) -> Applied {
    let reason = error_chain(error);
    hook.log(Level::Warning, reason.clone());
    Applied::Status(wording::short(wording::USER_STAYS, &reason))
}

/// Removes orphaned users, and lookups where none belongs. What fails stands in the status, does
/// not keep the others, and is tried again by the next hook.
pub(super) async fn remove_orphaned_users(
    connections: &Connections,
    hook: &mut Context,
    users: &[RoleName],
    auth_user: &RoleName,
    kept: &[DatabaseName],
) -> Applied {
    let Some(sql) = &connections.sql else { return Applied::Done };
    let mut failed = None;
    match sql.databases().await {
        Ok(databases) => {
            let unused = |name: &&DatabaseName| !kept.contains(name);
            for database in databases.iter().filter(unused) {
                let taken = sql.uninstall_auth_function(database, auth_user).await;
                // As long as one of the users is there, which has something where this fails, the
                // lookups are looked for again.
                match taken {
                    Err(error) if sql.is_lost(&error).await => return not_deleted(hook, &error),
                    taken => failed = failed.or(taken.err()),
                }
            }
        }
        Err(error) => return not_deleted(hook, &error),
    }
    for user in users {
        failed = failed.or(sql.delete_user(user).await.err());
    }
    failed.map_or(Applied::Done, |error| not_deleted(hook, &error))
}

/// Removes a client's secret.
pub(super) fn forget_client(hook: &mut Context, id: RelationId) -> Result<(), HookError> {
    let label = secret_label(Endpoint::Database, id, "user");
    match hook.secret_info(&label)? {
        Some(info) => hook.remove_secret(&info.id, None),
        None => Ok(()),
    }
}
