//! What holds after every single hook.

use std::fmt::Display;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use juju_model::{Relation, SecretContent};
use juju_names::{SecretId, UnitName};

use crate::far::pebble::Pod;
use crate::fault::SHORT;
use crate::juju::apps::decoded;
use crate::world::State;

/// The longest state that a unit may keep in the controller, in bytes.
const STATE_BYTES_MAX: usize = 64 << 10;

/// The passwords that are known so far, and the revisions of secrets that gave them.
#[derive(Default)]
pub(crate) struct Watch {
    revisions: Vec<(SecretId, u32)>,
    passwords: Option<AhoCorasick>,
}

impl Watch {
    /// Learns what secrets hold now; whether that differs from what it knew.
    fn learn(&mut self, state: &State) -> bool {
        let now = || state.model.secrets().map(|secret| (&secret.id, secret.latest));
        if now().eq(self.revisions.iter().map(|(id, latest)| (id, *latest))) {
            return false;
        }
        self.revisions = now().map(|(id, latest)| (id.clone(), latest)).collect();
        let contents = state.model.secrets().filter_map(|secret| {
            secret.revisions.get(&secret.latest).map(|revision| &revision.content)
        });
        // Built more often than it pays to build something quicker to search with.
        let kind = Some(AhoCorasickKind::NoncontiguousNFA);
        let found = AhoCorasick::builder().kind(kind).build(contents.flat_map(passwords));
        self.passwords = found.ok();
        true
    }

    fn finds(&self, text: impl AsRef<[u8]>) -> bool {
        self.passwords.as_ref().is_some_and(|passwords| passwords.is_match(text.as_ref()))
    }
}

/// The passwords in a secret.
fn passwords(content: &SecretContent) -> Vec<String> {
    let fields = decoded(content).unwrap_or_default().into_iter();
    let fields = fields.filter(|(key, value)| key.contains("password") && value.len() > SHORT);
    fields.map(|(_, value)| value).collect()
}

/// What is wrong after a hook of this unit, however many faults there were.
///
/// A hook writes into its own unit's bags, state, status and container only, so those are
/// looked at where it wrote anything; after a new password, and for no unit, everything is.
pub(crate) fn always(state: &State, watch: &mut Watch, ran: Option<&UnitName>) -> Vec<String> {
    let ran = if watch.learn(state) { None } else { ran };
    let mut wrong = super::database::always(state);
    let hijacked = state.far.hijacked.iter();
    wrong.extend(hijacked.map(|base| format!("a superuser runs what clients made in {base}")));
    if watch.finds(&state.gate.shown) {
        wrong.push("a password stands in an argument list".to_owned());
    }
    if ran.is_some() && state.gate.effects() > 0 && state.gate.written == 0 {
        return wrong;
    }
    for (unit, pod) in state.far.pods.iter().filter(|(unit, _)| ran.is_none_or(|ran| ran == *unit))
    {
        in_container(watch, unit, pod, &mut wrong);
    }
    for relation in state.model.relations() {
        in_relation(watch, relation, ran, &mut wrong);
    }
    match ran {
        Some(unit) => in_unit(state, watch, unit, &mut wrong),
        None => state.units().iter().for_each(|unit| in_unit(state, watch, unit, &mut wrong)),
    }
    wrong
}

fn in_container(watch: &Watch, unit: &UnitName, pod: &Pod, wrong: &mut Vec<String>) {
    let Some(container) = &pod.container else { return };
    for refused in &container.refused {
        wrong.push(format!("{unit}: PgBouncer got a configuration that it refuses: {refused}"));
    }
    if watch.finds(container.shown()) {
        wrong.push(format!("a password stands in the plan of {unit}"));
    }
    for (path, file) in container.disk.files.iter().filter(|(_, file)| file.mode & 0o077 != 0) {
        if watch.finds(&file.content) {
            wrong.push(format!("a password stands in {path} of {unit}"));
        }
    }
}

fn in_relation(
    watch: &Watch,
    relation: &Relation,
    ran: Option<&UnitName>,
    wrong: &mut Vec<String>,
) {
    // The legacy interface has passwords in databags: that is its contract.
    if relation.ends.iter().any(|end| end.interface == "pgsql") {
        return;
    }
    if ran.is_some_and(|ran| relation.end(ran.app()).is_none()) {
        return;
    }
    let apps = relation.app_bags.iter().filter(|(app, _)| ran.is_none_or(|ran| ran.app() == *app));
    let units = relation.unit_bags.iter().filter(|(unit, _)| ran.is_none_or(|ran| ran == *unit));
    let apps = apps.map(|(app, bag)| (app as &dyn Display, bag));
    for (owner, bag) in apps.chain(units.map(|(unit, bag)| (unit as &dyn Display, bag))) {
        for (key, _) in bag.values.iter().filter(|(_, value)| watch.finds(value)) {
            let id = relation.id;
            wrong.push(format!("a password stands in {key} of {owner} in relation {id}"));
        }
    }
}

fn in_unit(state: &State, watch: &Watch, unit: &UnitName, wrong: &mut Vec<String>) {
    let Some(unit) = state.model.unit(unit) else { return };
    let size: usize = unit.state.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > STATE_BYTES_MAX {
        wrong.push(format!("{}: its state has grown to {size} bytes", unit.name));
    }
    for (key, _) in unit.state.iter().filter(|(_, value)| watch.finds(value)) {
        wrong.push(format!("a password stands in the state {key} of {}", unit.name));
    }
    if watch.finds(&unit.workload.message) {
        wrong.push(format!("a password stands in the status of {}", unit.name));
    }
}
