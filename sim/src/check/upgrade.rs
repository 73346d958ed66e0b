//! A refresh of PostgreSQL's charm: which pods may go, and that all do.

use juju_names::{AppName, UnitName};

use crate::far::kubernetes;
use crate::far::patroni::{members, primary};
use crate::world::State;

/// Whether all is as it should be before a refresh: the partition leaves it one pod at most, which
/// is not the primary's, and every unit is a member that serves.
pub(crate) fn is_guarded(state: &State, app: &AppName) -> bool {
    let units: Vec<&UnitName> = state.model.units(app).map(|unit| &unit.name).collect();
    let last = units.iter().map(|unit| unit.number()).max().unwrap_or(0);
    let partition = kubernetes::partition(&state.far.kube, app);
    let leads_last = primary(&state.far, app).is_none_or(|unit| unit.number() == last);
    let held = partition > u64::from(last) || partition == u64::from(last) && !leads_last;
    held && units.iter().all(|unit| !state.model.is_outdated(unit) && is_well(state, unit))
}

/// What is wrong with a pod that goes now because its charm is to be another.
pub(crate) fn replaced(state: &State, unit: &UnitName) -> Vec<String> {
    let guarded = state.far.patroni.get(unit.app()).is_some_and(|cluster| cluster.guarded);
    let others = || state.model.units(unit.app()).map(|other| &other.name).filter(|it| *it != unit);
    if !guarded || others().next().is_none() {
        return Vec::new();
    }
    let mut wrong = Vec::new();
    if primary(&state.far, unit.app()).as_ref() == Some(unit) {
        wrong.push(format!("the pod of {unit} goes for an upgrade while it is the primary"));
    }
    let away: Vec<String> =
        others().filter(|other| !is_well(state, other)).map(ToString::to_string).collect();
    if !away.is_empty() {
        wrong.push(format!("the pod of {unit} goes for an upgrade beside {}", away.join(", ")));
    }
    wrong
}

/// Units whose pods have stayed behind an upgrade.
pub(super) fn outdated(state: &State) -> Vec<String> {
    let apps = state.far.patroni.iter().filter(|(_, cluster)| cluster.guarded);
    // Without rights nobody can tell the stateful set how far to go, which the status says.
    let trusted = |app: &&AppName| state.model.application(app).is_some_and(|app| app.trust);
    let units = apps.map(|(app, _)| app).filter(trusted).flat_map(|app| state.model.units(app));
    let behind = units.filter(|unit| state.model.is_outdated(&unit.name));
    behind.map(|unit| format!("the upgrade of {} stands still", unit.name)).collect()
}

/// Whether a unit's member leads, or streams.
fn is_well(state: &State, unit: &UnitName) -> bool {
    let mut all = members(&state.far, unit.app());
    all.any(|(name, member)| name == unit && member.serves() && (member.leads || member.streams()))
}
