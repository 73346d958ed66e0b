//! What happens in a workload container: custom notices, checks that fail or recover.

use std::time::Duration;

use http1_client::{Bounded, Unix};
use juju_names::{ContainerName, UnitName};
use node::Pod;
use pebble_client::{Change, ChangeId, Client, Happened};
use tokio::time::Instant;

use crate::daemon::engine::Engine;

/// A workload's Pebble listens here, in the folder that its container shares with the charm's.
pub(super) const PEBBLE: &str = "pebble.socket";

/// How long one question for notices stays open.
const POLL: Duration = Duration::from_secs(20);
/// Between two questions when Pebble does not answer.
const PAUSE: Duration = Duration::from_millis(500);
/// At least so long from one question for notices to the next, however fast the answers are.
const PACE: Duration = Duration::from_millis(200);

/// The most events of a unit's containers that wait in the engine, and that are taken from one
/// answer.
const WAITING_MAX: usize = 100;
/// The longest answer of a workload's Pebble, in bytes. None of those asked for is nearly so long.
const ANSWER_MAX: usize = 256 << 10;
/// The longest answer that lists notices: Pebble keeps those of a week, one for each command.
const NOTICES_MAX: usize = 4 << 20;
/// The longest word, in bytes, that is taken from Pebble: its own bound for a notice's key.
const WORD_MAX: usize = 256;

/// A client of what a workload has where its Pebble should listen.
pub(super) fn client(socket: impl Into<std::path::PathBuf>) -> Client {
    bounded(socket, ANSWER_MAX)
}

fn bounded(socket: impl Into<std::path::PathBuf>, max: usize) -> Client {
    Client::over(std::sync::Arc::new(Bounded(Unix(socket.into()), max)))
}

/// Whether the engine keeps a word that a workload said.
pub(super) fn is_word(word: &str) -> bool {
    word.len() <= WORD_MAX
}

/// What a notice means for the unit.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    /// A notice of the charm's own making.
    Custom,
    /// A check has failed, or has recovered.
    Check { name: String, failed: bool },
}

/// Follows a container's notices until the task is dropped; those from before come first.
pub(crate) async fn follow(engine: &Engine, unit: &UnitName, container: &ContainerName, pod: &Pod) {
    let mut after = String::new();
    loop {
        let asked = Instant::now();
        let Ok(socket) = pod.socket(container.as_str(), PEBBLE) else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let path = socket.path();
        match bounded(&path, NOTICES_MAX).wait_notices(&after, POLL).await {
            Ok(notices) => {
                let mut taken = 0;
                // The others come with the next answer.
                for notice in notices {
                    if taken == WAITING_MAX {
                        break;
                    }
                    if is_wanted(&notice) {
                        taken += 1;
                        room(engine, unit).await;
                        report(engine, unit, container, &client(&path), &notice).await;
                    }
                    if is_word(&notice.last_repeated) {
                        after = notice.last_repeated;
                    }
                }
                tokio::time::sleep_until(asked + PACE).await;
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Waits while too many events wait for their hooks: Pebble keeps the others meanwhile.
async fn room(engine: &Engine, unit: &UnitName) {
    let mut changes = engine.changes();
    while engine.with(|state| state.persisted.model.workload_events(unit)) >= WAITING_MAX {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Queues what happened. Queues do not outlive the engine, so nothing goes to the disk.
async fn report(
    engine: &Engine,
    unit: &UnitName,
    container: &ContainerName,
    client: &Client,
    notice: &Happened,
) {
    let change = match notice.kind.as_str() {
        "change-update" => client.change(&ChangeId(notice.key.clone())).await.ok(),
        _ => None,
    };
    let Some(meaning) = meaning(notice, change.as_ref()) else { return };
    let is_new = engine.with(|state| {
        let model = &mut state.persisted.model;
        if !is_heard(notice, model.juju()) {
            return false;
        }
        let before = model.workload_events(unit);
        match &meaning {
            Meaning::Custom => {
                model.container_notice(unit, container, &notice.id, &notice.kind, &notice.key);
            }
            Meaning::Check { name, failed } => {
                model.container_check(unit, container, name, *failed);
            }
        }
        model.workload_events(unit) > before
    });
    if is_new {
        engine.wake();
    }
}

/// Whether this Juju's agent, which is root, sees a notice that may be another user's.
fn is_heard(notice: &Happened, juju: juju_model::Juju) -> bool {
    juju.rules().notices_of_all || notice.user_id.is_none_or(|user| user == 0)
}

/// Whether a notice may mean something for the unit. What no Pebble says is passed over.
fn is_wanted(notice: &Happened) -> bool {
    let of = &notice.last_data;
    let about = match notice.kind.as_str() {
        "custom" => true,
        "change-update" => matches!(of.kind.as_deref(), Some("perform-check" | "recover-check")),
        _ => false,
    };
    let check = of.check_name.as_deref().unwrap_or_default();
    about && [&notice.id, &notice.key, check].into_iter().all(is_word)
}

/// Reads a notice; of a check's change only the end counts.
fn meaning(notice: &Happened, change: Option<&Change>) -> Option<Meaning> {
    if notice.kind == "custom" {
        return Some(Meaning::Custom);
    }
    let of = &notice.last_data;
    let failed = match (of.kind.as_deref()?, change?.status.as_str()) {
        ("perform-check", "Error") => true,
        ("recover-check", "Done") => false,
        _ => return None,
    };
    Some(Meaning::Check { name: of.check_name.clone()?, failed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(kind: &str, work: &str, status: &str, want: Option<bool>) {
        let notice = serde_json::from_value(json!({
            "id": "1", "type": kind, "key": "7", "occurrences": 1,
            "last-data": {"kind": work, "check-name": "up"},
        }));
        let change = serde_json::from_value(json!({
            "id": "7", "kind": work, "status": status, "ready": true,
        }));
        let want = want.map(|failed| Meaning::Check { name: "up".to_owned(), failed });
        assert_eq!(meaning(&notice.unwrap(), Some(&change.unwrap())), want);
    }

    #[test]
    fn only_the_end_of_a_check_counts() {
        check("change-update", "perform-check", "Error", Some(true));
        check("change-update", "perform-check", "Doing", None);
        check("change-update", "recover-check", "Done", Some(false));
        check("change-update", "recover-check", "Abort", None);
        check("change-update", "start", "Done", None);
    }

    #[test]
    fn notices_of_other_users_reach_the_charm_in_one_juju_only() {
        for (user, old) in [(json!(null), true), (json!(0), true), (json!(999), false)] {
            let notice = json!({"id": "1", "type": "custom", "key": "a.b/c", "user-id": user});
            let notice: Happened = serde_json::from_value(notice).unwrap();
            assert_eq!(is_heard(&notice, juju_model::Juju::V3_6), old, "{user}");
            assert!(is_heard(&notice, juju_model::Juju::V4_0));
        }
    }

    #[track_caller]
    fn wanted(kind: &str, key: &str, data: serde_json::Value, want: bool) {
        let notice = json!({"id": "1", "type": kind, "key": key, "last-data": data});
        let notice: Happened = serde_json::from_value(notice).unwrap();
        assert_eq!(is_wanted(&notice), want, "{notice:?}");
    }

    #[test]
    fn only_what_a_pebble_says_of_checks_and_the_charm_is_taken() {
        let check = |name: &str| json!({"kind": "perform-check", "check-name": name});
        wanted("custom", "a.b/c", json!({"anything": "x"}), true);
        wanted("custom", &"x".repeat(257), json!({}), false);
        wanted("change-update", "7", check("up"), true);
        wanted("change-update", "7", check(&"x".repeat(257)), false);
        wanted("change-update", "7", json!({"kind": "exec"}), false);
        wanted("warning", "7", json!({}), false);
    }
}
