//! Who asks, and what they may do.

use crate::ApiError;
use crate::request::{Resource, Verb};

/// Who a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The model.
    pub namespace: String,
    /// The application.
    pub app: String,
    /// Whether the application was deployed with `--trust`.
    pub trusted: bool,
}

/// Knows the tokens.
pub trait Authorize: Send + Sync {
    /// Whose token this is; none when it is nobody's.
    fn identify(&self, token: &str) -> Option<Identity>;
}

/// A trusted application owns its namespace and may read the nodes; others may nothing.
pub(crate) fn allow(who: &Identity, verb: Verb, resource: &Resource) -> Result<(), ApiError> {
    let kind = resource.kind;
    let allowed = match &resource.namespace {
        Some(namespace) => *namespace == who.namespace,
        None => !kind.namespaced() && matches!(verb, Verb::Get | Verb::List | Verb::Watch),
    };
    if who.trusted && allowed {
        return Ok(());
    }
    let name = resource.name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
    let place = match &resource.namespace {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    let subresource = if resource.status { "/status" } else { "" };
    Err(ApiError::Forbidden(format!(
        "{qualified}{name} is forbidden: User \"system:serviceaccount:{namespace}:{app}\" cannot \
         {verb} resource \"{plural}{subresource}\" in API group \"{group}\" {place}",
        qualified = kind.qualified(),
        namespace = who.namespace,
        app = who.app,
        verb = verb.name(),
        plural = kind.plural(),
        group = kind.group(),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn resource(kind: Kind, namespace: Option<&str>, name: Option<&str>) -> Resource {
        let own = |text: &str| text.to_owned();
        Resource { kind, namespace: namespace.map(own), name: name.map(own), status: false }
    }

    #[track_caller]
    fn check(trusted: bool, verb: Verb, resource: &Resource, refusal: Option<&str>) {
        let who = Identity { namespace: "dev".into(), app: "pg".into(), trusted };
        let answer = allow(&who, verb, resource).map_err(|error| error.to_string());
        assert_eq!(answer.err().as_deref(), refusal);
    }

    #[test]
    fn refusals_are_worded_as_kubernetes_words_them() {
        check(true, Verb::Patch, &resource(Kind::Pod, Some("dev"), Some("pg-0")), None);
        check(true, Verb::Get, &resource(Kind::Node, None, Some("n")), None);
        check(
            false,
            Verb::Get,
            &resource(Kind::Pod, Some("dev"), Some("pg-0")),
            Some(
                "pods \"pg-0\" is forbidden: User \"system:serviceaccount:dev:pg\" cannot get \
                 resource \"pods\" in API group \"\" in the namespace \"dev\"",
            ),
        );
        check(
            true,
            Verb::List,
            &resource(Kind::StatefulSet, Some("prod"), None),
            Some(
                "statefulsets.apps is forbidden: User \"system:serviceaccount:dev:pg\" cannot \
                 list resource \"statefulsets\" in API group \"apps\" in the namespace \"prod\"",
            ),
        );
        check(
            true,
            Verb::Delete,
            &resource(Kind::Node, None, Some("n")),
            Some(
                "nodes \"n\" is forbidden: User \"system:serviceaccount:dev:pg\" cannot delete \
                 resource \"nodes\" in API group \"\" at the cluster scope",
            ),
        );
    }
}
