//! Every text that a status of this charm shows.
//!
//! Upstream is canonical/postgresql-k8s-operator: a text that it has too names its file there, so
//! that people and tests find what they know. The others are this charm's own.

use charm_kit::certificates::UNANSWERED;
use juju_charm::{Status, UnitName};

use crate::endpoint::Endpoint;
use crate::facts::{Away, NotStreaming, Unlike};
use crate::layer::{self, PEBBLE};
use crate::patroni_yml::{PGDATA, STORAGE};
use crate::resources::Volume;
use crate::topology::Topology;

/// The longest reason in a status, in characters: what a client asks for may be of any length.
const REASON_MAX: usize = 300;

/// A role that no client may have; upstream's `lib/charms/postgresql_k8s/v0/postgresql.py`.
pub(crate) const BAD_ROLES: &str = "invalid role(s) for extra user roles";
/// A client that is not served; upstream's `src/relations/postgresql_provider.py`.
pub(crate) const FAILED: &str = "Failed to initialize database relation";
/// Legacy clients that are not served; upstream's `src/relations/db.py`.
const FAILED_DB: &str = "Failed to initialize db relation";
const FAILED_DB_ADMIN: &str = "Failed to initialize db-admin relation";
/// Extensions whose option is off; upstream's `src/relations/db.py`.
pub(crate) const EXTENSIONS: &str = "extensions requested through relation";
/// Roles, which the legacy interface does not give; upstream's `src/relations/db.py`.
pub(crate) const ROLES: &str =
    "roles requested through relation, use postgresql_client interface instead";
/// A client's user that stays; upstream's `src/relations/postgresql_provider.py`.
pub(crate) const NOT_DELETED: &str = "Failed to delete user during database relation broken event";
/// What is tried again by the next hook.
pub(crate) const TRIED_AGAIN: &str = "waiting to try again";
/// What keeps clients apart could not be looked at.
pub(crate) const NOT_GUARDED: &str = "the server is not guarded";
/// Upstream's `src/charm.py`.
pub(crate) const NO_SERVICES: &str = "failed to create k8s services";
/// The objects of an earlier deployment stay.
pub(crate) const NOT_REMOVED: &str = "failed to remove orphaned objects of an earlier deployment";

/// A client of this endpoint that is not served.
pub(crate) fn failed(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Db => FAILED_DB,
        Endpoint::DbAdmin => FAILED_DB_ADMIN,
        Endpoint::Database
        | Endpoint::Peers
        | Endpoint::Upgrade
        | Endpoint::Certificates
        | Endpoint::Metrics
        | Endpoint::Dashboards
        | Endpoint::Logging => FAILED,
    }
}

/// Options that cannot be used, and the first reason; upstream's `src/charm.py`.
pub(crate) fn bad_configuration(problems: &[String]) -> Status {
    let first = problems.first().map(String::as_str).unwrap_or_default();
    Status::blocked(format!("Configuration Error. Please check the logs: {first}"))
}

/// A volume on which PostgreSQL will stop; upstream's `src/charm.py`. What fills it follows where
/// it is WAL, of which this many bytes are there, and for whom it is kept.
pub(crate) fn no_space(volume: Volume, wal: Option<u64>, away: Option<&Away>) -> Status {
    let text = "<10% free space on pgdata volume.";
    let mebibytes = |bytes: u64| bytes >> 20;
    match wal {
        Some(wal) if wal > volume.total() / 4 => Status::blocked(format!(
            "{text} pg_wal holds {} of {} MiB{}",
            mebibytes(wal),
            mebibytes(volume.total()),
            away.map(|away| format!(", {}", kept_for(away))).unwrap_or_default()
        )),
        Some(_) | None => Status::blocked(text),
    }
}

/// A primary that keeps much WAL for a standby that is away.
pub(crate) fn keeps_wal(status: &str, away: &Away) -> Status {
    Status::Active(format!("{status}: pg_wal holds {}", kept_for(away)))
}

fn kept_for(Away { unit, bytes, seconds }: &Away) -> String {
    format!("{} MiB for {unit}, which has been away for {} min", bytes >> 20, seconds / 60)
}

/// A server that goes on with another value than asked after a reload.
pub(crate) fn unlike(Unlike { name, runs, asked, .. }: &Unlike) -> Status {
    Status::blocked(format!("PostgreSQL runs with {name}={runs} and does not take {asked}"))
}

/// A restart for parameters that was put off.
pub(crate) fn restart_waits(why: &str) -> Status {
    Status::waiting(format!("parameters wait for a restart: {why}"))
}

/// A volume that belongs to another user; a line for the log as well.
pub(crate) fn not_owned(why: &str) -> String {
    format!("cannot own {STORAGE}: {why}")
}

/// Data that are not this cluster's, until the operator decides about them.
pub(crate) fn foreign_data(unit: &UnitName, system: u64) -> Status {
    Status::blocked(format!(
        "the volume has the data of another cluster. To set them aside: \
         `juju ssh --container {} {unit} mv {PGDATA} {PGDATA}-{system}`",
        layer::NAME
    ))
}

/// A member that did not come up within the bound; upstream's `src/charm.py`.
pub(crate) fn member_waits() -> Status {
    Status::waiting("awaiting for cluster to start")
}

/// A unit that is no member yet; upstream's `src/charm.py`.
pub(crate) fn joins() -> Status {
    Status::waiting("awaiting for member to start")
}

/// No primary is known, or it does not take SQL; upstream's `src/charm.py`.
pub(crate) fn primary_waits() -> Status {
    Status::waiting("awaiting for primary endpoint to be ready")
}

/// A member that has started; upstream's `src/charm.py` has the words of a primary.
pub(crate) fn started(word: &str, degraded: bool) -> Status {
    Status::Active(format!("{word}{}", if degraded { " (degraded)" } else { "" }))
}

/// A primary whose commits wait for a standby, and those who might be one.
pub(crate) fn writes_wait(away: &[String]) -> Status {
    Status::waiting(match away {
        [] => "writes wait for a standby that follows: no other unit is a member".to_owned(),
        [one] => format!("writes wait for a standby that follows: {one} does not"),
        all => format!("writes wait for a standby that follows: {} do not", all.join(", ")),
    })
}

/// A standby that runs, and shows old data to who reads there.
pub(crate) fn not_streaming(unit: &str, primary: &str, why: Option<NotStreaming>) -> Status {
    match why {
        Some(NotStreaming::Diverged { timeline, bytes }) => Status::blocked(format!(
            "does not follow {primary}: it has {bytes} bytes of WAL of timeline {timeline} that \
             the primary never had. To give them up: `juju run {unit} reinitialise force=true`"
        )),
        Some(NotStreaming::LacksWal { .. }) => Status::waiting(format!(
            "does not follow {primary}: no member has the WAL any more that it needs, so it is \
             copied anew"
        )),
        Some(NotStreaming::Unknown) | None => {
            Status::waiting(format!("does not follow {primary}: it tries again by itself"))
        }
    }
}

/// A PostgreSQL that does not start; another member may lead, which could be copied.
pub(crate) fn start_failed(unit: &str, another_leads: bool) -> Status {
    let failed = format!("PostgreSQL does not start, its log says why: {}", log(unit));
    Status::waiting(match another_leads {
        true => format!("{failed}. To copy the primary anew: `juju run {unit} reinitialise`"),
        false => failed,
    })
}

/// A PostgreSQL that starts, which takes as long as it has WAL to replay, or for ever where it has
/// what another member that leads lacks.
pub(crate) fn starting(unit: &str, another_leads: bool) -> Status {
    let starts = format!("PostgreSQL is starting, its log says how far it is: {}", log(unit));
    Status::waiting(match another_leads {
        true => format!("{starts}. If it does not come up: `juju run {unit} reinitialise`"),
        false => starts,
    })
}

/// The command that shows PostgreSQL's log.
fn log(unit: &str) -> String {
    let container = layer::NAME;
    format!("`juju ssh --container {container} {unit} {PEBBLE} logs {container}`")
}

/// The lost primary comes back, or the operator gives up what only it had.
pub(crate) fn headless(member: &str) -> Status {
    Status::blocked(format!(
        "no primary, and no member has all it acknowledged. To do without: \
         `juju run {member} promote-to-primary scope=unit force=true`"
    ))
}

/// The operator runs `juju trust`; upstream's `src/charm.py`.
pub(crate) fn untrusted(topology: &Topology) -> Status {
    let app = &topology.app;
    Status::blocked(format!("Insufficient permissions, try: `juju trust {app} --scope=cluster`"))
}

/// The API refused the labels of a pod; upstream's `src/charm.py`.
pub(crate) fn not_labelled(error: &kubernetes_client::Error) -> String {
    format!("failed to patch pod with error {error}")
}

/// A unit that would be active but for a certificate.
pub(crate) fn with_certificate(status: Status, waits: bool) -> Status {
    let waits = waits && matches!(status, Status::Active(_));
    if waits { Status::waiting(UNANSWERED) } else { status }
}

/// A certificate that PostgreSQL or Patroni would not start with.
pub(crate) fn bad_certificate() -> Status {
    Status::blocked("the certificate cannot be used, the log says why")
}

/// Plugins that need others; upstream's `src/charm.py`.
pub(crate) fn unsatisfied_plugins() -> Status {
    Status::blocked("Unsatisfied plugin dependencies. Please check the logs")
}

/// Plugins that clients use; upstream's `src/charm.py`.
pub(crate) const PLUGINS_IN_USE: &str =
    "Cannot disable plugins: Existing objects depend on it. See logs";

/// Plugins that the image lacks.
pub(crate) fn no_plugins(missing: &[&str]) -> String {
    format!(
        "the image has no {}: refresh the resource postgresql-image, or set the option of the \
         plugin to false",
        missing.join(", ")
    )
}

/// What went wrong and why; a reason may say what a client has made up.
pub(crate) fn because(text: &str, reason: &str) -> String {
    format!("{text}: {}", reason.chars().take(REASON_MAX).collect::<String>())
}

/// A unit's pod goes and comes with what the operator refreshed to.
pub(crate) fn upgrading(unit: &UnitName) -> Status {
    Status::maintenance(format!("upgrading {unit}"))
}

/// An upgrade that goes no further for now, and what the operator can do where it stays so.
pub(crate) fn upgrade_waits(away: &UnitName, leader: &UnitName) -> Status {
    let app = away.app();
    Status::waiting(format!(
        "the upgrade waits until {away} follows. Should it not come back: `juju refresh {app}` to \
         what ran before goes back, `juju run {leader} resume-upgrade` goes on without it"
    ))
}

/// An upgrade whose next pod is the primary's.
pub(crate) fn no_successor(primary: &UnitName) -> Status {
    Status::waiting(format!(
        "the upgrade waits for a standby in sync that can lead instead of {primary}"
    ))
}

/// An upgrade of a cluster without a primary.
pub(crate) fn no_primary() -> Status {
    Status::waiting("the upgrade waits for a primary")
}

/// An upgrade that stops because the operator asked for that.
pub(crate) fn upgrade_paused(upgraded: &UnitName, leader: &UnitName) -> Status {
    Status::blocked(format!("{upgraded} is upgraded. To go on: `juju run {leader} resume-upgrade`"))
}

/// A switchover that was refused or did not end in time, in upstream's words.
pub(crate) const SWITCHOVER_FAILED: &str =
    "Switchover failed or timed out, check the logs for details";
