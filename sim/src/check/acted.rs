//! What an action of PostgreSQL's charm says it did, it did.

use juju_names::{AppName, UnitName};

use super::server::{clients, kept, server};
use crate::far::patroni::{members, primary};
use crate::history::{DatabaseOp, FORCE, Op};
use crate::world::State;

/// What actions change, as it was before one.
pub(crate) struct Before {
    primary: Option<UnitName>,
    lives: Vec<(UnitName, u64)>,
    passwords: Vec<(String, String)>,
}

/// What actions change.
pub(crate) fn cluster(state: &State) -> Before {
    let Some(app) = server(state) else {
        return Before { primary: None, lives: Vec::new(), passwords: Vec::new() };
    };
    let lives = members(&state.far, &app).map(|(unit, member)| (unit.clone(), member.life()));
    Before {
        primary: primary(&state.far, &app),
        lives: lives.collect(),
        passwords: kept(state, &app).into_iter().collect(),
    }
}

/// What is wrong with the latest action.
pub(crate) fn acted(state: &State, op: &DatabaseOp, before: &Before) -> Vec<String> {
    let Some(app) = server(state) else { return Vec::new() };
    let Some(action) = state.model.actions().last() else {
        return vec!["no action ran".to_owned()];
    };
    if action.status != juju_model::ActionStatus::Completed {
        return vec![format!("{op:?} is {:?}: {}", action.status, action.message)];
    }
    let now = cluster(state);
    let result = |key: &str| action.results[key].as_str().unwrap_or_default().to_owned();
    let wrong = match op {
        DatabaseOp::SetPassword(user) => password(before, &now, user, &result("password")),
        DatabaseOp::Act("get-password", _) => {
            let shown = ("operator".to_owned(), result("password"));
            (!now.passwords.contains(&shown)).then_some("shows another password than is kept")
        }
        DatabaseOp::Act("get-primary", _) => {
            let named = now.primary.as_ref().map(ToString::to_string).unwrap_or_default();
            (result("primary") != named).then_some("names another primary")
        }
        DatabaseOp::Act("switchover", _) => {
            let stays = now.primary == before.primary;
            stays.then_some("leaves the primary where it was").or_else(|| untold(state, &app))
        }
        DatabaseOp::Act("promote-to-primary" | FORCE, number) => {
            promoted(&app, &now, *number).or_else(|| untold(state, &app))
        }
        DatabaseOp::Act("restart", number) => {
            let unit = UnitName::new(app.clone(), *number);
            let same = before.lives.iter().any(|life| life.0 == unit && now.lives.contains(life));
            same.then_some("restarts nothing")
        }
        _ => None,
    };
    wrong.map(|what| format!("{op:?} {what}")).into_iter().collect()
}

/// A password that changed although the action says that it did not.
pub(crate) fn failed(state: &State, op: &Op, before: &Before) -> Vec<String> {
    let Op::Database(DatabaseOp::SetPassword(user)) = op else { return Vec::new() };
    let fails = state.model.actions().last().is_some_and(|action| {
        action.completed.is_some() && action.status != juju_model::ActionStatus::Completed
    });
    let changed = fails && cluster(state).passwords != before.passwords;
    if changed {
        vec![format!("the password of {user} changed in an action that failed")]
    } else {
        Vec::new()
    }
}

/// The users whose kept password the server does not know, right after an action changed one.
pub(crate) fn unknown_passwords(state: &State) -> Vec<String> {
    let Some(app) = server(state) else { return Vec::new() };
    let Some(cluster) = state.far.clusters.get(&app) else { return Vec::new() };
    let known = |user: &str, password: &str| {
        !cluster.roles.contains_key(user) || cluster.proves(user, password)
    };
    let kept = kept(state, &app).into_iter();
    let unknown = kept.filter(|(user, password)| !known(user, password));
    unknown
        .map(|(user, _)| format!("the server does not know the new password of {user}"))
        .collect()
}

fn password(before: &Before, now: &Before, user: &str, shown: &str) -> Option<&'static str> {
    let of = |at: &Before| at.passwords.iter().find(|(name, _)| name == user).cloned();
    match of(now) {
        Some((_, password)) if password != shown => Some("shows another password than is kept"),
        kept if kept == of(before) => Some("changes no password"),
        _ => None,
    }
}

/// Whether a client got no notice that it has to connect anew.
fn untold(state: &State, app: &AppName) -> Option<&'static str> {
    let timeline = state.far.clusters.get(app)?.timeline.to_string();
    let told = |relation: &juju_model::Relation| {
        let bags = relation.unit_bags.iter().filter(|(unit, _)| unit.app() == app);
        bags.into_iter().any(|(_, bag)| bag.values.get("timeline") == Some(&timeline))
    };
    let live = clients(state).into_iter().filter_map(|(id, _)| state.model.relation(id));
    // Legacy clients follow a name only.
    let is_new = |relation: &&juju_model::Relation| {
        relation.end(app).is_some_and(|end| end.endpoint.as_str() == "database")
    };
    live.filter(is_new).any(|relation| !told(relation)).then_some("leaves clients where they were")
}

fn promoted(app: &AppName, now: &Before, number: u32) -> Option<&'static str> {
    let unit = UnitName::new(app.clone(), number);
    (now.primary != Some(unit)).then_some("makes another unit the primary")
}
