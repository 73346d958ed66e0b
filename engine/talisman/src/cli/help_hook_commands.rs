//! `help-hook-commands`: the tools that a charm calls.

use anyhow::{Context, Result};
use clap::Args;

use super::invocation::Invocation;
use super::output::{print, say};
use crate::table::Table;

/// Lists the hook tools, or explains one.
#[derive(Debug, Args)]
#[command(alias = "help-tool", alias = "hook-tool", alias = "hook-tools")]
pub(crate) struct HelpHookCommands {
    tool: Option<String>,
}

impl HelpHookCommands {
    pub(super) async fn run(self, _at: &Invocation) -> Result<()> {
        match &self.tool {
            Some(name) => {
                let found = juju_hooktools::spec::find(name).with_context(|| {
                    format!("cannot find the hook command {name:?}; without a name they are listed")
                })?;
                say(found.help(None).trim_end())
            }
            None => {
                let mut table = Table::new(&["Command", "Purpose"]);
                for tool in juju_hooktools::spec::SPECS {
                    table.row(vec![tool.name.to_owned(), tool.purpose.to_owned()]);
                }
                print(&table.to_string())
            }
        }
    }
}
