//! What holds after every single hook.

use std::collections::BTreeSet;

use crate::apps::read_secret;
use crate::world::State;

/// The longest state that a unit may keep in the controller, in bytes.
const STATE_BYTES_MAX: usize = 64 << 10;

/// What is wrong now, however many faults there were.
pub(crate) fn always(state: &State) -> Vec<String> {
    let mut wrong = Vec::new();
    for (unit, pod) in &state.pods {
        for refused in pod.container.iter().flat_map(|container| &container.refused) {
            wrong.push(format!("{unit}: PgBouncer got a configuration that it refuses: {refused}"));
        }
    }
    for unit in state.units() {
        let Some(unit) = state.model.unit(&unit) else { continue };
        let size: usize = unit.state.iter().map(|(key, value)| key.len() + value.len()).sum();
        if size > STATE_BYTES_MAX {
            wrong.push(format!("{}: its state has grown to {size} bytes", unit.name));
        }
    }
    wrong.extend(in_the_open(state));
    wrong
}

/// The passwords in all secrets.
fn passwords(state: &State) -> BTreeSet<String> {
    let secrets =
        state.model.secrets().filter_map(|secret| read_secret(state, &secret.id.to_string()));
    let fields = secrets.flat_map(|content| content.into_iter());
    let fields = fields.filter(|(key, _)| key.contains("password"));
    fields.map(|(_, value)| value).filter(|value| value.len() > 8).collect()
}

/// Places where everybody can look, and in which a password stands.
fn in_the_open(state: &State) -> Vec<String> {
    let passwords = passwords(state);
    let mut wrong = Vec::new();
    let mut look = |place: String, text: &str| {
        if passwords.iter().any(|password| text.contains(password.as_str())) {
            wrong.push(format!("a password stands in {place}"));
        }
    };
    for relation in state.model.relations() {
        // The old interface hands passwords over in bags: that is its contract.
        if relation.ends.iter().any(|end| end.interface == "pgsql") {
            continue;
        }
        let bags = relation.app_bags.iter().map(|(app, bag)| (app.to_string(), bag));
        let units = relation.unit_bags.iter().map(|(unit, bag)| (unit.to_string(), bag));
        for (owner, bag) in bags.chain(units) {
            for (key, value) in &bag.values {
                look(format!("{key} of {owner} in relation {}", relation.id), value);
            }
        }
    }
    for unit in state.units() {
        let Some(unit) = state.model.unit(&unit) else { continue };
        for (key, value) in &unit.state {
            look(format!("the state {key} of {}", unit.name), value);
        }
        look(format!("the status of {}", unit.name), &unit.workload.message);
    }
    for line in &state.gate.shown {
        look("an argument list".to_owned(), line);
    }
    for (unit, pod) in &state.pods {
        let Some(container) = &pod.container else { continue };
        for (_, layer) in &container.layers {
            look(format!("the plan of {unit}"), &serde_json::json!(layer).to_string());
        }
        for (path, file) in container.files.iter().filter(|(_, file)| file.mode & 0o077 != 0) {
            look(format!("{path} of {unit}"), &String::from_utf8_lossy(&file.content));
        }
    }
    wrong
}
