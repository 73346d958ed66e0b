//! Effects in the container.

use std::time::Duration;

use juju_charm::{Applied, Context, Error, Level, Status, error_chain};
use pebble_client::{Client, Layer, NewFile, Ownership, ServiceStatus};

use crate::connections::{Connections, pebble};
use crate::effect::{ContainerEffect, File};
use crate::names;
use crate::render::layer::LABEL;
use crate::wording;

/// How long services may take to start.
const START: Duration = Duration::from_secs(60);

/// Makes one effect true. Where Pebble is gone, the next hook goes on from here.
pub(super) async fn effect(
    connections: &Connections,
    hook: &mut Context,
    effect: ContainerEffect,
) -> Result<Applied, Error> {
    let pebble = pebble(hook);
    let removal = matches!(effect, ContainerEffect::RemoveFile(_));
    match change(connections, &pebble, hook, effect).await {
        Ok(applied) => Ok(applied),
        Err(Error::Pebble(error)) if error.is_unreachable() => {
            let message =
                if removal { wording::REMOVE_UNREACHABLE } else { wording::PUSH_UNREACHABLE };
            Ok(Applied::Stop(Status::waiting(message)))
        }
        Err(error) => Err(error),
    }
}

async fn change(
    connections: &Connections,
    pebble: &Client,
    hook: &mut Context,
    effect: ContainerEffect,
) -> Result<Applied, Error> {
    match effect {
        ContainerEffect::MakeDirs(paths) => {
            let owner = Ownership::make_dirs().mode(0o700).owner(names::OWNER, names::OWNER);
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            pebble.make_dirs(&paths, &owner).await?;
        }
        ContainerEffect::PushFiles(files) => {
            let files: Vec<NewFile<'_>> = files.iter().map(new_file).collect();
            pebble.push_all(&files).await?;
        }
        ContainerEffect::PushAgent(version) => {
            let content = connections.ports.program()?;
            let ownership = Ownership::make_dirs().mode(0o755).owner("root", "root");
            let program = NewFile { path: names::AGENT_PROGRAM, content: &content, ownership };
            pebble.push_all(&[program]).await?;
            pebble.push_all(&[new_file(&version)]).await?;
        }
        ContainerEffect::RemoveFile(path) => match pebble.remove_path(&path, false).await {
            Err(error) if error.is_not_found() => {}
            result => result?,
        },
        ContainerEffect::Reload(services) => {
            let names: Vec<&str> = services.iter().map(String::as_str).collect();
            pebble.signal("SIGHUP", &names).await?;
        }
        ContainerEffect::Restart(service) => {
            let change = pebble.restart(&[&service]).await?;
            let ended = pebble.wait_change(&change, START).await;
            return settled(pebble, hook, ended.err()).await;
        }
        ContainerEffect::Replan(layer) => return replan(pebble, hook, &layer).await,
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

async fn replan(pebble: &Client, hook: &mut Context, layer: &Layer) -> Result<Applied, Error> {
    pebble.add_layer(LABEL, layer, true).await?;
    let change = pebble.replan().await?;
    let ended = pebble.wait_change(&change, START).await;
    settled(pebble, hook, ended.err()).await
}

/// A failed start matters if it is a pooler's; the exporter and the rotation of logs
/// are started again by Pebble.
async fn settled(
    pebble: &Client,
    hook: &mut Context,
    error: Option<pebble_client::Error>,
) -> Result<Applied, Error> {
    let Some(error) = error else { return Ok(Applied::Done) };
    hook.log(Level::Warning, error_chain(&error));
    let services = pebble.services(&[]).await?;
    let down = services.iter().find(|s| s.name.starts_with("pgbouncer_") && !s.is_active());
    let Some(down) = down else { return Ok(Applied::Done) };
    let state = match down.current {
        ServiceStatus::Active => "ACTIVE",
        ServiceStatus::Inactive => "INACTIVE",
        ServiceStatus::Backoff => "BACKOFF",
        ServiceStatus::Error => "ERROR",
    };
    Ok(Applied::Stop(Status::blocked(wording::service_down(&down.name, state))))
}
