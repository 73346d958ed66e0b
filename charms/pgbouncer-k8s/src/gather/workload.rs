//! What runs in the container, and whether PostgreSQL lets us in.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use charm::{Hook, SecretString};
use postgres::ConnectOptions;

use crate::facts::{Login, Workload};
use crate::operator::{OperatorError, PgBouncer};
use crate::place;

/// How long Pebble and PostgreSQL may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A client of the container's Pebble.
pub(crate) fn pebble(hook: &Hook) -> Result<pebble::Client, OperatorError> {
    Ok(hook.pebble(&place::CONTAINER.parse()?))
}

/// Whether Pebble answers, and whether the container has a configuration.
pub(super) async fn configured(hook: &Hook) -> Result<(bool, bool), OperatorError> {
    match pebble(hook)?.with_timeout(PATIENCE).stat(&place::ini(0)).await {
        Ok(found) => Ok((true, found.is_some())),
        Err(error) if error.is_unreachable() => Ok((false, false)),
        Err(error) => Err(error.into()),
    }
}

/// Plan, services and files; `None` where Pebble does not answer.
pub(super) async fn workload(
    hook: &Hook,
    processes: NonZeroU32,
    nonce: Option<&str>,
) -> Result<Option<Workload>, OperatorError> {
    let pebble = pebble(hook)?.with_timeout(PATIENCE);
    match read(&pebble, hook, processes, nonce).await {
        Ok(workload) => Ok(Some(workload)),
        Err(error) if error.is_unreachable() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn read(
    pebble: &pebble::Client,
    hook: &Hook,
    processes: NonZeroU32,
    nonce: Option<&str>,
) -> Result<Workload, pebble::Error> {
    let plan = pebble.plan().await?;
    let services = pebble.services(&[]).await?;
    let active: BTreeSet<String> =
        services.into_iter().filter(|s| s.is_active()).map(|s| s.name).collect();
    let app = hook.app();
    let mut paths: Vec<String> = (0..processes.get()).map(place::ini).collect();
    paths.push(place::LOGROTATE_RULES.to_owned());
    paths.push(place::passfile(app));
    paths.extend(nonce.map(|nonce| place::auth_file(app, nonce)));
    let mut files = BTreeMap::new();
    for path in paths {
        if let Some(text) = pebble.pull_text(&path).await? {
            files.insert(path, SecretString::from(text).into());
        }
    }
    Ok(Workload { plan, active, files })
}

/// A connection to the backend and its version.
pub(super) async fn server(
    charm: &PgBouncer,
    login: &Login,
) -> Result<(postgres::Client, String), String> {
    let options = ConnectOptions {
        host: login.primary.host.clone(),
        port: login.primary.port,
        user: login.username.parse().map_err(words)?,
        password: login.password.secret(),
        database: place::OWN_DATABASE.parse().map_err(words)?,
        timeout: PATIENCE,
    };
    let client = charm.door.postgres(&options).await.map_err(words)?;
    let version = client.server_version().await.map_err(words)?;
    Ok((client, version.text))
}

/// An error and its causes on one line.
pub(crate) fn words(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
