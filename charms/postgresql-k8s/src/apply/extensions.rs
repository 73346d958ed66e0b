//! Extensions in every database, and in the one that new databases are copied from.

use juju_charm::{Applied, Changes, Context, Error, Level, Own, Status, error_chain};
use postgres::{Client, DatabaseName};

use super::cluster::{SqlError, log_in_at_primary};
use crate::decide::PLUGINS;
use crate::effect::SwitchExtensions;
use crate::ports::Ports;
use crate::wording::{PLUGINS_IN_USE, no_plugins};

/// PostgreSQL's code for an object on which others depend.
const DEPENDED_ON: &str = "2BP01";
/// PostgreSQL's code for a database that is not there.
const GONE: &str = "3D000";

pub(super) async fn switch(
    ports: &dyn Ports,
    hook: &mut Context,
    change: &SwitchExtensions,
) -> Result<Applied, Error> {
    match try_switch(ports, hook, change).await {
        Ok(None) => {
            let done = Changes::from([(PLUGINS, change.plugins.clone())]);
            hook.set_bag(change.peer, Own::App, done)?;
            Ok(Applied::Done)
        }
        Ok(Some(message)) => Ok(Applied::Status(Status::blocked(message))),
        Err(error) if error.is_transient() => {
            hook.log(Level::Warning, error_chain(error));
            Ok(Applied::defer("the primary does not take SQL"))
        }
        Err(error) => {
            hook.log(Level::Error, error_chain(&error));
            Ok(Applied::Status(Status::blocked(error.to_string())))
        }
    }
}

/// Does what can be done; the answer is what a person has to see to.
async fn try_switch(
    ports: &dyn Ports,
    hook: &mut Context,
    change: &SwitchExtensions,
) -> Result<Option<String>, SqlError> {
    let server = ports.postgres(&log_in_at_primary(ports, hook, &change.login).await?).await?;
    let available = server.available_extensions().await?;
    let (on, missing): (Vec<&str>, Vec<&str>) =
        change.on.iter().partition(|name| available.iter().any(|known| known == **name));
    let mut message = (!missing.is_empty()).then(|| no_plugins(&missing));
    // What a client has made in its database keeps no other database from its extensions.
    let mut failed = Vec::new();
    for database in &server.all_databases().await? {
        match switch_in(&server, database, change, &on).await {
            Ok(()) => {}
            Err(error) if error.code() == Some(DEPENDED_ON) => {
                hook.log(
                    Level::Error,
                    format!("{database}: {}", error_chain(SqlError::from(error))),
                );
                message = Some(PLUGINS_IN_USE.to_owned());
            }
            Err(error) if error.code() == Some(GONE) => {}
            Err(error) if server.is_lost(&error).await => Err(error)?,
            Err(error) => failed.push(error),
        }
    }
    let failed: Vec<String> =
        failed.into_iter().map(|error| error_chain(SqlError::from(error))).collect();
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
