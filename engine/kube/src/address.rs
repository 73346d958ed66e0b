//! Cluster addresses and node ports of services, and the fields Kubernetes fills in.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use crate::store::{Key, Store};
use crate::validate::invalid;
use crate::{ApiError, Kind};

/// The value of `clusterIP` of a headless service.
pub(crate) const HEADLESS: &str = "None";

/// Fills in what the writer of a service left out, keeping what was allocated before.
pub(crate) fn complete(
    store: &Store,
    key: &Key,
    service: &mut Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let mut spec = service["spec"].take().as_object().cloned().unwrap_or_default();
    let service_type = spec.entry("type").or_insert_with(|| json!("ClusterIP"));
    let service_type = service_type.as_str().unwrap_or_default().to_owned();
    spec.entry("sessionAffinity").or_insert_with(|| json!(HEADLESS));
    complete_ports(key, &mut spec)?;
    match service_type.as_str() {
        "ExternalName" => {
            spec.remove("clusterIP");
            spec.remove("clusterIPs");
        }
        "ClusterIP" | "NodePort" | "LoadBalancer" => {
            cluster_ip(store, key, &mut spec, old)?;
            node_ports(store, key, &mut spec, old, service_type != "ClusterIP")?;
        }
        other => {
            let rule = "supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \
                        \"NodePort\"";
            return Err(invalid(key, "spec.type", other, rule));
        }
    }
    service["spec"] = Value::Object(spec);
    if service_type != "LoadBalancer" || !service["status"].is_object() {
        service["status"] = json!({ "loadBalancer": {} });
    }
    Ok(())
}

fn complete_ports(key: &Key, spec: &mut Map<String, Value>) -> Result<(), ApiError> {
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten();
    for entry in ports {
        let Some(port) = entry["port"].as_u64().filter(|port| (1..=65535).contains(port)) else {
            let found = entry["port"].to_string();
            return Err(invalid(key, "spec.ports[].port", &found, "must be between 1 and 65535"));
        };
        if let Some(entry) = entry.as_object_mut() {
            entry.entry("protocol").or_insert_with(|| json!("TCP"));
            entry.entry("targetPort").or_insert_with(|| json!(port));
        }
    }
    Ok(())
}

fn cluster_ip(
    store: &Store,
    key: &Key,
    spec: &mut Map<String, Value>,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let text = |value: Option<&Value>| {
        value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let wanted = text(spec.get("clusterIP"));
    let before = text(old.map(|old| &old["spec"]["clusterIP"]));
    let address = match (wanted, before) {
        (Some(wanted), Some(before)) if wanted != before => {
            return Err(invalid(key, "spec.clusterIP", &wanted, "field is immutable"));
        }
        (_, Some(before)) => before,
        (Some(wanted), None) if wanted == HEADLESS => wanted,
        (Some(wanted), None) => requested(store, key, wanted)?,
        (None, None) => free_address(store).ok_or_else(|| {
            invalid(key, "spec.clusterIPs", "", "failed to allocate IP: range is full")
        })?,
    };
    spec.insert("clusterIPs".to_owned(), json!([address]));
    spec.insert("clusterIP".to_owned(), json!(address));
    Ok(())
}

fn requested(store: &Store, key: &Key, wanted: String) -> Result<String, ApiError> {
    let refuse = |rule: &str| Err(invalid(key, "spec.clusterIPs", &wanted, rule));
    match wanted.parse::<Ipv4Addr>() {
        Err(_) => refuse("must be a valid IP address"),
        Ok(_) if used_addresses(store).contains(&wanted) => {
            refuse("failed to allocate IP: provided IP is already allocated")
        }
        Ok(_) => Ok(wanted),
    }
}

fn used_addresses(store: &Store) -> BTreeSet<String> {
    let services = store.keys_of(Kind::Service, None);
    services
        .filter_map(|(_, service)| service.value()["spec"]["clusterIP"].as_str().map(str::to_owned))
        .collect()
}

fn free_address(store: &Store) -> Option<String> {
    let used = used_addresses(store);
    let (base, size) = store.options.cluster_ip_range;
    (0..size)
        .map(|offset| Ipv4Addr::from(u32::from(base).wrapping_add(offset)).to_string())
        .find(|address| !used.contains(address))
}

/// Gives each port its node port: the one asked for, the one it had, or a free one.
fn node_ports(
    store: &Store,
    key: &Key,
    spec: &mut Map<String, Value>,
    old: Option<&Value>,
    exposed: bool,
) -> Result<(), ApiError> {
    let mut used = used_node_ports(store, key);
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten();
    let mut without = Vec::new();
    for entry in ports {
        let kept = kept_node_port(entry, old);
        let Some(entry) = entry.as_object_mut() else { continue };
        if !exposed {
            entry.remove("nodePort");
            continue;
        }
        let asked = entry.get("nodePort").and_then(Value::as_u64).filter(|port| *port != 0);
        match asked.or(kept) {
            Some(port) => {
                if !used.insert(port) {
                    let rule = "provided port is already allocated";
                    return Err(invalid(key, "spec.ports[].nodePort", &port.to_string(), rule));
                }
                if !u16::try_from(port).is_ok_and(|port| store.options.node_ports.contains(&port)) {
                    let rule = "provided port is not in the valid range";
                    return Err(invalid(key, "spec.ports[].nodePort", &port.to_string(), rule));
                }
                entry.insert("nodePort".to_owned(), json!(port));
            }
            None => without.push(entry),
        }
    }
    for entry in without {
        let Some(port) = free_node_port(store, &mut used) else {
            let rule = "failed to allocate a nodePort: range is full";
            return Err(invalid(key, "spec.ports[].nodePort", "0", rule));
        };
        entry.insert("nodePort".to_owned(), json!(port));
    }
    Ok(())
}

/// A free port of the range, found from a place that differs from store to store: two
/// models on one machine then seldom want the same one.
fn free_node_port(store: &Store, used: &mut BTreeSet<u64>) -> Option<u16> {
    let range = store.options.node_ports.clone();
    let start = store.options.seed as usize % range.len().max(1);
    let ports = range.clone().skip(start).chain(range.take(start));
    ports.into_iter().find(|port| used.insert(u64::from(*port)))
}

/// The node port of the same port before this write, by port and protocol, else by name.
fn kept_node_port(entry: &Value, old: Option<&Value>) -> Option<u64> {
    let old_ports = old?["spec"]["ports"].as_array()?;
    let same_port =
        |other: &&Value| other["port"] == entry["port"] && other["protocol"] == entry["protocol"];
    let same_name = |other: &&Value| entry["name"].is_string() && other["name"] == entry["name"];
    let before = old_ports.iter().find(same_port).or_else(|| old_ports.iter().find(same_name))?;
    before["nodePort"].as_u64()
}

fn used_node_ports(store: &Store, except: &Key) -> BTreeSet<u64> {
    let others = store.keys_of(Kind::Service, None).filter(|(key, _)| *key != except);
    let ports = others.flat_map(|(_, service)| {
        service.value()["spec"]["ports"].as_array().cloned().unwrap_or_default()
    });
    ports.filter_map(|entry| entry["nodePort"].as_u64()).collect()
}
