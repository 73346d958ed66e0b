//! `run`: an action on units, and its results.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, Value, json};

use super::invocation::Invocation;
use super::output::{Usage, tell};
use super::task::{self, Clock, complain};
use super::units::unit_of;
use super::values::{Format, duration};
use crate::api::{Change, Read};

/// Runs an action on units and waits for the results.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  talisman run data-integrator/0 get-credentials --format json")]
pub(crate) struct Run {
    /// Units, then the action, then `<parameter>=<value>`; a unit is `<application>/<number>` or
    /// `<application>/leader`.
    #[arg(required = true, num_args = 2.., value_names = ["unit", "action"])]
    words: Vec<String>,
    /// A YAML file of parameters; those that are typed come on top.
    #[arg(long = "params")]
    params_file: Option<PathBuf>,
    /// Take values as text, not as YAML.
    #[arg(long)]
    string_args: bool,
    /// Times in UTC.
    #[arg(long)]
    utc: bool,
    /// Accepted for Juju's sake: there are no colours.
    #[arg(long)]
    no_color: bool,
    #[arg(long, default_value = "plain")]
    format: Format,
    /// How long to wait for the result.
    #[arg(long, value_parser = duration, default_value = "60s")]
    wait: Duration,
    /// Do not wait; `show-operation` shows the result.
    #[arg(long)]
    background: bool,
}

impl Run {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, args) = (at.client()?, self);
        let words = Words::parse(&args.words)?;
        let status = client.ask(Read::Status).await?;
        let units = words.units.iter().map(|unit| unit_of(&status, unit));
        let units = units.collect::<Result<Vec<_>>>()?;
        let params = parameters(&args, &words.params)?;
        let request = Change::Run { units, action: words.action.to_owned(), params };
        let enqueued = client.ask(request).await?;
        let tasks = enqueued["tasks"].as_array().cloned().unwrap_or_default();
        let (queued, refused): (Vec<Value>, Vec<Value>) =
            tasks.into_iter().partition(|task| task["error"].is_null());
        let operation = text(&enqueued["operation"]);
        let reasons =
            refused.iter().map(|task| text(&task["error"])).collect::<Vec<_>>().join("\n");
        if queued.is_empty() {
            // Juju calls that no failure of the command.
            tell(&format!("Operation {operation} failed to schedule any tasks:\n{reasons}"));
            return Ok(());
        }
        if args.background {
            return task::scheduled(&operation, &queued, args.format);
        }
        announce(&operation, &queued);
        if !refused.is_empty() {
            tell(&format!("Some actions could not be scheduled:\n{reasons}\n"));
        }
        let clock = Clock { utc: args.utc };
        let ended = task::wait(&client, &queued, (args.wait, clock), true).await?;
        task::of_all(&ended, args.format, clock)?;
        complain(&ended)
    }
}

/// The words after the verb: units, an action, and parameters with their values.
#[derive(Debug, PartialEq, Eq)]
struct Words<'a> {
    units: Vec<&'a str>,
    action: &'a str,
    params: Vec<(&'a str, &'a str)>,
}

impl<'a> Words<'a> {
    fn parse(words: &'a [String]) -> Result<Self, Usage> {
        let named = words.iter().take_while(|word| word.contains('/') && !word.contains('='));
        let units: Vec<&str> = named.map(String::as_str).collect();
        let mut rest = words.iter().skip(units.len());
        let Some(action) = rest.next().filter(|_| !units.is_empty()) else {
            let words =
                "cannot run an action: name units such as hello/0 or hello/leader, then the action";
            return Err(Usage(words.to_owned()));
        };
        let pair = |word: &'a String| {
            let (key, value) = word.split_once('=').ok_or_else(|| {
                Usage(format!("argument {word:?} must be of the form key.key.key...=value"))
            })?;
            match key.split('.').find(|part| !is_key(part)) {
                None => Ok((key, value)),
                Some(part) => Err(Usage(format!(
                    "key {part:?} must start and end with lowercase alphanumeric, and contain only lowercase alphanumeric and hyphens"
                ))),
            }
        };
        let params = rest.map(pair).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { units, action, params })
    }
}

/// Whether a parameter can have this name.
fn is_key(text: &str) -> bool {
    let is_sign = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = text.bytes().next().into_iter().chain(text.bytes().last());
    !text.is_empty()
        && ends.into_iter().all(is_sign)
        && text.bytes().all(|b| is_sign(b) || b == b'-')
}

/// Says which operation runs, and its tasks.
fn announce(operation: &str, tasks: &[Value]) {
    let plural = if tasks.len() == 1 { "" } else { "s" };
    tell(&format!("Running operation {operation} with {} task{plural}", tasks.len()));
    for task in tasks {
        let tag = text(&task["unit"]).replace('/', "-");
        tell(&format!("  - task {} on unit-{tag}", text(&task["id"])));
    }
    tell("");
}

/// The parameters of a file, and those that are typed on top.
fn parameters(args: &Run, typed: &[(&str, &str)]) -> Result<Map<String, Value>> {
    let mut params: Map<String, Value> = match &args.params_file {
        Some(file) => {
            let text = crate::files::read_given(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            serde_saphyr::from_str(&text)
                .with_context(|| format!("cannot read {} as parameters", file.display()))?
        }
        None => Map::new(),
    };
    for (path, typed) in typed {
        let value = if args.string_args { Value::from(*typed) } else { value(path, typed)? };
        // What is null is not given.
        if !value.is_null() {
            put(&mut params, path, value);
        }
    }
    Ok(params)
}

/// A typed value, as YAML of before 1.2 reads it: `yes` and `off` are true and false there.
fn value(key: &str, typed: &str) -> Result<Value> {
    match typed {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Ok(Value::Bool(true)),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Ok(Value::Bool(false)),
        "" => return Ok(Value::Null),
        _ => {}
    }
    serde_saphyr::from_str(typed).with_context(|| {
        format!("cannot read the value of {key} as YAML; quote it, or add --string-args")
    })
}

/// Puts a value where `a.b.c` leads; what stands in the way goes.
fn put(map: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(map.insert(path.to_owned(), value)),
        Some((first, rest)) => {
            let inner = map.entry(first).or_insert_with(|| json!({}));
            if !inner.is_object() {
                *inner = json!({});
            }
            if let Some(inner) = inner.as_object_mut() {
                put(inner, rest, value);
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(typed: &[(&str, &str)], want: Value) {
        let mut params = Map::new();
        for (key, typed) in typed {
            put(&mut params, key, value(key, typed).unwrap());
        }
        assert_eq!(Value::Object(params), want);
    }

    #[track_caller]
    fn words(typed: &str, want: Result<(&[&str], &str, usize), &str>) {
        let typed: Vec<String> = typed.split(' ').map(str::to_owned).collect();
        let found = Words::parse(&typed).map_err(|error| error.to_string());
        let found = found.as_ref().map(|w| (w.units.as_slice(), w.action, w.params.len()));
        match (found, want) {
            (Err(found), Err(want)) => assert!(found.contains(want), "{found}"),
            (found, want) => assert_eq!(found.map_err(String::as_str), want),
        }
    }

    #[test]
    fn units_come_first_and_parameters_last() {
        words("a/0 pause", Ok((&["a/0"], "pause", 0)));
        words("a/0 a/leader pause x=a/0 y.z=", Ok((&["a/0", "a/leader"], "pause", 2)));
        words("pause x=1", Err("name units"));
        words("a/0 open Upper=1", Err("key \"Upper\" must start and end with lowercase"));
        words("a/0 open noequals", Err("must be of the form key.key.key...=value"));
    }

    #[test]
    fn values_are_yaml_and_dots_lead_inside() {
        check(&[("a", "5"), ("b", "1.5"), ("c", "true")], json!({"a": 5, "b": 1.5, "c": true}));
        check(
            &[("a", "yes"), ("b", "off"), ("c", "null")],
            json!({"a": true, "b": false, "c": null}),
        );
        check(&[("a", "[1,\"b\"]"), ("b", "{\"x\": 1}")], json!({"a": [1, "b"], "b": {"x": 1}}));
        check(&[("a", "'5'"), ("b", "x y")], json!({"a": "5", "b": "x y"}));
        check(&[("o.x.y", "1"), ("o.z", "two")], json!({"o": {"x": {"y": 1}, "z": "two"}}));
        check(&[("o", "1"), ("o.z", "2")], json!({"o": {"z": 2}}));
    }
}
