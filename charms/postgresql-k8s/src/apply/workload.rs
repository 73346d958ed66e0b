//! Effects on the workload's container.

use std::time::Duration;

use juju_charm::{Applied, Context, Error, ExposeSecret, Level, SecretString, Status};
use pebble_client::{ExecOptions, Layer, NewFile, Ownership};

use crate::gather::workload;
use crate::layer::{self, BEFORE_STOP, BEFORE_STOP_VERSION, PATRONI_YML, USER};
use crate::patroni_yml::{PGDATA, PGPASS, SOCKETS, STORAGE, with_password};
use crate::ports::Ports;
use crate::wording;

/// How long Pebble may take to start the service: it waits one second by itself.
const START_BOUND: Duration = Duration::from_secs(20);

/// What to do when Pebble is away: the container restarts, pebble-ready will come.
pub(super) fn away(error: pebble_client::Error) -> Result<Applied, Error> {
    if error.is_unreachable() {
        return Ok(Applied::defer("the container does not answer"));
    }
    Err(error.into())
}

/// What follows from an attempt to change the container.
pub(crate) fn after_push(outcome: Result<(), pebble_client::Error>) -> Result<Applied, Error> {
    outcome.map_or_else(away, |()| Ok(Applied::Done))
}

pub(super) fn owned(mode: u32) -> Ownership {
    Ownership::make_dirs().mode(mode).owner(USER, USER)
}

pub(super) async fn prepare_storage(hook: &mut Context) -> Result<Applied, Error> {
    let pebble = workload(hook);
    let prepare = async {
        pebble.make_dir(PGDATA, &owned(0o750)).await?;
        // The socket's folder lies on a file system that starts empty in some images.
        pebble.make_dir(SOCKETS, &owned(0o2775)).await?;
        for command in OWN {
            let output = pebble.exec(command, &ExecOptions::default()).await?;
            if !output.success() {
                return Ok(Some(output.stderr.trim().to_owned()));
            }
        }
        Ok(None)
    };
    let refused: Result<Option<String>, pebble_client::Error> = prepare.await;
    match refused {
        Ok(None) => Ok(Applied::Done),
        Ok(Some(why)) => {
            let line = wording::not_owned(&why);
            hook.log(Level::Error, &line);
            Ok(Applied::Defer {
                reason: "the volume cannot be prepared".to_owned(),
                status: Some(Status::blocked(line)),
            })
        }
        Err(error) => away(error),
    }
}

/// What makes the volume PostgreSQL's: it may be root's, or its files may belong to the user that
/// restored them. Symbolic links are not followed.
const OWN: [&[&str]; 3] = [
    &["chown", "-h", "postgres:postgres", STORAGE, SOCKETS],
    &["chmod", "u+rwx", STORAGE, PGDATA, SOCKETS],
    &["find", PGDATA, "!", "-user", USER, "-exec", "chown", "-h", "postgres:postgres", "{}", "+"],
];

pub(super) async fn push_config(hook: &Context, text: &SecretString) -> Result<Applied, Error> {
    let pebble = workload(hook);
    after_push(pebble.push(PATRONI_YML, text.expose_secret(), &owned(0o600)).await)
}

/// Writes the program, then which one it is: a hook that dies in between leaves it to the next.
pub(super) async fn push_before_stop(
    ports: &dyn Ports,
    hook: &Context,
    version: &str,
) -> Result<Applied, Error> {
    let pebble = workload(hook);
    let program = ports.program()?;
    let root = |mode| Ownership::make_dirs().mode(mode).owner("root", "root");
    let file = NewFile { path: BEFORE_STOP, content: &program, ownership: root(0o755) };
    let write = async {
        pebble.push_all(&[file]).await?;
        pebble.push(BEFORE_STOP_VERSION, version, &root(0o644)).await
    };
    after_push(write.await)
}

pub(super) async fn reload(hook: &Context) -> Result<Applied, Error> {
    let pebble = workload(hook);
    after_push(pebble.signal("SIGHUP", &[layer::NAME]).await)
}

/// Puts the password into the file with which a standby logs in at the primary.
///
/// Patroni leaves that file alone while the standby streams, and writes the password that it
/// knew then at every reload; the standby would be refused as it comes back.
pub(super) async fn refresh_passfile(
    hook: &Context,
    password: &SecretString,
) -> Result<Applied, Error> {
    let pebble = workload(hook);
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

pub(super) async fn start(hook: &mut Context, layer: &Layer) -> Result<Applied, Error> {
    let pebble = workload(hook);
    let outcome = async {
        pebble.add_layer(layer::NAME, layer, true).await?;
        let change = pebble.replan().await?;
        pebble.wait_change(&change, START_BOUND).await
    };
    match outcome.await {
        Ok(_) => Ok(Applied::Done),
        Err(error) if error.is_unreachable() => away(error),
        // Pebble tries again by itself; the member's health shows how it went.
        Err(error) => {
            hook.log(Level::Warning, error.to_string());
            Ok(Applied::Done)
        }
    }
}

/// The version of PostgreSQL in the image.
pub(super) async fn version(hook: &Context) -> Option<String> {
    let text = workload(hook).pull_text(&format!("{PGDATA}/PG_VERSION")).await.ok()??;
    Some(text.trim().to_owned())
}
