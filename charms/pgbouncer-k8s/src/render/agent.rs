//! The configuration of the agent that holds clients while the primary changes.

use juju_charm::{ExposeSecret, Hidden};
use pgbouncer::{Ini, Userlist};
use serde_json::json;

use crate::names;
use crate::render::ini::Local;

/// The longest pause, in seconds: a lost primary is replaced by then, and clients' own bounds
/// (`client_login_timeout`, `query_wait_timeout`) are not over yet.
const LONGEST_PAUSE: u32 = 45;
/// The longest pause while the primary serves on, in seconds: its stop waits for transactions
/// for half of that.
const LONGEST_UNSTOPPED_PAUSE: u32 = 6;

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
        "longest_pause": LONGEST_PAUSE,
        "longest_unstopped_pause": LONGEST_UNSTOPPED_PAUSE,
    });
    Some(Hidden::from(text.to_string().as_str()))
}
