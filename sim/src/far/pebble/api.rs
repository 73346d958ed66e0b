//! What requests to Pebble do to a container.

use pebble_client::{Layer, Startup};
use serde_json::{Value, json};

use crate::mutant;

use super::answer::Answer;
use super::container::Container;
use super::exec;
use super::files::parameters;

/// Requests that change nothing.
pub(crate) fn look(container: &mut Container, path: &str, query: &str) -> Answer {
    let names = || parameters(query, "names").next().unwrap_or_default();
    match path {
        "/v1/system-info" => {
            Answer::Sync(json!({"version": "v1.32.1", "boot-id": container.boot.to_string()}))
        }
        "/v1/plan" => Answer::Ready(container.plan_answer()),
        "/v1/services" => Answer::Ready(container.services_answer(&names())),
        "/v1/checks" => Answer::Sync(checks(container, &names())),
        _ => match path.strip_prefix("/v1/changes/") {
            Some(rest) => change(container, rest.trim_end_matches("/wait")),
            None => Answer::Refused(404, "not-found", format!("no simulation of {path}")),
        },
    }
}

/// The checks of these names, or all; their results reach the charm as events.
fn checks(container: &Container, names: &str) -> Value {
    let asked = |name: &str| names.is_empty() || names.split(',').any(|asked| asked == name);
    let all = container.plan().checks.iter().filter(|(name, _)| asked(name));
    let check = |(name, check): (&String, &pebble_client::Check)| {
        let startup = check.startup.unwrap_or(Startup::Enabled);
        let status = if startup == Startup::Enabled { "up" } else { "inactive" };
        let threshold = check.threshold.unwrap_or(3);
        json!({"name": name, "startup": startup, "status": status, "threshold": threshold})
    };
    all.map(check).collect()
}

fn change(container: &Container, id: &str) -> Answer {
    let number: usize = id.parse().unwrap_or_default();
    let Some(ended) = number.checked_sub(1).and_then(|index| container.changes.get(index)) else {
        return Answer::Refused(404, "", format!("cannot find change with id \"{id}\""));
    };
    let tasks = json!([{"data": {"exit-code": ended.as_ref().unwrap_or(&0)}}]);
    let mut change =
        json!({"id": id, "kind": "replan", "summary": "", "ready": true, "tasks": tasks});
    change["status"] = json!(if ended.is_ok() { "Done" } else { "Error" });
    if let Err(why) = ended {
        change["err"] = json!(format!("cannot perform the following tasks:\n- {why}"));
    }
    Answer::Sync(change)
}

/// Requests that change something.
pub(crate) fn act(container: &mut Container, path: &str, body: &[u8]) -> Answer {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let names: Vec<String> = body["services"]
        .as_array()
        .map(|all| all.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect())
        .unwrap_or_default();
    let bad = |message: String| Answer::Refused(400, "", message);
    match (path, body["action"].as_str().unwrap_or_default()) {
        ("/v1/layers", _) => {
            let text = body["layer"].as_str().unwrap_or_default();
            let changed = mutant::layer(text);
            let text = changed.as_deref().unwrap_or(text);
            let layer = match Layer::parse(text) {
                Ok(layer) => layer,
                Err(why) => return bad(why),
            };
            let label = body["label"].as_str().unwrap_or_default();
            let combine = body["combine"].as_bool().unwrap_or_default();
            match container.add_layer(label, layer, combine) {
                Ok(()) => Answer::Sync(json!(true)),
                Err(why) => bad(why),
            }
        }
        ("/v1/exec", _) => match exec::run(container, &body) {
            Ok((printed, code)) => {
                container.printed = printed;
                Answer::Task(code)
            }
            Err(why) => bad(why),
        },
        ("/v1/services", "replan") => Answer::Change(container.replan()),
        ("/v1/services", action) => {
            let known = &container.plan().services;
            if let Some(name) = names.iter().find(|name| !known.contains_key(*name)) {
                let why = format!("service \"{name}\" does not exist");
                return bad(format!("cannot {action} services: {why}"));
            }
            if action == "stop" {
                container.stop(&names);
                return Answer::Change(Ok(()));
            }
            let due = |name: &String| action == "restart" || !container.is_active(name);
            let due: Vec<String> = names.into_iter().filter(due).collect();
            Answer::Change(container.start(&due))
        }
        ("/v1/signals", _) => {
            match container.signal(body["signal"].as_str().unwrap_or_default(), &names) {
                Ok(()) => Answer::Sync(json!(true)),
                Err(why) => Answer::Refused(500, "", why),
            }
        }
        _ => Answer::Refused(500, "generic-error", format!("no simulation of {path}")),
    }
}
