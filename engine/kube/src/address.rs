//! Cluster addresses and node ports of services, and the fields Kubernetes fills in.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use crate::cause::Cause;
use crate::store::{Key, Store};
use crate::{ApiError, Kind};

/// The value of `clusterIP` of a headless service.
pub(crate) const HEADLESS: &str = "None";

/// Fills in what the writer of a service left out, keeping what was given out before.
pub(crate) fn defaults(service: &mut Value, old: Option<&Value>) {
    let mut spec = service["spec"].take().as_object().cloned().unwrap_or_default();
    let kind = text(spec.get("type")).unwrap_or_else(|| "ClusterIP".to_owned());
    spec.insert("type".to_owned(), json!(kind));
    spec.entry("sessionAffinity").or_insert_with(|| json!(HEADLESS));
    let exposed = is_exposed(&kind);
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten();
    for entry in ports.filter_map(Value::as_object_mut) {
        let is_unset = |value: Option<&Value>| {
            value.is_none_or(|value| value.is_null() || *value == 0 || *value == "")
        };
        let port = entry.get("port").cloned().unwrap_or_default();
        if is_unset(entry.get("protocol")) {
            entry.insert("protocol".to_owned(), json!("TCP"));
        }
        if is_unset(entry.get("targetPort")) {
            entry.insert("targetPort".to_owned(), port);
        }
        // A change of the type alone need not remove the other type's fields.
        if is_unset(entry.get("nodePort")) || (!exposed && had_node_port(old, &entry["nodePort"])) {
            entry.remove("nodePort");
        }
    }
    cluster_address(&mut spec, &kind, old);
    policies(&mut spec, &kind, old);
    service["spec"] = Value::Object(spec);
    if kind != "LoadBalancer" || !service["status"].is_object() {
        service["status"] = json!({ "loadBalancer": {} });
    }
}

/// Fills in the policies that services of that type have, and takes back those that only the type
/// before had.
fn policies(spec: &mut Map<String, Value>, kind: &str, old: Option<&Value>) {
    let inside = kind != "ExternalName";
    let rows = [
        ("internalTrafficPolicy", inside, json!("Cluster")),
        ("ipFamilies", inside, json!(["IPv4"])),
        ("ipFamilyPolicy", inside, json!("SingleStack")),
        ("externalTrafficPolicy", is_exposed(kind), json!("Cluster")),
        ("allocateLoadBalancerNodePorts", kind == "LoadBalancer", json!(true)),
        ("healthCheckNodePort", is_exposed(kind), Value::Null),
    ];
    for (name, has, usual) in rows {
        if !has && old.is_some_and(|old| spec.get(name) == Some(&old["spec"][name])) {
            spec.remove(name);
        } else if has && !usual.is_null() && !spec.contains_key(name) {
            spec.insert(name.to_owned(), usual);
        }
    }
}

/// The text in a field that is not empty.
fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn is_exposed(kind: &str) -> bool {
    ["NodePort", "LoadBalancer"].contains(&kind)
}

fn had_node_port(old: Option<&Value>, port: &Value) -> bool {
    let ports = old.and_then(|old| old["spec"]["ports"].as_array());
    ports.into_iter().flatten().any(|entry| entry["nodePort"] == *port)
}

/// Brings the two fields with the cluster address in line, and keeps the one given out before.
fn cluster_address(spec: &mut Map<String, Value>, kind: &str, old: Option<&Value>) {
    let before = text(old.map(|old| &old["spec"]["clusterIP"]));
    let wanted = text(spec.get("clusterIP"));
    if kind == "ExternalName" {
        if wanted == before {
            spec.remove("clusterIP");
            spec.remove("clusterIPs");
        }
        return;
    }
    let Some(address) = wanted.or_else(|| before.clone()) else { return };
    let list = spec.get("clusterIPs").filter(|list| **list != json!([]));
    // A client that changes only one of the two fields means both.
    if list.is_none() || list == old.map(|old| &old["spec"]["clusterIPs"]) {
        spec.insert("clusterIPs".to_owned(), json!([address]));
    }
    spec.insert("clusterIP".to_owned(), json!(address));
}

/// Gives out the cluster address and the node ports that a service has not yet.
pub(crate) fn allocate(
    store: &Store,
    key: &Key,
    service: &mut Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let mut spec = service["spec"].take().as_object().cloned().unwrap_or_default();
    let kind = text(spec.get("type")).unwrap_or_default();
    if kind != "ExternalName" {
        cluster_ip(store, key, &mut spec, old)?;
    }
    if is_exposed(&kind) {
        node_ports(store, key, &mut spec, old)?;
    }
    service["spec"] = Value::Object(spec);
    Ok(())
}

fn cluster_ip(
    store: &Store,
    key: &Key,
    spec: &mut Map<String, Value>,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let refuse = |shown: Value, rule: &str| {
        let rule = format!("failed to allocate IP{rule}");
        refused(key, Cause::invalid("spec.clusterIPs", shown, &rule))
    };
    let address = match text(spec.get("clusterIP")) {
        Some(wanted) if text(old.map(|old| &old["spec"]["clusterIP"])).is_some() => wanted,
        Some(wanted) if wanted == HEADLESS => wanted,
        Some(wanted) => {
            requested(store, &wanted)
                .map_err(|rule| refuse(json!([wanted]), &format!(" {wanted}: {rule}")))?;
            wanted
        }
        None => free_address(store).ok_or_else(|| refuse(Value::Null, ": range is full"))?,
    };
    spec.insert("clusterIPs".to_owned(), json!([address]));
    spec.insert("clusterIP".to_owned(), json!(address));
    Ok(())
}

fn refused(key: &Key, cause: Cause) -> ApiError {
    ApiError::Invalid { kind: key.kind, name: key.name.clone(), causes: vec![cause] }
}

/// Why a service cannot have the address that it asks for.
fn requested(store: &Store, wanted: &str) -> Result<(), String> {
    let (first, size) = store.options.cluster_ip_range;
    let last = Ipv4Addr::from(u32::from(first).wrapping_add(size.saturating_sub(1)));
    let in_range = wanted.parse::<Ipv4Addr>().is_ok_and(|wanted| (first..=last).contains(&wanted));
    if !in_range {
        return Err(format!(
            "the provided IP ({wanted}) is not in the valid range. The range of valid IPs is \
             {first}-{last}"
        ));
    }
    if used_addresses(store).contains(wanted) {
        return Err("provided IP is already allocated".to_owned());
    }
    Ok(())
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
) -> Result<(), ApiError> {
    let range = &store.options.node_ports;
    let taken = used_node_ports(store, key);
    // Ports of one service may share a number if their protocols differ.
    let mut used = taken.clone();
    let listed = spec.get("ports").and_then(Value::as_array).into_iter().flatten();
    let asked_for: BTreeSet<u64> =
        listed.filter_map(|entry| entry["nodePort"].as_u64()).filter(|port| *port != 0).collect();
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten();
    let mut without = Vec::new();
    for (at, entry) in ports.enumerate() {
        let refuse = |port: u64, rule: &str| {
            Err(refused(key, Cause::invalid(format!("spec.ports[{at}].nodePort"), port, rule)))
        };
        let kept = kept_node_port(entry, old).filter(|port| !asked_for.contains(port));
        let Some(entry) = entry.as_object_mut() else { continue };
        let asked = entry.get("nodePort").and_then(Value::as_i64);
        match asked.map(|port| u64::try_from(port).unwrap_or_default()).or(kept) {
            Some(port) => {
                if !u16::try_from(port).is_ok_and(|port| range.contains(&port)) {
                    let (first, last) = (range.start(), range.end());
                    let rule = format!(
                        "provided port is not in the valid range. The range of valid ports is \
                         {first}-{last}"
                    );
                    return refuse(port, &rule);
                }
                if taken.contains(&port) {
                    return refuse(port, "provided port is already allocated");
                }
                used.insert(port);
                entry.insert("nodePort".to_owned(), json!(port));
            }
            None => without.push((at, entry)),
        }
    }
    for (at, entry) in without {
        let Some(port) = free_node_port(store, &mut used) else {
            let rule = "failed to allocate a nodePort: range is full";
            let field = format!("spec.ports[{at}].nodePort");
            return Err(refused(key, Cause::invalid(field, 0, rule)));
        };
        entry.insert("nodePort".to_owned(), json!(port));
    }
    Ok(())
}

/// A free port of the range, found from a place that differs from time to time and from store to
/// store: two models on one machine then seldom want the same one.
fn free_node_port(store: &Store, used: &mut BTreeSet<u64>) -> Option<u16> {
    let range = store.options.node_ports.clone();
    let start = store.scattered(range.len().max(1) as u64) as usize;
    let ports = range.clone().skip(start).chain(range.take(start));
    ports.into_iter().find(|port| used.insert(u64::from(*port)))
}

/// The node port that the port of that name had before this write.
fn kept_node_port(entry: &Value, old: Option<&Value>) -> Option<u64> {
    let name = |port: &Value| port["name"].as_str().unwrap_or_default().to_owned();
    let before = old?["spec"]["ports"].as_array()?;
    before.iter().find(|other| name(other) == name(entry))?["nodePort"].as_u64()
}

fn used_node_ports(store: &Store, except: &Key) -> BTreeSet<u64> {
    let others = store.keys_of(Kind::Service, None).filter(|(key, _)| *key != except);
    let ports = others.flat_map(|(_, service)| {
        service.value()["spec"]["ports"].as_array().cloned().unwrap_or_default()
    });
    ports.filter_map(|entry| entry["nodePort"].as_u64()).collect()
}
