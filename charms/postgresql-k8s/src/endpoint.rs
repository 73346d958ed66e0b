//! The charm's endpoints.

juju_charm::endpoints! {
    /// The endpoints on which the charm does something.
    pub(crate) enum Endpoint {
        /// The other units.
        Peers = "database-peers",
        /// What an older charm coordinates its upgrade by.
        Upgrade = "upgrade",
        /// Clients.
        Database = "database",
        /// The issuer of the units' certificates.
        Certificates = "certificates",
        /// Those who scrape metrics.
        Metrics = "metrics-endpoint",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use juju_charm::EndpointSet as _;

    #[test]
    fn the_metadata_declares_every_endpoint() {
        let metadata = include_str!("../metadata.yaml");
        for endpoint in Endpoint::ALL {
            assert!(metadata.contains(&format!("\n  {endpoint}:\n")), "{endpoint}");
        }
    }
}
