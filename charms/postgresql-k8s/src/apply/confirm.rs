//! The passwords of the charm's own users: what the server has must be what is kept.

use juju_charm::{Applied, Context, Error, Level, error_chain};
use postgres::ConnectOptions;

use super::cluster::{SqlError, log_in_at_primary};
use crate::effect::{BACKUP, Confirmation, SuperuserLogin};
use crate::ports::Ports;

/// Gives every user of the charm's own the password that is kept.
pub(super) async fn passwords(
    ports: &dyn Ports,
    hook: &mut Context,
    kept: Confirmation,
) -> Result<Applied, Error> {
    let of_action = kept.of_action;
    let Err(error) = confirm(ports, hook, kept).await else {
        return Ok(Applied::Done);
    };
    hook.log(Level::Error, error_chain(error));
    if of_action {
        hook.action_fail("Failed changing the password.")?;
    }
    Ok(Applied::defer("the server's passwords could not be compared with those that are kept"))
}

async fn confirm(
    ports: &dyn Ports,
    hook: &mut Context,
    Confirmation { passwords, salts, ca, .. }: Confirmation,
) -> Result<(), SqlError> {
    let login = SuperuserLogin { password: passwords.operator.clone(), ca };
    let login = log_in_at_primary(ports, hook, &login).await?;
    let client = match ports.postgres(&login).await {
        // The other superuser can still mend the first; one change at a time is confirmed.
        Err(error) if error.is_wrong_password() => {
            let password = passwords.backup.clone();
            ports.postgres(&ConnectOptions { user: BACKUP, password, ..login }).await?
        }
        connected => connected?,
    };
    for ((user, password), salt) in passwords.users().into_iter().zip(&salts) {
        client.set_password(&user, password, salt).await?;
    }
    Ok(())
}
