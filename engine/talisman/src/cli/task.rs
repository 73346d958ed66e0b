//! A task of an operation, as the verbs about actions show it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::output::{print, show, tell, yaml};
use super::values::Format;
use crate::api::Read;
use crate::client::Client;

/// How times are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) utc: bool,
}

impl Clock {
    fn zone(self) -> TimeZone {
        if self.utc { TimeZone::UTC } else { TimeZone::system() }
    }

    fn write(self, at: &Value, format: &str) -> Option<String> {
        let at: Timestamp = at.as_str()?.parse().ok()?;
        Some(at.to_zoned(self.zone()).strftime(format).to_string())
    }

    /// `2026-11-28 13:38:58.936041301 +0000 UTC`
    pub(super) fn whole(self, at: &Value) -> Option<String> {
        self.write(at, "%Y-%m-%d %H:%M:%S%.f %z %Z")
    }

    /// `2026-11-28T13:38:58`
    pub(super) fn second(self, at: &Value) -> Option<String> {
        self.write(at, "%Y-%m-%dT%H:%M:%S")
    }

    /// `2026-11-28 13:38:58`
    pub(super) fn write_day(self, at: &Value) -> Option<String> {
        self.write(at, "%Y-%m-%d %H:%M:%S")
    }

    /// `13:38:58`
    pub(super) fn of_day(self, at: &Value) -> Option<String> {
        self.write(at, "%H:%M:%S")
    }
}

/// Whether nothing more comes of a task.
pub(super) fn has_ended(task: &Value) -> bool {
    !matches!(task["status"].as_str(), Some("pending" | "running"))
}

/// The code with which a task's process ended.
pub(super) fn code(task: &Value) -> i64 {
    task["results"]["return-code"].as_i64().unwrap_or_default()
}

/// A task as `run` and `show-task` give it to programs: nothing that is empty.
pub(super) fn shown(task: &Value, clock: Clock) -> Value {
    let mut shown = Map::new();
    for key in ["id", "unit", "status"] {
        shown.insert(key.to_owned(), task[key].clone());
    }
    if task["message"] != "" && !task["message"].is_null() {
        shown.insert("message".to_owned(), task["message"].clone());
    }
    if task["results"].as_object().is_some_and(|results| !results.is_empty()) {
        shown.insert("results".to_owned(), results(task));
    }
    let log: Vec<String> = lines(task, |at| clock.whole(at));
    if !log.is_empty() {
        shown.insert("log".to_owned(), json!(log));
    }
    shown.insert("timing".to_owned(), timing(task, clock));
    Value::Object(shown)
}

/// The results, output in them only where there is some.
pub(super) fn results(task: &Value) -> Value {
    let mut results = task["results"].as_object().cloned().unwrap_or_default();
    results.retain(|key, value| !(["stdout", "stderr"].contains(&key.as_str()) && *value == ""));
    Value::Object(results)
}

/// When it was asked for, began and ended, as far as it has.
pub(super) fn timing(task: &Value, clock: Clock) -> Value {
    let steps = ["enqueued", "started", "completed"];
    let known =
        steps.iter().filter_map(|step| Some(((*step).to_owned(), clock.whole(&task[step])?)));
    known.map(|(step, at)| (step, Value::from(at))).collect::<Map<_, _>>().into()
}

/// The lines that the action logged, each after its time.
pub(super) fn lines(task: &Value, time: impl Fn(&Value) -> Option<String>) -> Vec<String> {
    let all = task["log"].as_array().into_iter().flatten();
    let line = |line: &Value| {
        let at = time(&line["at"]).unwrap_or_default();
        format!("{at} {}", line["message"].as_str().unwrap_or_default())
    };
    all.map(line).collect()
}

/// What people read of one task: why it failed, its results, and its output last.
pub(super) fn plain(task: &Value) -> Result<String> {
    let results = results(task);
    let hidden = ["return-code", "stdout", "stderr", "stdout-encoding", "stderr-encoding"];
    let own: Map<String, Value> = results
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !hidden.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let mut plain = String::new();
    let (id, status) = (text(&task["id"]), text(&task["status"]));
    if status == "failed" {
        plain.push_str(&format!("Action id {id} failed: {}\n", text(&task["message"])));
    }
    if results.as_object().is_none_or(Map::is_empty) {
        plain.push_str(&format!("Task {id} {status}\n"));
    } else if !own.is_empty() {
        plain.push_str(&yaml(&own)?);
    }
    plain.push('\n');
    for output in ["stdout", "stderr"] {
        let output = text(&results[output]);
        if !output.is_empty() {
            plain.push_str(&format!("{}\n", output.trim_matches('\n')));
        }
    }
    Ok(plain)
}

/// Fails where a task's process did. One that called `action-fail` has given the reason.
pub(super) fn complain(tasks: &[Value]) -> Result<()> {
    let failed: Vec<String> = tasks
        .iter()
        .filter(|task| code(task) >= 1)
        .map(|one| {
            format!(
                " - id {:?} with return code {}",
                one["id"].as_str().unwrap_or_default(),
                code(one)
            )
        })
        .collect();
    let plural = if failed.len() == 1 { "" } else { "s" };
    match failed.is_empty() {
        true => Ok(()),
        false => bail!(
            "the following task{plural} failed:\n{}\n\nuse 'talisman show-task' to inspect the failure{plural}\n",
            failed.join("\n")
        ),
    }
}

/// Says where the results will be.
pub(super) fn scheduled(operation: &str, tasks: &[Value], format: Format) -> Result<()> {
    let id = |task: &Value| (text(&task["unit"]), json!({"id": task["id"]}));
    let named = Value::Object(tasks.iter().map(id).collect());
    let (words, which) = match tasks {
        [one] => (format!("task {}", text(&one["id"])), text(&one["id"])),
        _ => (format!("{} tasks", tasks.len()), "<id>".to_owned()),
    };
    tell(&format!(
        "Scheduled operation {operation} with {words}\n\
         Check operation status with 'talisman show-operation {operation}'\n\
         Check task status with 'talisman show-task {which}'"
    ));
    match format {
        Format::Json | Format::Yaml => show(&named, format),
        _ if tasks.len() > 1 => show(&named, Format::Yaml),
        _ => Ok(()),
    }
}

/// Waits for the tasks one after another; with `tells` says so, and what the only one logs as it
/// comes.
pub(super) async fn wait(
    client: &Client,
    tasks: &[Value],
    (bound, clock): (Duration, Clock),
    tells: bool,
) -> Result<Vec<Value>> {
    let deadline = Some(Instant::now() + bound);
    let told_by = (tells && tasks.len() == 1).then_some(clock);
    let mut ended = Vec::new();
    for one in tasks {
        let id = text(&one["id"]).parse().context("cannot read the task's number")?;
        if tells {
            tell(&format!("Waiting for task {id}...\n"));
        }
        let task = end_of(client, id, deadline, told_by).await?;
        if !has_ended(&task) {
            let late = tasks.iter().skip(ended.len()).map(|task| text(&task["unit"]));
            let late: Vec<String> = late.map(|unit| format!("unit {unit}")).collect();
            bail!("timed out waiting for results from: {}", late.join(", "));
        }
        ended.push(task);
    }
    Ok(ended)
}

/// A task that has ended, or how it is at a deadline; what it logs meanwhile is printed, with times
/// by the clock that is given.
pub(super) async fn end_of(
    client: &Client,
    id: u64,
    deadline: Option<Instant>,
    told_by: Option<Clock>,
) -> Result<Value> {
    let mut told = 0;
    let task = loop {
        let task = client.ask(Read::Action { id }).await?;
        if let Some(clock) = told_by {
            let logged = lines(&task, |at| clock.of_day(at));
            logged.iter().skip(told).for_each(|line| tell(line));
            told = logged.len();
        }
        if has_ended(&task) || deadline.is_some_and(|deadline| Instant::now() > deadline) {
            break task;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    if told > 0 {
        tell("");
    }
    Ok(task)
}

/// What programs and people get of the tasks of several units.
pub(super) fn of_all(tasks: &[Value], format: Format, clock: Clock) -> Result<()> {
    let unit = |task: &Value| task["unit"].as_str().unwrap_or_default().to_owned();
    match (format, tasks) {
        (Format::Json | Format::Yaml, _) => {
            let all: Map<_, _> =
                tasks.iter().map(|task| (unit(task), shown(task, clock))).collect();
            show(&Value::Object(all), format)
        }
        (_, [one]) => print(&plain(one)?),
        _ => {
            let brief = |task: &Value| {
                let mut brief = json!({"id": task["id"], "status": task["status"]});
                brief["output"] = json!(yaml(&results(task)).unwrap_or_default());
                (unit(task), brief)
            };
            let all: Map<_, _> = tasks.iter().map(brief).collect();
            show(&Value::Object(all), Format::Yaml)
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
