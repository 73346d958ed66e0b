//! The endpoints controller: the addresses of the pods that a service selects.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::address::HEADLESS;
use crate::store::{Key, Object, Store, string_map};
use crate::{Kind, Scope, Selector, Writer, format};

/// The annotation of endpoints that are a lock.
const LOCK: &str = "control-plane.alpha.kubernetes.io/leader";

/// The selector of a service; none when the service has none.
pub(crate) fn selector(service: &Value) -> Option<Selector> {
    let wanted = string_map(&service["spec"]["selector"]);
    (!wanted.is_empty()).then(|| Selector::equals(wanted))
}

/// Whether a pod says of itself that it is ready.
pub(crate) fn ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Whether a pod has run to its end.
pub(crate) fn is_over(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded"))
}

/// The `subsets` of the endpoints of `service`, given the pods it selects: those with the same
/// ports together.
pub(crate) fn subsets<'a>(service: &Value, pods: impl Iterator<Item = &'a Value>) -> Value {
    let spec = &service["spec"];
    let all = spec["publishNotReadyAddresses"] == true;
    let mut subsets: Vec<Subset> = Vec::new();
    for pod in pods {
        let leaving = pod["metadata"]["deletionTimestamp"].is_string() && !all;
        let Some(address) = address(service, pod).filter(|_| !is_over(pod) && !leaving) else {
            continue;
        };
        let wanted = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ports: Vec<Value> = wanted.iter().filter_map(|entry| port(entry, pod)).collect();
        // A pod without the port that is named takes no part.
        if ports.is_empty() && !wanted.is_empty() {
            continue;
        }
        let at = subsets.iter().position(|subset| subset.ports == ports).unwrap_or_else(|| {
            subsets.push(Subset { ports, ..Subset::default() });
            subsets.len() - 1
        });
        let subset = &mut subsets[at];
        if all || ready(pod) { &mut subset.addresses } else { &mut subset.not_ready }.push(address);
    }
    subsets.into_iter().map(Subset::json).collect()
}

/// Addresses with the same ports.
#[derive(Default)]
struct Subset {
    ports: Vec<Value>,
    addresses: Vec<Value>,
    not_ready: Vec<Value>,
}

impl Subset {
    fn json(mut self) -> Value {
        let mut subset = json!({});
        self.addresses.sort_by_key(ip);
        self.not_ready.sort_by_key(ip);
        for (field, list) in [
            ("addresses", self.addresses),
            ("notReadyAddresses", self.not_ready),
            ("ports", self.ports),
        ] {
            if !list.is_empty() {
                subset[field] = Value::Array(list);
            }
        }
        subset
    }
}

/// Kubernetes sorts addresses as texts.
fn ip(address: &Value) -> Option<String> {
    address["ip"].as_str().map(str::to_owned)
}

/// A pod as it stands among a service's addresses; nothing where it has none. One pod with an
/// address that is none must not keep the others from being served.
pub(crate) fn address(service: &Value, pod: &Value) -> Option<Value> {
    let ip = pod["status"]["podIP"].as_str().filter(|ip| format::endpoint_address(ip).is_none())?;
    let metadata = &pod["metadata"];
    let mut address = json!({ "ip": ip, "targetRef": {
        "kind": "Pod",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }});
    if pod["spec"]["subdomain"] == service["metadata"]["name"]
        && pod["spec"]["hostname"].is_string()
    {
        address["hostname"] = pod["spec"]["hostname"].clone();
    }
    if pod["spec"]["nodeName"].is_string() {
        address["nodeName"] = pod["spec"]["nodeName"].clone();
    }
    Some(address)
}

/// A port of a service as a pod has it; nothing if the pod has none of that name.
pub(crate) fn port(entry: &Value, pod: &Value) -> Option<Value> {
    let target = match entry["targetPort"].as_str() {
        Some(name) => named_port(pod, name, &entry["protocol"])?,
        None => entry["targetPort"].as_u64().or(entry["port"].as_u64())?,
    };
    let mut port = json!({ "port": target, "protocol": entry["protocol"] });
    for field in ["name", "appProtocol"] {
        if entry[field].is_string() {
            port[field] = entry[field].clone();
        }
    }
    Some(port)
}

/// The number of the port that a container of a pod gives a name.
fn named_port(pod: &Value, name: &str, protocol: &Value) -> Option<u64> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut ports = containers.filter_map(|container| container["ports"].as_array()).flatten();
    let same = |port: &Value| {
        let own = port["protocol"].as_str().unwrap_or("TCP");
        port["name"] == name && protocol.as_str() == Some(own)
    };
    ports.find(|port| same(port))?["containerPort"].as_u64()
}

impl Store {
    /// Brings endpoints and their slices in line after `key` was written.
    pub(crate) fn endpoints_after_write(
        &mut self,
        key: &Key,
        old: Option<&Object>,
        new: &Object,
        now: Timestamp,
    ) {
        match key.kind {
            Kind::Pod => {
                for service in self.services_selecting(key, &[old, Some(new)]) {
                    self.reconcile_service(&service, now);
                }
            }
            // What a client writes into endpoints stays until the service or a pod changes.
            Kind::Service => self.reconcile_service(key, now),
            _ => {}
        }
    }

    /// Brings the endpoints in line after objects were deleted, each service's once.
    pub(crate) fn endpoints_after_deletions(&mut self, deleted: &[(Key, Object)], now: Timestamp) {
        let mut concerned: BTreeSet<Key> = BTreeSet::new();
        for (key, was) in deleted {
            match key.kind {
                Kind::Pod => concerned.extend(self.services_selecting(key, &[Some(was)])),
                Kind::Endpoints => {
                    concerned.insert(key.of_kind(Kind::Service));
                }
                Kind::EndpointSlice => concerned.extend(Store::service_of_slice(key, was)),
                _ => {}
            }
        }
        for service in concerned {
            self.reconcile_service(&service, now);
        }
    }

    fn reconcile_service(&mut self, service: &Key, now: Timestamp) {
        self.reconcile_endpoints(service, now);
        self.reconcile_slices(service, now);
    }

    /// The services that select one of a pod's states.
    fn services_selecting(&self, pod: &Key, states: &[Option<&Object>]) -> Vec<Key> {
        let selects = |service: &Object| {
            selector(service.value()).is_some_and(|wanted| {
                states.iter().flatten().any(|pod| wanted.matches(pod.labels()))
            })
        };
        let services = self.keys_of(Kind::Service, Some(&pod.namespace));
        services.filter(|(_, service)| selects(service)).map(|(key, _)| key.clone()).collect()
    }

    fn reconcile_endpoints(&mut self, service: &Key, now: Timestamp) {
        let key = service.of_kind(Kind::Endpoints);
        let Ok(service) = self.get(service) else { return };
        let Some(wanted) = selector(service.value()) else { return };
        let pods = self.keys_of(Kind::Pod, Some(&key.namespace));
        let pods = pods.filter(|(_, pod)| wanted.matches(pod.labels())).map(|(_, pod)| pod.value());
        let subsets = subsets(service.value(), pods);
        let mut labels = service.value()["metadata"]["labels"].clone();
        labels["endpoints.kubernetes.io/managed-by"] = json!("endpoint-controller");
        if service.value()["spec"]["clusterIP"] == HEADLESS {
            labels["service.kubernetes.io/headless"] = json!("");
        }
        let old = self.objects.get(&key).map(Object::value);
        if old.is_some_and(|old| old["metadata"]["labels"] == labels && old["subsets"] == subsets) {
            return;
        }
        let mut value = old.cloned().unwrap_or_else(|| json!({}));
        value["metadata"]["labels"] = labels;
        value["subsets"] = subsets;
        let manager = "kube-controller-manager";
        let writer = Writer { manager, scope: Scope::Whole, now, labels: None };
        if let Err(error) = self.store(key, value, writer) {
            tracing::warn!(%error, "cannot write the endpoints of a service");
        }
    }

    /// Deletes the endpoints that no service names and that are no lock, as the start of a real
    /// endpoints controller does. A fault to inject.
    pub fn delete_orphan_endpoints(&mut self, namespace: &str) -> usize {
        let endpoints = self.keys_of(Kind::Endpoints, Some(namespace));
        let orphans: Vec<Key> = endpoints
            .filter(|(_, object)| object.value()["metadata"]["annotations"][LOCK].is_null())
            .filter(|(key, _)| self.get(&key.of_kind(Kind::Service)).is_err())
            .map(|(key, _)| key.clone())
            .collect();
        orphans.iter().filter(|key| self.remove(key).is_some()).count()
    }
}
