//! What Kubernetes fills in, in kinds that hold values, in endpoints, and in pods.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::Kind;
use crate::store::Key;

/// Fills in what the writer of an object left out; `old` is what it replaces.
pub(crate) fn defaults(key: &Key, value: &mut Value, old: Option<&Value>) {
    match key.kind {
        Kind::Endpoints => endpoints(value),
        Kind::Secret => secret(value),
        Kind::Namespace => namespace(key, value),
        Kind::Pod => {
            // What a pod is made from stays as it is.
            let usual = [
                ("restartPolicy", json!("Always")),
                ("dnsPolicy", json!("ClusterFirst")),
                ("terminationGracePeriodSeconds", json!(30)),
            ];
            fill(&mut value["spec"], if old.is_some() { &[] } else { &usual });
            fill(&mut value["status"], &[("phase", json!("Pending"))]);
            addresses(&mut value["status"]);
        }
        Kind::PersistentVolumeClaim => fill(&mut value["status"], &[("phase", json!("Pending"))]),
        _ => {}
    }
}

/// Brings a pod's address in line with the list of its addresses.
fn addresses(status: &mut Value) {
    let text = |value: &Value| value.as_str().filter(|ip| !ip.is_empty()).map(str::to_owned);
    match (text(&status["podIP"]), text(&status["podIPs"][0]["ip"])) {
        (Some(one), first) if first.as_ref() != Some(&one) => {
            status["podIPs"] = json!([{ "ip": one }])
        }
        (None, Some(first)) => status["podIP"] = json!(first),
        _ => {}
    }
}

fn fill(fields: &mut Value, usual: &[(&str, Value)]) {
    for (name, value) in usual {
        if fields[*name].is_null() {
            fields[*name] = value.clone();
        }
    }
}

fn endpoints(endpoints: &mut Value) {
    let subsets = endpoints["subsets"].as_array_mut().into_iter().flatten();
    let ports = subsets.filter_map(|subset| subset.get_mut("ports")?.as_array_mut()).flatten();
    for port in ports.filter_map(Value::as_object_mut) {
        port.entry("protocol").or_insert_with(|| json!("TCP"));
    }
}

/// Plain values of a secret are written beside the others, and never read.
fn secret(value: &mut Value) {
    let plain = value.as_object_mut().and_then(|fields| fields.remove("stringData"));
    for (name, text) in plain.iter().filter_map(Value::as_object).flatten() {
        let text = text.as_str().unwrap_or_default();
        value["data"][name.as_str()] = json!(STANDARD.encode(text));
    }
    fill(value, &[("type", json!("Opaque"))]);
}

fn namespace(key: &Key, value: &mut Value) {
    value["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(key.name);
    fill(&mut value["spec"], &[("finalizers", json!(["kubernetes"]))]);
    fill(&mut value["status"], &[("phase", json!("Active"))]);
}
