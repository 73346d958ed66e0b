//! Effects on the workload's container.

use std::time::Duration;

use charm::{Applied, ExposeSecret, Hook, Level, SecretString};
use pebble::{ExecOptions, Layer, Ownership};

use crate::Error;
use crate::gather::workload;
use crate::layer;
use crate::patroni_yml::{PATH, PGDATA, PGPASS, STORAGE, with_password};

/// How long Pebble may take to start the service: it waits one second by itself.
const START_BOUND: Duration = Duration::from_secs(20);

/// What to do when Pebble is away: the container restarts, pebble-ready will come.
pub(super) fn away(error: pebble::Error) -> Result<Applied, Error> {
    if error.is_unreachable() {
        return Ok(Applied::defer("the container does not answer"));
    }
    Err(error.into())
}

/// What follows from an attempt to change the container.
pub(crate) fn after_push(outcome: Result<(), pebble::Error>) -> Result<Applied, Error> {
    outcome.map_or_else(away, |()| Ok(Applied::Done))
}

pub(super) fn owned(mode: u32) -> Ownership {
    Ownership::make_dirs().mode(mode).owner("postgres", "postgres")
}

pub(super) async fn prepare_storage(hook: &mut Hook) -> Result<Applied, Error> {
    let Some(pebble) = workload(hook) else { return Ok(Applied::Done) };
    let prepare = async {
        pebble.make_dir(PGDATA, &owned(0o750)).await?;
        // The socket's folder lies on a file system that starts empty in some images.
        pebble.make_dir("/var/run/postgresql", &owned(0o2775)).await?;
        let owner = ["chown", "postgres:postgres", STORAGE];
        pebble.exec(&owner, &ExecOptions::default()).await
    };
    match prepare.await {
        Ok(output) if output.success() => Ok(Applied::Done),
        Ok(output) => {
            hook.log(Level::Error, format!("cannot own {STORAGE}: {}", output.stderr.trim()));
            Ok(Applied::defer("the volume cannot be prepared"))
        }
        Err(error) => away(error),
    }
}

pub(super) async fn push_config(hook: &Hook, text: &SecretString) -> Result<Applied, Error> {
    let Some(pebble) = workload(hook) else { return Ok(Applied::Done) };
    after_push(pebble.push(PATH, text.expose_secret(), &owned(0o600)).await)
}

pub(super) async fn reload(hook: &Hook) -> Result<Applied, Error> {
    let Some(pebble) = workload(hook) else { return Ok(Applied::Done) };
    after_push(pebble.signal("SIGHUP", &[layer::NAME]).await)
}

/// Puts the password into the file with which a standby logs in at the primary.
///
/// Patroni leaves that file alone while the standby streams, and writes the password that it
/// knew then at every reload; the standby would be refused as it comes back.
pub(super) async fn refresh_passfile(
    hook: &Hook,
    password: &SecretString,
) -> Result<Applied, Error> {
    let Some(pebble) = workload(hook) else { return Ok(Applied::Done) };
    let write = async {
        let Some(text) = pebble.pull_text(PGPASS).await? else { return Ok(()) };
        let wanted = with_password(&text, password);
        if wanted.expose_secret() == text {
            return Ok(());
        }
        pebble.push(PGPASS, wanted.expose_secret(), &owned(0o600)).await
    };
    after_push(write.await)
}

pub(super) async fn start(hook: &mut Hook, layer: &Layer) -> Result<Applied, Error> {
    let Some(pebble) = workload(hook) else { return Ok(Applied::Done) };
    let outcome = async {
        pebble.add_layer(layer::NAME, layer, true).await?;
        let change = pebble.replan().await?;
        pebble.wait_change(&change, START_BOUND).await
    };
    match outcome.await {
        Ok(_) => Ok(Applied::Done),
        Err(error) if error.is_unreachable() => away(error),
        // Pebble tries again by itself; the member's health tells how it went.
        Err(error) => {
            hook.log(Level::Warning, error.to_string());
            Ok(Applied::Done)
        }
    }
}

/// The version of PostgreSQL in the image.
pub(super) async fn version(hook: &Hook) -> Option<String> {
    let pebble = workload(hook)?;
    let text = pebble.pull_text(&format!("{PGDATA}/PG_VERSION")).await.ok()??;
    Some(text.trim().to_owned())
}
