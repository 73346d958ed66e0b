//! `containerStatuses` of a pod: what kubelet says of its containers.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use kube_api::instant;
use serde_json::{Value, json};

/// How a container is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ContainerHealth {
    /// Whether it passed its startup probe.
    pub(crate) started: bool,
    /// Whether it takes traffic.
    pub(crate) ready: bool,
    /// How often it was started again.
    pub(crate) restarts: u64,
    pub(crate) run: Run,
    /// When it ended last.
    pub(crate) ended: Option<Timestamp>,
}

/// Whether a container runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Run {
    /// It is about to be started for the first time.
    #[default]
    Unknown,
    /// Since then.
    Since(Timestamp),
    /// It has ended, and is started again after a pause.
    Waits(Duration),
}

/// What an object says of each container.
pub(crate) fn known(pod: &Value) -> BTreeMap<String, ContainerHealth> {
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let time = |value: &Value| value.as_str()?.parse().ok();
    let health = |status: &Value| {
        let since = time(&status["state"]["running"]["startedAt"]);
        let health = ContainerHealth {
            started: status["started"] == true,
            ready: status["ready"] == true,
            restarts: status["restartCount"].as_u64().unwrap_or(0),
            run: since.map_or(Run::Waits(Duration::ZERO), Run::Since),
            ended: time(&status["lastState"]["terminated"]["finishedAt"]),
        };
        Some((status["name"].as_str()?.to_owned(), health))
    };
    statuses.filter_map(health).collect()
}

/// The statuses of a pod's containers, in the order of its `spec`.
pub(crate) fn statuses(
    pod: &Value,
    health: &BTreeMap<String, ContainerHealth>,
    began: &str,
) -> Value {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let status = |container: &Value| {
        let name = container["name"].as_str().unwrap_or_default();
        let known = health.get(name).cloned().unwrap_or_default();
        let ended = known.ended.map_or(json!({}), |at| {
            // Whose child it was is not asked how it ended.
            json!({"terminated": {"exitCode": 255, "reason": "Unknown", "finishedAt": instant(at)}})
        });
        let (state, last) = match known.run {
            Run::Unknown => (json!({"running": {"startedAt": began}}), ended),
            Run::Since(at) => (json!({"running": {"startedAt": instant(at)}}), ended),
            Run::Waits(pause) if pause.is_zero() => (ended, json!({})),
            Run::Waits(pause) => (waiting(pod, name, pause), ended),
        };
        json!({
            "name": name,
            "image": container["image"],
            "imageID": container["image"],
            "ready": known.ready,
            "started": known.started,
            "restartCount": known.restarts,
            "state": state,
            "lastState": last,
        })
    };
    containers.map(status).collect()
}

fn waiting(pod: &Value, container: &str, pause: Duration) -> Value {
    let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default();
    let (name, namespace, uid) = (text("name"), text("namespace"), text("uid"));
    let (minutes, seconds) = (pause.as_secs() / 60, pause.as_secs() % 60);
    let pause = if minutes > 0 { format!("{minutes}m{seconds}s") } else { format!("{seconds}s") };
    let message = format!(
        "back-off {pause} restarting failed container={container} pod={name}_{namespace}({uid})"
    );
    json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Value {
        json!({
            "metadata": {"name": "pg-0", "namespace": "lab", "uid": "u"},
            "spec": {"containers": [{"name": "charm"}, {"name": "workload"}]},
        })
    }

    /// What is written of a workload; it is read as it was.
    #[track_caller]
    fn check(health: ContainerHealth, state: &Value, last: &Value) {
        let mut pod = pod();
        let all = [("workload".to_owned(), health.clone())].into();
        let written = statuses(&pod, &all, "1970-01-01T00:00:00Z");
        assert_eq!((&written[1]["state"], &written[1]["lastState"]), (state, last));
        pod["status"] = json!({"containerStatuses": written});
        let read = known(&pod).remove("workload").unwrap_or_default();
        assert_eq!((read.ready, read.restarts), (health.ready, health.restarts));
    }

    #[test]
    fn a_container_runs_ends_and_waits() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap_or_default();
        let ended = json!({"terminated": {
            "exitCode": 255, "reason": "Unknown", "finishedAt": "1970-01-01T00:00:09Z"}});
        let mut health = ContainerHealth { ready: true, started: true, ..Default::default() };
        health.run = Run::Since(at(5));
        let running = json!({"running": {"startedAt": "1970-01-01T00:00:05Z"}});
        check(health.clone(), &running, &json!({}));
        health = ContainerHealth { ended: Some(at(9)), ..Default::default() };
        health.run = Run::Waits(Duration::ZERO);
        check(health.clone(), &ended, &json!({}));
        health.run = Run::Waits(Duration::from_secs(80));
        let message = "back-off 1m20s restarting failed container=workload pod=pg-0_lab(u)";
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}});
        check(health.clone(), &waiting, &ended);
        health.restarts = 3;
        health.run = Run::Since(at(5));
        check(health, &running, &ended);
    }
}
