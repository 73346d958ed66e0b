//! What pods of an application are made from, as Juju lays them out.

use std::time::Duration;

use juju_model::{Application, Model, StorageMeta};
use node::{PROBE_TIMEOUT, Probe};
use serde_json::{Value, json};

use crate::daemon::unit::probe;

/// How long a pod's processes may take to stop on their own: Juju's
/// `terminationGracePeriodSeconds`.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(30);

/// Which change of the charm the pods belong to.
pub(crate) const MODIFIED: &str = "charm.juju.is/modified-version";

/// The folder of the charm container in which Juju keeps everything.
const DATA: &str = "/var/lib/juju";

/// The volume that the containers of a pod share.
const SHARED: &str = "charm-data";

/// The memory of the charm's container.
const CHARM_REQUEST: &str = "64Mi";
const CHARM_MEBIBYTES: u64 = 1024;

/// The stateful set's `spec`, but for how many pods there are.
pub(crate) fn set_spec(model: &Model, app: &Application) -> Value {
    let name = json!({"app.kubernetes.io/name": app.name});
    json!({
        "selector": {"matchLabels": name},
        "serviceName": format!("{}-endpoints", app.name),
        "podManagementPolicy": "Parallel",
        "revisionHistoryLimit": 10,
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "template": {
            "metadata": {
                "labels": name,
                "annotations": {
                    MODIFIED: app.charm_revision.to_string(),
                    "model.juju.is/id": model.uuid(),
                },
            },
            "spec": pod_spec(app, model),
        },
        "volumeClaimTemplates": claims(app, model),
    })
}

/// What a model's objects are distinguished by from those of a model of the same name.
fn mark(model: &Model) -> &str {
    model.uuid().get(..8).unwrap_or_default()
}

fn pod_spec(app: &Application, model: &Model) -> Value {
    let names: Vec<&str> = app.charm.containers.keys().map(|name| name.as_str()).collect();
    let names = names.join(",");
    let mut containers = vec![charm(app, model, &names)];
    for (at, (name, declared)) in app.charm.containers.iter().enumerate() {
        let mounts =
            declared.mounts.iter().map(|(storage, path)| (storage.as_str(), path.as_str()));
        let image = declared.resource.as_deref().unwrap_or(name.as_str());
        containers.push(workload(app, model, name.as_str(), image, at, mounts));
    }
    json!({
        "serviceAccountName": app.name,
        "automountServiceAccountToken": true,
        "terminationGracePeriodSeconds": STOP_GRACE.as_secs(),
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "initContainers": [{
            "name": "charm-init",
            "image": "jujud-operator",
            "command": ["/opt/containeragent"],
            "env": [{"name": "JUJU_CONTAINER_NAMES", "value": names}],
            "volumeMounts": [mount(DATA, "var/lib/juju"), mount("/charm/bin", "charm/bin")],
        }],
        "containers": containers,
        "volumes": [{"name": SHARED, "emptyDir": {}}],
    })
}

fn mount(path: &str, below: &str) -> Value {
    json!({"name": SHARED, "mountPath": path, "subPath": below})
}

/// The mounts of storage, each at its path.
fn storage<'a>(
    app: &Application,
    model: &Model,
    mounts: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<Value> {
    let mount = |(storage, path): (&str, &str)| json!({"name": format!("{}-{storage}-{}", app.name, mark(model)), "mountPath": path});
    mounts.map(mount).collect()
}

fn charm(app: &Application, model: &Model, names: &str) -> Value {
    let located = app.charm.storage.iter();
    let located = located.filter_map(|(name, one)| Some((name.as_str(), one.location.as_deref()?)));
    let mut mounts = vec![
        mount("/charm/bin", "charm/bin"),
        mount(DATA, "var/lib/juju"),
        mount("/charm/containers", "charm/containers"),
    ];
    mounts.extend(storage(app, model, located));
    let limit = mebibytes(app.constraints.memory.unwrap_or(CHARM_MEBIBYTES));
    json!({
        "name": "charm",
        "image": "charm-base",
        "imagePullPolicy": "IfNotPresent",
        "workingDir": DATA,
        "command": ["/charm/bin/pebble"],
        "args": ["run", "--http", format!(":{}", probe::port(0)), "--verbose"],
        "env": [
            {"name": "JUJU_CONTAINER_NAMES", "value": names},
            {"name": "HTTP_PROBE_PORT", "value": "3856"},
        ],
        "resources": {"requests": {"memory": CHARM_REQUEST}, "limits": {"memory": limit}},
        "securityContext": {"runAsUser": 0, "runAsGroup": 0},
        "startupProbe": asked(0, Probe::Startup),
        "livenessProbe": asked(0, Probe::Liveness),
        "readinessProbe": asked(0, Probe::Readiness),
        "volumeMounts": mounts,
    })
}

fn workload<'a>(
    app: &Application,
    model: &Model,
    name: &str,
    image: &str,
    at: usize,
    stored: impl Iterator<Item = (&'a str, &'a str)>,
) -> Value {
    let port = probe::port(at + 1);
    let mut mounts = vec![
        mount("/charm/bin/pebble", "charm/bin/pebble"),
        mount("/charm/container", &format!("charm/containers/{name}")),
    ];
    mounts.extend(storage(app, model, stored));
    let mut amounts = json!({});
    if let Some(memory) = app.constraints.memory {
        amounts["memory"] = json!(mebibytes(memory));
    }
    if let Some(cpu) = app.constraints.cpu {
        amounts["cpu"] = json!(thousandths(cpu));
    }
    let resources = match amounts.as_object() {
        Some(none) if none.is_empty() => json!({}),
        _ => json!({"requests": amounts, "limits": amounts}),
    };
    json!({
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/charm/bin/pebble"],
        "args": ["run", "--create-dirs", "--hold", "--http", format!(":{port}"), "--verbose"],
        "env": [
            {"name": "JUJU_CONTAINER_NAME", "value": name},
            {"name": "PEBBLE_SOCKET", "value": "/charm/container/pebble.socket"},
            {"name": "PEBBLE", "value": "/charm/container/pebble"},
            {"name": "PEBBLE_COPY_ONCE", "value": "/var/lib/pebble/default"},
        ],
        "resources": resources,
        "securityContext": {},
        "startupProbe": asked(at + 1, Probe::Startup),
        "livenessProbe": asked(at + 1, Probe::Liveness),
        "readinessProbe": asked(at + 1, Probe::Readiness),
        "volumeMounts": mounts,
    })
}

/// How the `at`-th container is asked how it is.
fn asked(at: usize, asked: Probe) -> Value {
    json!({
        "httpGet": {"path": probe::path(asked), "port": probe::port(at), "scheme": "HTTP"},
        "timeoutSeconds": PROBE_TIMEOUT.as_secs(),
        "periodSeconds": asked.period().as_secs(),
        "successThreshold": 1,
        "failureThreshold": asked.failures(),
    })
}

fn claims(app: &Application, model: &Model) -> Vec<Value> {
    let claim = |(name, declared): (&String, &StorageMeta)| {
        let size = declared.minimum_size.as_deref().unwrap_or("1G");
        // Juju counts in powers of two, and Kubernetes says so.
        let size =
            if size.ends_with(['M', 'G', 'T', 'P']) { format!("{size}i") } else { size.to_owned() };
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": format!("{}-{name}-{}", app.name, mark(model)),
                "labels": {"app.kubernetes.io/managed-by": "juju", "storage.juju.is/name": name},
            },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": size}},
                "volumeMode": "Filesystem",
            },
            "status": {"phase": "Pending"},
        })
    };
    app.charm.storage.iter().map(claim).collect()
}

/// Memory as Kubernetes writes it.
fn mebibytes(count: u64) -> String {
    if count.is_multiple_of(1024) { format!("{}Gi", count / 1024) } else { format!("{count}Mi") }
}

/// Processors as Kubernetes writes them.
fn thousandths(count: u32) -> String {
    if count.is_multiple_of(1000) { (count / 1000).to_string() } else { format!("{count}m") }
}

/// An amount in bytes, or in whole processors; nothing for what is none.
pub(crate) fn quantity(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|sign: char| sign.is_ascii_alphabetic());
    let factor: f64 = match &text[digits.len()..] {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let number: f64 = digits.parse().ok()?;
    (number.is_finite() && number > 0.0).then_some(number * factor)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<f64>) {
        assert_eq!(quantity(text), expected, "{text}");
    }

    #[test]
    fn amounts_are_read() {
        check("512Mi", Some(536_870_912.0));
        check("1Gi", Some(1_073_741_824.0));
        check("500m", Some(0.5));
        check("2", Some(2.0));
        check("1.5G", Some(1.5e9));
        for odd in ["", "Mi", "1X", "-1", "x", "0"] {
            check(odd, None);
        }
        assert_eq!((mebibytes(2048), mebibytes(100)), ("2Gi".to_owned(), "100Mi".to_owned()));
        assert_eq!((thousandths(500), thousandths(2000)), ("500m".to_owned(), "2".to_owned()));
    }
}
