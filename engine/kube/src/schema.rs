//! The fields of the kinds that are kept, and their types. What no kind has is dropped, as
//! decoding into Kubernetes' types does; deep inside pods everything is taken as it comes.

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine as _};
use serde_json::Value;

use crate::{ApiError, Kind};

/// A type of Kubernetes' own, as far as this API looks at it.
enum Type {
    /// Anything: this API reads nothing below.
    Any,
    Text,
    Bool,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// A number of 32 bits, or a text.
    IntOrText,
    /// A map of texts.
    Texts,
    List(&'static Type),
    Fields(&'static [(&'static str, &'static Type)]),
}

use Type::{Any, Bool, Fields, Int, IntOrText, List, Long, Text, Texts};

static OWNER: Type = Fields(&[
    ("apiVersion", &Text),
    ("kind", &Text),
    ("name", &Text),
    ("uid", &Text),
    ("controller", &Bool),
    ("blockOwnerDeletion", &Bool),
]);

static METADATA: Type = Fields(&[
    ("name", &Text),
    ("generateName", &Text),
    ("namespace", &Text),
    ("selfLink", &Text),
    ("uid", &Text),
    ("resourceVersion", &Text),
    ("generation", &Long),
    ("creationTimestamp", &Text),
    ("deletionTimestamp", &Text),
    ("deletionGracePeriodSeconds", &Long),
    ("labels", &Texts),
    ("annotations", &Texts),
    ("ownerReferences", &List(&OWNER)),
    ("finalizers", &List(&Text)),
    ("managedFields", &Any),
]);

static SERVICE_PORT: Type = Fields(&[
    ("name", &Text),
    ("protocol", &Text),
    ("appProtocol", &Text),
    ("port", &Int),
    ("targetPort", &IntOrText),
    ("nodePort", &Int),
]);

static SERVICE_SPEC: Type = Fields(&[
    ("ports", &List(&SERVICE_PORT)),
    ("selector", &Texts),
    ("clusterIP", &Text),
    ("clusterIPs", &List(&Text)),
    ("type", &Text),
    ("externalIPs", &List(&Text)),
    ("sessionAffinity", &Text),
    ("loadBalancerIP", &Text),
    ("loadBalancerSourceRanges", &List(&Text)),
    ("externalName", &Text),
    ("externalTrafficPolicy", &Text),
    ("healthCheckNodePort", &Int),
    ("publishNotReadyAddresses", &Bool),
    ("sessionAffinityConfig", &Any),
    ("ipFamilies", &List(&Text)),
    ("ipFamilyPolicy", &Text),
    ("allocateLoadBalancerNodePorts", &Bool),
    ("loadBalancerClass", &Text),
    ("internalTrafficPolicy", &Text),
    ("trafficDistribution", &Text),
]);

static INGRESS: Type =
    Fields(&[("ip", &Text), ("hostname", &Text), ("ipMode", &Text), ("ports", &Any)]);

static SERVICE: Type = Fields(&[
    ("apiVersion", &Text),
    ("kind", &Text),
    ("metadata", &METADATA),
    ("spec", &SERVICE_SPEC),
    (
        "status",
        &Fields(&[
            ("loadBalancer", &Fields(&[("ingress", &List(&INGRESS))])),
            ("conditions", &List(&Any)),
        ]),
    ),
]);

static ENDPOINT: Type = Fields(&[
    ("ip", &Text),
    ("hostname", &Text),
    ("nodeName", &Text),
    (
        "targetRef",
        &Fields(&[
            ("kind", &Text),
            ("namespace", &Text),
            ("name", &Text),
            ("uid", &Text),
            ("apiVersion", &Text),
            ("resourceVersion", &Text),
            ("fieldPath", &Text),
        ]),
    ),
]);

static ENDPOINT_PORT: Type =
    Fields(&[("name", &Text), ("port", &Int), ("protocol", &Text), ("appProtocol", &Text)]);

static SUBSET: Type = Fields(&[
    ("addresses", &List(&ENDPOINT)),
    ("notReadyAddresses", &List(&ENDPOINT)),
    ("ports", &List(&ENDPOINT_PORT)),
]);

static ENDPOINTS: Type = Fields(&[
    ("apiVersion", &Text),
    ("kind", &Text),
    ("metadata", &METADATA),
    ("subsets", &List(&SUBSET)),
]);

/// A pod's and a stateful set's inside: only maps, whose keys are not checked.
static SPEC_AND_STATUS: Type = Fields(&[
    ("apiVersion", &Text),
    ("kind", &Text),
    ("metadata", &METADATA),
    ("spec", &Any),
    ("status", &Any),
]);

static SECRET: Type = Fields(&[
    ("apiVersion", &Text),
    ("kind", &Text),
    ("metadata", &METADATA),
    ("data", &Texts),
    ("stringData", &Texts),
    ("type", &Text),
    ("immutable", &Bool),
]);

static CONFIG_MAP: Type = Fields(&[
    ("apiVersion", &Text),
    ("kind", &Text),
    ("metadata", &METADATA),
    ("data", &Texts),
    ("binaryData", &Texts),
    ("immutable", &Bool),
]);

static NAMED: Type = Fields(&[("name", &Text)]);

static SERVICE_ACCOUNT: Type = Fields(&[
    ("apiVersion", &Text),
    ("kind", &Text),
    ("metadata", &METADATA),
    ("secrets", &List(&Any)),
    ("imagePullSecrets", &List(&NAMED)),
    ("automountServiceAccountToken", &Bool),
]);

static EVENT: Type = Fields(&[
    ("apiVersion", &Text),
    ("kind", &Text),
    ("metadata", &METADATA),
    ("involvedObject", &Any),
    ("reason", &Text),
    ("message", &Text),
    ("source", &Any),
    ("firstTimestamp", &Text),
    ("lastTimestamp", &Text),
    ("count", &Int),
    ("type", &Text),
    ("eventTime", &Text),
    ("series", &Any),
    ("action", &Text),
    ("related", &Any),
    ("reportingComponent", &Text),
    ("reportingInstance", &Text),
]);

static SLICE: Type = Fields(&[
    ("apiVersion", &Text),
    ("kind", &Text),
    ("metadata", &METADATA),
    ("addressType", &Text),
    ("endpoints", &List(&Any)),
    ("ports", &List(&ENDPOINT_PORT)),
]);

fn type_of(kind: Kind) -> &'static Type {
    match kind {
        Kind::Service => &SERVICE,
        Kind::Endpoints => &ENDPOINTS,
        Kind::Secret => &SECRET,
        Kind::ConfigMap => &CONFIG_MAP,
        Kind::ServiceAccount => &SERVICE_ACCOUNT,
        Kind::Event => &EVENT,
        Kind::EndpointSlice => &SLICE,
        Kind::Pod
        | Kind::Node
        | Kind::StatefulSet
        | Kind::Namespace
        | Kind::PersistentVolumeClaim
        | Kind::Ingress => &SPEC_AND_STATUS,
    }
}

/// Checks the types of an object's fields, and takes out those that its kind does not have;
/// the answer names them.
///
/// # Errors
/// `BadRequest` for a value of another type.
pub(crate) fn decode(kind: Kind, value: &mut Value) -> Result<Vec<String>, ApiError> {
    let mut unknown = Vec::new();
    let encoded = match kind {
        Kind::Secret => Some("data"),
        Kind::ConfigMap => Some("binaryData"),
        _ => None,
    };
    match walk(type_of(kind), "", value, &mut unknown) {
        Ok(()) => {
            let broken = encoded.and_then(|field| broken_byte(&value[field]));
            let Some(at) = broken else { return Ok(unknown) };
            Err(ApiError::BadRequest(format!(
                "{name} in version \"v1\" cannot be handled as a {name}: illegal base64 data at \
                 input byte {at}",
                name = kind.name(),
            )))
        }
        Err(Mismatch { found, path, wanted }) => Err(ApiError::BadRequest(format!(
            "{name} in version \"{version}\" cannot be handled as a {name}: json: cannot \
             unmarshal {found} into Go struct field {name}.{path} of type {wanted}",
            name = kind.name(),
            version = kind.api_version(),
        ))),
    }
}

/// Where the first value of a map stops being base64.
fn broken_byte(map: &Value) -> Option<usize> {
    let values = map.as_object().into_iter().flat_map(|entries| entries.values());
    values.filter_map(Value::as_str).find_map(|text| match STANDARD.decode(text) {
        Ok(_) => None,
        Err(DecodeError::InvalidByte(at, _)) => Some(at),
        Err(_) => Some(text.len()),
    })
}

struct Mismatch {
    found: String,
    path: String,
    wanted: &'static str,
}

fn walk(
    expected: &Type,
    path: &str,
    value: &mut Value,
    unknown: &mut Vec<String>,
) -> Result<(), Mismatch> {
    let wanted = match (expected, &mut *value) {
        (Any, _) | (_, Value::Null) | (Text, Value::String(_)) | (Bool, Value::Bool(_)) => {
            return Ok(());
        }
        (IntOrText, Value::String(_)) => return Ok(()),
        (Int | IntOrText, Value::Number(number))
            if number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()) =>
        {
            return Ok(());
        }
        (Long, Value::Number(number)) if number.is_i64() => return Ok(()),
        (Texts, Value::Object(entries)) => {
            return entries.values_mut().try_for_each(|entry| walk(&Text, path, entry, unknown));
        }
        (List(item), Value::Array(items)) => {
            return items.iter_mut().enumerate().try_for_each(|(index, entry)| {
                walk(item, &format!("{path}[{index}]"), entry, unknown)
            });
        }
        (Fields(known), Value::Object(entries)) => {
            let below =
                |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            entries.retain(|key, _| {
                let is_known = known.iter().any(|(name, _)| name == key);
                if !is_known {
                    unknown.push(below(key));
                }
                is_known
            });
            return known.iter().try_for_each(|(name, inner)| match entries.get_mut(*name) {
                Some(entry) => walk(inner, &below(name), entry, unknown),
                None => Ok(()),
            });
        }
        (Text, _) => "string",
        (Bool, _) => "bool",
        (Int, _) => "int32",
        (Long, _) => "int64",
        (IntOrText, _) => "intstr.IntOrString",
        (Texts, _) => "map[string]string",
        (List(_), _) => "slice",
        (Fields(_), _) => "struct",
    };
    let found = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number) if matches!(expected, Int | IntOrText | Long) => {
            format!("number {number}")
        }
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    };
    Err(Mismatch { found, path: path.to_owned(), wanted })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(kind: Kind, mut value: Value, expected: Result<&[&str], &str>) {
        match (decode(kind, &mut value), expected) {
            (Ok(unknown), Ok(expected)) => assert_eq!(unknown, expected),
            (Err(error), Err(expected)) => {
                assert_eq!(error.code(), 400);
                assert!(error.to_string().contains(expected), "{error}");
            }
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn fields_have_types() {
        let service = |spec: Value| json!({ "metadata": { "name": "a" }, "spec": spec });
        check(Kind::Service, service(json!({ "ports": [{ "port": 1 }] })), Ok(&[]));
        check(Kind::Service, service(json!({ "ports": [{ "targetPort": "http" }] })), Ok(&[]));
        check(
            Kind::Service,
            service(json!({ "colour": "red", "ports": [{ "prt": 1 }] })),
            Ok(&["spec.colour", "spec.ports[0].prt"]),
        );
        check(
            Kind::Service,
            service(json!({ "ports": [{ "port": "80" }] })),
            Err(
                "cannot unmarshal string into Go struct field Service.spec.ports[0].port of type int32",
            ),
        );
        check(Kind::Service, service(json!({ "ports": [{ "port": 80.5 }] })), Err("number 80.5"));
        check(Kind::Service, service(json!({ "selector": { "a": 1 } })), Err("type string"));
        check(Kind::Endpoints, json!({ "subsets": "x" }), Err("type slice"));
        check(Kind::Endpoints, json!({ "spec": {} }), Ok(&["spec"]));
        check(
            Kind::Endpoints,
            json!({ "metadata": { "annotations": { "ttl": 30 } } }),
            Err("number"),
        );
        check(Kind::Endpoints, json!({ "metadata": { "annotations": { "ttl": null } } }), Ok(&[]));
        check(Kind::Pod, json!({ "spec": { "any": [1] }, "x": 1 }), Ok(&["x"]));
    }
}
