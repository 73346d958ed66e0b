//! What Kubernetes' objects around the pods say.

use kubernetes_client::{Resource, label_selector};
use serde_json::Value;

use crate::facts::Objects;
use crate::ports::Ports;
use crate::topology::Topology;

/// Endpoints with this annotation are a lock: a controller manager that starts leaves them alone,
/// while it deletes others to which there is no service.
pub(crate) const LOCK: &str = "control-plane.alpha.kubernetes.io/leader";

/// The labels of Patroni's objects.
pub(crate) fn patronis(topology: &Topology) -> String {
    let scope = topology.scope();
    label_selector(&[("application", "patroni"), ("cluster-name", scope.as_str())])
}

/// The name of one of Patroni's objects, unless the charm has adopted it.
pub(crate) fn unadopted<'a>(
    kind: Resource,
    object: &'a Value,
    topology: &Topology,
) -> Option<&'a str> {
    let metadata = &object["metadata"];
    let safe = kind != Resource::Endpoints || metadata["annotations"][LOCK].is_string();
    let adopted = safe && !metadata["ownerReferences"].is_null();
    let name = metadata["name"].as_str().filter(|name| name.starts_with(&topology.scope()))?;
    (!adopted).then_some(name)
}

/// Looks at the objects; none when the API does not answer.
pub(crate) async fn objects(ports: &dyn Ports, topology: &Topology) -> Option<Objects> {
    let client = ports.kubernetes().ok()?;
    let services = client.list(Resource::Services, "").await.ok()?;
    let endpoints = client.list(Resource::Endpoints, &patronis(topology)).await.ok()?;
    let is_there = |name: &String| services.iter().any(|one| one["metadata"]["name"] == **name);
    Some(Objects {
        services: topology.services().iter().all(is_there),
        adopted: !endpoints
            .iter()
            .any(|one| unadopted(Resource::Endpoints, one, topology).is_some()),
    })
}

/// The identifier of the cluster's data, as Patroni keeps it for all members.
pub(crate) async fn system(ports: &dyn Ports, topology: &Topology) -> Option<u64> {
    let client = ports.kubernetes().ok()?;
    let name = format!("{}-config", topology.scope());
    let object = client.get(Resource::Endpoints, &name).await.ok()??;
    object["metadata"]["annotations"]["initialize"].as_str()?.parse().ok()
}
