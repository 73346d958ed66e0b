//! PostgreSQL, as far as it lets the leader in.

use juju_charm::{Event, HookError, Level, Reader, RelationKind, SecretContent, error_chain};
use postgres::{ConnectOptions, ServerFacts};

use crate::connections::{Connections, PATIENCE};
use crate::decide::backend::initialised;
use crate::endpoint::Endpoint;
use crate::facts::{Backend, ConnectionBudget, Login};
use crate::names;

/// Connects to the backend, on the leader, and asks what has to be known of it.
pub(super) async fn connect(
    connections: &mut Connections,
    hook: &mut Reader,
    backend: Option<&mut Backend>,
) {
    connections.sql = None;
    let Some(backend) = backend else { return };
    let Some(login) = &backend.login else { return };
    match server(connections, login, backend.ca.as_deref()).await {
        Ok((client, facts)) => {
            let (most, for_clients) = (facts.max_connections, facts.for_clients);
            backend.connection_budget =
                (most > 0).then_some(ConnectionBudget { most, for_clients });
            backend.knows_lookup = facts.knows_role;
            backend.lookup = facts.lookup;
            // A standby may not have replayed all of them yet.
            let owned = facts.held_roles.iter().filter_map(|name| name.parse().ok()).collect();
            backend.owned_roles = facts.timeline.is_some().then_some(owned);
            backend.server = Some(facts.version.text);
            backend.answers = true;
            connections.sql = Some(client);
        }
        Err(error) => {
            backend.answers = !error.is_transient();
            hook.log(Level::Warning, format!("the backend: {}", error_chain(error)));
        }
    }
}

/// Asks for the backend's databases, all of which a client may use.
pub(super) async fn databases(connections: &Connections, backend: Option<&mut Backend>) {
    let (Some(client), Some(backend)) = (&connections.sql, backend) else { return };
    if let Ok(found) = client.databases().await {
        // PostgreSQL has names that PgBouncer cannot serve.
        let servable = found.iter().filter_map(|name| name.as_str().parse().ok());
        backend.databases = Some(servable.collect());
    }
}

/// Reads whether PostgreSQL has units, where that matters, and returns whether the
/// backend is one that has to be initialised.
pub(super) fn needs_populated(
    hook: &mut Reader,
    event: &Event,
    backend: Option<&mut Backend>,
    secret: Option<&SecretContent>,
) -> Result<bool, HookError> {
    let Some(backend) = backend else { return Ok(false) };
    let Some(login) = &backend.login else { return Ok(false) };
    let lost = backend.server.is_some() && !backend.knows_lookup;
    let renewed = lost || !initialised(secret, &login.auth_user);
    let departed = event
        .relation(Endpoint::Backend)
        .is_some_and(|relation| relation.kind == RelationKind::Departed);
    if renewed || departed {
        backend.populated = !hook.remote_units(backend.id)?.is_empty();
    }
    Ok(renewed)
}

/// A connection to the backend, and what has to be known of it.
async fn server(
    connections: &Connections,
    login: &Login,
    ca: Option<&str>,
) -> Result<(postgres::Client, ServerFacts), postgres::Error> {
    let options = ConnectOptions {
        host: login.primary.host.clone(),
        port: login.primary.port,
        user: login.username.clone(),
        password: login.password.secret(),
        database: names::OWN_DATABASE,
        timeout: PATIENCE,
        ca: ca.map(str::to_owned),
    };
    let client = connections.ports.postgres(&options).await?;
    let facts = client.facts(&login.auth_user).await?;
    Ok((client, facts))
}
