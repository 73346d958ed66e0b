//! Effects in the container.

use std::time::Duration;

use charm::{Applied, Hook, Level, Status};
use pebble::{Client, Layer, NewFile, Ownership, ServiceStatus};

use crate::effect::{Effect, File};
use crate::gather::workload::{pebble, words};
use crate::layer::LABEL;
use crate::operator::OperatorError;
use crate::place;

/// How long services may take to start.
const START: Duration = Duration::from_secs(60);

/// Makes one effect true. Where Pebble is gone, the next hook goes on from here.
pub(super) async fn effect(hook: &mut Hook, effect: Effect) -> Result<Applied, OperatorError> {
    let pebble = pebble(hook)?;
    let removal = matches!(effect, Effect::RemoveFile(_));
    match change(&pebble, hook, effect).await {
        Ok(applied) => Ok(applied),
        Err(OperatorError::Pebble(error)) if error.is_unreachable() => {
            let what = if removal { "delete file from" } else { "push config to" };
            let message = format!("Unable to {what} container - container unavailable.");
            Ok(Applied::Stop(Status::waiting(message)))
        }
        Err(error) => Err(error),
    }
}

async fn change(
    pebble: &Client,
    hook: &mut Hook,
    effect: Effect,
) -> Result<Applied, OperatorError> {
    match effect {
        Effect::MakeDirs(paths) => {
            let owner = Ownership::make_dirs().mode(0o700).owner(place::OWNER, place::OWNER);
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            pebble.make_dirs(&paths, &owner).await?;
        }
        Effect::Push(files) => {
            let files: Vec<NewFile<'_>> = files.iter().map(new_file).collect();
            pebble.push_all(&files).await?;
        }
        Effect::RemoveFile(path) => match pebble.remove_path(&path, false).await {
            Err(error) if error.is_not_found() => {}
            result => result?,
        },
        Effect::Reload(services) => {
            let names: Vec<&str> = services.iter().map(String::as_str).collect();
            pebble.signal("SIGHUP", &names).await?;
        }
        Effect::Restart(service) => {
            let change = pebble.restart(&[&service]).await?;
            let ended = pebble.wait_change(&change, START).await;
            return settled(pebble, hook, ended.err()).await;
        }
        Effect::Replan(layer) => return replan(pebble, hook, &layer).await,
        _ => {}
    }
    Ok(Applied::Done)
}

fn new_file(file: &File) -> NewFile<'_> {
    let ownership = Ownership::make_dirs().mode(file.mode);
    let ownership = match file.owner {
        Some(owner) => ownership.owner(owner, owner),
        None => ownership,
    };
    NewFile { path: &file.path, content: file.content.expose().as_bytes(), ownership }
}

async fn replan(pebble: &Client, hook: &mut Hook, layer: &Layer) -> Result<Applied, OperatorError> {
    pebble.add_layer(LABEL, layer, true).await?;
    let change = pebble.replan().await?;
    let ended = pebble.wait_change(&change, START).await;
    settled(pebble, hook, ended.err()).await
}

/// A failed start matters if it is a pooler's; the exporter and the rotation of logs
/// are started again by Pebble.
async fn settled(
    pebble: &Client,
    hook: &mut Hook,
    error: Option<pebble::Error>,
) -> Result<Applied, OperatorError> {
    let Some(error) = error else { return Ok(Applied::Done) };
    hook.log(Level::Warning, words(&error));
    let services = pebble.services(&[]).await?;
    let down = services.iter().find(|s| s.name.starts_with("pgbouncer_") && !s.is_active());
    let Some(down) = down else { return Ok(Applied::Done) };
    let state = match down.current {
        ServiceStatus::Active => "ACTIVE",
        ServiceStatus::Inactive => "INACTIVE",
        ServiceStatus::Backoff => "BACKOFF",
        ServiceStatus::Error => "ERROR",
    };
    Ok(Applied::Stop(Status::blocked(format!(
        "PgBouncer service {} not running: service status = ServiceStatus.{state}",
        down.name
    ))))
}
