//! `measurements`.

use anyhow::Result;
use clap::Args;

use super::invocation::Invocation;
use super::output::show;
use super::values::Format;
use crate::api::Read;

/// Prints what the hooks have cost so far, as JSON.
#[derive(Debug, Args)]
pub(crate) struct Measurements {}

impl Measurements {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        show(&at.client()?.ask(Read::Measurements).await?, Format::Json)
    }
}
