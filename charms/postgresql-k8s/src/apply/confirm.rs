//! The passwords of the charm's own users: what the server has must be what is kept.

use charm::{Applied, Hook, Level, SecretString};
use postgres::ConnectOptions;

use super::cluster::{SqlError, operator, words};
use crate::Error;
use crate::door::Door;
use crate::effect::{Confirmation, Operator};
use crate::gather::topology;
use crate::topology::Topology;

/// Gives every user of the charm's own the password that is kept.
pub(super) async fn passwords(
    door: &dyn Door,
    hook: &mut Hook,
    kept: Confirmation,
) -> Result<Applied, Error> {
    let of_action = kept.of_action;
    let Err(error) = confirm(door, &topology(hook), kept).await else {
        return Ok(Applied::Done);
    };
    hook.log(Level::Error, words(&error));
    if of_action {
        hook.action_fail("Failed changing the password.")?;
    }
    Ok(Applied::defer("the server's passwords could not be compared with those that are kept"))
}

async fn confirm(
    door: &dyn Door,
    topology: &Topology,
    Confirmation { passwords, salts, ca, .. }: Confirmation,
) -> Result<(), SqlError> {
    let users: [(&str, &SecretString); 5] = [
        ("operator", &passwords.operator),
        ("replication", &passwords.replication),
        ("rewind", &passwords.rewind),
        ("monitoring", &passwords.monitoring),
        ("backup", &passwords.backup),
    ];
    let way_in = operator(topology, &Operator { password: passwords.operator.clone(), ca })?;
    let client = match door.postgres(&way_in).await {
        // The other superuser can still mend the first; one change at a time is confirmed.
        Err(error) if error.is_wrong_password() => {
            let password = passwords.backup.clone();
            let user = "backup".parse()?;
            door.postgres(&ConnectOptions { user, password, ..way_in }).await?
        }
        connected => connected?,
    };
    for ((user, password), salt) in users.into_iter().zip(&salts) {
        client.set_password(&user.parse()?, password, salt).await?;
    }
    Ok(())
}
