//! The part of `pgbouncer.ini` that all units share, and what each process adds.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use juju_charm::{AppName, UnitName};
use pgbouncer::{Ini, Peer, Settings, Version, Word, pool_sizes};

use crate::databases::DatabaseMap;
use crate::facts::Login;
use crate::names;
use crate::options::Options;
use crate::render::{RenderError, Shape, databases};

/// The shared part: no secret, no file name, nothing of one unit.
pub(crate) fn shared(
    app: &AppName,
    options: &Options,
    backend: Option<&Login>,
    map: &DatabaseMap,
    shape: &Shape,
) -> Result<Ini, RenderError> {
    let mut settings = Settings::default();
    settings.set("listen_addr", "*")?;
    settings.set("listen_port", options.listen_port)?;
    if backend.is_some() {
        settings.set("admin_users", names::admin_user(app))?;
    }
    settings.set("stats_users", names::stats_user(app))?;
    settings.set("auth_type", "scram-sha-256")?;
    settings.set("user", names::OWNER)?;
    settings.set("max_client_conn", 10_000)?;
    settings.set("ignore_startup_parameters", "extra_float_digits,options")?;
    settings.set("server_tls_sslmode", "prefer")?;
    // PgBouncer's own 15 s keep clients waiting, or failing, long after a failover is over. It
    // looks three times a second anyway.
    settings.set("server_login_retry", "0.2")?;
    // A server that was promoted a moment ago may be slow, and a login that is given up fails its
    // pool; what is gone, the next two lines notice.
    settings.set("server_connect_timeout", 15)?;
    settings.set("tcp_user_timeout", 5_000)?;
    settings.set("tcp_keepidle", 5)?;
    settings.set("tcp_keepintvl", 1)?;
    settings.set("tcp_keepcnt", 3)?;
    settings.set("dns_max_ttl", 1)?;
    settings.set("so_reuseport", 1)?;
    settings.set("pool_mode", &options.pool_mode)?;
    settings.set("max_prepared_statements", options.max_prepared_statements)?;
    // DISCARD ALL must stand alone: beside another statement PostgreSQL refuses it, and
    // what one client set would reach the next.
    settings.set("server_reset_query", "DISCARD ALL")?;
    if let Some(share) = shape.share {
        settings.set("max_db_connections", capped(options.max_db_connections, share))?;
    }
    if let Some(login) = backend {
        if shape.version.has_auth_dbname() {
            settings.set("auth_dbname", names::LOOKUP_ENTRY)?;
        }
        let schema = identifier(login.auth_user.as_str());
        let function = format!("{schema}.{}", postgres::sql::LOOKUP_FUNCTION);
        settings.set("auth_query", format!("SELECT username, password FROM {function}($1)"))?;
    }
    let databases = match backend {
        Some(login) => databases::entries(login, options, map, shape)?,
        None => Vec::new(),
    };
    Ok(Ini { databases, peers: Vec::new(), settings }.for_version(shape.version))
}

/// What was asked for, as far as the share goes; 0 asks for no limit.
fn capped(asked: u32, share: u32) -> u32 {
    if asked == 0 { share } else { asked.min(share) }
}

/// What one unit knows about its own processes.
pub(crate) struct Local<'a> {
    pub(crate) options: &'a Options,
    pub(crate) processes: NonZeroU32,
    pub(crate) auth_file: Option<&'a str>,
    pub(crate) unit: &'a UnitName,
    pub(crate) model: &'a str,
    /// The other units, by number.
    pub(crate) others: &'a BTreeSet<u32>,
    /// The running PgBouncer's.
    pub(crate) version: Version,
    /// PostgreSQL's CA is known.
    pub(crate) verifies: bool,
    /// This unit has a certificate for its clients.
    pub(crate) encrypts: bool,
}

/// The whole configuration of each process.
pub(crate) fn instances(shared: &Ini, local: &Local) -> Result<Vec<Ini>, RenderError> {
    let peers = peers(local)?;
    (0..local.processes.get()).map(|index| instance(shared, local, &peers, index)).collect()
}

fn instance(shared: &Ini, local: &Local, peers: &[Peer], index: u32) -> Result<Ini, RenderError> {
    let mut settings = Settings::default();
    if let Some(id) = names::peer_id(local.unit.number(), index) {
        settings.set("peer_id", id)?;
    }
    settings.set("logfile", format!("{}/pgbouncer.log", names::log_folder(index)))?;
    settings.set("pidfile", format!("{}/pgbouncer.pid", names::folder(index)))?;
    settings.set("unix_socket_dir", names::folder(index))?;
    settings.extend(&shared.settings);
    settings.set("listen_addr", format!("*,{}", names::console(index)))?;
    // The unit's own view of the options wins over what the leader wrote a moment ago.
    let options = local.options;
    settings.set("listen_port", options.listen_port)?;
    settings.set("pool_mode", &options.pool_mode)?;
    settings.set("max_prepared_statements", options.max_prepared_statements)?;
    let share = shared.settings.get("max_db_connections");
    let share = share.map(|text| text.parse().map_err(|_| RenderError::Share(text.to_owned())));
    let share = share.transpose()?;
    let sizes = pool_sizes(options.max_db_connections, share, local.processes);
    settings.set("max_db_connections", sizes.max_db_connections)?;
    settings.set("default_pool_size", sizes.default)?;
    settings.set("min_pool_size", sizes.min)?;
    settings.set("reserve_pool_size", sizes.reserve)?;
    if local.verifies {
        settings.set("server_tls_sslmode", "verify-full")?;
        settings.set("server_tls_ca_file", names::SERVER_CA)?;
    }
    if local.encrypts {
        settings.set("client_tls_sslmode", "prefer")?;
        settings.set("client_tls_key_file", names::tls_key(local.unit.app()))?;
        settings.set("client_tls_cert_file", names::tls_certificate(local.unit.app()))?;
        settings.set("client_tls_ca_file", names::tls_ca(local.unit.app()))?;
    }
    for (name, value) in &options.settings {
        settings.set(name, value)?;
    }
    if let Some(path) = local.auth_file {
        settings.set("auth_file", path)?;
    }
    let part = |size: Option<u32>| size.map(|size| (size / local.processes).max(1));
    let mut databases = shared.databases.clone();
    for database in &mut databases {
        database.pool_size = part(database.pool_size);
        database.max_db_connections = part(database.max_db_connections);
    }
    Ok(Ini { databases, peers: peers.to_vec(), settings }.for_version(local.version))
}

/// The peers to which each process forwards cancel requests of others: its siblings by socket, and
/// the other units by name. There the request reaches any process, which hands it on.
fn peers(local: &Local) -> Result<Vec<Peer>, RenderError> {
    let (unit, port) = (local.unit, local.options.listen_port);
    let mut found = Vec::new();
    let mut add = |number: u32, index: u32, host: Word| {
        found.extend(names::peer_id(number, index).map(|id| Peer { id, host, port }));
    };
    for index in 0..local.processes.get() {
        add(unit.number(), index, names::folder(index).parse()?);
    }
    for number in local.others {
        let other = UnitName::new(unit.app().clone(), *number);
        let host: Word = names::hostname(&other, local.model).parse()?;
        for index in 0..names::PROCESSES_MAX {
            add(*number, index, host.clone());
        }
    }
    found.sort_by_key(|peer| peer.id);
    Ok(found)
}

/// A name in SQL, quoted unless it is a plain word.
fn identifier(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if name.bytes().all(plain) { name.to_owned() } else { postgres::quote_ident(name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_shared_part_holds_no_file_and_no_secret() {
        let ini = shared(
            &fixture::app(),
            &fixture::options(),
            Some(&fixture::login()),
            &fixture::map(&[(7, "waltz"), (9, "test-database")]),
            &fixture::shape(),
        );
        insta::assert_snapshot!(ini.unwrap(), @r"
        [databases]
        pgbouncer_lookup = host=postgresql-k8s-primary.m.svc.cluster.local dbname=pgbouncer port=5432 auth_user=pgbouncer_auth_relation_id_3 pool_size=4 max_db_connections=4
        waltz = host=postgresql-k8s-primary.m.svc.cluster.local dbname=waltz port=5432 auth_user=pgbouncer_auth_relation_id_3
        test-database = host=postgresql-k8s-primary.m.svc.cluster.local dbname=test-database port=5432 auth_user=pgbouncer_auth_relation_id_3
        waltz_readonly = host=postgresql-k8s-replicas.m.svc.cluster.local dbname=waltz port=5432 auth_user=pgbouncer_auth_relation_id_3
        test-database_readonly = host=postgresql-k8s-replicas.m.svc.cluster.local dbname=test-database port=5432 auth_user=pgbouncer_auth_relation_id_3

        [pgbouncer]
        listen_addr = *
        listen_port = 6432
        admin_users = pgbouncer_admin_pgbouncer_k8s
        stats_users = pgbouncer_stats_pgbouncer_k8s
        auth_type = scram-sha-256
        user = postgres
        max_client_conn = 10000
        ignore_startup_parameters = extra_float_digits,options
        server_tls_sslmode = prefer
        server_login_retry = 0.2
        server_connect_timeout = 15
        tcp_user_timeout = 5000
        tcp_keepidle = 5
        tcp_keepintvl = 1
        tcp_keepcnt = 3
        dns_max_ttl = 1
        so_reuseport = 1
        pool_mode = session
        max_prepared_statements = 100
        server_reset_query = DISCARD ALL
        auth_dbname = pgbouncer_lookup
        auth_query = SELECT username, password FROM pgbouncer_auth_relation_id_3.get_auth($1)
        ");
    }

    #[test]
    fn without_a_backend_there_is_nothing_to_look_up() {
        let map = fixture::map(&[(7, "waltz")]);
        let ini =
            shared(&fixture::app(), &fixture::options(), None, &map, &fixture::shape()).unwrap();
        assert!(ini.databases.is_empty());
        assert_eq!(ini.settings.get("auth_query"), None);
        assert_eq!(ini.settings.get("admin_users"), None);
    }

    #[test]
    fn a_process_adds_what_is_its_own() {
        let map = fixture::map(&[(7, "waltz")]);
        let options = fixture::options();
        let shared =
            shared(&fixture::app(), &options, Some(&fixture::login()), &map, &fixture::shape())
                .unwrap();
        let processes = NonZeroU32::new(2).unwrap();
        let auth_file = Some("/dev/shm/pgbouncer-k8s_nonce");
        let (unit, others) = (fixture::unit(0), BTreeSet::from([1]));
        let local = Local {
            options: &options,
            processes,
            auth_file,
            unit: &unit,
            model: "m",
            others: &others,
            version: pgbouncer::Version::TRIXIE,
            verifies: false,
            encrypts: false,
        };
        insta::assert_snapshot!(instances(&shared, &local).unwrap()[1], @r"
        [databases]
        pgbouncer_lookup = host=postgresql-k8s-primary.m.svc.cluster.local dbname=pgbouncer port=5432 auth_user=pgbouncer_auth_relation_id_3 pool_size=2 max_db_connections=2
        waltz = host=postgresql-k8s-primary.m.svc.cluster.local dbname=waltz port=5432 auth_user=pgbouncer_auth_relation_id_3
        waltz_readonly = host=postgresql-k8s-replicas.m.svc.cluster.local dbname=waltz port=5432 auth_user=pgbouncer_auth_relation_id_3

        [peers]
        1 = host=/var/lib/pgbouncer/instance_0 port=6432
        2 = host=/var/lib/pgbouncer/instance_1 port=6432
        5 = host=pgbouncer-k8s-1.pgbouncer-k8s-endpoints.m.svc.cluster.local port=6432
        6 = host=pgbouncer-k8s-1.pgbouncer-k8s-endpoints.m.svc.cluster.local port=6432
        7 = host=pgbouncer-k8s-1.pgbouncer-k8s-endpoints.m.svc.cluster.local port=6432
        8 = host=pgbouncer-k8s-1.pgbouncer-k8s-endpoints.m.svc.cluster.local port=6432

        [pgbouncer]
        peer_id = 2
        logfile = /var/log/pgbouncer/instance_1/pgbouncer.log
        pidfile = /var/lib/pgbouncer/instance_1/pgbouncer.pid
        unix_socket_dir = /var/lib/pgbouncer/instance_1
        listen_addr = *,127.0.1.2
        listen_port = 6432
        admin_users = pgbouncer_admin_pgbouncer_k8s
        stats_users = pgbouncer_stats_pgbouncer_k8s
        auth_type = scram-sha-256
        user = postgres
        max_client_conn = 10000
        ignore_startup_parameters = extra_float_digits,options
        server_tls_sslmode = prefer
        server_login_retry = 0.2
        server_connect_timeout = 15
        tcp_user_timeout = 5000
        tcp_keepidle = 5
        tcp_keepintvl = 1
        tcp_keepcnt = 3
        dns_max_ttl = 1
        so_reuseport = 1
        pool_mode = session
        max_prepared_statements = 100
        server_reset_query = DISCARD ALL
        auth_dbname = pgbouncer_lookup
        auth_query = SELECT username, password FROM pgbouncer_auth_relation_id_3.get_auth($1)
        max_db_connections = 50
        default_pool_size = 25
        min_pool_size = 13
        reserve_pool_size = 13
        auth_file = /dev/shm/pgbouncer-k8s_nonce
        ");
    }

    #[test]
    fn strange_user_names_are_quoted() {
        assert_eq!(identifier("pgbouncer_auth_relation_id_3"), "pgbouncer_auth_relation_id_3");
        assert_eq!(identifier("pgbouncer_auth_A b"), "\"pgbouncer_auth_A b\"");
    }
}
