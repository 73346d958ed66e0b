//! The names that follow from an application and its model.

use juju_charm::{AppName, UnitName};

/// Patroni's REST API.
pub(crate) const PATRONI_PORT: u16 = 8008;
/// PostgreSQL.
pub(crate) const POSTGRESQL_PORT: u16 = 5432;

/// An application in its model, which is a Kubernetes namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// The application.
    pub app: AppName,
    /// The model.
    pub model: String,
}

impl Topology {
    /// Patroni's name of the cluster.
    pub fn scope(&self) -> String {
        format!("patroni-{}", self.app)
    }

    /// A member's host as the peer databag has it: known inside the model only.
    pub fn member(&self, unit: &UnitName) -> String {
        format!("{}.{}", unit.pod(), self.headless_service())
    }

    /// A member's host with the model, known in the whole cluster.
    pub fn qualified(&self, member: &str) -> String {
        format!("{member}.{}.svc.cluster.local", self.model)
    }

    /// The host of the member in a pod, with the model; none where the pod is no unit's.
    pub fn host_of_pod(&self, pod: &str) -> Option<String> {
        unit_of(pod).map(|unit| self.qualified(&self.member(&unit)))
    }

    /// The service in front of the primary.
    pub fn primary_service(&self) -> String {
        format!("{}-primary", self.app)
    }

    /// The service in front of the replicas.
    pub fn replicas_service(&self) -> String {
        format!("{}-replicas", self.app)
    }

    /// The service that gives the members their names. Juju makes it.
    pub fn headless_service(&self) -> String {
        format!("{}-endpoints", self.app)
    }

    /// The services that the cluster cannot do without.
    pub fn services(&self) -> [String; 3] {
        [self.primary_service(), self.replicas_service(), self.headless_service()]
    }

    /// The host at which clients read and write.
    pub fn primary_host(&self) -> String {
        self.qualified(&self.primary_service())
    }

    /// The host at which clients read.
    pub fn replicas_host(&self) -> String {
        self.qualified(&self.replicas_service())
    }

    /// The pod of a member's host, for instance `pg-1` of `pg-1.pg-endpoints`.
    pub fn pod_of(member: &str) -> &str {
        member.split('.').next().unwrap_or(member)
    }

    /// The label of the secret with the application's passwords.
    pub fn passwords_label(&self) -> String {
        format!("database-peers.{}.app", self.app)
    }
}

/// The unit whose pod this is.
pub(crate) fn unit_of(pod: &str) -> Option<UnitName> {
    UnitName::from_pod(Topology::pod_of(pod)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_upstream_makes_them() {
        let topology = Topology { app: "pg-k8s".parse().unwrap(), model: "db".to_owned() };
        let member = topology.member(&"pg-k8s/12".parse().unwrap());
        assert_eq!(member, "pg-k8s-12.pg-k8s-endpoints");
        assert_eq!(Topology::pod_of(&member), "pg-k8s-12");
        assert_eq!(topology.qualified(&member), "pg-k8s-12.pg-k8s-endpoints.db.svc.cluster.local");
        assert_eq!(topology.host_of_pod("pg-k8s-12"), Some(topology.qualified(&member)));
        assert_eq!(topology.host_of_pod("stranger"), None);
        assert_eq!(topology.primary_host(), "pg-k8s-primary.db.svc.cluster.local");
        assert_eq!(topology.replicas_host(), "pg-k8s-replicas.db.svc.cluster.local");
        assert_eq!(topology.passwords_label(), "database-peers.pg-k8s.app");
    }
}
