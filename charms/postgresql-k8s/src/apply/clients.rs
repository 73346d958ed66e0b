//! Effects for clients of the relation `database`.

use std::collections::BTreeSet;

use charm::ExposeSecret as _;
use charm::{
    Applied, Changes, Hook, Level, Own, RelationId, SecretContent, SecretOwner, SecretString,
    Status, databag,
};
use interfaces::Endpoint;
use interfaces::postgresql_client::{Credentials, Offer, SEEN, secret_label};
use postgres::{Client, DatabaseName, RoleName, ServerVersion, User};

use super::cluster::{SqlError, operator, words};
use crate::Error;
use crate::decide::{BAD_ROLES, CLIENTS, FAILED, REASON_MAX};
use crate::door::Door;
use crate::effect::{Operator, ServeClient};
use crate::gather::topology;
use crate::topology::{POSTGRESQL_PORT, Topology};

pub(super) const ENDPOINT: &str = "database";
/// In upstream's words.
const NOT_DELETED: &str = "Failed to delete user during database relation broken event";

pub(super) async fn serve(
    door: &dyn Door,
    hook: &mut Hook,
    client: ServeClient,
) -> Result<Applied, Error> {
    let topology = topology(hook);
    let server = match enter(door, &topology, &client.operator).await {
        Ok(server) => server,
        Err(error) => return Ok(away(hook, &error)),
    };
    match create(&server, &client).await {
        Ok(version) => match share(hook, &topology, &client, &version) {
            // It went while it was served: nobody misses anything.
            Err(Error::Hook(error)) if error.is_not_found() => {
                hook.log(Level::Info, error.to_string());
                Ok(Applied::Done)
            }
            shared => shared.map(|()| Applied::Done),
        },
        Err(error) => {
            let reason = words(&error);
            hook.log(Level::Error, format!("{}: {reason}", client.who));
            Ok(after_failure(&client.who, &error, &reason))
        }
    }
}

async fn enter(
    door: &dyn Door,
    topology: &Topology,
    way_in: &Operator,
) -> Result<Client, SqlError> {
    Ok(door.postgres(&operator(topology, way_in)?).await?)
}

/// Without the server nobody can be served.
pub(super) fn away(hook: &mut Hook, error: &SqlError) -> Applied {
    hook.log(Level::Error, words(error));
    let transient = matches!(error, SqlError::Server(error) if error.is_transient());
    let status = (!transient).then(|| Status::blocked(short(FAILED, &words(error))));
    Applied::Defer { reason: AWAY.to_owned(), status }
}

const AWAY: &str = "the primary does not take SQL";

/// The words of a status and the reason, which may say what a client has made up.
fn short(text: &str, reason: &str) -> String {
    format!("{text}: {}", reason.chars().take(REASON_MAX).collect::<String>())
}

/// What follows from a failure about one client: the others go on.
fn after_failure(who: &str, error: &SqlError, reason: &str) -> Applied {
    let said = |text: &str| short(text, &format!("{who}: {reason}"));
    match error {
        SqlError::Server(error) if error.refused_roles().is_some() => {
            Applied::Status(Status::blocked(said(BAD_ROLES)))
        }
        SqlError::Server(error) if error.is_transient() => {
            let status = Status::waiting(said("waiting to try again"));
            Applied::Later { reason: format!("{who} is not served"), status }
        }
        _ => Applied::Status(Status::blocked(said(FAILED))),
    }
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
        tied_to: None,
        former: client.former.clone(),
    };
    server.ensure_user(&user).await?;
    if client.database.as_str() == postgres::sql::POOLERS {
        server.hold_poolers_database().await?;
    }
    server.ensure_database(&client.database, &client.user, client.owner).await?;
    Ok(server.server_version().await?)
}

/// Tells the client, credentials first: whoever sees the database sees a way in.
fn share(
    hook: &mut Hook,
    topology: &Topology,
    client: &ServeClient,
    version: &ServerVersion,
) -> Result<(), Error> {
    let uri = |host: &str| {
        let (user, password) = (&client.user, client.password.expose_secret());
        let database = percent_encoded(client.database.as_str());
        let uri = format!("postgresql://{user}:{password}@{host}:{POSTGRESQL_PORT}/{database}");
        SecretString::from(uri)
    };
    let primary = topology.primary_host();
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
        let label = secret_label(ENDPOINT, client.id, "user");
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

/// A path segment of a connection string.
fn percent_encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    name.bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Removes a client's secrets and its user. Whatever stands in the way, the relation stays among
/// those of which there are users, so that the next hook tries again and says so.
pub(super) async fn remove(
    door: &dyn Door,
    hook: &mut Hook,
    (peer, id): (RelationId, RelationId),
    user: &RoleName,
    way_in: &Operator,
) -> Result<Applied, Error> {
    for group in ["user", "tls"] {
        if let Some(secret) = hook.secret_info(&secret_label(ENDPOINT, id, group))? {
            hook.remove_secret(&secret.id, None)?;
        }
    }
    let topology = topology(hook);
    let server = match enter(door, &topology, way_in).await {
        Ok(server) => server,
        Err(error) => return Ok(away(hook, &error)),
    };
    if let Err(error) = server.delete_user(user).await {
        let transient = error.is_transient();
        let reason = words(&SqlError::Server(error));
        hook.log(Level::Error, reason.clone());
        return Ok(if transient {
            let status = Status::waiting(short("waiting to try again", &reason));
            Applied::Later { reason: format!("the user {user} is there"), status }
        } else {
            Applied::Status(Status::blocked(short(NOT_DELETED, &reason)))
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

async fn guard_extensions(server: &Client, database: &DatabaseName) -> Result<(), postgres::Error> {
    server.in_database(database).await?.guard_extensions().await
}

/// Closes what is no client's, and takes from clients what makes them somebody else.
pub(super) async fn guard(door: &dyn Door, hook: &mut Hook, way_in: &Operator) -> Applied {
    let topology = topology(hook);
    let guarded = async {
        let server = enter(door, &topology, way_in).await?;
        server.close_shared_databases().await?;
        server.part_users().await?;
        // Before a pooler comes it may be anybody's.
        let poolers: DatabaseName = postgres::sql::POOLERS.parse()?;
        match server.holds_lookup(&poolers).await {
            Ok(true) => server.hold_poolers_database().await?,
            Ok(false) => {}
            Err(error) => hook.log(Level::Warning, words(&SqlError::Server(error))),
        }
        for database in &server.all_databases().await? {
            // A database that cannot be entered keeps no other from being guarded.
            if let Err(error) = guard_extensions(&server, database).await {
                hook.log(Level::Warning, words(&SqlError::Server(error)));
            }
        }
        Ok::<(), SqlError>(())
    };
    let Err(error) = guarded.await else { return Applied::Done };
    let reason = words(&error);
    hook.log(Level::Warning, reason.clone());
    match error {
        // The next update-status looks again.
        SqlError::Server(error) if error.is_transient() => Applied::Done,
        _ => Applied::Status(Status::blocked(short("the server is not guarded", &reason))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_connection_strings_are_encoded() {
        assert_eq!(percent_encoded("shop-1_a.b~"), "shop-1_a.b~");
        assert_eq!(percent_encoded("a/b c?"), "a%2Fb%20c%3F");
    }
}
