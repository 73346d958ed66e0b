//! `debug-log`.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use clap::ValueEnum;
use jiff::tz::TimeZone;

use super::invocation::Invocation;
use super::output::say;
use crate::api::{LogEntry, Read};

/// Shows the model's log.
#[derive(Debug, Args)]
pub(crate) struct DebugLog {
    /// Only lines of this level or worse.
    #[arg(short = 'l', long, default_value = "INFO", ignore_case = true)]
    level: Level,
    /// Only lines of these entities, such as `unit-pgbouncer-k8s-0`.
    #[arg(short = 'i', long)]
    include: Vec<String>,
    /// Not lines of these entities.
    #[arg(short = 'x', long)]
    exclude: Vec<String>,
    /// Only lines of these modules, such as `unit` or `juju.worker`.
    #[arg(long)]
    include_module: Vec<String>,
    /// Not lines of these modules.
    #[arg(long)]
    exclude_module: Vec<String>,
    /// Show this many of the last lines, with --replay of the first ones, and end; 0 for all.
    #[arg(long, conflicts_with_all = ["tail", "lines"])]
    limit: Option<usize>,
    /// Begin with this many of the last lines, and wait for more; 0 for all. Ten where neither
    /// this nor --limit nor --replay is given.
    #[arg(short = 'n', long, conflicts_with_all = ["no_tail", "replay"])]
    lines: Option<usize>,
    /// Do not wait for more; the default where the output is no terminal.
    #[arg(long)]
    no_tail: bool,
    /// Wait for more; the default on a terminal.
    #[arg(long, conflicts_with = "no_tail")]
    tail: bool,
    /// Begin with the first line that is kept.
    #[arg(long)]
    replay: bool,
    /// Times in UTC.
    #[arg(long)]
    utc: bool,
    /// Dates beside the times.
    #[arg(long)]
    date: bool,
    /// Times to the millisecond.
    #[arg(long)]
    ms: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "UPPER")]
enum Level {
    Trace,
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl DebugLog {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, mut args) = (at.client()?, self);
        // With a pipe or a file as output it ends after the last line, unless more was asked for.
        let asked = args.tail || args.lines.is_some();
        args.no_tail |= args.limit.is_some() || (!asked && !std::io::stdout().is_terminal());
        let begun = jiff::Timestamp::now();
        let mut after = 0;
        // Of what is there already only the last lines are wanted, perhaps.
        let mut backlog = Some(VecDeque::new());
        loop {
            let answer = client.ask(Read::Log { after, limit: PIECE }).await?;
            let entries: Vec<LogEntry> = serde_json::from_value(answer)?;
            after = entries.last().map_or(after, |entry| entry.position);
            let lines =
                entries.iter().filter(|entry| wanted(&args, entry)).map(|one| line(&args, one));
            let Some(first) = &mut backlog else {
                lines.into_iter().try_for_each(|line| say(&line))?;
                if entries.is_empty() {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                continue;
            };
            first.extend(lines);
            match self::backlog(&args) {
                Backlog::All => first.drain(..).try_for_each(|line| say(&line))?,
                Backlog::First(count) => first.truncate(count),
                Backlog::Last(count) => drop(first.drain(..first.len().saturating_sub(count))),
            }
            if entries.last().is_none_or(|last| last.at > begun) {
                first.drain(..).try_for_each(|line| say(&line))?;
                if args.no_tail {
                    return Ok(());
                }
                backlog = None;
            }
        }
    }
}

/// Lines of one answer; the engine gives fewer where they are long.
const PIECE: usize = 5_000;

/// The last lines that are shown by default.
const LAST: usize = 10;

/// Which of the lines that are there already to show.
#[derive(Debug, PartialEq, Eq)]
enum Backlog {
    All,
    First(usize),
    Last(usize),
}

fn backlog(args: &DebugLog) -> Backlog {
    match (args.limit.or(args.lines), args.replay) {
        (Some(0), _) | (None, true) => Backlog::All,
        (Some(count), true) => Backlog::First(count),
        (Some(count), false) => Backlog::Last(count),
        (None, false) => Backlog::Last(LAST),
    }
}

fn line(args: &DebugLog, entry: &LogEntry) -> String {
    let zone = if args.utc { TimeZone::UTC } else { TimeZone::system() };
    let format = match (args.date, args.ms) {
        (false, false) => "%H:%M:%S",
        (true, false) => "%Y-%m-%d %H:%M:%S",
        (false, true) => "%H:%M:%S%.3f",
        (true, true) => "%Y-%m-%d %H:%M:%S%.3f",
    };
    let at = entry.at.to_zoned(zone).strftime(format).to_string();
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// The arguments after `debug-log`, as they are read; `None` where they are refused.
    fn read(words: &str) -> Option<DebugLog> {
        let words = ["talisman", "debug-log"].into_iter().chain(words.split_whitespace());
        match crate::cli::Cli::try_parse_from(words).ok()?.command {
            crate::cli::Command::DebugLog(args) => Some(args),
            _ => None,
        }
    }

    #[track_caller]
    fn check(words: &str, want: Option<Backlog>) {
        assert_eq!(read(words).map(|args| backlog(&args)), want, "{words}");
    }

    #[test]
    fn ten_lines_unless_told_otherwise() {
        check("", Some(Backlog::Last(10)));
        check("--no-tail", Some(Backlog::Last(10)));
        check("-n 30", Some(Backlog::Last(30)));
        check("--lines 0", Some(Backlog::All));
        check("--limit 5", Some(Backlog::Last(5)));
        check("--replay", Some(Backlog::All));
        check("--replay --limit 5", Some(Backlog::First(5)));
        check("--replay --lines 5", None);
        check("--no-tail -n 5", None);
        check("--tail --limit 5", None);
    }

    #[test]
    fn times_have_the_form_that_is_asked_for() {
        let entry = LogEntry {
            position: 1,
            at: "2026-11-28T13:38:58.9364Z".parse().unwrap(),
            entity: "unit-a-0".to_owned(),
            level: "INFO".to_owned(),
            module: "unit.a/0.juju-log".to_owned(),
            message: "done".to_owned(),
        };
        let line = |words| line(&read(words).unwrap(), &entry);
        assert_eq!(line("--utc"), "unit-a-0: 13:38:58 INFO unit.a/0.juju-log done");
        let whole = "unit-a-0: 2026-11-28 13:38:58.936 INFO unit.a/0.juju-log done";
        assert_eq!(line("--utc --date --ms"), whole);
    }
}
