//! The kinds of object that are stored.

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A pod.
    Pod,
    /// The addresses behind a service, or a lock of Patroni's.
    Endpoints,
    /// A service.
    Service,
    /// A machine; not in any namespace.
    Node,
    /// An application's stateful set.
    StatefulSet,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 5] =
        [Kind::Pod, Kind::Endpoints, Kind::Service, Kind::Node, Kind::StatefulSet];

    /// The name in `kind`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Pod => "Pod",
            Kind::Endpoints => "Endpoints",
            Kind::Service => "Service",
            Kind::Node => "Node",
            Kind::StatefulSet => "StatefulSet",
        }
    }

    /// The name in a path.
    pub fn plural(self) -> &'static str {
        match self {
            Kind::Pod => "pods",
            Kind::Endpoints => "endpoints",
            Kind::Service => "services",
            Kind::Node => "nodes",
            Kind::StatefulSet => "statefulsets",
        }
    }

    /// The API group; empty for the core group.
    pub fn group(self) -> &'static str {
        if self == Kind::StatefulSet { "apps" } else { "" }
    }

    /// The value of `apiVersion`.
    pub fn api_version(self) -> &'static str {
        if self == Kind::StatefulSet { "apps/v1" } else { "v1" }
    }

    /// Whether its objects live in a namespace.
    pub fn namespaced(self) -> bool {
        self != Kind::Node
    }

    /// The name in messages: `pods`, `statefulsets.apps`.
    pub fn qualified(self) -> &'static str {
        if self == Kind::StatefulSet { "statefulsets.apps" } else { self.plural() }
    }

    /// The name in messages about an object: `Pod`, `StatefulSet.apps`.
    pub(crate) fn qualified_name(self) -> &'static str {
        if self == Kind::StatefulSet { "StatefulSet.apps" } else { self.name() }
    }

    /// Finds a kind by its group and the plural in a path.
    pub fn find(group: &str, plural: &str) -> Option<Kind> {
        Self::ALL.into_iter().find(|kind| kind.group() == group && kind.plural() == plural)
    }

    /// Finds a kind by the value of `kind`.
    pub fn named(name: &str) -> Option<Kind> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}
