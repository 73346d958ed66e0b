//! `show-status-log`: the statuses that a unit or application had.

use anyhow::{Result, bail};
use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::invocation::Invocation;
use super::output::{print, show};
use super::values::{Format, unit};
use crate::api::Read;
use crate::client::Client;
use crate::table::Table;

/// Shows past statuses of a unit or application, the latest last.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  talisman show-status-log hello/0 -n 5")]
pub(crate) struct ShowStatusLog {
    /// A unit or, with --type application, an application.
    name: String,
    /// Which statuses.
    #[arg(long = "type", default_value = "unit", value_parser = ["unit", "juju-unit", "workload", "application"])]
    kind: String,
    /// How many of the last ones.
    #[arg(short = 'n', default_value_t = 20, conflicts_with_all = ["days", "from_date"])]
    count: usize,
    /// Those of so many days.
    #[arg(long, conflicts_with = "from_date")]
    days: Option<i64>,
    /// Those after a day, as 2026-01-31.
    #[arg(long)]
    from_date: Option<jiff::civil::Date>,
    /// Times in UTC.
    #[arg(long)]
    utc: bool,
    #[arg(long, default_value = "tabular")]
    format: Format,
}

impl ShowStatusLog {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, args) = (at.client()?, self);
        check_name(&client, &args).await?;
        let request = Read::StatusLog { name: args.name.clone(), kind: args.kind.clone() };
        let all = client.ask(request).await?;
        let mut past: Vec<Value> = all.as_array().cloned().unwrap_or_default();
        match first(&args, at.now())? {
            Some(first) => past.retain(|one| since(one).is_some_and(|at| at >= first)),
            None => drop(past.drain(..past.len().saturating_sub(args.count))),
        }
        if past.is_empty() {
            bail!("no status history available");
        }
        if matches!(args.format, Format::Json | Format::Yaml) {
            for one in &mut past {
                if one["message"] == json!("") {
                    one.as_object_mut().map(|one| one.remove("message"));
                }
            }
            return show(&Value::Array(past), args.format);
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut table = Table::new(&["Time", "Type", "Status", "Message"]);
        for one in &past {
            let (zone, form) = match args.utc {
                true => (TimeZone::UTC, "%Y-%m-%d %H:%M:%SZ"),
                false => (TimeZone::system(), "%d %b %Y %H:%M:%S%:z"),
            };
            let at = since(one).map(|at| at.to_zoned(zone).strftime(form).to_string());
            table.row(vec![
                at.unwrap_or_default(),
                text(&one["type"]),
                text(&one["status"]),
                text(&one["message"]),
            ]);
        }
        print(&table.to_string())
    }
}

/// Says that there is no such unit or application, rather than that it has no past.
async fn check_name(client: &Client, args: &ShowStatusLog) -> Result<()> {
    if args.kind == "application" {
        let app = args.name.parse()?;
        return client.ask(Read::ShowApplication { app }).await.map(drop);
    }
    let unit = unit(&args.name).map_err(anyhow::Error::msg)?;
    client.ask(Read::ShowUnit { unit }).await.map(drop)
}

fn since(one: &Value) -> Option<Timestamp> {
    one["since"].as_str()?.parse().ok()
}

/// The time from which on statuses are wanted, where not so many of the last ones are.
fn first(args: &ShowStatusLog, now: Timestamp) -> Result<Option<Timestamp>> {
    if let Some(date) = args.from_date {
        return Ok(Some(date.to_zoned(TimeZone::UTC)?.timestamp()));
    }
    let hours = args.days.map(|days| jiff::SignedDuration::from_hours(days.saturating_mul(24)));
    Ok(hours.map(|length| now.checked_sub(length)).transpose()?)
}
