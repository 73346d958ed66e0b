//! `up`: the engine started, a bundle deployed, everything active.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::Instant;

use super::{deploy_bundle, must_exist, say, tell};
use crate::api::Request;
use crate::args::Up;
use crate::bundle::Bundle;
use crate::client::Client;
use crate::images;
use crate::paths::Paths;

pub(super) async fn up(paths: &Paths, client: &Client, args: Up) -> Result<()> {
    let bundle = args.bundle.as_deref().map(Bundle::read).transpose()?;
    let images = bundle.as_ref().map(images_of).transpose()?.unwrap_or_default();
    let one_at_a_time = turn(paths).await?;
    if !client.is_running().await {
        // Everything that can be refused is refused before anything is started.
        preflight(paths)?;
        args.forward.iter().try_for_each(|(port, _)| free(*port))?;
        ensure_images(paths, images.iter()).await?;
        start(paths, client).await?;
    }
    for model in crate::models::all(&paths.instance) {
        let paths = paths.other(&model.instance);
        start_engine(&paths, &Client::new(&paths.socket())).await?;
    }
    if let Some(bundle) = &bundle {
        deploy_bundle(paths, client, bundle).await?;
    }
    drop(one_at_a_time);
    settle(client, Duration::from_secs(args.timeout)).await?;
    for (port, target) in args.forward {
        let request = Request::Forward { port, service: target.service, target: target.port };
        client.ask(&request).await?;
    }
    super::images::warn_of_old(paths);
    let status = client.ask(&Request::Status).await?;
    say(crate::status::table(&status, false).trim_end())
}

/// Starts the engine of an instance unless it runs, on a machine that can run pods.
pub(super) async fn start_engine(paths: &Paths, client: &Client) -> Result<()> {
    let _one_at_a_time = turn(paths).await?;
    if client.is_running().await {
        return Ok(());
    }
    preflight(paths)?;
    start(paths, client).await
}

/// Waits until no other command starts the engine of the instance or deploys its bundle; the
/// lock goes with the file, or with this process.
async fn turn(paths: &Paths) -> Result<std::fs::File> {
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

/// The image definitions that a bundle's charms need; its other resources are files.
pub(super) fn images_of(bundle: &Bundle) -> Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    for application in bundle.applications.values() {
        let charm = Path::new(&application.charm);
        must_exist(charm, "charm")?;
        let meta = crate::charm_file::read(charm)?;
        for (name, file) in &application.resources {
            must_exist(Path::new(file), "resource")?;
            if meta.resources.get(name).is_some_and(|resource| resource.kind == "oci-image") {
                images.push(file.into());
            }
        }
    }
    Ok(images)
}

/// Refuses, all reasons at once, on a machine that cannot run pods.
pub(super) fn preflight(paths: &Paths) -> Result<()> {
    let complaints = node::preflight(&paths.node());
    if complaints.is_empty() { Ok(()) } else { bail!("{}", complaints.join("\n")) }
}

/// Refuses a loopback port that another program has.
fn free(port: u16) -> Result<()> {
    match std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) => bail!(
            "cannot use port {port} of this machine ({error}); choose another one with --forward <port>:<service>:<port>"
        ),
    }
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
async fn start(paths: &Paths, client: &Client) -> Result<()> {
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

/// Waits until every unit is active and idle, and says what it waits for.
async fn settle(client: &Client, bound: Duration) -> Result<()> {
    let deadline = Instant::now() + bound;
    let mut told = Vec::new();
    loop {
        let waiting = crate::status::unsettled(&client.ask(&Request::Status).await?);
        if waiting.is_empty() {
            return Ok(());
        }
        for line in waiting.iter().filter(|line| !told.contains(*line)) {
            tell(line);
        }
        if Instant::now() > deadline {
            bail!(
                "cannot wait longer: after {} s these are not active: {}; see `talisman debug-log`",
                bound.as_secs(),
                waiting.join("; ")
            );
        }
        told = waiting;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Builds the images of these definition files that are not built yet.
pub(super) async fn ensure_images(
    paths: &Paths,
    files: impl Iterator<Item = &PathBuf>,
) -> Result<()> {
    let definitions =
        files.map(|file| images::read(file)).collect::<Result<Vec<_>, images::ImagesError>>()?;
    Ok(images::ensure(paths, &definitions).await?)
}
