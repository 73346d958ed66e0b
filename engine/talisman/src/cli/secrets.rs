//! `secrets` and `show-secret`.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Map, Value};

use super::invocation::Invocation;
use super::output::{say, show};
use super::values::Format;
use crate::api::Read;
use crate::table::Table;

/// Lists the secrets.
#[derive(Debug, Args)]
#[command(alias = "list-secrets")]
pub(crate) struct Secrets {
    /// Only those of this owner.
    #[arg(long)]
    owner: Option<String>,
    #[arg(long, default_value = "tabular")]
    format: Format,
}

impl Secrets {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, Self { owner, format }) = (at.client()?, self);
        let all = client.ask(Read::Secrets).await?;
        let all = all.as_object().cloned().unwrap_or_default();
        let is_wanted = |secret: &Value| {
            let shown = secret["owner"].as_str().unwrap_or_default();
            owner.as_ref().is_none_or(|owner| {
                shown == *owner || owner.split_once('-').is_some_and(|(_, name)| shown == name)
            })
        };
        let wanted: Map<String, Value> =
            all.into_iter().filter(|(_, secret)| is_wanted(secret)).collect();
        match format {
            Format::Json | Format::Yaml => show(&Value::Object(wanted), format),
            _ => say(table(&wanted, at.now()).to_string().trim_end()),
        }
    }
}

/// Shows a secret.
#[derive(Debug, Args)]
pub(crate) struct ShowSecret {
    /// Its id or name.
    secret: String,
    /// Its content too.
    #[arg(long)]
    reveal: bool,
    /// All its revisions.
    #[arg(long)]
    revisions: bool,
    /// The revision to show, the latest where absent.
    #[arg(short, long)]
    revision: Option<u32>,
    #[arg(long, default_value = "yaml")]
    format: Format,
}

impl ShowSecret {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let client = at.client()?;
        let Self { secret, reveal, revisions, revision, format } = self;
        if revisions && (reveal || revision.is_some()) {
            bail!("cannot show all revisions and reveal one; use two commands");
        }
        let mut shown = client.ask(Read::ShowSecret { secret, reveal, revision }).await?;
        for secret in shown.as_object_mut().into_iter().flat_map(Map::values_mut) {
            if !revisions {
                secret.as_object_mut().map(|secret| secret.remove("revisions"));
            }
            // Go puts the values into the object itself in YAML, and below a name in JSON.
            if format != Format::Json && !secret["content"]["Data"].is_null() {
                secret["content"] = secret["content"]["Data"].take();
            }
        }
        show(&shown, format)
    }
}

/// Secrets by owner, with their age.
fn table(secrets: &Map<String, Value>, now: jiff::Timestamp) -> Table {
    let header = ["ID", "Name", "Owner", "Rotation", "Revision", "Last updated"];
    let mut table = Table::new(&header).right(4);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut rows: Vec<(&String, &Value)> = secrets.iter().collect();
    rows.sort_by_key(|(id, secret)| (text(&secret["owner"]), (*id).clone()));
    for (id, secret) in rows {
        let name = secret["name"].as_str().unwrap_or("-");
        table.row(vec![
            id.clone(),
            name.to_owned(),
            text(&secret["owner"]),
            text(&secret["rotation"]),
            secret["revision"].to_string(),
            ago(&text(&secret["updated"]), now),
        ]);
    }
    table
}

/// How long ago a time is, in its largest unit.
fn ago(at: &str, now: jiff::Timestamp) -> String {
    let Ok(at) = at.parse::<jiff::Timestamp>() else { return at.to_owned() };
    let seconds = now.duration_since(at).as_secs();
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    match units.iter().find(|(length, _)| seconds >= *length) {
        None => "just now".to_owned(),
        Some((length, unit)) => {
            let plural = if seconds / length == 1 { "" } else { "s" };
            format!("{} {unit}{plural} ago", seconds / length)
        }
    }
}
