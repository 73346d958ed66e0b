//! The configuration of the agent that holds clients while the primary changes.

use std::time::Duration;

use juju_charm::{ExposeSecret, Hidden};
use pgbouncer::{Ini, Userlist};
use serde_json::json;

use crate::names;
use crate::render::ini::Local;

/// What bounds the time for which PgBouncer lets a client wait, and its default in seconds.
const CLIENT_TIMEOUTS: [(&str, u64); 2] =
    [("query_wait_timeout", 120), ("client_login_timeout", 60)];

/// The longest pause, in seconds: a client that waits is let go before PgBouncer ends its
/// connection. Zero is no bound.
fn longest_pause(ini: &Ini, option: u32) -> u32 {
    let bounds = CLIENT_TIMEOUTS.iter().filter_map(|(name, default)| {
        let set = ini.settings.get(name).and_then(|text| text.parse::<f64>().ok());
        let bound = set.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let bound = bound.unwrap_or(Duration::from_secs(*default));
        (!bound.is_zero()).then(|| bound.as_secs().saturating_sub(1).max(1))
    });
    bounds.filter_map(|seconds| u32::try_from(seconds).ok()).fold(option, u32::min)
}

/// The agent's configuration; `None` where no process leads to a server.
///
/// It logs in where passwords are looked up, and as the user who looks them up: `list` has the
/// password. Each entry that leads to the primary has both, and the first one always does.
pub(crate) fn config(
    inis: &[(Ini, String)],
    list: &Hidden,
    local: &Local,
    ca: Option<&Hidden>,
) -> Option<Hidden> {
    let (ini, _) = inis.first()?;
    let entry = ini.databases.first()?;
    let user = entry.auth_user.as_ref()?.as_str();
    let password = Userlist::find(list.expose(), user)?;
    let size = |name: &str| ini.settings.get(name)?.parse::<u32>().ok();
    let longest = longest_pause(ini, local.options.pause_max);
    let text = json!({
        "host": entry.host.as_str(),
        "port": entry.port,
        "database": names::OWN_DATABASE.as_str(),
        "user": user,
        "password": password.expose_secret(),
        "ca": ca.map(Hidden::expose),
        "processes": (0..local.processes.get()).map(names::folder).collect::<Vec<_>>(),
        "listen_port": local.options.listen_port,
        "pools": {
            "default": size("default_pool_size")?,
            "min": size("min_pool_size")?,
            "reserve": size("reserve_pool_size")?,
        },
        "session_pooling": ini.settings.get("pool_mode") == Some("session"),
        "longest_pause": longest,
        "longest_unstopped_pause": local.options.pause_without_stop_max.min(longest),
    });
    Some(Hidden::from(text.to_string().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(settings: &[(&str, &str)], option: u32, expected: u32) {
        let mut ini = Ini::default();
        for (name, value) in settings {
            ini.settings.set(name, value).unwrap();
        }
        assert_eq!(longest_pause(&ini, option), expected, "{settings:?}");
    }

    #[test]
    fn clients_are_let_go_before_pgbouncer_ends_their_connections() {
        check(&[], 45, 45);
        check(&[], 300, 59);
        check(&[("client_login_timeout", "0")], 300, 119);
        check(&[("client_login_timeout", "0"), ("query_wait_timeout", "0")], 300, 300);
        check(&[("query_wait_timeout", "20")], 45, 19);
        check(&[("query_wait_timeout", "0.5")], 45, 1);
    }
}
