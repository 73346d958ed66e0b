//! PostgreSQL, as far as it lets the leader in.

use charm::{Event, Hook, HookError, Level, RelationKind, SecretContent};
use postgres::{ConnectOptions, ServerFacts};

use super::workload::{PATIENCE, words};
use crate::decide::backend::initialised;
use crate::facts::{Backend, Login, Room};
use crate::operator::PgBouncer;
use crate::place;

/// Connects to the backend, on the leader, and asks what has to be known of it.
pub(super) async fn connect(charm: &mut PgBouncer, hook: &mut Hook, backend: Option<&mut Backend>) {
    charm.sql = None;
    let Some(backend) = backend else { return };
    let Some(login) = &backend.login else { return };
    match server(charm, login, backend.ca.as_deref()).await {
        Ok((client, facts)) => {
            let (most, for_clients) = (facts.max_connections, facts.for_clients);
            backend.room = (most > 0).then_some(Room { most, for_clients });
            backend.knows_lookup = facts.knows_role;
            // A standby may not have heard of all of them yet.
            backend.tied = facts.timeline.is_some().then_some(facts.tied);
            backend.timeline = facts.timeline;
            backend.server = Some(facts.version.text);
            charm.sql = Some(client);
        }
        Err(error) => hook.log(Level::Warning, format!("the backend: {error}")),
    }
}

/// Asks for the backend's databases, all of which a client may use.
pub(super) async fn databases(charm: &PgBouncer, backend: Option<&mut Backend>) {
    let (Some(client), Some(backend)) = (&charm.sql, backend) else { return };
    if let Ok(found) = client.databases().await {
        backend.databases = Some(found.iter().map(ToString::to_string).collect());
    }
}

/// Reads whether PostgreSQL has units, where that matters, and returns whether the
/// backend is one that has to be initialised.
pub(super) fn needs_populated(
    hook: &mut Hook,
    event: &Event,
    backend: Option<&mut Backend>,
    secret: Option<&SecretContent>,
) -> Result<bool, HookError> {
    let Some(backend) = backend else { return Ok(false) };
    let Some(login) = &backend.login else { return Ok(false) };
    let lost = backend.server.is_some() && !backend.knows_lookup;
    let renewed = lost || !initialised(secret, &place::auth_user(&login.username));
    let departed = event
        .relation("backend-database")
        .is_some_and(|relation| relation.kind == RelationKind::Departed);
    if renewed || departed {
        backend.populated = !hook.remote_units(backend.id)?.is_empty();
    }
    Ok(renewed)
}

/// A connection to the backend, and what has to be known of it.
async fn server(
    charm: &PgBouncer,
    login: &Login,
    ca: Option<&str>,
) -> Result<(postgres::Client, ServerFacts), String> {
    let options = ConnectOptions {
        host: login.primary.host.clone(),
        port: login.primary.port,
        user: login.username.parse().map_err(words)?,
        password: login.password.secret(),
        database: place::OWN_DATABASE.parse().map_err(words)?,
        timeout: PATIENCE,
        ca: ca.map(str::to_owned),
    };
    let client = charm.door.postgres(&options).await.map_err(words)?;
    let lookup = place::auth_user(&login.username).parse().map_err(words)?;
    let facts = client.facts(&lookup).await.map_err(words)?;
    Ok((client, facts))
}
