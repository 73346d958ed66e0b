//! Actions: what a person asks for by name.

use charm_kit::certificates::{KeyError, KeyRequest};
use juju_charm::{Decision, Write};
use juju_interfaces::pgb_peers::secret_keys;
use pooler_agent::Trace;
use pooler_agent::machine::{Cause, Reason};

use crate::effect::Effect;
use crate::facts::ConsoleFacts;
use crate::names;

/// The action that shows who may use the admin console.
pub(crate) const CONSOLE: &str = "get-console-credentials";

/// The action that shows how the agent's last pause went.
pub(crate) const LAST_PAUSE: &str = "get-last-pause";

/// The last pause with its steps, in milliseconds from its begin.
pub(crate) fn last_pause(shown: &Result<Option<Trace>, String>) -> Decision<Effect> {
    let trace = match shown {
        Ok(Some(trace)) => trace,
        Ok(None) => {
            let message = "There was no pause since the container started";
            return Decision::new().effect(Write::fail(message));
        }
        Err(error) => return Decision::new().effect(Write::fail(error.clone())),
    };
    let cause = match trace.cause {
        Cause::Terminated => "the primary was about to stop",
        Cause::Lost => "the session with the primary broke",
    };
    let reason = trace.reason.map(|reason| match reason {
        Reason::NewPrimary => "a primary served again",
        Reason::SamePrimary => "the same primary served on",
        Reason::Deadline => "no primary came in time",
    });
    let steps = [
        ("paused-ms", trace.paused),
        ("decided-ms", trace.decided),
        ("resumed-ms", trace.resumed),
        ("cut-logins", Some(trace.cut_logins)),
        ("failed-processes", Some(trace.failed)),
    ];
    let steps = steps.into_iter().filter_map(|(key, value)| Some((key, value?)));
    Decision::new()
        .effects([
            Write::result("began-at-ms", trace.began.to_string()),
            Write::result("began-because", cause),
            Write::result("ended-because", reason.unwrap_or("clients are held")),
        ])
        .effects(steps.map(|(key, value)| Write::result(key, value.to_string())))
}

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

/// Asks for a certificate for the key that the action gives, or for a new one.
pub(crate) fn set_key(asked: &Result<KeyRequest, KeyError>) -> Decision<Effect> {
    match asked {
        Ok(KeyRequest { relation, key }) => {
            Decision::new().effect(Effect::RequestCertificate(*relation, key.clone()))
        }
        Err(error) => Decision::new().effect(Write::fail(error.to_string())),
    }
}

/// Any other action.
pub(crate) fn unknown(name: &str) -> Decision<Effect> {
    Decision::new().effect(Write::fail(format!("There is no action {name}.")))
}
