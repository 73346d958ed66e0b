//! Extensions in every database, and in the one that new databases are copied from.

use charm::{Applied, Changes, Hook, Level, Own, Status};
use postgres::{Client, DatabaseName};

use super::cluster::{SqlError, operator, words};
use crate::Error;
use crate::decide::PLUGINS;
use crate::door::Door;
use crate::effect::SwitchExtensions;
use crate::gather::topology;

/// In upstream's words.
const IN_USE: &str = "Cannot disable plugins: Existing objects depend on it. See logs";
/// PostgreSQL's code for an object on which others depend.
const DEPENDED_ON: &str = "2BP01";
/// PostgreSQL's code for a database that is not there.
const GONE: &str = "3D000";

pub(super) async fn switch(
    door: &dyn Door,
    hook: &mut Hook,
    change: &SwitchExtensions,
) -> Result<Applied, Error> {
    match try_switch(door, hook, change).await {
        Ok(None) => {
            let done = Changes::from([(PLUGINS, change.plugins.clone())]);
            hook.set_bag(change.peer, Own::App, done)?;
            Ok(Applied::Done)
        }
        Ok(Some(message)) => Ok(Applied::Status(Status::blocked(message))),
        Err(SqlError::Server(error)) if error.is_transient() => {
            hook.log(Level::Warning, error.to_string());
            Ok(Applied::defer("the primary does not take SQL"))
        }
        Err(error) => {
            hook.log(Level::Error, words(&error));
            Ok(Applied::Status(Status::blocked(error.to_string())))
        }
    }
}

/// Does what can be done; the answer is what a person has to see to.
async fn try_switch(
    door: &dyn Door,
    hook: &mut Hook,
    change: &SwitchExtensions,
) -> Result<Option<String>, SqlError> {
    let server = door.postgres(&operator(&topology(hook), &change.operator)?).await?;
    let available = server.available_extensions().await?;
    let (on, missing): (Vec<&str>, Vec<&str>) =
        change.on.iter().partition(|name| available.iter().any(|known| known == **name));
    let mut message = (!missing.is_empty()).then(|| {
        format!(
            "the image has no {}: refresh the resource postgresql-image, or set the option of \
             the plugin to false",
            missing.join(", ")
        )
    });
    // What a client has made in its database keeps no other database from its extensions.
    let mut failed = Vec::new();
    for database in &server.all_databases().await? {
        match switch_in(&server, database, change, &on).await {
            Ok(()) => {}
            Err(error) if error.code() == Some(DEPENDED_ON) => {
                hook.log(Level::Error, format!("{database}: {}", words(&error.into())));
                message = Some(IN_USE.to_owned());
            }
            Err(error) if error.code() == Some(GONE) => {}
            Err(error @ postgres::Error::Timeout { .. }) => Err(error)?,
            Err(error) => failed.push(error),
        }
    }
    if let Some(at) = failed.iter().position(postgres::Error::is_away) {
        Err(failed.swap_remove(at))?;
    }
    let failed: Vec<String> = failed.into_iter().map(|error| words(&error.into())).collect();
    for reason in &failed {
        hook.log(Level::Error, reason.clone());
    }
    Ok(failed.into_iter().next().or(message))
}

async fn switch_in(
    server: &Client,
    database: &DatabaseName,
    change: &SwitchExtensions,
    on: &[&str],
) -> Result<(), postgres::Error> {
    let inside = server.in_database(database).await?;
    for name in on {
        inside.create_extension(name).await?;
    }
    // Those that need others were made last.
    let mut in_use = None;
    for name in change.off.iter().rev() {
        match inside.drop_extension(name).await {
            Err(error) if error.code() == Some(DEPENDED_ON) => in_use = Some(error),
            dropped => dropped?,
        }
    }
    in_use.map_or(Ok(()), Err)
}
