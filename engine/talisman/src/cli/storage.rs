//! `storage` and `show-storage`.

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, Value};

use super::invocation::Invocation;
use super::output::{print, show, tell};
use super::values::Format;
use crate::api::Read;

/// Lists the storage.
#[derive(Debug, Args)]
#[command(alias = "list-storage")]
pub(crate) struct Storage {
    #[arg(long, default_value = "tabular")]
    format: Format,
}

impl Storage {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, format) = (at.client()?, self.format);
        let all = client.ask(Read::Storage).await?;
        if matches!(format, Format::Json | Format::Yaml) {
            return show(&all, format);
        }
        let table = crate::status::storage(&all, false);
        if table.is_empty() {
            tell("No storage to display.");
            return Ok(());
        }
        print(&table.to_string())
    }
}

/// Shows storage by its ids.
#[derive(Debug, Args)]
pub(crate) struct ShowStorage {
    #[arg(required = true)]
    ids: Vec<String>,
    #[arg(long, default_value = "yaml")]
    format: Format,
}

impl ShowStorage {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, Self { ids, format }) = (at.client()?, self);
        let all = client.ask(Read::Storage).await?;
        let one = |id: &String| {
            let found = all["storage"].get(id).cloned();
            let found = found.with_context(|| format!("storage instance {id:?} not found"))?;
            Ok((id.clone(), found))
        };
        let shown = ids.iter().map(one).collect::<Result<Map<_, _>>>()?;
        show(&Value::Object(shown), format)
    }
}
