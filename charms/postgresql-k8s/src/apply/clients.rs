//! Effects for clients of the relation `database`.

use std::collections::BTreeSet;

use charm_kit::certificates;
use http1_client::encode;
use juju_charm::{
    Applied, Changes, Context, Error, ExposeSecret as _, Level, Own, RelationId, Revision,
    SecretContent, SecretOwner, SecretString, Status, databag, error_chain,
};
use juju_interfaces::Endpoint;
use juju_interfaces::postgresql_client::{Credentials, Offer, SEEN, secret_label};
use postgres::{Client, DatabaseName, Holder, RoleName, ServerVersion, User};

use super::cluster::{SqlError, log_in_at_primary};
use crate::decide::CLIENTS;
use crate::effect::{OPERATOR, ServeClient, SuperuserLogin};
use crate::endpoint::Endpoint::Database;
use crate::gather::topology;
use crate::ports::Ports;
use crate::topology::POSTGRESQL_PORT;
use crate::wording::{BAD_ROLES, FAILED, NOT_DELETED, NOT_GUARDED, TRIED_AGAIN, because};

pub(super) async fn serve(
    ports: &dyn Ports,
    hook: &mut Context,
    client: ServeClient,
) -> Result<Applied, Error> {
    let server = match enter(ports, hook, &client.login).await {
        Ok(server) => server,
        Err(error) => return Ok(away(hook, &error)),
    };
    match create(&server, &client).await {
        Ok(version) => match share(hook, &client, &version) {
            // It went while it was served: nothing is left to write.
            Err(Error::Context(error)) if error.is_not_found() => {
                hook.log(Level::Info, error.to_string());
                Ok(Applied::Done)
            }
            shared => shared.map(|()| Applied::Done),
        },
        Err(error) => {
            let reason = error_chain(&error);
            hook.log(Level::Error, format!("{}: {reason}", client.who));
            Ok(after_failure(&client, &error, &reason))
        }
    }
}

async fn enter(
    ports: &dyn Ports,
    hook: &mut Context,
    login: &SuperuserLogin,
) -> Result<Client, SqlError> {
    Ok(ports.postgres(&log_in_at_primary(ports, hook, login).await?).await?)
}

/// Without the server no client can be served.
pub(super) fn away(hook: &mut Context, error: &SqlError) -> Applied {
    hook.log(Level::Error, error_chain(error));
    let blocked = || Status::blocked(because(FAILED, &error_chain(error)));
    let status = (!error.is_transient()).then(blocked);
    Applied::Defer { reason: AWAY.to_owned(), status }
}

const AWAY: &str = "the primary does not take SQL";

/// What follows from a failure about one client: the others go on.
fn after_failure(client: &ServeClient, error: &SqlError, reason: &str) -> Applied {
    let who = &client.who;
    let said = |text: &str| because(text, &format!("{who}: {reason}"));
    if error.is_transient() {
        let status = Status::waiting(said(TRIED_AGAIN));
        return Applied::Later { reason: format!("{who} is not served"), status };
    }
    let bad_roles = matches!(error, SqlError::Server(it) if it.refused_roles().is_some());
    Applied::Status(Status::blocked(said(if bad_roles { BAD_ROLES } else { client.failed })))
}

async fn create(server: &Client, client: &ServeClient) -> Result<ServerVersion, SqlError> {
    // Its owner would own what the sessions of a pooler, who are superusers, read at every hook.
    if !client.roles.superuser && server.holds_lookup(&client.database).await? {
        return Err(SqlError::Lookup(client.database.clone()));
    }
    let user = User {
        name: client.user.clone(),
        password: client.password.clone(),
        salt: client.salt,
        roles: client.roles.clone(),
        // So a pooler of another model, which chooses the same names, knows it for no user of its.
        holder: Some(OPERATOR),
        takes_over: true,
        former: client.former.clone(),
    };
    server.ensure_user(&user).await?;
    if client.database.as_str() == postgres::sql::POOLERS {
        server.hold_poolers_database().await?;
    }
    server.ensure_database(&client.database, &client.user, client.owner).await?;
    Ok(server.server_version().await?)
}

/// Writes to the client, credentials first: once it sees the database it can log in.
fn share(hook: &mut Context, client: &ServeClient, version: &ServerVersion) -> Result<(), Error> {
    if let Some(bag) = &client.bag {
        let bag = Changes::from(bag.clone()).set("version", version.to_string());
        hook.set_bag(client.id, Own::Unit, bag.clone())?;
        hook.set_bag(client.id, Own::App, bag)?;
        return Ok(());
    }
    let (user, database) = (client.user.as_str(), client.database.as_str());
    let uri = |host: &str| uri(user, &client.password, host, database);
    let primary = topology(hook).primary_host();
    let credentials = Credentials {
        username: client.user.to_string(),
        password: client.password.clone(),
        uris: Some(uri(&primary)),
        // Without a secret it would be readable by more than its one reader.
        read_only_uris: client.in_secret.then(|| uri(&client.read_only_host)),
    };
    let endpoint = |host: String| Endpoint { host, port: POSTGRESQL_PORT };
    let mut offer = Offer {
        database: Some(client.database.to_string()),
        endpoints: Some(endpoint(primary).into()),
        read_only_endpoints: Some(endpoint(client.read_only_host.clone()).into()),
        version: Some(version.to_string()),
        ..Offer::default()
    };
    if client.in_secret {
        let label = secret_label(Database, client.id, "user");
        let content: SecretContent = credentials.fields().into_iter().collect();
        let id = hook.put_secret(&label, &content, SecretOwner::App)?;
        hook.grant_secret(&id, client.id)?;
        offer.secret_user = Some(id);
    } else {
        offer.plain = Some(credentials);
    }
    let mut bag = offer.render();
    bag.extend(certificates::shared(hook, client.id, client.ca.as_deref(), client.tls_in_secret)?);
    bag.insert(SEEN.to_owned(), client.seen.clone());
    hook.set_bag(client.id, Own::App, Changes::from(bag))?;
    Ok(())
}

fn uri(user: &str, password: &SecretString, host: &str, database: &str) -> SecretString {
    let (password, database) = (password.expose_secret(), encode(database));
    format!("postgresql://{user}:{password}@{host}:{POSTGRESQL_PORT}/{database}").into()
}

/// Writes where a client reads into its secret, if it has it there.
pub(super) fn move_readers(hook: &mut Context, id: RelationId, host: &str) -> Result<(), Error> {
    let label = secret_label(Database, id, "user");
    let bag = hook.own_bag(id, Own::App)?;
    let Some(old) = hook.secret(label.as_str(), Revision::Refresh)? else { return Ok(()) };
    let known = Credentials::read(|key| old.get(key).cloned());
    let known = known.filter(|known| known.read_only_uris.is_some());
    let (Some(known), Some(database)) = (known, bag.get("database")) else { return Ok(()) };
    let uri = uri(&known.username, &known.password, host, database);
    hook.put_secret(&label, &old.with("read-only-uris", uri), SecretOwner::App)?;
    Ok(())
}

/// Removes a client's secrets and its user. Whatever stands in the way, the relation stays among
/// those of which there are users, so that the next hook tries again and says so.
pub(super) async fn remove(
    ports: &dyn Ports,
    hook: &mut Context,
    (peer, id): (RelationId, RelationId),
    user: &RoleName,
    login: &SuperuserLogin,
) -> Result<Applied, Error> {
    for group in ["user", "tls"] {
        if let Some(secret) = hook.secret_info(&secret_label(Database, id, group))? {
            hook.remove_secret(&secret.id, None)?;
        }
    }
    let server = match enter(ports, hook, login).await {
        Ok(server) => server,
        Err(error) => return Ok(away(hook, &error)),
    };
    if let Err(error) = delete(&server, hook, user).await {
        let transient = error.is_transient();
        let reason = error_chain(SqlError::Server(error));
        hook.log(Level::Error, reason.clone());
        return Ok(if transient {
            let status = Status::waiting(because(TRIED_AGAIN, &reason));
            Applied::Later { reason: format!("the user {user} is there"), status }
        } else {
            Applied::Status(Status::blocked(because(NOT_DELETED, &reason)))
        });
    }
    let known: Option<BTreeSet<u32>> =
        databag::json(&hook.own_bag(peer, Own::App)?, CLIENTS).unwrap_or_default();
    if let Some(mut known) = known
        && known.remove(&id.0)
    {
        let text = serde_json::json!(known).to_string();
        hook.set_bag(peer, Own::App, Changes::from([(CLIENTS, text)]))?;
    }
    Ok(Applied::Done)
}

/// Deletes a client's user, but for one of its name that a pooler's charm made.
async fn delete(
    server: &Client,
    hook: &mut Context,
    user: &RoleName,
) -> Result<(), postgres::Error> {
    match server.holder(user).await? {
        Some(Holder::Role(holder)) if holder != OPERATOR => {
            hook.log(Level::Info, format!("the user {user} goes with {holder}: it stays"));
            Ok(())
        }
        _ => server.delete_user(user).await,
    }
}

async fn guard_extensions(server: &Client, database: &DatabaseName) -> Result<(), postgres::Error> {
    server.in_database(database).await?.guard_extensions().await
}

/// Closes what is no client's, revokes clients' memberships in other users, and drops slots that
/// keep nothing any more.
pub(super) async fn guard(
    ports: &dyn Ports,
    hook: &mut Context,
    login: &SuperuserLogin,
) -> Applied {
    let guarded = async {
        let server = enter(ports, hook, login).await?;
        server.close_shared_databases().await?;
        server.revoke_user_memberships().await?;
        if let Err(error) = server.drop_lost_slots().await {
            hook.log(Level::Warning, error_chain(SqlError::Server(error)));
        }
        // Before a pooler comes any client may own it.
        match server.holds_lookup(&DatabaseName::constant(postgres::sql::POOLERS)).await {
            Ok(true) => server.hold_poolers_database().await?,
            Ok(false) => {}
            Err(error) => hook.log(Level::Warning, error_chain(SqlError::Server(error))),
        }
        for database in &server.all_databases().await? {
            // A database that cannot be entered keeps no other from being guarded.
            if let Err(error) = guard_extensions(&server, database).await {
                hook.log(Level::Warning, error_chain(SqlError::Server(error)));
            }
        }
        Ok::<(), SqlError>(())
    };
    let Err(error) = guarded.await else { return Applied::Done };
    let reason = error_chain(&error);
    hook.log(Level::Warning, reason.clone());
    match error {
        // The next update-status looks again.
        error if error.is_transient() => Applied::Done,
        _ => Applied::Status(Status::blocked(because(NOT_GUARDED, &reason))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_connection_strings_are_encoded() {
        assert_eq!(encode("shop-1_a.b~"), "shop-1_a.b~");
        assert_eq!(encode("a/b c?"), "a%2Fb%20c%3F");
    }
}
