//! The charm's endpoints.

juju_charm::endpoints! {
    /// The endpoints on which the charm does something.
    pub(crate) enum Endpoint of "../metadata.yaml" {
        /// The other units.
        Peers = "database-peers",
        /// What an older charm coordinates its upgrade by.
        Upgrade = "upgrade",
        /// Clients.
        Database = "database",
        /// Legacy clients that use one database.
        Db = "db",
        /// Legacy clients that may do everything.
        DbAdmin = "db-admin",
        /// The issuer of the units' certificates.
        Certificates = "certificates",
        /// Those who scrape metrics.
        Metrics = "metrics-endpoint",
        /// Those who show dashboards.
        Dashboards = "grafana-dashboard",
        /// Those who keep logs.
        Logging = "logging",
    }
}

/// The endpoints of clients.
pub(crate) const OF_CLIENTS: [Endpoint; 3] = [Endpoint::Database, Endpoint::Db, Endpoint::DbAdmin];
