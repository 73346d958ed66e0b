//! `debug-log`.

use std::collections::VecDeque;
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
    let begun = jiff::Timestamp::now();
    let mut after = 0;
    // Of what is there already only the last lines are wanted, perhaps.
    let mut backlog = Some(VecDeque::new());
    loop {
        let answer = client.ask(&Request::Log { after, limit: PIECE }).await?;
        let entries: Vec<LogEntry> = serde_json::from_value(answer)?;
        after = entries.last().map_or(after, |entry| entry.position);
        let lines = entries.iter().filter(|entry| wanted(&args, entry)).map(line);
        let Some(first) = &mut backlog else {
            lines.into_iter().try_for_each(|line| say(&line))?;
            if entries.is_empty() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            continue;
        };
        first.extend(lines);
        let most = self::backlog(&args);
        first.drain(..first.len().saturating_sub(most));
        if most == usize::MAX {
            first.drain(..).try_for_each(|line| say(&line))?;
        }
        if entries.last().is_none_or(|last| last.at > begun) {
            first.drain(..).try_for_each(|line| say(&line))?;
            if args.no_tail || args.limit.is_some() {
                return Ok(());
            }
            backlog = None;
        }
    }
}

/// Lines of one answer; the engine gives fewer where they are long.
const PIECE: usize = 5_000;

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
