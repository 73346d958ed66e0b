//! By which labels Juju finds what a charm has written.

use std::collections::BTreeMap;

/// The labels of what an application's charm writes: Juju finds it by them when the application
/// goes.
pub(crate) fn created_by(model: &juju_model::Model, app: &str) -> BTreeMap<String, String> {
    let own = |text: &str| text.to_owned();
    [
        (own("app.juju.is/created-by"), own(app)),
        (own("app.kubernetes.io/managed-by"), own("juju")),
        (own("model.juju.is/id"), model.uuid().to_owned()),
        (own("model.juju.is/name"), model.name().to_string()),
    ]
    .into()
}
