//! `operations`, `show-operation`, `show-task` and `cancel-task`: actions that ran or run.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::invocation::Invocation;
use super::output::{print, say, show, tell};
use super::patience::{Patience, Wait, is_open};
use super::task::{self, Clock};
use super::values::Format;
use crate::api::{Change, Read};
use crate::client::Client;
use crate::table::Table;

/// Lists the operations: actions that ran or run.
#[derive(Debug, Args)]
#[command(alias = "list-operations")]
pub(crate) struct Operations {
    /// Only of these applications.
    #[arg(long, alias = "apps", value_delimiter = ',')]
    applications: Vec<String>,
    /// Only of these units.
    #[arg(long, value_delimiter = ',')]
    units: Vec<String>,
    /// Only these actions.
    #[arg(long, value_delimiter = ',')]
    actions: Vec<String>,
    /// Only those that are so: `pending`, `running`, `completed`, `failed` or `cancelled`.
    #[arg(long, value_delimiter = ',')]
    status: Vec<String>,
    /// How many.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// How many to pass over first.
    #[arg(long, default_value_t = 0)]
    offset: usize,
    /// Times in UTC.
    #[arg(long)]
    utc: bool,
    #[arg(long, default_value = "plain")]
    format: Format,
}

impl Operations {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, args) = (at.client()?, self);
        let clock = Clock { utc: args.utc };
        let mut all = all(&client).await?;
        all.retain(|_, tasks| is_wanted(&args, tasks));
        let count = all.len();
        let wanted: ById = all.into_iter().skip(args.offset).take(args.limit).collect();
        if wanted.is_empty() {
            tell("no matching operations");
            return Ok(());
        }
        if matches!(args.format, Format::Json | Format::Yaml) {
            let shown = wanted.iter().map(|(id, tasks)| (id.to_string(), operation(tasks, clock)));
            return show(&Value::Object(shown.collect()), args.format);
        }
        let (last, more) = (args.offset + wanted.len(), count > args.offset + wanted.len());
        if args.offset > 0 || more {
            say(&format!("Displaying operation results {} to {last}.", args.offset + 1))?;
        }
        if more {
            let (next, limit) = (args.offset + args.limit, args.limit);
            say(&format!(
                "Run the command again with --offset={next} --limit={limit} to see the next batch.\n"
            ))?;
        }
        let header = ["ID", "Status", "Started", "Finished", "Task IDs", "Summary"];
        let mut table = Table::new(&header).right(0);
        for (id, tasks) in &wanted {
            let time = |at: Value| clock.second(&at).unwrap_or_default();
            let mut ids: Vec<String> = tasks.iter().map(|task| text(&task["id"])).collect();
            let dots = if ids.len() > TASKS_SHOWN { "..." } else { "" };
            ids.truncate(TASKS_SHOWN);
            table.row(vec![
                id.to_string(),
                status(tasks),
                time(first(tasks, "started")),
                time(completed(tasks)),
                format!("{}{dots}", ids.join(",")),
                summary(tasks),
            ]);
        }
        say(table.to_string().trim_end())
    }
}

/// Shows an operation with its tasks.
#[derive(Debug, Args)]
pub(crate) struct ShowOperation {
    id: u64,
    #[command(flatten)]
    patience: Patience,
    /// Times in UTC.
    #[arg(long)]
    utc: bool,
    #[arg(long, default_value = "yaml")]
    format: Format,
}

impl ShowOperation {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, args) = (at.client()?, self);
        let deadline = args.patience.deadline();
        let tasks = loop {
            let Some(tasks) = all(&client).await?.remove(&args.id) else {
                bail!("operation {:?} not found", args.id.to_string());
            };
            let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if late || !is_open(&status(&tasks)) {
                break tasks;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        args.patience.check(&format!("operation {}", args.id), &status(&tasks))?;
        show(&operation(&tasks, Clock { utc: args.utc }), args.format)
    }
}

/// Shows a task by its number.
#[derive(Debug, Args)]
pub(crate) struct ShowTask {
    id: u64,
    #[command(flatten)]
    patience: Patience,
    /// Times in UTC.
    #[arg(long)]
    utc: bool,
    #[arg(long, default_value = "plain")]
    format: Format,
}

impl ShowTask {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, args) = (at.client()?, self);
        let clock = Clock { utc: args.utc };
        let mut task = client.ask(Read::Action { id: args.id }).await?;
        if !task::has_ended(&task) && args.patience.wait() != Wait::No {
            let deadline = args.patience.deadline();
            task = task::end_of(&client, args.id, deadline, Some(clock)).await?;
        }
        args.patience.check(&format!("task {}", args.id), &text(&task["status"]))?;
        match args.format {
            Format::Json | Format::Yaml => show(&task::shown(&task, clock), args.format),
            _ => print(&task::plain(&task)?),
        }
    }
}

/// Calls off tasks whose turn has not come.
#[derive(Debug, Args)]
pub(crate) struct CancelTask {
    #[arg(required = true)]
    ids: Vec<u64>,
    #[arg(long, default_value = "yaml")]
    format: Format,
}

impl CancelTask {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, Self { ids, format }) = (at.client()?, self);
        let mut cancelled = Vec::new();
        let mut refused = Vec::new();
        for id in ids {
            match client.ask(Change::CancelTask { id }).await {
                Ok(_) => {
                    let task = client.ask(Read::Action { id }).await?;
                    cancelled.push(json!({
                        "action": task["action"],
                        "id": task["id"],
                        "unit": task["unit"],
                        "status": task["status"],
                        "completed at": Clock { utc: true }.write_day(&task["completed"]),
                    }));
                }
                Err(error) => refused.push(format!("task: {id}, error: {error}")),
            }
        }
        if !cancelled.is_empty() {
            show(&json!({"actions": cancelled}), format)?;
        }
        match refused.is_empty() {
            true => Ok(()),
            false => bail!("the following tasks could not be canceled:\n{}", refused.join("\n")),
        }
    }
}

/// The most task numbers in a row of the table.
const TASKS_SHOWN: usize = 5;

/// Operations by number, each with its tasks.
type ById = BTreeMap<u64, Vec<Value>>;

async fn all(client: &Client) -> Result<ById> {
    let actions = client.ask(Read::Actions).await?;
    let mut all = ById::new();
    for action in actions.as_array().into_iter().flatten() {
        let id = text(&action["operation"]).parse().unwrap_or_default();
        all.entry(id).or_default().push(action.clone());
    }
    Ok(all)
}

fn is_wanted(args: &Operations, tasks: &[Value]) -> bool {
    let unit = |task: &Value| text(&task["unit"]);
    let app = |task: &Value| unit(task).split('/').next().unwrap_or_default().to_owned();
    let any = |list: &[String], of: &dyn Fn(&Value) -> String| {
        tasks.iter().any(|task| list.contains(&of(task)))
    };
    let named = args.applications.is_empty() && args.units.is_empty()
        || any(&args.applications, &app)
        || any(&args.units, &unit);
    named
        && (args.actions.is_empty() || any(&args.actions, &|task| text(&task["action"])))
        && (args.status.is_empty() || args.status.contains(&status(tasks)))
}

fn operation(tasks: &[Value], clock: Clock) -> Value {
    let same = |key: &str| tasks.iter().all(|task| task[key] == tasks[0][key]);
    let alike = same("action") && same("parameters");
    let mut shown = json!({
        "summary": summary(tasks),
        "status": status(tasks),
        "timing": task::timing(
            &json!({
                "enqueued": first(tasks, "enqueued"),
                "started": first(tasks, "started"),
                "completed": completed(tasks),
            }),
            clock,
        ),
        "tasks": tasks.iter().map(|task| (text(&task["id"]), part(task, clock, alike)))
            .collect::<Map<_, _>>(),
    });
    if alike && let Some(task) = tasks.first() {
        shown["action"] = json!({"name": task["action"], "parameters": task["parameters"]});
    }
    shown
}

/// A task inside of its operation.
fn part(task: &Value, clock: Clock, alike: bool) -> Value {
    let mut shown = task::shown(task, clock);
    if let Some(shown) = shown.as_object_mut() {
        shown.remove("id");
        let host = shown.remove("unit").unwrap_or_default();
        shown.insert("host".to_owned(), host);
        if !alike {
            shown.insert("name".to_owned(), task["action"].clone());
        }
    }
    shown
}

/// How far the task is that is furthest behind, or the worst end.
fn status(tasks: &[Value]) -> String {
    let order = ["running", "pending", "failed", "cancelled", "completed"];
    let all: Vec<String> = tasks.iter().map(|task| text(&task["status"])).collect();
    let found = order.iter().find(|status| all.iter().any(|one| one == *status));
    found.map_or_else(String::new, |status| (*status).to_owned())
}

/// The earliest of the tasks' times.
fn first(tasks: &[Value], key: &str) -> Value {
    let times = tasks.iter().filter_map(|task| task[key].as_str());
    times.min().map_or(Value::Null, Value::from)
}

/// When the last task ended; nothing while one has not.
fn completed(tasks: &[Value]) -> Value {
    let all: Option<Vec<&str>> = tasks.iter().map(|task| task["completed"].as_str()).collect();
    all.and_then(|all| all.into_iter().max()).map_or(Value::Null, Value::from)
}

fn summary(tasks: &[Value]) -> String {
    let units: Vec<String> = tasks
        .iter()
        .map(|task| format!("unit-{}", text(&task["unit"]).replace('/', "-")))
        .collect();
    let action = tasks.first().map(|task| text(&task["action"])).unwrap_or_default();
    format!("{action} run on {}", units.join(","))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
