//! `up`: the engine started, a bundle deployed, everything active.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use juju_model::Juju;
use tokio::time::Instant;

use super::deploy::{deploy_bundle, ensure_images, images_of};
use super::engine::{preflight, start, start_engine, turn};
use super::forward::{ForwardTarget, forward};
use super::images;
use super::invocation::Invocation;
use super::output::{print, tell};
use crate::api::{Read, Task};
use crate::bundle::Bundle;
use crate::client::Client;

/// Starts the engine and, with a bundle, deploys it and waits until all is active.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// A bundle to deploy.
    bundle: Option<PathBuf>,
    /// `<port>:<service>:<service port>`: a loopback port of the host for a service.
    #[arg(long, value_parser = forward)]
    forward: Vec<(u16, ForwardTarget)>,
    /// How long to wait, in seconds.
    #[arg(long, default_value_t = 300)]
    timeout: u64,
    /// The Juju whose rules a new model has: 3.6 unless said, or 4.0.
    #[arg(long)]
    juju: Option<Juju>,
}

impl Up {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let args = self;
        let paths = &at.paths_or_first()?;
        let client = &Client::new(&paths.socket());
        let bundle = args.bundle.as_deref().map(Bundle::read).transpose()?;
        let images = bundle.as_ref().map(images_of).transpose()?.unwrap_or_default();
        let one_at_a_time = turn(paths).await?;
        if !client.is_running().await {
            // Everything that can be refused is refused before anything is started.
            preflight(paths)?;
            args.forward.iter().try_for_each(|(port, _)| free(*port))?;
            ensure_images(paths, images.iter()).await?;
            start(paths, client, args.juju).await?;
        }
        plays(client, args.juju).await?;
        for model in crate::models::all(&paths.instance) {
            let paths = paths.other(&model.instance);
            start_engine(&paths, &Client::new(&paths.socket()), None).await?;
        }
        if let Some(bundle) = &bundle {
            deploy_bundle(paths, client, bundle).await?;
        }
        drop(one_at_a_time);
        settle(client, Duration::from_secs(args.timeout)).await?;
        for (port, target) in args.forward {
            let request = Task::Forward { port, service: target.service, target: target.port };
            client.ask(request).await?;
        }
        images::warn_of_old(paths);
        let status = client.ask(Read::Status).await?;
        print(&crate::status::table(&status, crate::status::Shown::default()))
    }
}

/// Refuses another Juju than the one that the model was made with.
async fn plays(client: &Client, wanted: Option<Juju>) -> Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    let status = client.ask(Read::Status).await?;
    let version = status["model"]["version"].as_str().unwrap_or_default();
    if version != wanted.rules().version {
        bail!(
            "cannot play Juju {wanted}: this model was made with Juju {version}; \
             make another one with `talisman add-model <name> --juju {wanted}`"
        );
    }
    Ok(())
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

/// Waits until every unit is active and idle, and says what it waits for.
async fn settle(client: &Client, bound: Duration) -> Result<()> {
    let deadline = Instant::now() + bound;
    let mut told = Vec::new();
    loop {
        let waiting = crate::status::unsettled(&client.ask(Read::Status).await?);
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
