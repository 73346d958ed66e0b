//! Who asks, and what they may do.

use std::collections::BTreeMap;

use crate::request::{Resource, Sub, Verb};
use crate::{ApiError, Kind};

/// Who a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The model.
    pub namespace: String,
    /// The application.
    pub app: String,
    /// Whether the application was deployed with `--trust`.
    pub trusted: bool,
    /// The labels that what it writes gets, as Juju's webhook gives them.
    pub labels: BTreeMap<String, String>,
}

/// Knows the tokens.
pub trait Authorize: Send + Sync {
    /// The user of a token; none when it is unknown.
    fn identify(&self, token: &str) -> Option<Identity>;
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum User {
    /// One without a token.
    Anonymous,
    Application(Identity),
}

impl User {
    fn name(&self) -> String {
        match self {
            User::Anonymous => "system:anonymous".to_owned(),
            User::Application(who) => {
                format!("system:serviceaccount:{}:{}", who.namespace, who.app)
            }
        }
    }

    /// The labels that what it writes gets.
    pub(crate) fn labels(&self) -> Option<&BTreeMap<String, String>> {
        match self {
            User::Anonymous => None,
            User::Application(who) => Some(&who.labels),
        }
    }
}

/// Who is trusted may everything. Others may see the namespaces, and see and patch the pods and
/// services of their own: the roles that Juju makes.
pub(crate) fn allow(user: &User, verb: Verb, resource: &Resource) -> Result<(), ApiError> {
    let kind = resource.kind;
    let allowed = match user {
        User::Anonymous => false,
        User::Application(who) => {
            let own = resource.namespace.as_ref() == Some(&who.namespace);
            let sees = matches!(verb, Verb::Get | Verb::List);
            who.trusted
                || match kind {
                    Kind::Namespace => sees,
                    Kind::Pod | Kind::Service => {
                        own && resource.sub == Sub::Main && (sees || verb == Verb::Patch)
                    }
                    _ => false,
                }
        }
    };
    if allowed {
        return Ok(());
    }
    let name = resource.name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
    let place = match (&resource.namespace, &resource.name) {
        (Some(namespace), _) => format!("in the namespace \"{namespace}\""),
        // A namespace lies in itself.
        (None, Some(name)) if kind == Kind::Namespace => format!("in the namespace \"{name}\""),
        _ => "at the cluster scope".to_owned(),
    };
    let words = format!(
        "{qualified}{name} is forbidden: User \"{user}\" cannot {verb} resource \
         \"{plural}{subresource}\" in API group \"{group}\" {place}",
        qualified = kind.qualified(),
        user = user.name(),
        verb = verb.name(),
        plural = kind.plural(),
        subresource = resource.sub.suffix(),
        group = kind.group(),
    );
    let name = resource.name.clone().unwrap_or_default();
    Err(ApiError::Forbidden { kind: Some(kind), name, words })
}

/// Every authenticated user may read the discovery paths.
pub(crate) fn allow_path(user: &User, verb: &str, path: &str) -> Result<(), ApiError> {
    match user {
        User::Application(_) => Ok(()),
        User::Anonymous => {
            let words =
                format!("forbidden: User \"{}\" cannot {verb} path \"{path}\"", user.name());
            Err(ApiError::Forbidden { kind: None, name: String::new(), words })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(kind: Kind, namespace: Option<&str>, name: Option<&str>) -> Resource {
        let own = |text: &str| text.to_owned();
        Resource { kind, namespace: namespace.map(own), name: name.map(own), sub: Sub::Main }
    }

    #[track_caller]
    fn check(trusted: Option<bool>, verb: Verb, resource: &Resource, refusal: Option<&str>) {
        let user = match trusted {
            None => User::Anonymous,
            Some(trusted) => User::Application(Identity {
                namespace: "dev".into(),
                app: "pg".into(),
                trusted,
                labels: BTreeMap::new(),
            }),
        };
        let answer = allow(&user, verb, resource).map_err(|error| error.to_string());
        assert_eq!(answer.err().as_deref(), refusal);
    }

    #[test]
    fn a_trusted_application_may_everything() {
        for resource in [
            resource(Kind::Pod, Some("dev"), Some("pg-0")),
            resource(Kind::StatefulSet, Some("prod"), None),
            resource(Kind::Node, None, Some("n")),
            resource(Kind::Pod, None, None),
        ] {
            check(Some(true), Verb::Get, &resource, None);
            check(Some(true), Verb::DeleteCollection, &resource, None);
        }
    }

    #[test]
    fn others_see_and_patch_their_own_pods_and_services() {
        for kind in [Kind::Pod, Kind::Service] {
            for verb in [Verb::Get, Verb::List, Verb::Patch] {
                check(Some(false), verb, &resource(kind, Some("dev"), None), None);
            }
        }
        check(Some(false), Verb::Get, &resource(Kind::Namespace, None, Some("dev")), None);
        check(
            Some(false),
            Verb::Watch,
            &resource(Kind::Pod, Some("dev"), None),
            Some(
                "pods is forbidden: User \"system:serviceaccount:dev:pg\" cannot watch resource \
                 \"pods\" in API group \"\" in the namespace \"dev\"",
            ),
        );
        check(
            Some(false),
            Verb::List,
            &resource(Kind::StatefulSet, Some("prod"), None),
            Some(
                "statefulsets.apps is forbidden: User \"system:serviceaccount:dev:pg\" cannot \
                 list resource \"statefulsets\" in API group \"apps\" in the namespace \"prod\"",
            ),
        );
        check(
            Some(false),
            Verb::Delete,
            &resource(Kind::Node, None, Some("n")),
            Some(
                "nodes \"n\" is forbidden: User \"system:serviceaccount:dev:pg\" cannot delete \
                 resource \"nodes\" in API group \"\" at the cluster scope",
            ),
        );
    }

    #[test]
    fn whoever_has_no_token_may_nothing() {
        check(
            None,
            Verb::Get,
            &resource(Kind::Namespace, None, Some("dev")),
            Some(
                "namespaces \"dev\" is forbidden: User \"system:anonymous\" cannot get resource \
                 \"namespaces\" in API group \"\" in the namespace \"dev\"",
            ),
        );
        let refusal = allow_path(&User::Anonymous, "get", "/api").unwrap_err().to_string();
        assert_eq!(refusal, "forbidden: User \"system:anonymous\" cannot get path \"/api\"");
    }
}
