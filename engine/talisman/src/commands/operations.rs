//! `operations`, `show-operation` and `show-task`: actions that ran or run.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::{say, show};
use crate::api::Request;
use crate::args::Format;
use crate::client::Client;
use crate::table::Table;

/// All actions, the oldest first. An operation of ours is one action on one unit.
pub(super) async fn list(client: &Client, format: Format) -> Result<()> {
    let all = client.ask(&Request::Actions).await?;
    let all: Vec<&Value> = all.as_array().into_iter().flatten().collect();
    if matches!(format, Format::Json | Format::Yaml) {
        let by_id: Map<String, Value> =
            all.iter().map(|one| (text(&one["id"]), operation(one))).collect();
        return show(&Value::Object(by_id), format);
    }
    if all.is_empty() {
        return say("no operations");
    }
    let mut table = Table::new(&["ID", "Status", "Task IDs", "Summary"]);
    for one in all {
        let id = text(&one["id"]);
        table.row(vec![id.clone(), text(&one["status"]), id, summary(one)]);
    }
    say(table.to_string().trim_end())
}

/// One operation, with its one task.
pub(super) async fn operation_of(client: &Client, id: u64, format: Format) -> Result<()> {
    let one = client.ask(&Request::Action { id }).await?;
    show(&operation(&one), format)
}

/// One task.
pub(super) async fn task_of(client: &Client, id: u64, format: Format) -> Result<()> {
    let one = client.ask(&Request::Action { id }).await?;
    let shown = one.as_object().cloned().context("cannot read the task")?;
    show(&Value::Object(shown), format)
}

fn operation(one: &Value) -> Value {
    json!({
        "summary": summary(one),
        "status": one["status"],
        "timing": one["timing"],
        "tasks": {
            text(&one["id"]): {
                "host": one["unit"],
                "status": one["status"],
                "message": one["message"],
                "results": one["results"],
                "timing": one["timing"],
            },
        },
    })
}

fn summary(one: &Value) -> String {
    format!("{} run on unit-{}", text(&one["action"]), text(&one["unit"]).replace('/', "-"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
