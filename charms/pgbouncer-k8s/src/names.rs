//! Where things are: files in the container, names in the cluster, users in PgBouncer.

use std::net::Ipv4Addr;

use juju_charm::{AppName, UnitName};
use juju_interfaces::Endpoint;
use postgres::DatabaseName;

/// How many characters a password has that the charm makes: about 142 bits.
pub(crate) const PASSWORD_LENGTH: usize = 24;
/// The workload container.
pub(crate) const CONTAINER: &str = "pgbouncer";
/// The user and group of PgBouncer's processes and files.
pub(crate) const OWNER: &str = "postgres";
/// The exporter's service.
pub(crate) const EXPORTER: &str = "metrics_server";
/// The service that rotates logs.
pub(crate) const LOGROTATE: &str = "logrotate";
/// The check that PostgreSQL accepts connections.
pub(crate) const BACKEND_CHECK: &str = "backend";
/// The label by which Juju marks an application's pods.
pub(crate) const APP_LABEL: &str = "app.kubernetes.io/name";
/// The service of the agent that holds clients while the primary changes.
pub(crate) const AGENT: &str = "pooler-agent";
/// Its program, which is the charm's own under another name.
pub(crate) const AGENT_PROGRAM: &str = "/var/lib/pgbouncer/pooler-agent";
/// Which program that is.
pub(crate) const AGENT_VERSION: &str = "/var/lib/pgbouncer/pooler-agent.version";
/// The rules that it follows.
pub(crate) const LOGROTATE_RULES: &str = "/etc/logrotate.d/pgbouncer";
/// The database that the backend makes for this charm.
pub(crate) const OWN_DATABASE: DatabaseName = DatabaseName::constant("pgbouncer");
/// The database that every PostgreSQL has.
pub(crate) const POSTGRES: DatabaseName = DatabaseName::constant("postgres");

/// The entry of `[databases]` through which passwords are looked up.
pub(crate) const LOOKUP_ENTRY: &str = "pgbouncer_lookup";
/// The most server connections of a unit for looking passwords up.
pub(crate) const LOOKUP_POOL: u32 = 4;

/// The exporter's service for process `index`; the first has the name that others know.
pub(crate) fn exporter(index: u32) -> String {
    if index == 0 { EXPORTER.to_owned() } else { format!("{EXPORTER}_{index}") }
}

/// The Pebble service of process `index`.
pub(crate) fn service(index: u32) -> String {
    format!("pgbouncer_{index}")
}

/// The folder of process `index`: socket, pid file, configuration.
pub(crate) fn folder(index: u32) -> String {
    format!("/var/lib/pgbouncer/instance_{index}")
}

/// The folder of process `index`' log.
pub(crate) fn log_folder(index: u32) -> String {
    format!("/var/log/pgbouncer/instance_{index}")
}

/// The configuration of process `index`.
pub(crate) fn ini(index: u32) -> String {
    format!("{}/pgbouncer.ini", folder(index))
}

/// The folder in memory.
pub(crate) const MEMORY: &str = "/dev/shm";

/// The user list, in memory; its name changes with each start of the pod.
pub(crate) fn auth_file(app: &AppName, nonce: &str) -> String {
    format!("{MEMORY}/{}", auth_file_name(app, nonce))
}

/// The last part of its path.
pub(crate) fn auth_file_name(app: &AppName, nonce: &str) -> String {
    format!("{app}_{nonce}")
}

/// The exporter's password file, in memory.
pub(crate) fn passfile(app: &AppName) -> String {
    format!("/dev/shm/{app}.pgpass")
}

/// Where the agent writes its own pause down, in memory.
pub(crate) fn agent_hold(app: &AppName) -> String {
    format!("{MEMORY}/{app}.agent.hold")
}

/// Where the agent shows how its last pause went, in memory.
pub(crate) fn agent_trace(app: &AppName) -> String {
    format!("{MEMORY}/{app}.agent.last")
}

/// The agent's configuration, in memory.
pub(crate) fn agent_config(app: &AppName) -> String {
    format!("{MEMORY}/{app}.agent.json")
}

/// The key with which clients are served, in memory.
pub(crate) fn tls_key(app: &AppName) -> String {
    format!("{MEMORY}/{app}.key.pem")
}

/// Its certificate, and those between it and the issuer's.
pub(crate) fn tls_certificate(app: &AppName) -> String {
    format!("{MEMORY}/{app}.cert.pem")
}

/// The CA that issued it; PgBouncer serves with no TLS unless it is given one, though it asks no
/// client for a certificate.
pub(crate) fn tls_ca(app: &AppName) -> String {
    format!("{MEMORY}/{app}.ca.pem")
}

/// The CA certificates of PostgreSQL.
pub(crate) const SERVER_CA: &str = "/var/lib/pgbouncer/server-ca.pem";

/// The user who may read PgBouncer's statistics.
pub(crate) fn stats_user(app: &AppName) -> String {
    format!("pgbouncer_stats_{}", underscores(app.as_str()))
}

/// The user who may do everything in PgBouncer's admin console.
pub(crate) fn admin_user(app: &AppName) -> String {
    format!("pgbouncer_admin_{}", underscores(app.as_str()))
}

/// The user on PostgreSQL who looks passwords up, named after the one we were given.
pub(crate) fn auth_user(backend_user: &str) -> String {
    format!("pgbouncer_auth_{}", underscores(backend_user))
}

/// A client's user on PostgreSQL where the relation is a legacy one: readable while it fits, else
/// cut and made unique by a digest.
pub(crate) fn legacy_user(app: &AppName, id: juju_charm::RelationId, model: &str) -> String {
    let name = underscores(&format!("{app}_user_{id}_{model}"));
    if name.len() <= postgres::NAME_BYTES_MAX {
        return name;
    }
    let digest = crate::digest::digest(&name);
    let kept: String = name.chars().take(postgres::NAME_BYTES_MAX - digest.len() - 1).collect();
    format!("{kept}_{digest}")
}

/// The unit's name in the cluster's DNS.
pub(crate) fn hostname(unit: &UnitName, model: &str) -> String {
    format!("{}.{}-endpoints.{model}.svc.cluster.local", unit.pod(), unit.app())
}

/// The Service's name.
pub(crate) fn service_name(app: &AppName) -> String {
    format!("{app}-service")
}

/// Where process `index` listens besides, which no other process does: behind the shared port a
/// different one would answer each time. What runs in the pod alone reaches it.
pub(crate) fn console(index: u32) -> Ipv4Addr {
    let last = u8::try_from(index.saturating_add(1)).unwrap_or(u8::MAX);
    Ipv4Addr::new(127, 0, 1, last)
}

/// The most processes that a unit runs.
pub(crate) const PROCESSES_MAX: u32 = 4;

/// The number of a process among all processes of the application, by which cancel
/// requests find it; `None` beyond what PgBouncer can number.
pub(crate) fn peer_id(unit: u32, index: u32) -> Option<u16> {
    let id = unit.checked_mul(PROCESSES_MAX)?.checked_add(index)?.checked_add(1)?;
    u16::try_from(id).ok().filter(|id| *id <= 16_383)
}

/// Where clients in the cluster connect.
pub(crate) fn cluster_endpoint(app: &AppName, model: &str, port: u16) -> Endpoint {
    Endpoint { host: format!("{}.{model}.svc.cluster.local", service_name(app)), port }
}

fn underscores(text: &str) -> String {
    text.replace('-', "_")
}
