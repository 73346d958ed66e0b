//! `debug-log`.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use clap::ValueEnum;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use juju_names::{AppName, UnitName};
use serde_json::json;

use super::invocation::Invocation;
use super::output::{self, say};
use crate::api::{LogEntry, Read};

/// Shows the model's log.
#[derive(Debug, Args)]
pub(crate) struct DebugLog {
    /// Only lines of this level or worse.
    #[arg(short = 'l', long, default_value = "INFO", ignore_case = true)]
    level: Level,
    /// Only lines of these entities: units, applications, or patterns such as `unit-*-0`.
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
    /// Only lines with these labels; no line has one.
    #[arg(long, alias = "include-labels")]
    include_label: Vec<String>,
    /// Not lines with these labels.
    #[arg(long, alias = "exclude-labels")]
    exclude_label: Vec<String>,
    /// Show this many of the last lines, with --replay of the first ones, and end; 0 for all.
    #[arg(long, conflicts_with_all = ["tail", "lines"])]
    limit: Option<usize>,
    /// Begin with this many of the last lines, and wait for more; 0 for all. Ten where neither
    /// this nor --limit nor --replay is given.
    #[arg(short = 'n', long, conflicts_with_all = ["no_tail", "replay"])]
    lines: Option<usize>,
    /// Do not wait for more; the default where the output is no terminal.
    #[arg(long, conflicts_with = "retry")]
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
    /// Colours for the levels.
    #[arg(long)]
    color: bool,
    /// Accepted for Juju's sake: lines name no place in a source.
    #[arg(long)]
    location: bool,
    /// Go on with an engine that starts again.
    #[arg(long)]
    retry: bool,
    /// How long to wait before that.
    #[arg(long, default_value = "1s", value_parser = delay)]
    retry_delay: Duration,
    /// Lines of text, or of JSON.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "UPPER")]
enum Level {
    Trace,
    Debug,
    Info,
    Warning,
    Error,
}

/// A time as Go writes it.
fn delay(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from(span).map_err(|_| "it is negative".to_owned())
}

impl DebugLog {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, mut args) = (at.client()?, self);
        // With a pipe or a file as output it ends after the last line, unless more was asked for.
        let asked = args.tail || args.lines.is_some();
        let terminal = std::io::stdout().is_terminal() && !output::is_file();
        args.no_tail |= args.limit.is_some() || (!asked && !terminal);
        let filter = Filter::new(&args);
        let begun = Timestamp::now();
        let (mut after, mut last) = (0, Timestamp::MIN);
        // Of what is there already only the last lines are wanted, perhaps.
        let mut backlog = Some(VecDeque::new());
        loop {
            let mut entries: Vec<LogEntry> =
                match client.ask(Read::Log { after, limit: PIECE }).await {
                    Ok(answer) => serde_json::from_value(answer)?,
                    Err(error) if !args.retry => return Err(error),
                    Err(_) => {
                        // An engine that starts again begins its log anew.
                        after = 0;
                        tokio::time::sleep(args.retry_delay).await;
                        continue;
                    }
                };
            if after == 0 {
                entries.retain(|entry| entry.at > last);
            }
            after = entries.last().map_or(after, |entry| entry.position);
            last = entries.last().map_or(last, |entry| entry.at);
            let lines =
                entries.iter().filter(|entry| filter.wants(entry)).map(|one| line(&args, one));
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
    if args.format == Format::Json {
        // The names of Juju's records.
        return json!({
            "timestamp": entry.at.to_string(),
            "entity": entry.entity,
            "level": entry.level,
            "module": entry.module,
            "location": "",
            "message": entry.message,
        })
        .to_string();
    }
    let zone = if args.utc { TimeZone::UTC } else { TimeZone::system() };
    let format = match (args.date, args.ms) {
        (false, false) => "%H:%M:%S",
        (true, false) => "%Y-%m-%d %H:%M:%S",
        (false, true) => "%H:%M:%S%.3f",
        (true, true) => "%Y-%m-%d %H:%M:%S%.3f",
    };
    let at = entry.at.to_zoned(zone).strftime(format).to_string();
    let level = if args.color { coloured(&entry.level) } else { entry.level.clone() };
    format!("{}: {at} {level} {} {}", entry.entity, entry.module, entry.message)
}

/// A level in the colour that Juju gives it.
fn coloured(level: &str) -> String {
    let colour = match level {
        "DEBUG" => "32",
        "INFO" => "94",
        "WARNING" => "33",
        "ERROR" => "91",
        "CRITICAL" => "37;41",
        _ => "39",
    };
    format!("\x1b[{colour}m{level}\x1b[0m")
}

/// Which lines to show.
struct Filter {
    level: Level,
    labelled: bool,
    include: Vec<String>,
    exclude: Vec<String>,
    include_module: Vec<String>,
    exclude_module: Vec<String>,
}

impl Filter {
    fn new(args: &DebugLog) -> Self {
        let patterns = |names: &[String]| names.iter().map(|name| pattern(name)).collect();
        Self {
            level: args.level,
            labelled: !args.include_label.is_empty(),
            include: patterns(&args.include),
            exclude: patterns(&args.exclude),
            include_module: args.include_module.clone(),
            exclude_module: args.exclude_module.clone(),
        }
    }

    fn wants(&self, entry: &LogEntry) -> bool {
        let is_entity = |pattern: &String| matches(pattern, &entry.entity);
        let is_module = |name: &String| {
            let rest = entry.module.strip_prefix(name.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        !self.labelled
            && level(&entry.level) >= self.level
            && (self.include.is_empty() || self.include.iter().any(is_entity))
            && !self.exclude.iter().any(is_entity)
            && (self.include_module.is_empty() || self.include_module.iter().any(is_module))
            && !self.exclude_module.iter().any(is_module)
    }
}

/// The pattern that an entity's name stands for. What begins as a tag is one.
fn pattern(name: &str) -> String {
    let is_tag = ["unit-", "machine-", "application-"].iter().any(|kind| name.starts_with(kind));
    // The engine's own lines are of the controller.
    if name.contains('*') || is_tag || name == "controller" {
        return name.to_owned();
    }
    if name.parse::<u32>().is_ok() {
        return format!("machine-{name}");
    }
    match (name.parse::<UnitName>(), name.parse::<AppName>()) {
        (Ok(unit), _) => unit.tag(),
        (_, Ok(app)) => format!("unit-{app}-*"),
        _ => name.to_owned(),
    }
}

/// Whether a name fits a pattern, in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(tail) = name.strip_prefix(start) else { return false };
    let mut ends = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
    ends.any(|at| matches(rest, &tail[at..]))
}

fn level(text: &str) -> Level {
    match text {
        "CRITICAL" => Level::Error,
        text => <Level as ValueEnum>::from_str(text, true).unwrap_or(Level::Info),
    }
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
        check("--no-tail --retry", None);
        check("--retry --retry-delay 5s", Some(Backlog::Last(10)));
        check("--retry-delay -5s", None);
        check("--level CRITICAL", None);
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

    /// Whether a line of `unit-pg-k8s-10` is shown.
    #[track_caller]
    fn shown(words: &str, want: bool) {
        let entry = LogEntry {
            position: 1,
            at: Timestamp::UNIX_EPOCH,
            entity: "unit-pg-k8s-10".to_owned(),
            level: "INFO".to_owned(),
            module: "unit.pg-k8s/10.juju-log".to_owned(),
            message: String::new(),
        };
        assert_eq!(Filter::new(&read(words).unwrap()).wants(&entry), want, "{words}");
    }

    #[test]
    fn entities_are_named_as_juju_reads_them() {
        shown("--include pg-k8s/10", true);
        shown("--include unit-pg-k8s-10", true);
        shown("--include pg-k8s", true);
        shown("-i unit-*-10 -i 0", true);
        shown("-i *pg*1*0", true);
        shown("--include pg-k8s/1", false);
        // Juju takes an application for those that begin with its name and a hyphen, too.
        shown("--include pg", true);
        shown("--include pg-k", false);
        shown("--include 10", false);
        shown("-i unit-*-1", false);
        shown("--exclude pg-k8s", false);
        shown("--exclude k8s", true);
        shown("--include-module unit", true);
        shown("--include-module uni", false);
        shown("--exclude-module unit.pg-k8s/10", false);
        shown("--include-label cmr", false);
        shown("--exclude-labels cmr", true);
        shown("--level WARNING", false);
    }

    #[test]
    fn lines_are_coloured_or_json_where_asked_for() {
        let entry = LogEntry {
            position: 1,
            at: "2026-11-28T13:38:58.9364Z".parse().unwrap(),
            entity: "unit-a-0".to_owned(),
            level: "ERROR".to_owned(),
            module: "unit.a/0.juju-log".to_owned(),
            message: "a \"b\"".to_owned(),
        };
        let line = |words| line(&read(words).unwrap(), &entry);
        let coloured = "unit-a-0: 13:38:58 \u{1b}[91mERROR\u{1b}[0m unit.a/0.juju-log a \"b\"";
        assert_eq!(line("--utc --color"), coloured);
        let json: serde_json::Value = serde_json::from_str(&line("--format json")).unwrap();
        assert_eq!((&json["message"], &json["level"]), (&json!("a \"b\""), &json!("ERROR")));
        assert_eq!(json["timestamp"], "2026-11-28T13:38:58.9364Z");
    }
}
