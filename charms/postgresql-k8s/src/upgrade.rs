//! A rolling upgrade as the application's stateful set and its pods show it.

use juju_charm::{RelationId, UnitName};
use serde_json::Value;

/// The label that names the template of a pod.
const REVISION: &str = "controller-revision-hash";

/// The application's stateful set.
///
/// Kubernetes replaces the pods whose number is at least the partition by such of the newest
/// template, from the highest number down, and takes the next one as soon as the last is ready,
/// which a pod is long before its PostgreSQL runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// The version of the object, which a change of it names.
    pub version: String,
    /// How many pods there shall be.
    pub replicas: u32,
    /// The lowest number whose pod Kubernetes may replace.
    pub partition: u32,
    /// The template from which pods below the partition are made.
    pub current: String,
    /// The newest template, as far as Kubernetes has noticed.
    pub newest: String,
    /// Whether Kubernetes has noticed the last change of the object.
    pub noticed: bool,
    /// The pods; read only while they are not all of one template.
    pub pods: Vec<Pod>,
    /// Where the operator's wish is kept that the upgrade stops after its first unit, and whether
    /// there is one; read only while an upgrade is under way and for the actions.
    pub stack: Option<(RelationId, bool)>,
}

/// A pod of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// The unit's number.
    pub number: u32,
    /// The template from which it was made.
    pub revision: String,
    /// Whether it takes traffic.
    pub ready: bool,
    /// Whether it was deleted.
    pub leaving: bool,
}

impl Upgrade {
    /// What the stateful set says, without its pods.
    pub(crate) fn read(set: &Value) -> Self {
        let (metadata, spec, status) = (&set["metadata"], &set["spec"], &set["status"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        Self {
            version: text(&metadata["resourceVersion"]),
            // These are Kubernetes' own defaults.
            replicas: number(&spec["replicas"]).unwrap_or(1),
            partition: number(&spec["updateStrategy"]["rollingUpdate"]["partition"]).unwrap_or(0),
            current: text(&status["currentRevision"]),
            newest: text(&status["updateRevision"]),
            noticed: metadata["generation"] == status["observedGeneration"],
            pods: Vec::new(),
            stack: None,
        }
    }

    /// Whether pods are of different templates, or are about to be.
    pub(crate) fn is_under_way(&self) -> bool {
        self.current != self.newest
    }

    /// The pod of this number.
    pub(crate) fn pod(&self, number: u32) -> Option<&Pod> {
        self.pods.iter().find(|pod| pod.number == number)
    }

    /// Whether a pod of the newest template has this number.
    pub(crate) fn is_upgraded(&self, number: u32) -> bool {
        self.pod(number).is_some_and(|pod| pod.revision == self.newest)
    }

    /// The number of the last unit.
    pub(crate) fn last(&self) -> u32 {
        self.replicas.saturating_sub(1)
    }
}

impl Pod {
    /// What a pod says; none where it is no unit's.
    pub(crate) fn read(pod: &Value) -> Option<Self> {
        let metadata = &pod["metadata"];
        let unit = UnitName::from_pod(metadata["name"].as_str()?).ok()?;
        let conditions = pod["status"]["conditions"].as_array();
        let is_ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
        Some(Self {
            number: unit.number(),
            revision: metadata["labels"][REVISION].as_str().unwrap_or_default().to_owned(),
            ready: conditions.is_some_and(|all| all.iter().any(is_ready)),
            leaving: metadata["deletionTimestamp"].is_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_set_and_its_pods_as_kubernetes_shows_them() {
        let set = json!({
            "metadata": {"resourceVersion": "7", "generation": 3},
            "spec": {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}},
            "status": {
                "currentRevision": "pg-a", "updateRevision": "pg-b", "observedGeneration": 2,
            },
        });
        let upgrade = Upgrade::read(&set);
        assert!(upgrade.is_under_way() && !upgrade.noticed);
        assert_eq!((upgrade.replicas, upgrade.partition, upgrade.last()), (3, 2, 2));
        assert_eq!((upgrade.current.as_str(), upgrade.newest.as_str()), ("pg-a", "pg-b"));
        let bare = Upgrade::read(&json!({}));
        assert!(bare.noticed && !bare.is_under_way());
        assert_eq!((bare.replicas, bare.partition), (1, 0));

        let pod = json!({
            "metadata": {"name": "pg-2", "labels": {"controller-revision-hash": "pg-b"}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        let expected = Pod { number: 2, revision: "pg-b".to_owned(), ready: true, leaving: false };
        assert_eq!(Pod::read(&pod), Some(expected));
        assert_eq!(Pod::read(&json!({"metadata": {"name": "stranger"}})), None);
    }
}
