//! `remove-application`.

use anyhow::{Result, bail};
use clap::Args;
use juju_names::AppName;

use super::invocation::Invocation;
use super::output::{say, tell};
use crate::api::{Change, Read};

/// Removes an application and its units; its volumes stay.
#[derive(Debug, Args)]
pub(crate) struct RemoveApplication {
    #[arg(required = true)]
    apps: Vec<AppName>,
    /// Accepted for Juju's sake; nothing is asked.
    #[arg(long)]
    no_prompt: bool,
    /// Accepted for Juju's sake; volumes stay until the model goes.
    #[arg(long)]
    destroy_storage: bool,
    /// Go on even if the last hooks fail.
    #[arg(long)]
    force: bool,
    /// Run no more hooks of its units, and end those that run.
    #[arg(long, requires = "force")]
    no_wait: bool,
    /// Only say what would go.
    #[arg(long)]
    dry_run: bool,
}

impl RemoveApplication {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, args) = (at.client()?, self);
        let status = client.ask(Read::Status).await?;
        if args.dry_run {
            tell("WARNING without --dry-run, this goes:");
        }
        let (force, wait) = (args.force, !args.no_wait);
        let mut refused = Vec::new();
        for app in args.apps {
            let removed = match args.dry_run {
                true => client.ask(Read::ShowApplication { app: app.clone() }).await,
                false => {
                    let app = app.clone();
                    client.ask(Change::RemoveApplication { app, force, wait }).await
                }
            };
            if let Err(error) = removed {
                refused.push(error.to_string());
                continue;
            }
            say(&format!("will remove application {app}"))?;
            let units = status["applications"][app.as_str()]["units"].as_object();
            let mut names = units.into_iter().flatten().map(|(name, _)| name);
            names.try_for_each(|name| say(&format!("- will remove unit {name}")))?;
        }
        match refused.is_empty() {
            true => Ok(()),
            false => bail!("{}", refused.join("\n")),
        }
    }
}
