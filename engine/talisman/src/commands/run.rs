//! `run`: an action and its result.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::{say, show, tell, yaml};
use crate::api::Request;
use crate::args::{Format, Run};
use crate::client::Client;

pub(super) async fn run(client: &Client, args: Run) -> Result<()> {
    let status = client.ask(&Request::Status).await?;
    let unit = super::enter::unit_of(&status, &args.unit)?;
    let mut params: Map<String, Value> = match &args.params_file {
        Some(file) => {
            let text = crate::files::read_given(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            serde_saphyr::from_str(&text)
                .with_context(|| format!("cannot read {} as parameters", file.display()))?
        }
        None => Map::new(),
    };
    params.extend(args.params.into_iter().map(|(key, text)| (key, scalar(&text))));
    let request = Request::Run { unit: unit.clone(), action: args.action.clone(), params };
    let id = client.ask(&request).await?.as_u64().context("cannot read the action's id")?;
    if args.background {
        tell(&format!(
            "Scheduled operation {id} with task {id}\n\
             Check operation status with 'talisman show-operation {id}'\n\
             Check task status with 'talisman show-task {id}'"
        ));
        let named = json!({ unit.to_string(): {"id": id.to_string()} });
        let quiet = !matches!(args.format, Format::Json | Format::Yaml);
        return if quiet { Ok(()) } else { show(&named, args.format) };
    }
    if !matches!(args.format, Format::Json | Format::Yaml) {
        let tag = unit.to_string().replace('/', "-");
        tell(&format!("Running operation {id} with 1 task\n  - task {id} on unit-{tag}"));
    }
    let deadline = tokio::time::Instant::now() + args.wait;
    let action = loop {
        let action = client.ask(&Request::Action { id }).await?;
        if action["status"] == "completed" || action["status"] == "failed" {
            break action;
        }
        if tokio::time::Instant::now() > deadline {
            bail!(
                "timed out: {} on {unit} is {} after {:?}; see `talisman debug-log`",
                args.action,
                action["status"],
                args.wait
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    print(&unit.to_string(), &action, args.format)?;
    if action["status"] == "failed" {
        bail!(
            "the following task failed:\n - task {id}, the action {}: {}",
            args.action,
            action["message"].as_str().unwrap_or("no message")
        );
    }
    Ok(())
}

/// Parameters are YAML scalars, as Juju reads them.
fn scalar(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => text
            .parse::<i64>()
            .map(Value::from)
            .or_else(|_| text.parse::<f64>().map(Value::from))
            .unwrap_or_else(|_| Value::from(text)),
    }
}

fn print(unit: &str, action: &Value, format: Format) -> Result<()> {
    match format {
        Format::Json | Format::Yaml => show(&json!({ unit: action }), format),
        Format::Plain | Format::Tabular | Format::Short => {
            for line in action["log"].as_array().into_iter().flatten() {
                tell(line.as_str().unwrap_or_default());
            }
            let empty = Map::new();
            let results = action["results"].as_object().unwrap_or(&empty);
            let shown: Map<_, _> = results
                .iter()
                .filter(|(key, _)| *key != "return-code")
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            if shown.is_empty() { Ok(()) } else { say(yaml(&shown)?.trim_end()) }
        }
    }
}
