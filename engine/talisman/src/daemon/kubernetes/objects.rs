//! The Kubernetes objects that Juju would make of a model and its applications.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use juju_names::AppName;
use kube_api::{Api, ApiError, Kind, Selector};
use serde_json::{Value, json};

use crate::daemon::kubernetes::template::MODIFIED;

/// The only node.
pub(crate) const NODE: &str = "talisman";

/// Puts the node there, with what this machine can give.
pub(crate) fn put_node(
    api: &Api,
    address: Ipv4Addr,
    cpus: usize,
    memory_kib: u64,
) -> Result<(), ApiError> {
    let amounts = json!({
        "cpu": cpus.to_string(),
        "memory": format!("{memory_kib}Ki"),
        "pods": "110",
    });
    api.put(
        Kind::Node,
        "",
        &json!({
            "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}},
            "status": {
                "allocatable": amounts,
                "capacity": amounts,
                "addresses": [
                    {"type": "InternalIP", "address": address.to_string()},
                    {"type": "Hostname", "address": NODE},
                ],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }),
    )
    .map(drop)
}

/// Puts the namespaces there, and where the API itself is.
pub(crate) fn put_namespaces(
    api: &Api,
    model: &str,
    address: Ipv4Addr,
    port: u16,
) -> Result<(), ApiError> {
    for name in ["default", "kube-public", "kube-system", model] {
        // One that is there may have got labels since.
        if api.get(Kind::Namespace, "", name).is_none() {
            api.put(Kind::Namespace, "", &json!({"metadata": {"name": name}}))?;
        }
    }
    let subset = json!({
        "addresses": [{"ip": address.to_string()}],
        "ports": [{"name": "https", "port": port}],
    });
    let ends = json!({"metadata": {"name": "kubernetes"}, "subsets": [subset]});
    api.put(Kind::Endpoints, "default", &ends).map(drop)
}

/// Puts an application's stateful set and services there; the answer is its cluster address.
/// `spec` is the set's, but for how many `units` there are.
pub(crate) fn put_application(
    api: &Api,
    namespace: &str,
    app: &AppName,
    units: u32,
    spec: &Value,
) -> Result<String, ApiError> {
    let labels = json!({"app.kubernetes.io/name": app, "app.kubernetes.io/managed-by": "juju"});
    let selector = json!({"app.kubernetes.io/name": app});
    let account = json!({"metadata": {"name": app, "labels": labels}});
    if api.get(Kind::ServiceAccount, namespace, app.as_str()).is_none() {
        api.put(Kind::ServiceAccount, namespace, &account)?;
    }
    put_set(api, namespace, app, units, spec)?;
    api.apply(
        Kind::Service,
        namespace,
        "juju",
        &json!({
            "metadata": {"name": format!("{app}-endpoints"), "labels": labels},
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": true,
                "selector": selector,
            },
        }),
    )?;
    // It is made once; later its type and ports are left to the clients that change them.
    let service = match api.get(Kind::Service, namespace, app.as_str()) {
        Some(service) => service,
        None => api.put(
            Kind::Service,
            namespace,
            &json!({
                "metadata": {"name": app, "labels": labels},
                "spec": {"type": "ClusterIP", "selector": selector, "ports": [placeholder()]},
            }),
        )?,
    };
    Ok(service["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned())
}

/// Puts an application's stateful set there. What charms changed in its template stays until
/// there is another charm, as with Juju.
fn put_set(
    api: &Api,
    namespace: &str,
    app: &AppName,
    units: u32,
    spec: &Value,
) -> Result<(), ApiError> {
    let Some(mut set) = api.get(Kind::StatefulSet, namespace, app.as_str()) else {
        let labels = json!({"app.kubernetes.io/name": app, "app.kubernetes.io/managed-by": "juju"});
        let mut set = json!({"metadata": {"name": app, "labels": labels}, "spec": spec});
        set["spec"]["replicas"] = json!(units);
        return api.put(Kind::StatefulSet, namespace, &set).map(drop);
    };
    let modified = |spec: &Value| spec["template"]["metadata"]["annotations"][MODIFIED].clone();
    set["spec"]["replicas"] = json!(units);
    if modified(&set["spec"]) != modified(spec) {
        for field in ["template", "volumeClaimTemplates", "podManagementPolicy"] {
            set["spec"][field] = spec[field].clone();
        }
    }
    api.put(Kind::StatefulSet, namespace, &set).map(drop)
}

/// The port of a service that leads nowhere yet: a service has at least one.
fn placeholder() -> Value {
    json!({"name": PLACEHOLDER, "port": 65535, "targetPort": 65535, "protocol": "TCP"})
}

const PLACEHOLDER: &str = "placeholder";

/// How the names of ports begin that charms opened; others belong to API clients.
const OPENED: &str = "juju-";

/// Ports that an application's units opened: protocol and number.
pub(crate) type Ports = BTreeSet<(String, u16)>;

/// Brings the ports of an application's service in line with those that its units opened.
pub(crate) fn put_ports(
    api: &Api,
    namespace: &str,
    app: &AppName,
    opened: &Ports,
) -> Result<(), ApiError> {
    let Some(mut service) = api.get(Kind::Service, namespace, app.as_str()) else { return Ok(()) };
    let ports = service["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let name = |port: &Value| port["name"].as_str().unwrap_or_default().to_owned();
    let others = ports.iter().filter(|port| name(port) != PLACEHOLDER);
    let mut wanted: Vec<Value> =
        others.filter(|port| !name(port).starts_with(OPENED)).cloned().collect();
    // A service knows no ports of icmp.
    for (protocol, number) in opened.iter().filter(|(protocol, _)| protocol != "icmp") {
        let name = format!("{OPENED}{number}-{protocol}");
        let mut port = ports.iter().find(|port| port["name"] == name).cloned().unwrap_or_default();
        for (field, value) in [
            ("name", json!(name)),
            ("port", json!(number)),
            ("targetPort", json!(number)),
            ("protocol", json!(protocol.to_uppercase())),
        ] {
            port[field] = value;
        }
        wanted.push(port);
    }
    if wanted.is_empty() {
        wanted.push(placeholder());
    }
    service["spec"]["ports"] = json!(wanted);
    api.put(Kind::Service, namespace, &service).map(drop)
}

/// Removes what [`put_application`] made, and what its charm wrote, which its labels identify.
pub(crate) fn delete_application(
    api: &Api,
    namespace: &str,
    app: &AppName,
    written: &BTreeMap<String, String>,
) -> Result<(), ApiError> {
    api.delete(Kind::StatefulSet, namespace, app.as_str())?;
    for service in [app.to_string(), format!("{app}-endpoints")] {
        api.delete(Kind::Service, namespace, &service)?;
    }
    api.delete(Kind::ServiceAccount, namespace, app.as_str())?;
    let theirs = Selector::equals(written.clone());
    for kind in [
        Kind::Service,
        Kind::ConfigMap,
        Kind::Secret,
        Kind::ServiceAccount,
        Kind::Ingress,
        Kind::StatefulSet,
    ] {
        for object in api.list(kind, namespace, &theirs) {
            api.delete(kind, namespace, object["metadata"]["name"].as_str().unwrap_or_default())?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[track_caller]
    fn check_ports(api: &Api, opened: &[(&str, u16)], expected: &[&str]) {
        let app: AppName = "pg".parse().unwrap();
        let opened = opened.iter().map(|(protocol, number)| ((*protocol).to_owned(), *number));
        put_ports(api, "lab", &app, &opened.collect()).unwrap();
        let service = api.get(Kind::Service, "lab", "pg").unwrap();
        let ports = service["spec"]["ports"].as_array().unwrap();
        let found: Vec<String> =
            ports.iter().map(|port| format!("{} {}", port["name"], port["port"])).collect();
        let found: Vec<String> = found.iter().map(|text| text.replace('"', "")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_stateful_set_keeps_what_charms_change_until_there_is_another_charm() {
        let api = Api::new(kube_api::ApiOptions::new((Ipv4Addr::new(10, 152, 183, 2), 9), 1));
        let app: AppName = "pg".parse().unwrap();
        let spec = |revision: &str| {
            let containers = json!([{"name": "charm", "image": "i", "resources": {}}]);
            let metadata = json!({"annotations": {MODIFIED: revision}});
            json!({"template": {"metadata": metadata, "spec": {"containers": containers}}})
        };
        let set = || api.get(Kind::StatefulSet, "lab", "pg").unwrap();
        put_application(&api, "lab", &app, 1, &spec("0")).unwrap();
        let limits = json!({"limits": {"memory": "1Gi"}});
        let containers = json!([{"name": "charm", "resources": limits}]);
        let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        api.patch(Kind::StatefulSet, "lab", "pg", &patch).unwrap();
        put_application(&api, "lab", &app, 3, &spec("0")).unwrap();
        let resources =
            |set: Value| set["spec"]["template"]["spec"]["containers"][0]["resources"].clone();
        assert_eq!((&set()["spec"]["replicas"], resources(set())), (&json!(3), limits));
        put_application(&api, "lab", &app, 3, &spec("1")).unwrap();
        assert_eq!(resources(set()), json!({}));
    }

    #[test]
    fn what_a_charm_wrote_goes_with_its_application() {
        let api = Api::new(kube_api::ApiOptions::new((Ipv4Addr::new(10, 152, 183, 2), 9), 1));
        let app: AppName = "pg".parse().unwrap();
        put_application(&api, "lab", &app, 1, &json!({})).unwrap();
        let own: BTreeMap<String, String> =
            [("app.juju.is/created-by".to_owned(), "pg".to_owned())].into();
        for (name, labels) in [("mine", json!(own)), ("others", json!({}))] {
            let values = json!({"metadata": {"name": name, "labels": labels}});
            api.put(Kind::ConfigMap, "lab", &values).unwrap();
        }
        delete_application(&api, "lab", &app, &own).unwrap();
        assert!(api.get(Kind::ConfigMap, "lab", "mine").is_none());
        assert!(api.get(Kind::ConfigMap, "lab", "others").is_some());
        assert!(api.get(Kind::Service, "lab", "pg").is_none());
    }

    #[test]
    fn ports_that_charms_open_are_those_of_the_service() {
        let api = Api::new(kube_api::ApiOptions::new((Ipv4Addr::new(10, 152, 183, 2), 9), 1));
        let app: AppName = "pg".parse().unwrap();
        let spec = json!({"template": {}});
        let address = put_application(&api, "lab", &app, 1, &spec).unwrap();
        check_ports(&api, &[], &["placeholder 65535"]);
        let both = [("tcp", 5432), ("tcp", 8008), ("icmp", 0)];
        check_ports(&api, &both, &["juju-5432-tcp 5432", "juju-8008-tcp 8008"]);
        // What a charm or an operator adds stays, and another scale changes none.
        let own = json!({"spec": {"ports": [{"name": "own", "port": 9}]}});
        api.patch(Kind::Service, "lab", "pg", &own).unwrap();
        assert_eq!(put_application(&api, "lab", &app, 3, &spec).unwrap(), address);
        check_ports(&api, &[("udp", 53)], &["own 9", "juju-53-udp 53"]);
        check_ports(&api, &[], &["own 9"]);
    }
}
