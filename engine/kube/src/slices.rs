//! The endpoint slice controller: the pods behind a service, each with how it is.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::address::HEADLESS;
use crate::endpoints::{address, is_over, port, ready, selector};
use crate::store::{Key, Object, Store};
use crate::write::uid;
use crate::{Kind, Scope, Writer};

/// The label that names the service of a slice.
pub(crate) const SERVICE: &str = "kubernetes.io/service-name";
/// The label that says who keeps a slice.
const MANAGED: &str = "endpointslice.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpointslice-controller.k8s.io";

/// The most endpoints of a slice.
const ENDPOINTS_MAX: usize = 100;

/// The longest beginning of a slice's name that comes from its service.
const PREFIX_MAX: usize = 57;

/// What a slice is to say.
#[derive(Debug, Default, PartialEq)]
struct Slice {
    ports: Vec<Value>,
    endpoints: Vec<Value>,
}

/// The slices of a service, given the pods that it selects: those with the same ports together.
fn slices<'a>(service: &Value, pods: impl Iterator<Item = &'a Value>) -> Vec<Slice> {
    let mut slices: Vec<Slice> = Vec::new();
    for pod in pods.filter(|pod| !is_over(pod)) {
        let Some(endpoint) = endpoint(service, pod) else { continue };
        let wanted = service["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
        let named = |entry| {
            let mut port = port(entry, pod)?;
            if port["name"].is_null() {
                port["name"] = json!("");
            }
            Some(port)
        };
        let ports: Vec<Value> = wanted.iter().filter_map(named).collect();
        let fits =
            |slice: &&mut Slice| slice.ports == ports && slice.endpoints.len() < ENDPOINTS_MAX;
        match slices.iter_mut().find(fits) {
            Some(slice) => slice.endpoints.push(endpoint),
            None => slices.push(Slice { ports, endpoints: vec![endpoint] }),
        }
    }
    if slices.is_empty() {
        // A service without pods has a slice that says so.
        slices.push(Slice::default());
    }
    slices
}

/// A pod in a slice; nothing for one without an address.
fn endpoint(service: &Value, pod: &Value) -> Option<Value> {
    let mut address = address(service, pod)?;
    let serving = ready(pod);
    let terminating = pod["metadata"]["deletionTimestamp"].is_string();
    let all = service["spec"]["publishNotReadyAddresses"] == true;
    let ip = address.as_object_mut()?.remove("ip")?;
    address["addresses"] = json!([ip]);
    address["conditions"] = json!({
        "ready": all || (serving && !terminating),
        "serving": serving,
        "terminating": terminating,
    });
    Some(address)
}

/// The whole of a slice but for its name.
fn object(service: &Value, slice: &Slice) -> Value {
    let metadata = &service["metadata"];
    let mut labels = metadata["labels"].clone();
    labels[SERVICE] = metadata["name"].clone();
    labels[MANAGED] = json!(CONTROLLER);
    if service["spec"]["clusterIP"] == HEADLESS {
        labels["service.kubernetes.io/headless"] = json!("");
    }
    json!({
        "metadata": {
            "generateName": format!("{}-", metadata["name"].as_str().unwrap_or_default()),
            "labels": labels,
            "ownerReferences": [{
                "apiVersion": "v1",
                "kind": "Service",
                "name": metadata["name"],
                "uid": metadata["uid"],
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "addressType": "IPv4",
        "endpoints": slice.endpoints,
        "ports": slice.ports,
    })
}

/// Whether a slice says already what it is to say.
fn says(old: &Value, wanted: &Value) -> bool {
    let list = |slice: &Value, field: &str| slice[field].as_array().cloned().unwrap_or_default();
    old["metadata"]["labels"] == wanted["metadata"]["labels"]
        && ["endpoints", "ports"].iter().all(|field| list(old, field) == list(wanted, field))
}

impl Store {
    /// The service whose controller keeps a slice.
    pub(crate) fn service_of_slice(slice: &Key, object: &Object) -> Option<Key> {
        let name = object.labels().get(SERVICE)?;
        let kept = object.labels().get(MANAGED).is_some_and(|by| by == CONTROLLER);
        kept.then(|| Key::new(Kind::Service, &slice.namespace, name))
    }

    /// Brings the slices of a service in line with its pods.
    pub(crate) fn reconcile_slices(&mut self, service: &Key, now: Timestamp) {
        let Ok(found) = self.get(service) else { return };
        let (of, found) = (service, found.clone());
        let kept = self.keys_of(Kind::EndpointSlice, Some(&of.namespace));
        let kept = kept.filter(|(key, one)| Self::service_of_slice(key, one).as_ref() == Some(of));
        let mut kept: Vec<(Key, Value)> =
            kept.map(|(key, one)| (key.clone(), one.value().clone())).collect();
        let mut wanted = Vec::new();
        if let Some(selects) = selector(found.value()) {
            let pods = self.keys_of(Kind::Pod, Some(&of.namespace));
            let pods = pods.filter(|(_, pod)| selects.matches(pod.labels()));
            wanted = slices(found.value(), pods.map(|(_, pod)| pod.value()));
        }
        for slice in wanted {
            let wanted = object(found.value(), &slice);
            let same = kept.iter().position(|(_, old)| {
                old["ports"].as_array().cloned().unwrap_or_default() == slice.ports
            });
            match same.map(|at| kept.remove(at)) {
                Some((_, old)) if says(&old, &wanted) => {}
                Some((key, mut old)) => {
                    old["metadata"]["labels"] = wanted["metadata"]["labels"].clone();
                    for field in ["endpoints", "ports"] {
                        old[field] = wanted[field].clone();
                    }
                    self.put_slice(key, old, now);
                }
                None => {
                    let name = self.slice_name(&of.name);
                    self.put_slice(
                        Key::new(Kind::EndpointSlice, &of.namespace, &name),
                        wanted,
                        now,
                    );
                }
            }
        }
        for (key, _) in kept {
            self.remove(&key);
        }
    }

    fn slice_name(&self, service: &str) -> String {
        let prefix: String = service.chars().take(PREFIX_MAX).collect();
        format!("{prefix}-{}", &uid(self.options.seed, self.version + 1)[..5])
    }

    fn put_slice(&mut self, key: Key, value: Value, now: Timestamp) {
        let manager = "kube-controller-manager";
        let writer = Writer { manager, scope: Scope::Whole, now, labels: None };
        if let Err(error) = self.store(key, value, writer) {
            tracing::warn!(%error, "cannot write the endpoint slices of a service");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, ip: &str, port: u64) -> Value {
        json!({
            "metadata": {"name": name, "namespace": "lab", "uid": name},
            "spec": {"containers": [{"ports": [{"name": "db", "containerPort": port}]}]},
            "status": {"podIP": ip},
        })
    }

    #[test]
    fn pods_with_the_same_ports_are_in_slices_of_a_hundred() {
        let service = json!({"spec": {"ports": [{"targetPort": "db", "protocol": "TCP"}]}});
        let all: Vec<Value> = (0..250).map(|n| pod(&format!("p-{n}"), "10.1.0.9", 1)).collect();
        let other = pod("q", "10.1.0.10", 2);
        let slices = slices(&service, all.iter().chain([&other]));
        let sizes: Vec<usize> = slices.iter().map(|slice| slice.endpoints.len()).collect();
        assert_eq!(sizes, [100, 100, 50, 1]);
        assert_eq!(slices[3].ports, [json!({"name": "", "port": 2, "protocol": "TCP"})]);
    }

    #[test]
    fn a_service_without_pods_has_an_empty_slice() {
        assert_eq!(slices(&json!({}), [].iter()), [Slice::default()]);
    }
}
