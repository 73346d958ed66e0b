//! `debug-log`.

use std::time::Duration;

use anyhow::Result;

use super::say;
use crate::api::{LogEntry, Request};
use crate::args::{DebugLog, Level};
use crate::client::Client;

pub(super) async fn debug_log(client: &Client, args: DebugLog) -> Result<()> {
    let mut after = 0;
    let mut shown = 0;
    loop {
        let answer = client.ask(&Request::Log { after, limit: args.limit.max(1) }).await?;
        let entries: Vec<LogEntry> = serde_json::from_value(answer)?;
        for entry in &entries {
            after = entry.position;
            if wanted(&args, entry) && shown < args.limit {
                shown += 1;
                say(&line(entry))?;
            }
        }
        if entries.is_empty() && (args.no_tail || shown >= args.limit) {
            return Ok(());
        }
        if entries.is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn line(entry: &LogEntry) -> String {
    let at = entry.at.strftime("%H:%M:%S");
    format!("{}: {at} {} {} {}", entry.entity, entry.level, entry.module, entry.message)
}

fn wanted(args: &DebugLog, entry: &LogEntry) -> bool {
    level(&entry.level) >= args.level
        && (args.include.is_empty()
            || args.include.iter().any(|name| {
                *name == entry.entity || format!("unit-{}", name.replace('/', "-")) == entry.entity
            }))
}

fn level(text: &str) -> Level {
    <Level as clap::ValueEnum>::from_str(text, true).unwrap_or(Level::Info)
}
