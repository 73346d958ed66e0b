//! Field selectors: `status.phase=Running,spec.nodeName!=a`.

use serde_json::Value;

use crate::{ApiError, Kind};

/// The fields of every kind by which it can be selected.
const ALWAYS: [&str; 2] = ["metadata.name", "metadata.namespace"];

/// Requirements on fields that all must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<(String, String, bool)>);

/// The other fields by which objects of a kind can be selected.
fn known(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Pod => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        Kind::Service => &["spec.clusterIP", "spec.type"],
        Kind::Secret => &["type"],
        Kind::Namespace => &["status.phase"],
        Kind::Event => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "reason",
            "reportingComponent",
            "type",
        ],
        _ => &[],
    }
}

impl FieldSelector {
    /// Reads the text of a `fieldSelector` parameter about objects of `kind`.
    ///
    /// # Errors
    /// `BadRequest` when the text is no selector, or for a field that is not selectable.
    pub fn parse(kind: Kind, text: &str) -> Result<FieldSelector, ApiError> {
        let mut wanted = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (field, value, equal) = if let Some((field, value)) = part.split_once("!=") {
                (field, value, false)
            } else if let Some((field, value)) = part.split_once("==") {
                (field, value, true)
            } else if let Some((field, value)) = part.split_once('=') {
                (field, value, true)
            } else {
                let why = format!("invalid selector: '{text}'; can't understand '{part}'");
                return Err(ApiError::BadRequest(why));
            };
            let nowhere = field == "metadata.namespace" && !kind.namespaced();
            if nowhere || !(ALWAYS.contains(&field) || known(kind).contains(&field)) {
                let why = format!("field label not supported: {field}");
                return Err(ApiError::BadRequest(why));
            }
            wanted.push((field.to_owned(), value.to_owned(), equal));
        }
        Ok(FieldSelector(wanted))
    }

    /// Whether nothing is required.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object fulfils every requirement.
    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|(field, wanted, equal)| {
            let found = field.split('.').fold(object, |value, name| &value[name]);
            (found.as_str().unwrap_or_default() == wanted) == *equal
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(kind: Kind, text: &str, expected: Result<bool, u16>) {
        let pod = json!({ "metadata": { "name": "p" }, "status": { "phase": "Running" } });
        let found = FieldSelector::parse(kind, text).map(|selector| selector.matches(&pod));
        assert_eq!(found.map_err(|error| error.code()), expected, "{text}");
    }

    #[test]
    fn fields_are_compared() {
        check(Kind::Pod, "", Ok(true));
        check(Kind::Pod, "metadata.name=p,status.phase==Running", Ok(true));
        check(Kind::Pod, "status.phase!=Running", Ok(false));
        check(Kind::Pod, "spec.nodeName=", Ok(true));
        check(Kind::Pod, "spec.nodeName=a", Ok(false));
        check(Kind::Pod, "spec.hostname=a", Err(400));
        check(Kind::Pod, "status.phase", Err(400));
        check(Kind::Service, "status.phase=a", Err(400));
        check(Kind::Node, "metadata.namespace=a", Err(400));
    }
}
