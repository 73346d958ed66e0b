//! The rules for what clients write of pods and stateful sets.

use serde_json::Value;

use crate::cause::Cause;
use crate::format;
use crate::validate_common::{Seen, labels};

/// What of a pod may change once it is there.
const POD_CHANGES: &str = "pod updates may not change fields other than \
    `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
    `spec.tolerations` (only additions to existing tolerations),\
    `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// What of a stateful set may change once it is there.
const SET_FIELDS: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

/// What is wrong with a pod.
pub(crate) fn pod(pod: &Value, old: Option<&Value>) -> Vec<Cause> {
    if let Some(old) = old {
        let changed = fixed_part(&pod["spec"]) != fixed_part(&old["spec"]);
        return changed.then(|| Cause::forbidden("spec", POD_CHANGES)).into_iter().collect();
    }
    let spec = &pod["spec"];
    let mut causes = Vec::new();
    let containers = spec["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if containers.is_empty() {
        causes.push(Cause::required("spec.containers", ""));
    }
    let mut names = Seen::default();
    for (at, container) in containers.iter().enumerate() {
        let field = format!("spec.containers[{at}].name");
        let name = container["name"].as_str().unwrap_or_default();
        if name.is_empty() {
            causes.push(Cause::required(field, ""));
        } else if let Some(rule) = format::dns_label(name) {
            causes.push(Cause::invalid(field, name, &rule));
        } else if !names.is_new(name) {
            causes.push(Cause::duplicate(field, name));
        }
        if container["image"].as_str().is_none_or(str::is_empty) {
            causes.push(Cause::required(format!("spec.containers[{at}].image"), ""));
        }
    }
    for name in ["hostname", "subdomain"] {
        let found = spec[name].as_str().unwrap_or_default();
        if let Some(rule) =
            Some(found).filter(|found| !found.is_empty()).and_then(format::dns_label)
        {
            causes.push(Cause::invalid(format!("spec.{name}"), found, &rule));
        }
    }
    causes
}

/// A pod's specification without what may change.
fn fixed_part(spec: &Value) -> Value {
    let mut fixed = spec.clone();
    for list in ["containers", "initContainers"] {
        for container in fixed[list].as_array_mut().into_iter().flatten() {
            if let Some(fields) = container.as_object_mut() {
                fields.remove("image");
            }
        }
    }
    if let Some(fields) = fixed.as_object_mut() {
        fields.retain(|name, value| {
            !value.is_null()
                && !["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"]
                    .contains(&name.as_str())
        });
    }
    fixed
}

/// What is wrong with a stateful set.
pub(crate) fn stateful_set(set: &Value, old: Option<&Value>) -> Vec<Cause> {
    let spec = &set["spec"];
    let mut causes = labels("spec.selector.matchLabels", &spec["selector"]["matchLabels"]);
    let partition = &spec["updateStrategy"]["rollingUpdate"]["partition"];
    let counts = [
        ("spec.replicas", &spec["replicas"]),
        ("spec.updateStrategy.rollingUpdate.partition", partition),
    ];
    for (field, count) in counts {
        if !count.is_null()
            && !count
                .as_i64()
                .is_some_and(|count| i32::try_from(count).is_ok_and(|count| count >= 0))
        {
            let rule = "must be greater than or equal to 0";
            causes.push(Cause::invalid(field, count.clone(), rule));
        }
    }
    let fixed = |spec: &Value| {
        let fields = spec.as_object().into_iter().flatten();
        let fields = fields.filter(|(name, _)| !SET_FIELDS.contains(&name.as_str()));
        fields.map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>()
    };
    if old.is_some_and(|old| fixed(&old["spec"]) != fixed(spec)) {
        let known = SET_FIELDS.map(|name| format!("'{name}'"));
        let (last, first) = known.split_last().map_or(("", &known[..0]), |(l, f)| (l.as_str(), f));
        let rule = format!(
            "updates to statefulset spec for fields other than {} and {last} are forbidden",
            first.join(", ")
        );
        causes.push(Cause::forbidden("spec", &rule));
    }
    causes
}
