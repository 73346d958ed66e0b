//! `debug-log`.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Result;

use super::say;
use crate::api::{LogEntry, Request};
use crate::args::{DebugLog, Level};
use crate::client::Client;

pub(super) async fn debug_log(client: &Client, mut args: DebugLog) -> Result<()> {
    // Nobody who reads a pipe or a file waits for what may come.
    args.no_tail |= !std::io::stdout().is_terminal();
    let mut after = 0;
    let mut first = true;
    loop {
        let answer = client.ask(&Request::Log { after, limit: PIECE }).await?;
        let entries: Vec<LogEntry> = serde_json::from_value(answer)?;
        after = entries.last().map_or(after, |entry| entry.position);
        let lines: Vec<String> =
            entries.iter().filter(|entry| wanted(&args, entry)).map(line).collect();
        // The first answer is all that there is yet.
        let skip = if first { lines.len().saturating_sub(backlog(&args)) } else { 0 };
        lines.iter().skip(skip).try_for_each(|line| say(line))?;
        if args.no_tail || args.limit.is_some() {
            return Ok(());
        }
        first = false;
        if entries.is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// More than the engine keeps.
const PIECE: usize = 1_000_000;

/// How many of the lines that are there already to show.
fn backlog(args: &DebugLog) -> usize {
    match args.limit {
        Some(limit) => limit,
        None if args.replay || args.no_tail => usize::MAX,
        None => args.lines,
    }
}

fn line(entry: &LogEntry) -> String {
    let at = entry.at.strftime("%H:%M:%S");
    format!("{}: {at} {} {} {}", entry.entity, entry.level, entry.module, entry.message)
}

fn wanted(args: &DebugLog, entry: &LogEntry) -> bool {
    let is_entity = |name: &String| {
        let tag = format!("unit-{}", name.replace('/', "-"));
        let starts = name.strip_suffix('*').is_some_and(|start| entry.entity.starts_with(start));
        *name == entry.entity || tag == entry.entity || starts
    };
    let is_module = |name: &String| {
        let rest = entry.module.strip_prefix(name.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    level(&entry.level) >= args.level
        && (args.include.is_empty() || args.include.iter().any(is_entity))
        && !args.exclude.iter().any(is_entity)
        && (args.include_module.is_empty() || args.include_module.iter().any(is_module))
        && !args.exclude_module.iter().any(is_module)
}

fn level(text: &str) -> Level {
    <Level as clap::ValueEnum>::from_str(text, true).unwrap_or(Level::Info)
}
