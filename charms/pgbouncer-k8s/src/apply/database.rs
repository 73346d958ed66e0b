//! Effects on PostgreSQL, and the secrets that come of them.

use charm::{Applied, Hook, HookError, Level, Own, RelationId, Revision, SecretContent};
use charm::{SecretOwner, Status};
use interfaces::postgresql_client::{Credentials, secret_label};
use postgres::{Client, DatabaseName, Error, ExtraRoles, RoleName, User};

use crate::decide::status;
use crate::effect::{Account, Grant, Initialise, LegacyGrant, Uris};
use crate::gather::workload::words;
use crate::operator::{OperatorError, PgBouncer};

/// The endpoint of clients.
const DATABASE: &str = "database";

/// Makes the user and the functions that look passwords up. Where that fails the secret
/// is not written, so the next hook tries again.
pub(super) async fn initialise(charm: &PgBouncer, hook: &mut Hook, init: &Initialise) -> Applied {
    let Some(sql) = &charm.sql else { return not_ready() };
    let work = async {
        sql.ensure_user(&User {
            name: init.auth_user.clone(),
            password: init.password.secret(),
            salt: init.salt,
            roles: ExtraRoles::default(),
            // Should PostgreSQL remove our user before we have cleaned up, this one goes too.
            tied_to: Some(init.owner.clone()),
        })
        .await?;
        for database in &init.leftovers {
            sql.uninstall_auth_function(database, &init.auth_user).await?;
        }
        for database in &init.databases {
            if sql.database_exists(database).await? {
                sql.install_auth_function(database, &init.auth_user, &init.superusers).await?;
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

fn not_ready() -> Applied {
    Applied::Stop(Status::blocked(status::BACKEND_NOT_READY))
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
    let work = async {
        for database in databases {
            sql.uninstall_auth_function(database, user).await?;
        }
        for client in clients {
            sql.delete_user(client).await?;
        }
        sql.delete_user(user).await
    };
    match work.await {
        Ok(()) => Applied::Done,
        Err(error) => {
            hook.log(Level::Warning, words(&error));
            Applied::Status(Status::blocked(
                "failed to remove auth user when disconnecting from postgres application.",
            ))
        }
    }
}

/// Makes a client's user and database, then publishes the credentials.
pub(super) async fn grant(
    charm: &PgBouncer,
    hook: &mut Hook,
    grant: Grant,
) -> Result<Applied, OperatorError> {
    let Some(sql) = &charm.sql else { return Ok(not_ready()) };
    match make(sql, &grant.account).await {
        Ok(()) => {}
        Err(error) => {
            hook.log(Level::Warning, format!("relation {}: {}", grant.relation, words(&error)));
            return Ok(match error {
                Error::NoSuchRole(_) => {
                    Applied::Status(Status::blocked("invalid role(s) for extra user roles"))
                }
                _ => failed(&grant.account, "Failed to initialize relation database"),
            });
        }
    }
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

/// An account that could not be made. The next hook tries again: by itself where nobody has it
/// yet, and with the whole server where somebody had it before.
fn failed(account: &Account, message: &str) -> Applied {
    let status = Status::blocked(message);
    if account.again { Applied::Stop(status) } else { Applied::Status(status) }
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
    let Some(sql) = &charm.sql else { return Ok(not_ready()) };
    let endpoint = grant.endpoint;
    let message = format!("initialising database and user for {endpoint} relation");
    hook.set_status(&Status::maintenance(message))?;
    if let Err(error) = make(sql, &grant.account).await {
        hook.log(Level::Warning, format!("relation {}: {}", grant.relation, words(&error)));
        let message = format!("failed to create database or user for {endpoint}");
        return Ok(match error {
            Error::NoSuchRole(_) => Applied::Status(Status::blocked(message)),
            _ => failed(&grant.account, &message),
        });
    }
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

/// Removes a client's user and secret. The database and its data stay.
pub(super) async fn remove_client(
    charm: &PgBouncer,
    hook: &mut Hook,
    id: RelationId,
    user: &RoleName,
    unused: Option<(DatabaseName, RoleName)>,
) -> Result<Applied, OperatorError> {
    let Some(sql) = &charm.sql else { return Ok(not_ready()) };
    let work = async {
        if let Some((database, auth_user)) = &unused {
            sql.uninstall_auth_function(database, auth_user).await?;
        }
        sql.delete_user(user).await
    };
    if let Err(error) = work.await {
        hook.log(Level::Warning, words(&error));
        let message = "Failed to delete user during database relation broken event";
        return Ok(Applied::Stop(Status::blocked(message)));
    }
    forget_client(hook, id)?;
    Ok(Applied::Done)
}

/// Removes users of whom nothing is known, and lookups where none belongs. Where that fails the
/// next hook tries again.
pub(super) async fn remove_strays(
    charm: &PgBouncer,
    hook: &mut Hook,
    users: &[RoleName],
    auth_user: &RoleName,
    kept: &[String],
) -> Applied {
    let Some(sql) = &charm.sql else { return Applied::Done };
    let work = async {
        for database in sql.databases().await? {
            if !kept.iter().any(|name| name == database.as_str()) {
                sql.uninstall_auth_function(&database, auth_user).await?;
            }
        }
        for user in users {
            sql.delete_user(user).await?;
        }
        Ok::<_, Error>(())
    };
    if let Err(error) = work.await {
        hook.log(Level::Warning, words(&error));
    }
    Applied::Done
}

/// Removes a client's secret.
pub(super) fn forget_client(hook: &mut Hook, id: RelationId) -> Result<(), HookError> {
    let label = secret_label(DATABASE, id, "user");
    match hook.secret_info(&label)? {
        Some(info) => hook.remove_secret(&info.id, None),
        None => Ok(()),
    }
}
