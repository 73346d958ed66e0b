//! Every status text. Where upstream's charm has one, its words are kept, because people and
//! tools know them; the heading says in which of its files they stand.

use juju_charm::Status;
use pooler_agent::machine::Cause;
use postgres::Pause;

use crate::settings;
use crate::settings::OptionsError;

// src/charm.py
pub(crate) const NO_BACKEND: &str = "waiting for backend database relation to initialise";
pub(crate) const BACKEND_NOT_READY: &str = "backend database relation not ready";
pub(crate) const CONFIGURATION: &str = "Configuration Error. Please check the logs";
pub(crate) const NO_CONTAINER: &str = "PgBouncer container currently unavailable";
pub(crate) const NOT_RUNNING: &str = "pgbouncer not running";
pub(crate) const SERVICE_COMING: &str = "Waiting for K8s service connectivity";
pub(crate) const SERVICE_DOWN: &str = "K8s service not connectable";
pub(crate) const PUSH_UNREACHABLE: &str =
    "Unable to push config to container - container unavailable.";
pub(crate) const REMOVE_UNREACHABLE: &str =
    "Unable to delete file from container - container unavailable.";

// src/relations/backend_database.py
pub(crate) const INITIALISING: &str = "Initialising backend-database relation";
pub(crate) const AUTH_STAYS: &str =
    "failed to remove auth user when disconnecting from postgres application.";

// src/relations/pgbouncer_provider.py
pub(crate) const CLIENT_WAITS: &str = "waiting for backend-database relation to connect";
pub(crate) const BAD_REQUEST: &str = "Failed to initialize relation database";
pub(crate) const BAD_DATABASE: &str = "invalid database name";
pub(crate) const BAD_ROLES: &str = "invalid role(s) for extra user roles";
pub(crate) const USER_STAYS: &str = "Failed to delete user during database relation broken event";

// src/relations/db.py
pub(crate) const EXTENSIONS: &str = "bad relation request - remote app requested extensions, \
                                     which are unsupported. Please remove this relation.";

/// While a legacy client is served.
pub(crate) fn legacy_initialising(endpoint: &str) -> String {
    format!("initialising database and user for {endpoint} relation")
}

/// Where that failed.
pub(crate) fn legacy_failed(endpoint: &str) -> String {
    format!("failed to create database or user for {endpoint}")
}

// src/charm.py
/// What to do about missing rights.
pub(crate) fn no_trust(app: &str) -> String {
    format!("Insufficient permissions, try: `juju trust {app} --scope=cluster`")
}

/// A process that Pebble could not start, by its service.
pub(crate) fn service_down(service: &str, state: &str) -> String {
    format!("PgBouncer service {service} not running: service status = ServiceStatus.{state}")
}

// This charm's own.
pub(crate) const CERTIFICATE: &str = "the certificate cannot be used, the log says why";

/// A configuration that cannot be written: the processes go on with the one they have.
pub(crate) fn unwritable(problem: &str) -> String {
    format!("cannot write PgBouncer's configuration: {problem}")
}

/// Units that do not serve every database yet.
pub(crate) fn units_behind(units: &str) -> String {
    format!("waiting for {units} to know all databases")
}

/// A process that does not answer on its console.
pub(crate) fn process_silent(index: u32) -> String {
    format!("PgBouncer process {index} does not say what it has taken")
}

/// The agent holds clients, for so many seconds at most.
pub(crate) fn held(cause: Cause, left: u64) -> String {
    match cause {
        Cause::Terminated => format!("paused for a switchover, {left} s left"),
        Cause::Lost => format!("paused until a primary serves, {left} s left"),
    }
}

/// A process that an operator has paused.
pub(crate) fn paused(index: u32, pause: &Pause) -> String {
    let whom = match pause {
        Pause::Everything => "all clients".to_owned(),
        Pause::Databases(names) => format!("the clients of {}", names.join(", ")),
    };
    format!("PgBouncer process {index} is paused and holds {whom}: RESUME on its console ends that")
}

/// A process that has another setting than its file.
pub(crate) fn not_taken(index: u32, name: &str, asked: &str, shown: &str) -> String {
    format!("PgBouncer process {index} has not taken {name}={asked}, it has {shown:?}")
}

/// A pool that is larger than PostgreSQL.
pub(crate) fn too_large(name: &str, size: u32, most: u32) -> String {
    format!("{name}={size} is more than PostgreSQL's max_connections={most}: lower it")
}

/// An option that cannot be followed. Which of many settings is wrong, people want to know at once.
pub(crate) fn bad_option(error: &OptionsError) -> Status {
    Status::blocked(match error.option {
        settings::OPTION => error.to_string(),
        _ => CONFIGURATION.to_owned(),
    })
}

/// The longest reason in a status, in characters: what a client asks for may be of any length.
const REASON_MAX: usize = 300;

/// Blocked for one client: the words that operators know, who it is about, and the reason.
pub(crate) fn about(words: &str, who: &str, reason: &str) -> Status {
    short(words, &format!("{who}: {reason}"))
}

/// Blocked, with as much of the reason as a status has room for.
pub(crate) fn short(words: &str, reason: &str) -> Status {
    let reason: String = reason.chars().take(REASON_MAX).collect();
    Status::blocked(format!("{words}: {reason}"))
}
