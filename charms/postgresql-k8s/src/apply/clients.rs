//! Effects for clients of the relation `database`.

use charm::ExposeSecret as _;
use charm::{
    Applied, Changes, Hook, Level, Own, RelationId, SecretContent, SecretOwner, SecretString,
    Status,
};
use interfaces::Endpoint;
use interfaces::postgresql_client::{Credentials, Offer, SEEN, secret_label};
use postgres::{RoleName, ServerVersion, User};

use super::cluster::{SqlError, operator, words};
use crate::Error;
use crate::decide::{BAD_ROLES, FAILED};
use crate::door::Door;
use crate::effect::{Operator, ServeClient};
use crate::gather::topology;
use crate::topology::{POSTGRESQL_PORT, Topology};

pub(super) const ENDPOINT: &str = "database";

pub(super) async fn serve(
    door: &dyn Door,
    hook: &mut Hook,
    client: ServeClient,
) -> Result<Applied, Error> {
    let topology = topology(hook);
    match create(door, &topology, &client).await {
        Ok(version) => share(hook, &topology, &client, &version)?,
        Err(error) => {
            hook.log(Level::Error, format!("relation {}: {}", client.id, words(&error)));
            return Ok(after_failure(&error));
        }
    }
    Ok(Applied::Done)
}

/// What follows from a failure: waiting, or a person's help for this client alone.
fn after_failure(error: &SqlError) -> Applied {
    match error {
        SqlError::Server(postgres::Error::NoSuchRole(_)) => {
            Applied::Status(Status::blocked(BAD_ROLES))
        }
        SqlError::Server(error) if error.is_transient() => {
            Applied::defer("the primary does not take SQL")
        }
        _ => Applied::Status(Status::blocked(FAILED)),
    }
}

async fn create(
    door: &dyn Door,
    topology: &Topology,
    client: &ServeClient,
) -> Result<ServerVersion, SqlError> {
    let server = door.postgres(&operator(topology, &client.operator)?).await?;
    let user = User {
        name: client.user.clone(),
        password: client.password.clone(),
        salt: client.salt,
        roles: client.roles.clone(),
        tied_to: None,
    };
    server.ensure_user(&user).await?;
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

pub(super) async fn remove(
    door: &dyn Door,
    hook: &mut Hook,
    id: RelationId,
    user: &RoleName,
    way_in: &Operator,
) -> Result<Applied, Error> {
    let topology = topology(hook);
    let removal = async {
        let server = door.postgres(&operator(&topology, way_in)?).await?;
        server.delete_user(user).await?;
        Ok::<(), SqlError>(())
    };
    if let Err(error) = removal.await {
        hook.log(Level::Error, words(&error));
        let transient = matches!(&error, SqlError::Server(error) if error.is_transient());
        let message = "Failed to delete user during database relation broken event";
        // Whatever stands in the way, the relation is gone: nobody else will ask for it again.
        return Ok(if transient {
            Applied::defer("the primary does not take SQL")
        } else {
            let status = Some(Status::blocked(message));
            Applied::Defer { reason: format!("the user {user} is there"), status }
        });
    }
    for group in ["user", "tls"] {
        if let Some(secret) = hook.secret_info(&secret_label(ENDPOINT, id, group))? {
            hook.remove_secret(&secret.id, None)?;
        }
    }
    Ok(Applied::Done)
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
