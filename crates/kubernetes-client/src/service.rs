//! The services that charms apply.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::owner_references;

/// How a service is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ServiceType {
    /// Inside the cluster.
    #[default]
    ClusterIp,
    /// At a port of every node.
    NodePort,
    /// At an address outside the cluster.
    LoadBalancer,
}

impl ServiceType {
    /// The value of `spec.type`.
    pub fn as_str(self) -> &'static str {
        match self {
            ServiceType::ClusterIp => "ClusterIP",
            ServiceType::NodePort => "NodePort",
            ServiceType::LoadBalancer => "LoadBalancer",
        }
    }
}

/// A service to be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    name: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    selector: BTreeMap<String, String>,
    ports: Vec<(String, u16)>,
    service_type: ServiceType,
    owners: Option<Value>,
    headless: bool,
}

impl Service {
    /// A service inside the cluster, without labels, selector and ports.
    pub fn new(name: impl Into<String>) -> Service {
        Service {
            name: name.into(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            selector: BTreeMap::new(),
            ports: Vec::new(),
            service_type: ServiceType::default(),
            owners: None,
            headless: false,
        }
    }

    /// One without an address of its own: it gives each pod a name, ready or not.
    pub fn headless(name: impl Into<String>) -> Service {
        Service { headless: true, ..Service::new(name) }
    }

    /// With a label of its own.
    pub fn label(mut self, key: &str, value: &str) -> Service {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With annotations of its own.
    pub fn annotations(mut self, annotations: BTreeMap<String, String>) -> Service {
        self.annotations = annotations;
        self
    }

    /// In front of the pods with this label, and with the others asked for.
    pub fn selects(mut self, key: &str, value: &str) -> Service {
        self.selector.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With a TCP port that is the same at the service and at the pods.
    pub fn port(mut self, name: &str, port: u16) -> Service {
        self.ports.push((name.to_owned(), port));
        self
    }

    /// Reached in this way.
    pub fn service_type(mut self, service_type: ServiceType) -> Service {
        self.service_type = service_type;
        self
    }

    /// Removed with the owner of `pod`, which is the application's stateful set.
    pub fn owned_like(mut self, pod: &Value) -> Service {
        self.owners = Some(owner_references(pod));
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The object for [`crate::Client::apply`].
    pub fn to_value(&self) -> Value {
        let port = |(name, number): &(String, u16)| {
            let mut port = json!({ "name": name, "protocol": "TCP" });
            port["port"] = json!(number);
            port["targetPort"] = json!(number);
            port
        };
        let mut metadata = json!({ "name": self.name, "labels": self.labels });
        if !self.annotations.is_empty() {
            metadata["annotations"] = json!(self.annotations);
        }
        if let Some(owners) = &self.owners {
            metadata["ownerReferences"] = owners.clone();
        }
        let mut spec = json!({
            "type": self.service_type.as_str(),
            "selector": self.selector,
            "ports": self.ports.iter().map(port).collect::<Vec<_>>(),
        });
        if self.headless {
            spec["clusterIP"] = json!("None");
            spec["publishNotReadyAddresses"] = json!(true);
        }
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_headless_service_names_pods_that_are_not_ready() {
        let spec = &Service::headless("pg-endpoints").selects("app", "pg").to_value()["spec"];
        assert_eq!(
            spec,
            &json!({
                "type": "ClusterIP", "clusterIP": "None", "publishNotReadyAddresses": true,
                "selector": { "app": "pg" }, "ports": [],
            })
        );
    }

    #[test]
    fn a_service_holds_what_was_asked_for() {
        let owner = json!({ "kind": "StatefulSet", "name": "pg", "uid": "1" });
        let pod = json!({ "metadata": { "ownerReferences": [owner] } });
        let service = Service::new("pg-primary")
            .label("app.kubernetes.io/name", "pg")
            .selects("role", "primary")
            .port("database", 5432)
            .service_type(ServiceType::NodePort)
            .owned_like(&pod)
            .to_value();
        assert_eq!(
            service,
            json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {
                    "name": "pg-primary",
                    "labels": { "app.kubernetes.io/name": "pg" },
                    "ownerReferences": [owner],
                },
                "spec": {
                    "type": "NodePort",
                    "selector": { "role": "primary" },
                    "ports": [{
                        "name": "database", "port": 5432, "targetPort": 5432, "protocol": "TCP",
                    }],
                },
            })
        );
    }
}
