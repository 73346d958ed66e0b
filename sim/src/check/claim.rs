//! What a unit's status claims at the end of an update-status in which nothing went wrong.

use juju_model::Life;
use juju_names::{AppName, UnitName};

use super::server::{able, server};
use crate::far::member::Member;
use crate::far::patroni;
use crate::world::State;

/// What is not true of what a unit says.
pub(crate) fn claims(state: &State, unit: &UnitName) -> Vec<String> {
    held(state, unit).into_iter().chain(of_member(state, unit)).collect()
}

/// What is not true of what poolers say of operators' pauses.
pub(crate) fn holds(state: &State) -> Vec<String> {
    state.units().iter().filter_map(|unit| held(state, unit)).collect()
}

/// What is not true of what a pooler says of an operator's pause.
fn held(state: &State, unit: &UnitName) -> Option<String> {
    let container = state.far.pods.get(unit)?.container.as_ref()?;
    let holds = container.poolers().any(|(_, process)| process.traffic.is_paused());
    let status = state.model.unit(unit)?.status();
    let text = format!("{unit} says {} {:?}", status.status, status.message);
    match holds {
        true if status.status == "active" => Some(format!("{text}, but a process holds clients")),
        false if status.message.contains("is paused") => Some(format!("{text}, but none is")),
        _ => None,
    }
}

/// What is not true of a unit of PostgreSQL that says it is active: a client can read there, or
/// write where it says Primary, and who is missing is not concealed.
fn of_member(state: &State, unit: &UnitName) -> Vec<String> {
    let Some(app) = server(state).filter(|app| unit.app() == app && able(state)) else {
        return Vec::new();
    };
    let known = state.model.unit(unit).zip(state.far.pods.get(unit));
    let Some((known, pod)) = known.filter(|_| !patroni::is_frozen(&state.far, unit)) else {
        return Vec::new();
    };
    let status = known.status();
    if status.status != "active" || pod.container.is_none() {
        return Vec::new();
    }
    let why = match patroni::member(&state.far, unit) {
        Some(member) if member.serves() => unclaimed(state, &app, unit, member, &status.message),
        Some(_) | None => Some("its PostgreSQL does not serve"),
    };
    let text = |why| format!("{unit} says active {:?}, but {why}", status.message);
    why.map(text).into_iter().collect()
}

fn unclaimed(
    state: &State,
    app: &AppName,
    unit: &UnitName,
    member: &Member,
    message: &str,
) -> Option<&'static str> {
    let streaming = patroni::members(&state.far, app)
        .filter(|(_, other)| other.streams_from(unit, member.life()))
        .count();
    let strict =
        patroni::dynamic(&state.far, app).is_some_and(|it| it["synchronous_mode_strict"] == true);
    let planned = state.model.units(app).filter(|unit| unit.life == Life::Alive).count();
    match (message.starts_with("Primary"), member.leads) {
        (true, false) => Some("it takes no writes"),
        (true, true) if strict && streaming == 0 => Some("writes wait for a standby"),
        (true, true) if message == "Primary" && streaming + 1 < planned => {
            Some("not every unit streams from it")
        }
        (false, false) if !member.streams() && patroni::primary(&state.far, app).is_some() => {
            Some("it does not follow the primary")
        }
        (true, true) | (false, _) => None,
    }
}
