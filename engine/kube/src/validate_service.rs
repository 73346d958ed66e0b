//! The rules for services.

use serde_json::{Value, json};

use crate::address::HEADLESS;
use crate::cause::Cause;
use crate::validate_common::{Seen, labels};
use crate::{format, validate_endpoints};

/// The types of a service.
const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

/// kubelet's own port at every node.
const KUBELET_PORT: u64 = 10250;

/// What is wrong with a service, but for what is given out: its address and node ports.
pub(crate) fn causes(service: &Value, old: Option<&Value>) -> Vec<Cause> {
    let spec = &service["spec"];
    let kind = text(&spec["type"]);
    let mut causes = labels("spec.selector", &spec["selector"]);
    if !TYPES.contains(&kind) {
        causes.push(Cause::unsupported("spec.type", kind, &TYPES));
    }
    causes.extend(addresses(spec, old.map(|old| &old["spec"])));
    causes.extend(outside(spec, kind));
    causes.extend(policies(spec, kind));
    causes.extend(ports(spec, kind));
    causes
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The cluster address: what was asked for, and what was given out before.
fn addresses(spec: &Value, old: Option<&Value>) -> Vec<Cause> {
    let kind = text(&spec["type"]);
    let (one, all) = (text(&spec["clusterIP"]), list(&spec["clusterIPs"]));
    let mut causes = Vec::new();
    if kind == "ExternalName" {
        if !one.is_empty() || !all.is_empty() {
            let rule = "may not be set for ExternalName services";
            causes.push(Cause::forbidden("spec.clusterIPs", rule));
        }
        return causes;
    }
    let before = old.map(|old| text(&old["clusterIP"])).unwrap_or_default();
    if !before.is_empty() && before != one {
        let shown = json!([one]);
        causes.push(Cause::invalid("spec.clusterIPs[0]", shown, "may not change once set"));
        return causes;
    }
    if all.first().is_some_and(|first| text(first) != one) {
        let rule = "first value must match `clusterIP`";
        causes.push(Cause::invalid("spec.clusterIPs", json!(all), rule));
    }
    if all.len() > 1 {
        let rule = "may only hold up to 1 value on this cluster: it has IPv4 only";
        causes.push(Cause::invalid("spec.clusterIPs", json!(all), rule));
    }
    if one == HEADLESS && ["NodePort", "LoadBalancer"].contains(&kind) {
        let rule = format!("may not be set to 'None' for {kind} services");
        causes.push(Cause::invalid("spec.clusterIPs[0]", one, &rule));
    }
    if !one.is_empty() && one != HEADLESS && one.parse::<std::net::IpAddr>().is_err() {
        causes.push(Cause::invalid("spec.clusterIPs[0]", one, format::NO_ADDRESS));
    }
    for (at, family) in list(&spec["ipFamilies"]).iter().enumerate() {
        if text(family) != "IPv4" {
            let field = format!("spec.ipFamilies[{at}]");
            causes.push(Cause::invalid(field, text(family), "not configured on this cluster"));
        }
    }
    causes
}

/// Names and addresses outside the cluster.
fn outside(spec: &Value, kind: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if kind == "ExternalName" {
        let name = text(&spec["externalName"]);
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() {
            causes.push(Cause::required("spec.externalName", ""));
        } else if let Some(rule) = format::dns_subdomain(name) {
            causes.push(Cause::invalid("spec.externalName", name, &rule));
        }
    }
    for (at, address) in list(&spec["externalIPs"]).iter().enumerate() {
        if let Some(rule) = format::endpoint_address(text(address)) {
            let field = format!("spec.externalIPs[{at}]");
            causes.push(Cause::invalid(field, text(address), &rule));
        }
    }
    if kind != "LoadBalancer" {
        for name in ["loadBalancerSourceRanges", "loadBalancerClass"] {
            let (found, field) = (&spec[name], format!("spec.{name}"));
            if !found.is_null() && *found != json!([]) {
                let rule = "may only be used when `type` is 'LoadBalancer'";
                causes.push(Cause::forbidden(field, rule));
            }
        }
    }
    causes
}

/// Fields that hold one of a few words.
fn policies(spec: &Value, kind: &str) -> Vec<Cause> {
    let words: [(&str, &[&str]); 4] = [
        ("sessionAffinity", &["ClientIP", "None"]),
        ("externalTrafficPolicy", &["Cluster", "Local"]),
        ("internalTrafficPolicy", &["Cluster", "Local"]),
        ("ipFamilyPolicy", &["PreferDualStack", "RequireDualStack", "SingleStack"]),
    ];
    let mut causes = Vec::new();
    for (name, known) in words {
        let found = text(&spec[name]);
        if !found.is_empty() && !known.contains(&found) {
            causes.push(Cause::unsupported(format!("spec.{name}"), found, known));
        }
    }
    let policy = text(&spec["externalTrafficPolicy"]);
    if !policy.is_empty() && !["NodePort", "LoadBalancer"].contains(&kind) {
        let rule = "may only be set for externally-accessible services";
        causes.push(Cause::invalid("spec.externalTrafficPolicy", policy, rule));
    }
    causes
}

fn ports(spec: &Value, kind: &str) -> Vec<Cause> {
    let all = list(&spec["ports"]);
    let mut causes = Vec::new();
    if all.is_empty() && spec["clusterIP"] != HEADLESS && kind != "ExternalName" {
        causes.push(Cause::required("spec.ports", ""));
    }
    let (mut names, mut numbers, mut nodes) = (Seen::default(), Seen::default(), Seen::default());
    for (at, port) in all.iter().enumerate() {
        let field = format!("spec.ports[{at}]");
        causes.extend(single_port(&field, port, all.len() > 1));
        let (name, protocol) = (text(&port["name"]), text(&port["protocol"]));
        if !name.is_empty() && !names.is_new(name) {
            causes.push(Cause::duplicate(format!("{field}.name"), name));
        }
        if !numbers.is_new(format!("{protocol} {}", port["port"])) {
            let shown = json!({
                "Name": "", "Protocol": protocol, "AppProtocol": null, "Port": port["port"],
                "TargetPort": 0, "NodePort": 0,
            });
            causes.push(Cause::duplicate(field.as_str(), shown));
        }
        let node_port = &port["nodePort"];
        if kind == "LoadBalancer" && port["port"] == KUBELET_PORT {
            let rule = "may not expose port 10250 externally since it is used by kubelet";
            causes.push(Cause::invalid(format!("{field}.port"), KUBELET_PORT, rule));
        }
        if node_port.as_i64().is_none_or(|port| port == 0) {
            continue;
        }
        if !["NodePort", "LoadBalancer"].contains(&kind) {
            let rule = format!("may not be used when `type` is '{kind}'");
            causes.push(Cause::forbidden(format!("{field}.nodePort"), &rule));
        }
        if !nodes.is_new(format!("{protocol} {node_port}")) {
            causes.push(Cause::duplicate(format!("{field}.nodePort"), node_port.clone()));
        }
    }
    causes
}

fn single_port(field: &str, port: &Value, several: bool) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = text(&port["name"]);
    if name.is_empty() && several {
        causes.push(Cause::required(format!("{field}.name"), ""));
    } else if !name.is_empty()
        && let Some(rule) = format::dns_label(name)
    {
        causes.push(Cause::invalid(format!("{field}.name"), name, &rule));
    }
    causes.extend(validate_endpoints::number(&format!("{field}.port"), &port["port"]));
    causes.extend(validate_endpoints::protocol(&format!("{field}.protocol"), &port["protocol"]));
    let target = format!("{field}.targetPort");
    let wrong = match &port["targetPort"] {
        Value::String(name) => format::port_name(name),
        number => format::port_number(number.as_i64().unwrap_or(0)),
    };
    causes.extend(wrong.map(|rule| Cause::invalid(target, port["targetPort"].clone(), &rule)));
    let spoken = format!("{field}.appProtocol");
    causes.extend(validate_endpoints::app_protocol(&spoken, &port["appProtocol"]));
    causes
}
