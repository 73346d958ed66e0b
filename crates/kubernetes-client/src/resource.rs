//! The resources that charms touch.

/// A resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Pods of the model.
    Pods,
    /// Services of the model.
    Services,
    /// Endpoints of the model.
    Endpoints,
    /// Machines of the cluster.
    Nodes,
    /// Stateful sets of the model.
    StatefulSets,
}

impl Resource {
    /// The value of `kind`.
    pub fn kind(self) -> &'static str {
        match self {
            Resource::Pods => "Pod",
            Resource::Services => "Service",
            Resource::Endpoints => "Endpoints",
            Resource::Nodes => "Node",
            Resource::StatefulSets => "StatefulSet",
        }
    }

    /// The value of `apiVersion`.
    pub fn api_version(self) -> &'static str {
        if self == Resource::StatefulSets { "apps/v1" } else { "v1" }
    }

    /// The path of all objects of this resource in `namespace`.
    pub(crate) fn path(self, namespace: &str) -> String {
        match self {
            Resource::Pods => format!("/api/v1/namespaces/{namespace}/pods"),
            Resource::Services => format!("/api/v1/namespaces/{namespace}/services"),
            Resource::Endpoints => format!("/api/v1/namespaces/{namespace}/endpoints"),
            Resource::Nodes => "/api/v1/nodes".to_owned(),
            Resource::StatefulSets => format!("/apis/apps/v1/namespaces/{namespace}/statefulsets"),
        }
    }
}
