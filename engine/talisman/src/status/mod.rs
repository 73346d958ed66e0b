//! The forms of `status`, from the JSON that `status --format json` prints.

mod ports;
mod select;
mod storage;
mod summary;

use serde_json::{Map, Value};

use crate::table::Table;

pub(crate) use ports::ports;
pub(crate) use select::select;
pub(crate) use storage::storage;
pub(crate) use summary::summary;

/// What the table has besides the model, its applications and their units.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shown {
    pub(crate) relations: bool,
    pub(crate) storage: bool,
}

/// The whole table, sections separated by blank lines.
pub(crate) fn table(status: &Value, shown: Shown) -> String {
    let mut sections = vec![model(status), applications(status), units(status)];
    if shown.relations {
        sections.push(integrations(status));
    }
    if shown.storage {
        sections.push(storage(&status["storage"], true));
    }
    let shown: Vec<String> =
        sections.iter().filter(|table| !table.is_empty()).map(Table::to_string).collect();
    shown.join("\n")
}

fn text(value: &Value, path: &[&str]) -> String {
    let mut at = value;
    for key in path {
        at = &at[*key];
    }
    match at {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn map<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value[key].as_object().into_iter().flat_map(Map::iter)
}

fn model(status: &Value) -> Table {
    let mut table = Table::new(&["Model", "Controller", "Cloud/Region", "Version", "Timestamp"]);
    table.row(vec![
        text(status, &["model", "name"]),
        text(status, &["model", "controller"]),
        text(status, &["model", "cloud"]),
        text(status, &["model", "version"]),
        text(status, &["controller", "timestamp"]),
    ]);
    table
}

fn applications(status: &Value) -> Table {
    let header = [
        "App", "Version", "Status", "Scale", "Charm", "Channel", "Rev", "Address", "Exposed",
        "Message",
    ];
    let mut table = Table::new(&header).right(3).right(6);
    for (name, app) in map(status, "applications") {
        let ready = map(app, "units")
            .filter(|(_, unit)| text(unit, &["juju-status", "current"]) != "allocating")
            .count();
        let scale = app["scale"].as_u64().unwrap_or(0);
        table.row(vec![
            name.clone(),
            text(app, &["version"]),
            text(app, &["application-status", "current"]),
            if scale == ready as u64 { scale.to_string() } else { format!("{ready}/{scale}") },
            text(app, &["charm-name"]),
            text(app, &["charm-channel"]),
            text(app, &["charm-rev"]),
            text(app, &["address"]),
            if app["exposed"] == true { "yes".into() } else { "no".into() },
            text(app, &["application-status", "message"]),
        ]);
    }
    table
}

fn units(status: &Value) -> Table {
    let mut table = Table::new(&["Unit", "Workload", "Agent", "Address", "Ports", "Message"]);
    for (_, app) in map(status, "applications") {
        for (name, unit) in map(app, "units") {
            let leader = if unit["leader"] == true { "*" } else { "" };
            table.row(vec![
                format!("{name}{leader}"),
                text(unit, &["workload-status", "current"]),
                text(unit, &["juju-status", "current"]),
                text(unit, &["address"]),
                ports(unit),
                message(unit),
            ]);
        }
    }
    table
}

/// The workload's message, and what is wrong with the pod of an idle unit.
fn message(unit: &Value) -> String {
    let idle = text(unit, &["juju-status", "current"]) == "idle";
    let agent = text(unit, &["juju-status", "message"]);
    let parts = [text(unit, &["workload-status", "message"]), agent];
    let shown = parts.iter().take(if idle { 2 } else { 1 }).filter(|part| !part.is_empty());
    shown.cloned().collect::<Vec<_>>().join("; ")
}

fn integrations(status: &Value) -> Table {
    let mut table =
        Table::new(&["Integration provider", "Requirer", "Interface", "Type", "Message"]);
    for relation in status["relations"].as_array().into_iter().flatten() {
        table.row(vec![
            text(relation, &["provider"]),
            text(relation, &["requirer"]),
            text(relation, &["interface"]),
            text(relation, &["type"]),
            text(relation, &["message"]),
        ]);
    }
    table
}

/// Whether every unit is active and idle, and if not, which are not and why.
pub(crate) fn unsettled(status: &Value) -> Vec<String> {
    let mut waiting = Vec::new();
    for (name, app) in map(status, "applications") {
        let wanted = app["scale"].as_u64().unwrap_or(0);
        let units = app["units"].as_object().map_or(0, Map::len) as u64;
        if units != wanted {
            waiting.push(format!("{name}: {units} of {wanted} units"));
        }
        for (name, unit) in map(app, "units") {
            let workload = text(unit, &["workload-status", "current"]);
            let agent = text(unit, &["juju-status", "current"]);
            if workload != "active" || agent != "idle" {
                let message = text(unit, &["workload-status", "message"]);
                let words = if workload == "active" { agent } else { workload };
                waiting.push(format!("{name}: {words} {message}").trim_end().to_owned());
            }
        }
    }
    waiting
}

/// One line for each unit. A pod has no address outside the cluster, and so none stands here.
pub(crate) fn short(status: &Value) -> String {
    let mut lines = String::new();
    for (_, app) in map(status, "applications") {
        for (name, unit) in map(app, "units") {
            let line = format!(
                "- {name}:  (agent:{}, workload:{}) {}",
                text(unit, &["juju-status", "current"]),
                text(unit, &["workload-status", "current"]),
                ports(unit),
            );
            lines.push_str(line.trim_end());
            lines.push('\n');
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn example() -> Value {
        json!({
            "model": {"name": "dev", "controller": "talisman", "cloud": "localhost", "version": "3.6.11"},
            "controller": {"timestamp": "10:00:00Z"},
            "applications": {"pg": {
                "charm-name": "pg", "charm-rev": 0, "scale": 1, "address": "10.152.183.2", "exposed": false,
                "application-status": {"current": "blocked", "message": "no backend"},
                "units": {"pg/0": {
                    "workload-status": {"current": "blocked", "message": "no backend"},
                    "juju-status": {"current": "idle"}, "leader": true, "address": "10.1.0.2",
                }},
            }},
        })
    }

    #[test]
    fn the_table_has_jujus_columns() {
        insta::assert_snapshot!(table(&example(), Shown::default()), @r"
        Model  Controller  Cloud/Region  Version  Timestamp
        dev    talisman    localhost     3.6.11   10:00:00Z

        App  Version  Status   Scale  Charm  Channel  Rev  Address       Exposed  Message
        pg            blocked      1  pg                0  10.152.183.2  no       no backend

        Unit   Workload  Agent  Address   Ports  Message
        pg/0*  blocked   idle   10.1.0.2         no backend
        ");
    }

    #[test]
    fn what_is_awaited_is_named() {
        assert_eq!(unsettled(&example()), ["pg/0: blocked no backend"]);
    }
}
