//! `network-get` and `credential-get`.

use juju_names::RelationId;
use serde_json::{Value, json};

use crate::tool::call::{ToolCall, refused};
use crate::tool::{Answer, NetworkInfo};

impl ToolCall<'_> {
    /// Addresses of an endpoint or extra binding.
    ///
    /// # Errors
    /// An unknown binding or relation.
    pub fn network_get(&self, name: &str, id: Option<RelationId>) -> Answer<NetworkInfo> {
        let own = &self.session.run.unit;
        if let Some(id) = id {
            self.relation(id)?;
        }
        let known = self.model.apps.get(own.app()).filter(|app| {
            let charm = &app.charm;
            charm.endpoint(name).is_some()
                || charm.extra_bindings.contains(name)
                || name == "juju-info"
        });
        let none = || refused(format!("no network config found for binding {name:?}"));
        let app = known.ok_or_else(none)?;
        let address = self.model.unit(own).and_then(|unit| unit.address.clone());
        let bind_address = address.unwrap_or_default();
        let ingress_address = app.address.clone().unwrap_or_else(|| bind_address.clone());
        let (interface, hostname, cidr) = match self.model.rules().network_named {
            true => {
                let interface = format!("placeholder for \"{own}\" cloud container");
                (interface, bind_address.clone(), "0.0.0.0/0".to_owned())
            }
            false => Default::default(),
        };
        Ok(NetworkInfo { bind_address, ingress_address, interface, hostname, cidr })
    }

    /// The cloud's credential: the model says whether the unit may have it, the pod what it is.
    ///
    /// # Errors
    /// An application that is not trusted.
    pub fn credential_get(&self) -> Answer<Value> {
        let refuse = |why: &str| refused(format!("cannot access cloud credentials: {why}"));
        let unit = &self.session.run.unit;
        if !self.model.apps.get(unit.app()).is_some_and(|app| app.trust) {
            return Err(refuse("getting model credentials: permission denied"));
        }
        let config = self.model.memory_of(unit).in_cluster.as_ref();
        let config = config.ok_or_else(|| refuse("reading in-cluster config"))?;
        Ok(json!({
            "type": "kubernetes",
            "name": config.cloud,
            "endpoint": config.host,
            "credential": {"auth-type": "oauth2", "attrs": {"Token": config.bearer_token}},
            "cacertificates": [config.ca_certificate],
            "is-controller-cloud": true,
        }))
    }
}
