//! The objects of pods: what a stateful set's controller and kubelet write.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use juju_names::{AppName, UnitName};
use kube_api::{Api, ApiError, Kind, Selector, instant};
use node::Limits;
use serde_json::{Value, json};

use crate::daemon::kubernetes::container_status::{ContainerHealth, statuses};
use crate::daemon::kubernetes::objects::NODE;
use crate::daemon::kubernetes::template::quantity;

/// The label that names the template of a pod.
const REVISION: &str = "controller-revision-hash";

/// What a pod's object says.
pub(crate) struct PodFacts<'a> {
    pub(crate) unit: &'a UnitName,
    pub(crate) address: Ipv4Addr,
    pub(crate) now: Timestamp,
}

/// Puts a pod there, and the claims of its volumes. A new pod has a new uid and only Juju's
/// labels, as on Kubernetes.
pub(crate) fn put_pod(api: &Api, namespace: &str, pod: &PodFacts<'_>) -> Result<(), ApiError> {
    let (app, name) = (pod.unit.app(), pod.unit.pod());
    let set = api.get(Kind::StatefulSet, namespace, app.as_str());
    let owners: Vec<Value> = set.iter().map(|set| owner(app, set)).collect();
    let set = set.unwrap_or_default();
    let mut labels = set["spec"]["template"]["metadata"]["labels"].clone();
    labels["statefulset.kubernetes.io/pod-name"] = json!(name);
    labels["apps.kubernetes.io/pod-index"] = json!(pod.unit.number().to_string());
    labels[REVISION] = json!(revision(app, &set));
    let mut spec = set["spec"]["template"]["spec"].clone();
    spec["nodeName"] = json!(NODE);
    spec["hostname"] = json!(name);
    spec["subdomain"] = json!(format!("{app}-endpoints"));
    let claims = put_claims(api, namespace, &set, &name)?;
    if let Some(volumes) = spec["volumes"].as_array_mut() {
        volumes.extend(claims);
    }
    let address = pod.address.to_string();
    let status = json!({
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "hostIP": node::ENGINE.to_string(),
        "hostIPs": [{"ip": node::ENGINE.to_string()}],
        "qosClass": "Burstable",
        "startTime": instant(pod.now),
        "conditions": conditions(false, &instant(pod.now), &Value::Null),
    });
    let mut object = json!({
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": set["spec"]["template"]["metadata"]["annotations"],
            "ownerReferences": owners,
        },
        "spec": spec,
        "status": status,
    });
    object["status"]["containerStatuses"] = statuses(&object, &BTreeMap::new(), &instant(pod.now));
    api.replace_with(Kind::Pod, namespace, &object).map(drop)
}

/// What says that a pod is one of a stateful set's.
fn owner(app: &AppName, set: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "name": app,
        "uid": set["metadata"]["uid"],
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// Puts the claims of a pod's volumes there; the answer is the volumes.
fn put_claims(api: &Api, namespace: &str, set: &Value, pod: &str) -> Result<Vec<Value>, ApiError> {
    let mut volumes = Vec::new();
    for template in set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
        let volume = template["metadata"]["name"].as_str().unwrap_or_default();
        let claim = format!("{volume}-{pod}");
        let mut object = template.clone();
        object["metadata"]["name"] = json!(claim);
        object["status"] = json!({
            "phase": "Bound",
            "accessModes": template["spec"]["accessModes"],
            "capacity": template["spec"]["resources"]["requests"],
        });
        // The volume of an earlier pod of that name is this one's.
        if api.get(Kind::PersistentVolumeClaim, namespace, &claim).is_none() {
            api.put(Kind::PersistentVolumeClaim, namespace, &object)?;
        }
        volumes.push(json!({"name": volume, "persistentVolumeClaim": {"claimName": claim}}));
    }
    Ok(volumes)
}

/// Names a template; another one has another name.
fn revision(app: &AppName, set: &Value) -> String {
    let text = set["spec"]["template"].to_string();
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{app}-{:010x}", hash & 0xff_ffff_ffff)
}

/// The name of the template that an application's stateful set has now.
pub(crate) fn newest(api: &Api, namespace: &str, app: &AppName) -> Option<String> {
    api.view(Kind::StatefulSet, namespace, app.as_str(), |set| revision(app, set))
}

/// Whether a unit's pod was made from another template than the newest.
pub(crate) fn is_outdated(
    api: &Api,
    namespace: &str,
    unit: &UnitName,
    newest: Option<&String>,
) -> bool {
    let own = api.view(Kind::Pod, namespace, &unit.pod(), |pod| {
        pod["metadata"]["labels"][REVISION].as_str().map(str::to_owned)
    });
    // One of an engine that wrote no such label is as good as any.
    own.flatten().is_some_and(|own| newest.is_some_and(|newest| own != *newest))
}

/// Says how many pods a stateful set has, how they are, and how far an update has come.
pub(crate) fn put_set_status(api: &Api, namespace: &str, app: &AppName) -> Result<(), ApiError> {
    let view =
        |set: &Value| (revision(app, set), set["spec"]["replicas"].as_u64(), set["status"].clone());
    let Some((newest, wanted, before)) = api.view(Kind::StatefulSet, namespace, app.as_str(), view)
    else {
        return Ok(());
    };
    let own = Selector::equals([("app.kubernetes.io/name", app.as_str())]);
    let pods = api.views(Kind::Pod, namespace, &own, |pod| {
        let revision = pod["metadata"]["labels"][REVISION].as_str();
        (revision.unwrap_or_default().to_owned(), is_ready(pod))
    });
    let status = set_status(&newest, wanted, &pods, before["currentRevision"].as_str());
    if before == status {
        return Ok(());
    }
    let patch = json!({"status": status});
    api.patch(Kind::StatefulSet, namespace, app.as_str(), &patch).map(drop)
}

/// The status of a set of which so many `wanted` pods, each with its revision and whether it is
/// ready, are there. The former revision is the current one until all are of the newest and ready:
/// the update is over then, wherever the partition is.
fn set_status(
    newest: &str,
    wanted: Option<u64>,
    pods: &[(String, bool)],
    former: Option<&str>,
) -> Value {
    let of = |revision: &str| pods.iter().filter(|(own, _)| own == revision).count();
    let ready = pods.iter().filter(|(_, ready)| *ready).count();
    let updated = of(newest);
    let all = wanted.and_then(|wanted| usize::try_from(wanted).ok()).unwrap_or(pods.len());
    let over = updated == all && ready == all && pods.len() == all;
    let current = former.filter(|_| !over).unwrap_or(newest);
    json!({
        "replicas": pods.len(),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "currentReplicas": of(current),
        "updatedReplicas": updated,
        "currentRevision": current,
        "updateRevision": newest,
        "collisionCount": 0,
    })
}

/// Whether a pod says of itself that it takes traffic.
pub(crate) fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// The most that each container may use, as the stateful set says now: charms write it there.
pub(crate) fn limits(api: &Api, namespace: &str, app: &AppName) -> BTreeMap<String, Limits> {
    let set = api.get(Kind::StatefulSet, namespace, app.as_str()).unwrap_or_default();
    let containers = set["spec"]["template"]["spec"]["containers"].as_array().cloned();
    let limits = |container: Value| {
        let limits = &container["resources"]["limits"];
        let amount = |name: &str| limits[name].as_str().and_then(quantity);
        let whole = Limits {
            memory: amount("memory").map(|bytes| bytes as u64),
            cpu: amount("cpu").map(|processors| (processors * 1000.0).round() as u32),
        };
        Some((container["name"].as_str()?.to_owned(), whole))
    };
    containers.into_iter().flatten().filter_map(limits).collect()
}

/// Says how the containers of a pod are; it takes traffic if all are ready.
pub(crate) fn set_health(
    api: &Api,
    namespace: &str,
    unit: &UnitName,
    health: &BTreeMap<String, ContainerHealth>,
    now: Timestamp,
) -> Result<(), ApiError> {
    let Some(pod) = api.get(Kind::Pod, namespace, &unit.pod()) else {
        // Who deleted it by force wants no word of it.
        return Ok(());
    };
    let status = &pod["status"];
    let began = status["startTime"].as_str().unwrap_or_default();
    let statuses = statuses(&pod, health, began);
    let ready = statuses.as_array().is_some_and(|all| all.iter().all(|one| one["ready"] == true));
    let patch = json!({"status": {
        "conditions": conditions(ready, &instant(now), &status["conditions"]),
        "containerStatuses": statuses,
    }});
    match api.patch(Kind::Pod, namespace, &unit.pod(), &patch) {
        Ok(_) | Err(ApiError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The conditions of a pod; those that hold as they did `before` do so since then.
fn conditions(ready: bool, now: &str, before: &Value) -> Value {
    let condition = |(name, holds): (&str, bool)| {
        let status = if holds { "True" } else { "False" };
        let mut all = before.as_array().into_iter().flatten();
        let same = all.find(|one| one["type"] == name && one["status"] == status);
        let since = same.and_then(|one| one["lastTransitionTime"].as_str()).unwrap_or(now);
        json!({"type": name, "status": status, "lastTransitionTime": since})
    };
    [
        ("PodReadyToStartContainers", true),
        ("Initialized", true),
        ("Ready", ready),
        ("ContainersReady", ready),
        ("PodScheduled", true),
    ]
    .into_iter()
    .map(condition)
    .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use crate::daemon::kubernetes::container_status::Run;
    use kube_api::ApiOptions;

    fn api() -> Api {
        let api = Api::new(ApiOptions::new((Ipv4Addr::new(10, 152, 183, 2), 9), 1));
        let containers = json!([
            {"name": "charm", "image": "c", "resources": {"limits": {"memory": "1Gi"}}},
            {"name": "workload", "image": "w"},
        ]);
        let template = json!({
            "metadata": {"labels": {"app.kubernetes.io/name": "pg"}},
            "spec": {"containers": containers, "volumes": []},
        });
        let claim = json!({"metadata": {"name": "pg-data"}, "spec": {}});
        let spec = json!({"template": template, "volumeClaimTemplates": [claim]});
        let set = json!({"metadata": {"name": "pg"}, "spec": spec});
        api.put(Kind::StatefulSet, "lab", &set).unwrap();
        let unit: UnitName = "pg/0".parse().unwrap();
        let address = Ipv4Addr::new(10, 1, 0, 9);
        let facts = PodFacts { unit: &unit, address, now: Timestamp::UNIX_EPOCH };
        put_pod(&api, "lab", &facts).unwrap();
        api
    }

    fn condition(pod: &Value, name: &str) -> (String, String) {
        let all = pod["status"]["conditions"].as_array().unwrap();
        let one = all.iter().find(|one| one["type"] == name).unwrap();
        let text = |field: &str| one[field].as_str().unwrap().to_owned();
        (text("status"), text("lastTransitionTime"))
    }

    #[test]
    fn a_pod_is_what_its_stateful_set_says() {
        let api = api();
        let pod = || api.get(Kind::Pod, "lab", "pg-0").unwrap();
        assert_eq!(pod()["status"]["containerStatuses"].as_array().unwrap().len(), 2);
        assert_eq!(pod()["metadata"]["labels"]["apps.kubernetes.io/pod-index"], "0");
        let claim = &pod()["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"];
        assert_eq!(claim, "pg-data-pg-0");
        let claim = api.get(Kind::PersistentVolumeClaim, "lab", "pg-data-pg-0").unwrap();
        assert_eq!(claim["status"]["phase"], "Bound");

        let unit: UnitName = "pg/0".parse().unwrap();
        let later = Timestamp::from_second(60).unwrap();
        let began = condition(&pod(), "Ready");
        assert_eq!(began.0, "False");
        let health = |ready: bool| ContainerHealth {
            started: true,
            ready,
            run: Run::Since(later),
            ..Default::default()
        };
        let both = |charm: bool| {
            [("charm".to_owned(), health(charm)), ("workload".to_owned(), health(true))].into()
        };
        set_health(&api, "lab", &unit, &both(false), later).unwrap();
        assert_eq!(condition(&pod(), "Ready"), began, "nothing changed since");
        let ready =
            |pod: &Value, at: usize| pod["status"]["containerStatuses"][at]["ready"].clone();
        assert_eq!((ready(&pod(), 0), ready(&pod(), 1)), (json!(false), json!(true)));
        set_health(&api, "lab", &unit, &both(true), later).unwrap();
        assert_eq!(
            condition(&pod(), "Ready"),
            ("True".to_owned(), "1970-01-01T00:01:00Z".to_owned())
        );
        assert_eq!(condition(&pod(), "Initialized").1, began.1);
        put_set_status(&api, "lab", unit.app()).unwrap();
        let set = api.get(Kind::StatefulSet, "lab", "pg").unwrap();
        assert_eq!(
            (&set["status"]["readyReplicas"], &set["status"]["updatedReplicas"]),
            (&json!(1), &json!(1))
        );
    }

    /// An update to revision `b` of two pods, each with its revision and whether it is ready.
    #[track_caller]
    fn check_update(pods: [(&str, bool); 2], former: Option<&str>, current: &str, updated: u64) {
        let pods = pods.map(|(revision, ready)| (revision.to_owned(), ready));
        let status = set_status("b", Some(2), &pods, former);
        assert_eq!(
            (&status["currentRevision"], &status["updatedReplicas"]),
            (&json!(current), &json!(updated)),
            "{pods:?}"
        );
        assert_eq!(status["updateRevision"], "b");
    }

    #[test]
    fn an_update_is_over_once_all_pods_are_of_it_and_ready() {
        check_update([("a", true), ("a", true)], Some("a"), "a", 0);
        check_update([("a", true), ("b", false)], Some("a"), "a", 1);
        check_update([("a", true), ("b", true)], Some("a"), "a", 1);
        check_update([("b", false), ("b", true)], Some("a"), "a", 2);
        check_update([("b", true), ("b", true)], Some("a"), "b", 2);
        check_update([("b", false), ("b", false)], None, "b", 2);
        // One that is replaced later does not bring the former back.
        check_update([("b", false), ("b", true)], Some("b"), "b", 2);
    }

    #[test]
    fn limits_that_a_charm_writes_are_those_of_the_next_pod() {
        let api = api();
        let unit: UnitName = "pg/0".parse().unwrap();
        let outdated = || is_outdated(&api, "lab", &unit, newest(&api, "lab", unit.app()).as_ref());
        assert!(!outdated());
        let container = |name: &str| limits(&api, "lab", unit.app())[name];
        assert_eq!(container("charm").memory, Some(1 << 30));
        assert_eq!(container("workload").memory, None);
        let wanted = json!({"limits": {"memory": "512Mi", "cpu": "1500m"}});
        let containers = json!([{"name": "workload", "resources": wanted}]);
        let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        api.patch(Kind::StatefulSet, "lab", "pg", &patch).unwrap();
        assert!(outdated());
        assert_eq!(
            (container("workload").memory, container("workload").cpu),
            (Some(512 << 20), Some(1500))
        );
    }
}
