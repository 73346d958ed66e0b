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
    /// What the others are in.
    Namespace,
    /// Confidential values.
    Secret,
    /// Values.
    ConfigMap,
    /// Who a pod is to the API.
    ServiceAccount,
    /// A volume that a pod wants.
    PersistentVolumeClaim,
    /// What happened to an object.
    Event,
    /// A way into the cluster by names and paths.
    Ingress,
    /// A part of the addresses behind a service.
    EndpointSlice,
}

/// What is to be known of a kind.
struct Facts {
    name: &'static str,
    plural: &'static str,
    /// The name in messages about objects: with its group.
    qualified: &'static str,
    qualified_name: &'static str,
    group: &'static str,
    short: &'static [&'static str],
    namespaced: bool,
    /// Whether its status has a path of its own.
    status: bool,
    /// Whether an object that is gone is the answer to its deletion, rather than a status.
    shown: bool,
}

/// A kind of the core group: its names, whether it has a status, and whether it is shown when it
/// is gone.
const fn core(
    name: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    status: bool,
    shown: bool,
) -> Facts {
    Facts {
        name,
        plural,
        qualified: plural,
        qualified_name: name,
        group: "",
        short,
        namespaced: true,
        status,
        shown,
    }
}

static POD: Facts = core("Pod", "pods", &["po"], true, true);
static ENDPOINTS: Facts = core("Endpoints", "endpoints", &["ep"], false, false);
static SERVICE: Facts = core("Service", "services", &["svc"], true, true);
static NODE: Facts = Facts { namespaced: false, ..core("Node", "nodes", &["no"], true, false) };
static STATEFUL_SET: Facts = Facts {
    qualified: "statefulsets.apps",
    qualified_name: "StatefulSet.apps",
    group: "apps",
    ..core("StatefulSet", "statefulsets", &["sts"], true, false)
};
static NAMESPACE: Facts =
    Facts { namespaced: false, ..core("Namespace", "namespaces", &["ns"], true, true) };
static SECRET: Facts = core("Secret", "secrets", &[], false, false);
static CONFIG_MAP: Facts = core("ConfigMap", "configmaps", &["cm"], false, false);
static SERVICE_ACCOUNT: Facts = core("ServiceAccount", "serviceaccounts", &["sa"], false, true);
static CLAIM: Facts = core("PersistentVolumeClaim", "persistentvolumeclaims", &["pvc"], true, true);
static EVENT: Facts = core("Event", "events", &["ev"], false, false);
static INGRESS: Facts = Facts {
    qualified: "ingresses.networking.k8s.io",
    qualified_name: "Ingress.networking.k8s.io",
    group: "networking.k8s.io",
    ..core("Ingress", "ingresses", &["ing"], true, false)
};
static SLICE: Facts = Facts {
    qualified: "endpointslices.discovery.k8s.io",
    qualified_name: "EndpointSlice.discovery.k8s.io",
    group: "discovery.k8s.io",
    ..core("EndpointSlice", "endpointslices", &[], false, false)
};

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 13] = [
        Kind::Pod,
        Kind::Endpoints,
        Kind::Service,
        Kind::Node,
        Kind::StatefulSet,
        Kind::Namespace,
        Kind::Secret,
        Kind::ConfigMap,
        Kind::ServiceAccount,
        Kind::PersistentVolumeClaim,
        Kind::Event,
        Kind::Ingress,
        Kind::EndpointSlice,
    ];

    /// The API groups beside the core group.
    pub(crate) const GROUPS: [&str; 3] = ["apps", "discovery.k8s.io", "networking.k8s.io"];

    fn facts(self) -> &'static Facts {
        match self {
            Kind::Pod => &POD,
            Kind::Endpoints => &ENDPOINTS,
            Kind::Service => &SERVICE,
            Kind::Node => &NODE,
            Kind::StatefulSet => &STATEFUL_SET,
            Kind::Namespace => &NAMESPACE,
            Kind::Secret => &SECRET,
            Kind::ConfigMap => &CONFIG_MAP,
            Kind::ServiceAccount => &SERVICE_ACCOUNT,
            Kind::PersistentVolumeClaim => &CLAIM,
            Kind::Event => &EVENT,
            Kind::Ingress => &INGRESS,
            Kind::EndpointSlice => &SLICE,
        }
    }

    /// The name in `kind`.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The name in a path.
    pub fn plural(self) -> &'static str {
        self.facts().plural
    }

    /// The names that people type.
    pub(crate) fn short(self) -> &'static [&'static str] {
        self.facts().short
    }

    /// The API group; empty for the core group.
    pub fn group(self) -> &'static str {
        self.facts().group
    }

    /// The value of `apiVersion`: every group here has one version, `v1`.
    pub fn api_version(self) -> &'static str {
        match self.group() {
            "apps" => "apps/v1",
            "discovery.k8s.io" => "discovery.k8s.io/v1",
            "networking.k8s.io" => "networking.k8s.io/v1",
            _ => "v1",
        }
    }

    /// Whether its status has a path of its own.
    pub(crate) fn has_status(self) -> bool {
        self.facts().status
    }

    /// Whether an object that is gone is the answer to its deletion, rather than a status.
    pub(crate) fn is_shown_when_deleted(self) -> bool {
        self.facts().shown
    }

    /// Whether an object that is not there is made by replacing it.
    pub(crate) fn is_made_by_replacing(self) -> bool {
        matches!(self, Kind::Service | Kind::Endpoints | Kind::Event)
    }

    /// Whether Juju marks what charms write of it, to remove it with them.
    pub(crate) fn is_marked(self) -> bool {
        matches!(
            self,
            Kind::Pod
                | Kind::Service
                | Kind::StatefulSet
                | Kind::Secret
                | Kind::ConfigMap
                | Kind::ServiceAccount
                | Kind::Ingress
        )
    }

    /// Whether its objects live in a namespace.
    pub fn namespaced(self) -> bool {
        self.facts().namespaced
    }

    /// The name in messages: `pods`, `statefulsets.apps`.
    pub fn qualified(self) -> &'static str {
        self.facts().qualified
    }

    /// The name in messages about an object: `Pod`, `StatefulSet.apps`.
    pub(crate) fn qualified_name(self) -> &'static str {
        self.facts().qualified_name
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
