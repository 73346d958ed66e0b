//! `page`.

use anyhow::Result;
use clap::Args;

use super::invocation::Invocation;
use super::output::say;
use crate::api::Task;

/// Serves a page that shows the model live, on a loopback port, and prints its address.
#[derive(Debug, Args)]
pub(crate) struct Page {
    /// The port, any free one where absent.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

impl Page {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let url = at.client()?.ask(Task::Page { port: self.port }).await?;
        say(url.as_str().unwrap_or_default())
    }
}
