//! Commands: how they end. What they print is theirs, and no simulation's.

use pebble_client::ExecOptions;

use super::{Failure, Far, refused};

/// A command's code comes back; one that does not exist, or another client's, is refused.
pub(crate) async fn commands_end(far: &Far) -> Result<(), Failure> {
    let Far { client, user, .. } = far;
    let theirs = ExecOptions::default().owner(user, user);
    let output = client.exec(&["true", "with", "words"], &theirs).await?;
    assert_eq!((output.code, output.stdout.as_str()), (0, ""));
    let output = client.exec(&["false"], &ExecOptions::default().stdin("unread")).await?;
    assert_eq!((output.code, output.success()), (1, false));
    let missing = client.exec(&["no-such-program"], &ExecOptions::default()).await;
    refused(missing, 400, "cannot find executable");
    let stranger = ExecOptions::default().owner("no-such-user", "no-such-user");
    refused(client.exec(&["true"], &stranger).await, 400, "unknown user");
    Ok(())
}
