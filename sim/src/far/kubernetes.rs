//! The Kubernetes API: the engine's own store, in process.

use juju_names::{AppName, UnitName};
use kube_api::{Api, Kind, Selector};
use serde_json::{Value, json};

use crate::names::MODEL;

/// The only node.
const NODE: &str = "node";

/// An object that the API refuses is missing then, and the unit that needs it says so.
fn put(api: &Api, kind: Kind, namespace: &str, object: &Value) {
    drop(api.put(kind, namespace, object));
}

/// Puts the node and the namespace there.
pub(crate) fn put_node(api: &Api) {
    let addresses = json!([{"type": "InternalIP", "address": "192.0.2.1"}]);
    let node = json!({"metadata": {"name": NODE}, "status": {"addresses": addresses}});
    put(api, Kind::Node, "", &node);
    put(api, Kind::Namespace, "", &json!({"metadata": {"name": MODEL}}));
}

/// Puts an application's stateful set there.
pub(crate) fn put_application(api: &Api, app: &AppName) {
    let set = json!({
        "metadata": {"name": app, "labels": {"app.kubernetes.io/name": app}},
        "spec": {
            "replicas": 1,
            "serviceName": format!("{app}-endpoints"),
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        },
    });
    put(api, Kind::StatefulSet, MODEL, &set);
    let headless = json!({
        "metadata": {"name": format!("{app}-endpoints")},
        "spec": {"clusterIP": "None", "selector": {"app.kubernetes.io/name": app}},
    });
    put(api, Kind::Service, MODEL, &headless);
}

/// Removes an application: its stateful set, which takes along what it owns, and what Juju made.
pub(crate) fn delete_application(api: &Api, app: &AppName) {
    drop(api.delete(Kind::StatefulSet, MODEL, app.as_str()));
    drop(api.delete(Kind::Service, MODEL, &format!("{app}-endpoints")));
}

/// Gives every load balancer an address, as a cloud would.
pub(crate) fn balance(api: &Api) {
    let services = api.list(Kind::Service, MODEL, &Selector::default());
    let waits = |service: &&Value| {
        service["spec"]["type"] == "LoadBalancer"
            && service["status"]["loadBalancer"]["ingress"].is_null()
    };
    for service in services.iter().filter(waits) {
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        drop(api.set_ingress(MODEL, name, [192, 0, 2, 77].into()));
    }
}

/// The lowest number whose pod the controller of stateful sets replaces.
pub(crate) fn partition(api: &Api, app: &AppName) -> u64 {
    let partition =
        |set: &Value| set["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_u64();
    api.view(Kind::StatefulSet, MODEL, app.as_str(), partition).flatten().unwrap_or(0)
}

/// Says how many pods a stateful set has and how far an update has come, as its controller does.
pub(crate) fn put_set(api: &Api, app: &AppName, scale: u32, newest: u32) {
    let Some(set) = api.get(Kind::StatefulSet, MODEL, app.as_str()) else { return };
    let newest = revision(app, newest);
    let own = Selector::equals([("app.kubernetes.io/name", app.as_str())]);
    let pods =
        api.views(Kind::Pod, MODEL, &own, |pod| pod["metadata"]["labels"][REVISION] == newest);
    let updated = pods.iter().filter(|updated| **updated).count();
    let over = updated == pods.len() && u32::try_from(updated) == Ok(scale);
    let former = set["status"]["currentRevision"].as_str().filter(|_| !over);
    let status = json!({
        "replicas": pods.len(),
        "updatedReplicas": updated,
        "currentRevision": former.unwrap_or(&newest),
        "updateRevision": newest,
    });
    if set["status"] == status && set["spec"]["replicas"] == scale {
        return;
    }
    let patch = json!({"spec": {"replicas": scale}, "status": status});
    drop(api.patch(Kind::StatefulSet, MODEL, app.as_str(), &patch));
}

/// The label that names the template of a pod.
const REVISION: &str = "controller-revision-hash";

fn revision(app: &AppName, number: u32) -> String {
    format!("{app}-{number}")
}

/// Puts a pod there. It is ready as soon as it is, whatever runs in it.
pub(crate) fn put_pod(api: &Api, unit: &UnitName, address: &str, newest: u32) {
    let owner = api.get(Kind::StatefulSet, MODEL, unit.app().as_str()).unwrap_or_default();
    let reference = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "name": unit.app(),
        "uid": owner["metadata"]["uid"], "controller": true,
    });
    let pod = json!({
        "metadata": {
            "name": unit.pod(),
            "labels": {"app.kubernetes.io/name": unit.app(), (REVISION): revision(unit.app(), newest)},
            "ownerReferences": [reference],
        },
        "spec": {"nodeName": NODE, "containers": [{"name": "charm"}]},
        "status": {
            "podIP": address,
            "hostIP": "192.0.2.1",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    });
    put(api, Kind::Pod, MODEL, &pod);
}

/// Removes a pod.
pub(crate) fn delete_pod(api: &Api, unit: &UnitName) {
    api.delete(Kind::Pod, MODEL, &unit.pod()).ok();
}
