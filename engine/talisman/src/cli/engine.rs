//! Starting the engine of an instance.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use juju_model::Juju;
use tokio::time::Instant;

use super::deploy::must_exist;
use super::output::tell;
use crate::client::Client;
use crate::images;
use crate::models::JUJU;
use crate::paths::Paths;

/// Starts the engine of an instance unless it runs, on a machine that can run pods. A model that
/// is new plays the Juju.
pub(super) async fn start_engine(paths: &Paths, client: &Client, juju: Option<Juju>) -> Result<()> {
    let _one_at_a_time = turn(paths).await?;
    if client.is_running().await {
        return Ok(());
    }
    preflight(paths)?;
    start(paths, client, juju).await
}

/// Waits until no other command starts the engine of the instance or deploys its bundle; the
/// lock goes with the file, or with this process.
pub(super) async fn turn(paths: &Paths) -> Result<std::fs::File> {
    use rustix::fs::{FlockOperation, flock};
    let path = paths.turn();
    let open = || {
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        std::fs::OpenOptions::new().create(true).append(true).open(&path)
    };
    let file = open()
        .with_context(|| format!("cannot open {} as this user: run it as root", path.display()))?;
    let mut told = false;
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if !std::mem::replace(&mut told, true) {
            tell("waiting for another `talisman up`");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(file)
}

/// Refuses, all reasons at once, on a machine that cannot run pods.
pub(super) fn preflight(paths: &Paths) -> Result<()> {
    let complaints = node::preflight(&paths.node());
    if complaints.is_empty() { Ok(()) } else { bail!("{}", complaints.join("\n")) }
}

/// Waits for an engine that is ending to let go of the instance.
async fn wait_for_the_last(paths: &Paths) -> Result<()> {
    use rustix::fs::{FlockOperation, flock};
    let Ok(file) = std::fs::File::open(paths.run.join("lock")) else { return Ok(()) };
    let deadline = Instant::now() + Duration::from_secs(10);
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() > deadline {
            bail!("cannot start the engine: another one has the instance and does not answer");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Starts the daemon.
pub(super) async fn start(paths: &Paths, client: &Client, juju: Option<Juju>) -> Result<()> {
    for program in ["pebble", "hooktool", "containeragent"] {
        must_exist(&paths.lib.join(program), "program")
            .context("cannot start the engine: it is not built; run `make build`")?;
    }
    std::fs::create_dir_all(&paths.state)
        .with_context(|| format!("cannot make the folder {}", paths.state.display()))?;
    images::ensure(paths, &[images::charm_base()?]).await?;
    wait_for_the_last(paths).await?;
    let log = std::fs::OpenOptions::new().create(true).append(true).open(paths.daemon_log())?;
    let mut daemon = daemon_command(paths)?;
    if let Some(juju) = juju {
        daemon.env(JUJU, juju.to_string());
    }
    daemon.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut child = daemon.spawn().context("cannot start the engine")?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while !client.is_running().await {
        if let Some(code) = child.try_wait()? {
            bail!("cannot start the engine ({code}): {}", last_words(&paths.daemon_log()));
        }
        if Instant::now() > deadline {
            bail!(
                "cannot start the engine: it does not answer after 30 s; see {}",
                paths.daemon_log().display()
            );
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tell("engine started");
    Ok(())
}

fn daemon_command(paths: &Paths) -> Result<std::process::Command> {
    use std::os::unix::process::CommandExt;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = std::process::Command::new(program);
    command
        .args(["--instance", &paths.instance, "daemon"])
        .env("TALISMAN_CACHE", &paths.cache)
        .env("TALISMAN_LIB", &paths.lib)
        .current_dir("/")
        .process_group(0);
    Ok(command)
}

/// The last line that the daemon wrote, which says why it ended.
fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    last.trim_start_matches("ERROR ").to_owned()
}
