//! The rules for endpoints.

use serde_json::Value;

use crate::cause::Cause;
use crate::format;

/// The transport protocols, in the order in which they are listed.
pub(crate) const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// What is wrong with endpoints.
pub(crate) fn causes(endpoints: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (index, subset) in endpoints["subsets"].as_array().into_iter().flatten().enumerate() {
        let field = format!("subsets[{index}]");
        let list = |name: &str| subset[name].as_array().map(Vec::as_slice).unwrap_or_default();
        if list("addresses").is_empty() && list("notReadyAddresses").is_empty() {
            let rule = "must specify `addresses` or `notReadyAddresses`";
            causes.push(Cause::required(field.as_str(), rule));
        }
        for name in ["addresses", "notReadyAddresses"] {
            for (at, one) in list(name).iter().enumerate() {
                causes.extend(address(&format!("{field}.{name}[{at}]"), one));
            }
        }
        let several = list("ports").len() > 1;
        for (at, one) in list("ports").iter().enumerate() {
            causes.extend(port(&format!("{field}.ports[{at}]"), one, several));
        }
    }
    causes
}

fn address(field: &str, address: &Value) -> Vec<Cause> {
    let text = |name: &str| address[name].as_str().unwrap_or_default();
    let names = [
        ("hostname", format::dns_label(text("hostname"))),
        ("nodeName", format::dns_subdomain(text("nodeName"))),
    ];
    let mut causes: Vec<Cause> = Vec::new();
    for (name, wrong) in names {
        if let Some(wrong) = wrong.filter(|_| !text(name).is_empty()) {
            causes.push(Cause::invalid(format!("{field}.{name}"), text(name), &wrong));
        }
    }
    if let Some(wrong) = format::endpoint_address(text("ip")) {
        causes.push(Cause::invalid(format!("{field}.ip"), text("ip"), &wrong));
    }
    causes
}

fn port(field: &str, port: &Value, several: bool) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = port["name"].as_str().unwrap_or_default();
    if name.is_empty() && several {
        causes.push(Cause::required(format!("{field}.name"), ""));
    } else if !name.is_empty()
        && let Some(wrong) = format::dns_label(name)
    {
        causes.push(Cause::invalid(format!("{field}.name"), name, &wrong));
    }
    causes.extend(number(&format!("{field}.port"), &port["port"]));
    causes.extend(protocol(&format!("{field}.protocol"), &port["protocol"]));
    causes.extend(app_protocol(&format!("{field}.appProtocol"), &port["appProtocol"]));
    causes
}

/// What is wrong with a port's number.
pub(crate) fn number(field: &str, number: &Value) -> Option<Cause> {
    let number = number.as_i64().unwrap_or(0);
    Some(Cause::invalid(field, number, &format::port_number(number)?))
}

/// What is wrong with a port's protocol.
pub(crate) fn protocol(field: &str, protocol: &Value) -> Option<Cause> {
    match protocol.as_str() {
        None | Some("") => Some(Cause::required(field, "")),
        Some(name) if PROTOCOLS.contains(&name) => None,
        Some(name) => Some(Cause::unsupported(field, name, &PROTOCOLS)),
    }
}

/// What is wrong with the name of what is spoken over a port.
pub(crate) fn app_protocol(field: &str, name: &Value) -> Option<Cause> {
    let name = name.as_str()?;
    Some(Cause::invalid(field, name, &format::qualified_name(name)?))
}
