//! What charms read out of objects.

use serde_json::{Value, json};

/// The owners of an object, for an object that shall have the same.
pub fn owner_references(object: &Value) -> Value {
    match &object["metadata"]["ownerReferences"] {
        Value::Array(owners) => json!(owners),
        _ => json!([]),
    }
}

/// The node port of a service's port.
pub fn node_port(service: &Value, port: u16) -> Option<u16> {
    let mut ports = service["spec"]["ports"].as_array()?.iter();
    let found = ports.find(|entry| entry["port"] == port)?;
    u16::try_from(found["nodePort"].as_u64()?).ok()
}

/// Where a service of type `LoadBalancer` is reached: the first ingress' address, else its
/// host name; none until it is assigned.
pub fn ingress(service: &Value) -> Option<&str> {
    let first = service["status"]["loadBalancer"]["ingress"].as_array()?.first()?;
    first["ip"].as_str().or(first["hostname"].as_str()).filter(|host| !host.is_empty())
}

/// Where a node is reached: its external address, else the internal one, else its host name.
pub fn node_address(node: &Value) -> Option<&str> {
    let addresses = node["status"]["addresses"].as_array()?;
    ["ExternalIP", "InternalIP", "Hostname"].iter().find_map(|wanted| {
        let found = addresses.iter().find(|address| address["type"] == **wanted)?;
        found["address"].as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_preferred_in_order() {
        let internal = json!({ "type": "InternalIP", "address": "10.0.0.1" });
        let host = json!({ "type": "Hostname", "address": "n" });
        let node = json!({ "status": { "addresses": [host, internal] } });
        assert_eq!(node_address(&node), Some("10.0.0.1"));
        assert_eq!(node_address(&json!({})), None);
    }

    #[test]
    fn a_load_balancer_has_an_address_or_a_name_or_none() {
        let service = |ingress: Value| json!({ "status": { "loadBalancer": ingress } });
        let both = service(json!({ "ingress": [{ "ip": "1.2.3.4", "hostname": "lb" }] }));
        assert_eq!(ingress(&both), Some("1.2.3.4"));
        assert_eq!(ingress(&service(json!({ "ingress": [{ "hostname": "lb" }] }))), Some("lb"));
        assert_eq!(ingress(&service(json!({}))), None);
    }

    #[test]
    fn node_ports_are_found_by_port() {
        let service = json!({ "spec": { "ports": [{ "port": 6432, "nodePort": 30001 }] } });
        assert_eq!(node_port(&service, 6432), Some(30001));
        assert_eq!(node_port(&service, 5432), None);
    }
}
