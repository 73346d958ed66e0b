//! A standby that copies the primary anew.

use std::time::Duration;

use juju_charm::{Applied, Context, Level, error_chain};
use pebble_client::{ChangeId, Client, ExecOptions};

use super::Outcome;
use super::cluster::{SqlError, log_in_at_primary};
use super::members::own;
use super::workload::{away, owned};
use crate::effect::{CopyAnew, SuperuserLogin};
use crate::gather::workload;
use crate::layer;
use crate::patroni_yml::{ASIDE, PGDATA, POSTMASTER};
use crate::ports::Ports;

/// How long Pebble may take to stop and to start the service; it kills one that does not stop.
const SERVICE_BOUND: Duration = Duration::from_secs(30);

/// Has Patroni copy the primary anew. Before that nobody reads from a slot that the primary has
/// given up, so that it can be replaced by one that keeps what comes after the copy.
pub(super) async fn copy_anew(
    ports: &dyn Ports,
    hook: &mut Context,
    CopyAnew { password, login, keeps }: CopyAnew,
) -> Outcome {
    if let Err(error) = drop_lost_slots(ports, hook, &login).await {
        hook.log(Level::Warning, error_chain(error));
    }
    if keeps {
        match set_aside(&workload(hook)).await {
            // Patroni copies what is not there.
            Ok(true) => return Ok(Applied::Done),
            Ok(false) => hook.log(Level::Warning, NOT_KEPT),
            Err(error) => return away(error),
        }
    }
    let rest = own(ports, hook).await.with_login("patroni", password);
    if let Err(error) = rest.reinitialize().await {
        hook.log(Level::Warning, error.to_string());
    }
    Ok(Applied::Done)
}

const NOT_KEPT: &str = "cannot keep the data of this unit until the copy is whole: its PostgreSQL \
                        did not stop, or their folder has to stay, so Patroni replaces them";

/// Gives the data another name while nothing runs on them. A hook that dies on the way leaves a
/// service that does not run, which the next one starts, over the data or without them.
async fn set_aside(pebble: &Client) -> Result<bool, pebble_client::Error> {
    ended(pebble, pebble.stop(&[layer::NAME]).await?).await?;
    let moved = pebble.stat(POSTMASTER).await?.is_none()
        && pebble.exec(&["mv", "-T", PGDATA, ASIDE], &ExecOptions::default()).await?.success();
    if moved {
        pebble.make_dir(PGDATA, &owned(0o750)).await?;
    }
    ended(pebble, pebble.start(&[layer::NAME]).await?).await?;
    Ok(moved)
}

/// Waits for a change, whatever becomes of it: what the service does is seen afterwards.
async fn ended(pebble: &Client, change: ChangeId) -> Result<(), pebble_client::Error> {
    match pebble.wait_change(&change, SERVICE_BOUND).await {
        Err(error) if error.is_unreachable() => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Removes the data that were kept. Large ones take longer than Pebble is waited for: it goes on,
/// and a later hook sees what is left.
pub(super) async fn remove_aside(hook: &mut Context) -> Outcome {
    match workload(hook).remove_path(ASIDE, true).await {
        Err(error) if !error.is_unreachable() => {
            hook.log(Level::Warning, error.to_string());
            Ok(Applied::Done)
        }
        removed => removed.map_or_else(away, |()| Ok(Applied::Done)),
    }
}

async fn drop_lost_slots(
    ports: &dyn Ports,
    hook: &mut Context,
    login: &SuperuserLogin,
) -> Result<(), SqlError> {
    let primary = log_in_at_primary(ports, hook, login).await?;
    Ok(ports.postgres(&primary).await?.drop_lost_slots().await?)
}
