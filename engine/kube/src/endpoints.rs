//! The endpoints controller: the addresses of the pods that a service selects.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::address::HEADLESS;
use crate::store::{Key, Object, Store, string_map};
use crate::{Kind, Scope, Selector, format};

/// The annotation of endpoints that are a lock.
const LOCK: &str = "control-plane.alpha.kubernetes.io/leader";

/// The selector of a service; none when the service has none.
fn selector(service: &Value) -> Option<Selector> {
    let wanted = string_map(&service["spec"]["selector"]);
    (!wanted.is_empty()).then(|| Selector::equals(wanted))
}

/// Fills in what the writer of endpoints left out.
pub(crate) fn defaults(endpoints: &mut Value) {
    let subsets = endpoints["subsets"].as_array_mut().into_iter().flatten();
    let ports = subsets.filter_map(|subset| subset.get_mut("ports")?.as_array_mut()).flatten();
    for port in ports.filter_map(Value::as_object_mut) {
        port.entry("protocol").or_insert_with(|| json!("TCP"));
    }
}

/// Whether a pod says of itself that it is ready.
fn ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// The `subsets` of the endpoints of `service`, given the pods it selects.
pub(crate) fn subsets<'a>(service: &Value, pods: impl Iterator<Item = &'a Value>) -> Value {
    let spec = &service["spec"];
    let all = spec["publishNotReadyAddresses"] == true;
    let (mut addresses, mut not_ready) = (Vec::new(), Vec::new());
    for pod in pods {
        let over = matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded"));
        let leaving = pod["metadata"]["deletionTimestamp"].is_string() && !all;
        // One pod with an address that is none must not keep the others from being served.
        let sound = |address: &Value| {
            let ip = address["ip"].as_str().unwrap_or_default();
            format::endpoint_address(ip).is_none()
        };
        let address = address(service, pod).filter(sound).filter(|_| !over && !leaving);
        let Some(address) = address else { continue };
        if all || ready(pod) { addresses.push(address) } else { not_ready.push(address) }
    }
    if addresses.is_empty() && not_ready.is_empty() {
        return json!([]);
    }
    let mut subset = json!({});
    for (field, mut list) in [("addresses", addresses), ("notReadyAddresses", not_ready)] {
        list.sort_by_key(ip);
        if !list.is_empty() {
            subset[field] = Value::Array(list);
        }
    }
    let ports: Vec<Value> = spec["ports"].as_array().into_iter().flatten().map(port).collect();
    if !ports.is_empty() {
        subset["ports"] = Value::Array(ports);
    }
    json!([subset])
}

fn ip(address: &Value) -> Option<std::net::IpAddr> {
    address["ip"].as_str()?.parse().ok()
}

fn address(service: &Value, pod: &Value) -> Option<Value> {
    let ip = pod["status"]["podIP"].as_str().filter(|ip| !ip.is_empty())?;
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

fn port(entry: &Value) -> Value {
    let target = entry["targetPort"].as_u64().or(entry["port"].as_u64());
    let mut port = json!({ "port": target, "protocol": entry["protocol"] });
    if entry["name"].is_string() {
        port["name"] = entry["name"].clone();
    }
    port
}

impl Store {
    /// Brings the endpoints in line after `key` was written.
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
                    self.reconcile_endpoints(&service.namespace, &service.name, now);
                }
            }
            Kind::Service | Kind::Endpoints => {
                self.reconcile_endpoints(&key.namespace, &key.name, now);
            }
            Kind::Node | Kind::StatefulSet => {}
        }
    }

    /// Brings the endpoints in line after objects were deleted, each service's once.
    pub(crate) fn endpoints_after_deletions(&mut self, deleted: &[(Key, Object)], now: Timestamp) {
        let mut concerned: BTreeSet<Key> = BTreeSet::new();
        for (key, was) in deleted {
            match key.kind {
                Kind::Pod => concerned.extend(self.services_selecting(key, &[Some(was)])),
                Kind::Endpoints => {
                    concerned.insert(Key::new(Kind::Service, &key.namespace, &key.name));
                }
                // Endpoints without a selector have another owner, for instance Patroni.
                Kind::Service if selector(was.value()).is_some() => {
                    self.remove(&Key::new(Kind::Endpoints, &key.namespace, &key.name));
                }
                _ => {}
            }
        }
        for service in concerned {
            self.reconcile_endpoints(&service.namespace, &service.name, now);
        }
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

    fn reconcile_endpoints(&mut self, namespace: &str, name: &str, now: Timestamp) {
        let Ok(service) = self.get(Kind::Service, namespace, name) else { return };
        let Some(wanted) = selector(service.value()) else { return };
        let pods = self.keys_of(Kind::Pod, Some(namespace));
        let pods = pods.filter(|(_, pod)| wanted.matches(pod.labels())).map(|(_, pod)| pod.value());
        let subsets = subsets(service.value(), pods);
        let mut labels = service.value()["metadata"]["labels"].clone();
        if service.value()["spec"]["clusterIP"] == HEADLESS {
            labels["service.kubernetes.io/headless"] = json!("");
        }
        let key = Key::new(Kind::Endpoints, namespace, name);
        let old = self.objects.get(&key).map(Object::value);
        if old.is_some_and(|old| old["metadata"]["labels"] == labels && old["subsets"] == subsets) {
            return;
        }
        let mut value = old.cloned().unwrap_or_else(|| json!({}));
        value["metadata"]["labels"] = labels;
        value["subsets"] = subsets;
        if let Err(error) = self.store(key, value, Scope::Whole, now) {
            tracing::warn!(%error, namespace, name, "cannot write the endpoints of a service");
        }
    }

    /// Deletes the endpoints that no service names and that are nobody's lock, as the start of a
    /// real endpoints controller does. A fault to inject.
    pub fn delete_orphan_endpoints(&mut self, namespace: &str) -> usize {
        let endpoints = self.keys_of(Kind::Endpoints, Some(namespace));
        let orphans: Vec<Key> = endpoints
            .filter(|(_, object)| object.value()["metadata"]["annotations"][LOCK].is_null())
            .filter(|(key, _)| self.get(Kind::Service, namespace, &key.name).is_err())
            .map(|(key, _)| key.clone())
            .collect();
        orphans.iter().filter(|key| self.remove(key).is_some()).count()
    }
}
