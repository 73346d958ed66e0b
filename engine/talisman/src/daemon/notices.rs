//! What happens in a workload container: custom notices, checks that fail or recover.

use std::time::Duration;

use names::{ContainerName, UnitName};
use node::Pod;
use pebble::{Change, ChangeId, Client, Notice};

use super::engine::Engine;

/// How long one question for notices stays open.
const POLL: Duration = Duration::from_secs(20);
/// Between two questions when Pebble does not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// The most events of a unit's containers that wait in the engine.
const WAITING_MAX: usize = 100;

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
        let Ok(socket) = pod.socket(container.as_str(), super::monitor::PEBBLE) else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let client = Client::new(socket.path());
        match client.wait_notices(&after, POLL).await {
            Ok(notices) => {
                for notice in notices {
                    room(engine, unit).await;
                    report(engine, unit, container, &client, &notice).await;
                    after = notice.last_repeated;
                }
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Waits while too many events wait for their hooks: Pebble keeps the others meanwhile.
async fn room(engine: &Engine, unit: &UnitName) {
    let mut changes = engine.changes();
    while engine.look(|inner| inner.kept.model.workload_events(unit)) >= WAITING_MAX {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

async fn report(
    engine: &Engine,
    unit: &UnitName,
    container: &ContainerName,
    client: &Client,
    notice: &Notice,
) {
    let change = match notice.kind.as_str() {
        "change-update" => client.change(&ChangeId(notice.key.clone())).await.ok(),
        _ => None,
    };
    let Some(meaning) = meaning(notice, change.as_ref()) else { return };
    let noted = engine.change(|inner| match &meaning {
        Meaning::Custom => {
            let model = &mut inner.kept.model;
            model.container_notice(unit, container, &notice.id, &notice.kind, &notice.key);
        }
        Meaning::Check { name, failed } => {
            inner.kept.model.container_check(unit, container, name, *failed);
        }
    });
    if let Err(error) = noted {
        engine.note("ERROR", &format!("cannot note what happened in {container}: {error}"));
    }
}

/// Reads a notice; of a check's change only the end counts.
fn meaning(notice: &Notice, change: Option<&Change>) -> Option<Meaning> {
    if notice.kind == "custom" {
        return Some(Meaning::Custom);
    }
    let text = |key: &str| notice.last_data.get(key).and_then(|value| value.as_str());
    let failed = match (text("kind")?, change?.status.as_str()) {
        ("perform-check", "Error") => true,
        ("recover-check", "Done") => false,
        _ => return None,
    };
    Some(Meaning::Check { name: text("check-name")?.to_owned(), failed })
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
}
