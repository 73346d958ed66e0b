//! Actions: what a person asks for by name.

use juju_charm::{Decision, Write};
use juju_interfaces::pgb_peers::secret_keys;

use crate::effect::Effect;
use crate::facts::ConsoleFacts;
use crate::names;

/// The action that shows who may use the admin console.
pub(crate) const CONSOLE: &str = "get-console-credentials";

/// The users of the admin console with their passwords, or why there are none.
pub(crate) fn console(facts: &ConsoleFacts) -> Decision<Effect> {
    let common = &facts.common;
    let app = common.unit.app();
    let password = |key: &str| facts.secret.as_ref().and_then(|secret| secret.get(key)).cloned();
    let users = (
        password(secret_keys::ADMIN_PASSWORD),
        password(secret_keys::MONITORING_PASSWORD),
        common.options.as_ref(),
    );
    let (Some(admin), Some(stats), Ok(options)) = users else {
        let message = "There are no credentials yet: relate a PostgreSQL to backend-database first";
        return Decision::new().effect(Write::fail(message));
    };
    let endpoint = names::cluster_endpoint(app, &common.model, options.listen_port);
    Decision::new().effects([
        Write::result("admin.username", names::admin_user(app)),
        Write::result("admin.password", admin),
        Write::result("statistics.username", names::stats_user(app)),
        Write::result("statistics.password", stats),
        Write::result("endpoint", endpoint.to_string()),
        Write::result("database", "pgbouncer"),
    ])
}

/// Any other action.
pub(crate) fn unknown(name: &str) -> Decision<Effect> {
    let message = format!("The action {name} is not available in this version.");
    Decision::new().effect(Write::fail(message))
}
