//! `remove-application`.

use anyhow::Result;
use clap::Args;
use juju_names::AppName;

use super::invocation::Invocation;
use super::output::say;
use super::values::Removal;
use crate::api::{Change, Read};

/// Removes an application and its units; its volumes stay.
#[derive(Debug, Args)]
pub(crate) struct RemoveApplication {
    apps: Vec<AppName>,
    #[command(flatten)]
    removal: Removal,
}

impl RemoveApplication {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let client = at.client()?;
        let status = client.ask(Read::Status).await?;
        for app in self.apps {
            let force = self.removal.force;
            client.ask(Change::RemoveApplication { app: app.clone(), force }).await?;
            say(&format!("will remove application {app}"))?;
            let units = status["applications"][app.as_str()]["units"].as_object();
            let mut names = units.into_iter().flatten().map(|(name, _)| name);
            names.try_for_each(|name| say(&format!("- will remove unit {name}")))?;
        }
        Ok(())
    }
}
