//! `exec`: a command in a hook context of units.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use juju_names::{AppName, UnitName};
use serde_json::Value;

use super::invocation::Invocation;
use super::output::{print, say, tell};
use super::task::{self, Clock, complain};
use super::units::unit_of;
use super::values::{Format, duration};
use crate::api::{Read, Task};

/// Runs a command in a hook context of units.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  talisman exec --unit hello/0 -- is-leader")]
pub(crate) struct Exec {
    /// `<application>/<number>` or `<application>/leader`
    #[arg(short, long, value_delimiter = ',')]
    unit: Vec<String>,
    /// All units of these applications.
    #[arg(short, long, visible_alias = "app", value_delimiter = ',')]
    application: Vec<AppName>,
    /// Accepted for Juju's sake: there are no colours.
    #[arg(long)]
    no_color: bool,
    #[arg(long, default_value = "plain")]
    format: Format,
    /// How long to wait for the result.
    #[arg(long, value_parser = duration, default_value = "5m")]
    wait: Duration,
    /// Do not wait; `show-operation` shows the result.
    #[arg(long)]
    background: bool,
    /// Accepted for Juju's sake: units run a command at the same time in any case.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    parallel: Option<bool>,
    /// Times in UTC.
    #[arg(long)]
    utc: bool,
    /// The command and its arguments; one word alone is for a shell.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

impl Exec {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, args) = (at.client()?, self);
        let status = client.ask(Read::Status).await?;
        let mut units = Vec::new();
        for text in &args.unit {
            units.push(unit_of(&status, text)?);
        }
        for app in &args.application {
            let all = status["applications"][app.as_str()]["units"].as_object();
            let all =
                all.with_context(|| format!("cannot run commands on {app}: it has no units"))?;
            for name in all.keys() {
                units.push(unit_of(&status, name)?);
            }
        }
        let known = |unit: &&UnitName| {
            status["applications"][unit.app().as_str()]["units"].get(unit.to_string()).is_some()
        };
        if let Some(unknown) = units.iter().find(|unit| !known(unit)) {
            // Juju calls that no failure of the command, and client libraries rely on it.
            tell(&format!("Operation failed to schedule any tasks:\nunit \"{unknown}\" not found"));
            return Ok(());
        }
        if units.is_empty() {
            bail!("cannot run a command: name units with --unit or --application");
        }
        let command = match args.command.as_slice() {
            [one] => one.clone(),
            words => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
        };
        let queued = client.ask(Task::Exec { units, command }).await?;
        let tasks = queued["tasks"].as_array().cloned().unwrap_or_default();
        let operation = queued["operation"].as_str().unwrap_or_default();
        if let Some(error) = tasks.iter().find_map(|task| task["error"].as_str()) {
            bail!("{error}");
        }
        if args.background {
            return task::scheduled(operation, &tasks, args.format);
        }
        let clock = Clock { utc: args.utc };
        let ended = task::wait(&client, &tasks, (args.wait, clock), false).await?;
        if let Some(lost) = ended.iter().find(|task| task["status"] == "failed") {
            bail!("{}", lost["message"].as_str().unwrap_or_default());
        }
        show_ended(&ended, args.format, clock)?;
        complain(&ended)
    }
}

/// What commands printed: of one alone as it is, of several under their units.
fn show_ended(ended: &[Value], format: Format, clock: Clock) -> Result<()> {
    if matches!(format, Format::Json | Format::Yaml) {
        return task::of_all(ended, format, clock);
    }
    for one in ended {
        let output = |key: &str| one["results"][key].as_str().unwrap_or_default().to_owned();
        let both = format!("{}{}", output("stdout"), output("stderr"));
        match ended {
            [_] => print(&both)?,
            _ => say(&format!("{}:\n{both}", one["unit"].as_str().unwrap_or_default()))?,
        }
    }
    Ok(())
}

/// A word as a shell takes it back.
fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("a-b/c"), "a-b/c");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
