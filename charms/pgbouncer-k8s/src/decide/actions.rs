//! Actions: what a person asks for by name.

use charm::Decision;
use interfaces::pgb_peers::secret_keys;

use crate::effect::Effect;
use crate::facts::ConsoleFacts;
use crate::password::Password;
use crate::place;

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
        return Decision::new().effect(Effect::FailAction(message.to_owned()));
    };
    let endpoint = place::cluster_endpoint(app, &common.model, options.listen_port);
    let plain = |text: String| Password::from(text.as_str());
    Decision::new().effect(Effect::Results(vec![
        ("admin.username", plain(place::admin_user(app))),
        ("admin.password", admin.into()),
        ("statistics.username", plain(place::stats_user(app))),
        ("statistics.password", stats.into()),
        ("endpoint", plain(endpoint.to_string())),
        ("database", plain("pgbouncer".to_owned())),
    ]))
}

/// Any other action.
pub(crate) fn unknown(name: &str) -> Decision<Effect> {
    let message = format!("The action {name} is not available in this version.");
    Decision::new().effect(Effect::FailAction(message))
}
