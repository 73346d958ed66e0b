//! The acceptance scenarios that need several applications around one pooler; which are where
//! is in docs/reference/acceptance.md.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use end_to_end::pooled::{client_url, connect, value};
use end_to_end::{Talisman, root};
use serde_json::Value;

const PORT: u16 = 16440;
const OPERATOR: u16 = 16441;
const SECOND: u16 = 16442;

struct World {
    engine: Talisman,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn deploy(&self, charm: &str, app: &str, more: &[&str]) -> Result<()> {
        let file = root().join(format!("dist/{charm}_ubuntu@22.04-amd64.charm"));
        let image = charm.strip_suffix("-k8s").map(|name| {
            let file = root().join(format!("images/{name}.yaml"));
            format!("{name}-image={}", file.display())
        });
        let file = file.display().to_string();
        let mut args = vec!["deploy", &file, app];
        args.extend(more);
        args.extend(image.iter().flat_map(|image| ["--resource", image]));
        self.engine.call(&args).map(drop)
    }

    fn call(&self, args: &[&str]) -> Result<String> {
        self.engine.call(args)
    }

    fn config(&self, option: &str) -> Result<()> {
        self.call(&["config", "pgbouncer-k8s", option]).map(drop)
    }

    fn scale(&self, units: usize) -> Result<Value> {
        self.call(&["scale-application", "pgbouncer-k8s", &units.to_string()])?;
        self.engine.wait_active(90)
    }

    /// Waits until all units of an application are blocked with these words.
    fn blocked(&self, app: &str, units: usize, words: &str) -> Result<()> {
        let what = format!("{units} units of {app} blocked: {words}");
        let ready = |status: &Value| {
            let Some(found) = status["applications"][app]["units"].as_object() else {
                return false;
            };
            let as_wanted = |unit: &Value| {
                let (status, message) =
                    (&unit["workload-status"], &unit["workload-status"]["message"]);
                status["current"] == "blocked"
                    && message.as_str().is_some_and(|message| message.starts_with(words))
                    && unit["juju-status"]["current"] == "idle"
            };
            found.len() == units && found.values().all(as_wanted)
        };
        self.engine.wait(&what, 90, ready).map(drop)
    }

    /// What a shell says in a unit's workload container.
    fn inside(&self, unit: usize, script: &str) -> Result<String> {
        let unit = format!("pgbouncer-k8s/{unit}");
        self.call(&["ssh", "--container", "pgbouncer", &unit, script])
    }

    fn ini(&self, unit: usize) -> Result<String> {
        self.inside(unit, "cat /var/lib/pgbouncer/instance_0/pgbouncer.ini")
    }

    fn query(&self, url: &str, sql: &str) -> Result<String> {
        let asked = async { value(&connect(url).await?, sql).await };
        self.runtime.block_on(asked).with_context(|| sql.to_owned())
    }

    fn refused(&self, url: &str, sql: &str) -> Result<()> {
        ensure!(self.query(url, sql).is_err(), "{sql} succeeded");
        Ok(())
    }

    /// A way in for PostgreSQL's own operator, past the pooler.
    fn operator(&self) -> Result<String> {
        let shown = self.engine.action("postgresql-k8s/0", "get-password")?;
        let password = shown["password"].as_str().context("no password")?;
        Ok(format!("postgresql://operator:{password}@127.0.0.1:{OPERATOR}/postgres"))
    }

    /// The application's databag of the pooler, as the client's unit sees it.
    fn bag(&self, app: &str) -> Result<Value> {
        let unit = format!("{app}/0");
        let shown: Value =
            serde_json::from_str(&self.call(&["show-unit", &unit, "--format", "json"])?)?;
        let relations = shown[&unit]["relation-info"].as_array().context("no relations")?;
        let ours = relations.iter().find(|relation| relation["endpoint"] == "postgresql");
        Ok(ours.context("no relation")?["application-data"].clone())
    }
}

#[test]
fn the_pooler_passes_the_acceptance_scenarios() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let world = World { engine: Talisman::new("e2eacc"), runtime };
    world.call(&["up"])?;
    alone_it_is_blocked_and_configurable(&world)?;
    related_it_serves_a_client(&world)?;
    clients_read_and_write(&world)?;
    another_primary_is_followed(&world)?;
    a_bad_option_blocks_until_it_is_reset(&world)?;
    all_units_have_one_configuration(&world)?;
    clients_outlive_scaling(&world)?;
    two_poolers_share_a_server(&world)?;
    without_relations_it_is_blocked_again(&world)
}

/// Scenarios 1 to 4 and 14.
fn alone_it_is_blocked_and_configurable(world: &World) -> Result<()> {
    let missing = "waiting for backend database relation to initialise";
    world.deploy("pgbouncer-k8s", "pgbouncer-k8s", &["--trust"])?;
    world.blocked("pgbouncer-k8s", 1, missing)?;

    world.config("listen_port=6464")?;
    let ready = |_: &Value| world.ini(0).is_ok_and(|ini| ini.contains("\nlisten_port = 6464\n"));
    world.engine.wait("the port in the configuration", 30, ready)?;
    world.blocked("pgbouncer-k8s", 1, missing)?;

    let listed = world
        .inside(0, "PEBBLE_SOCKET=/charm/container/pebble.socket /charm/bin/pebble services")?;
    let services: Vec<Vec<&str>> =
        listed.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let poolers = std::thread::available_parallelism()?.get().clamp(2, 4);
    // Each process has an exporter of its own, and the unit an agent: more than the scenario counts.
    assert_eq!(services.len(), 2 * poolers + 2, "{listed}");
    let running = services.iter().filter(|words| words[0].starts_with("pgbouncer_"));
    let running: Vec<_> = running.map(|words| (words[1], words[2])).collect();
    assert_eq!(running, vec![("enabled", "active"); poolers], "{listed}");

    let logs = "ls /var/log/pgbouncer/instance_0";
    assert_eq!(world.inside(0, logs)?.split_whitespace().count(), 1);
    world.inside(0, "/usr/sbin/logrotate -f /etc/logrotate.conf")?;
    let rotated = world.inside(0, logs)?;
    let rotated: BTreeSet<&str> = rotated.split_whitespace().collect();
    ensure!(rotated.len() == 2 && rotated.contains("pgbouncer.log"), "{rotated:?}");

    world.call(&["config", "pgbouncer-k8s", "--reset", "listen_port"])?;
    world.call(&["scale-application", "pgbouncer-k8s", "3"])?;
    world.blocked("pgbouncer-k8s", 3, missing)
}

/// Scenarios 7, 15, 18 and 29; the database's name has a hyphen.
fn related_it_serves_a_client(world: &World) -> Result<()> {
    world.deploy("postgresql-k8s", "postgresql-k8s", &["--trust", "--num-units", "2"])?;
    world.call(&["integrate", "pgbouncer-k8s:backend-database", "postgresql-k8s:database"])?;
    world.engine.wait_active(120)?;
    ensure!(world.ini(0)?.contains("\nauth_query = SELECT "), "no lookup");
    world.call(&["forward", &OPERATOR.to_string(), "postgresql-k8s-primary:5432"])?;
    let backend = "SELECT count(*)::text FROM pg_roles WHERE rolname LIKE 'pgbouncer\\_auth\\_%'";
    assert_eq!(world.query(&world.operator()?, backend)?, "1");

    let options = ["database-name=test-database", "extra-user-roles=CREATEDB,CREATEROLE"];
    let options = [["--config", options[0]], ["--config", options[1]]].concat();
    world.deploy("data-integrator", "client", &options)?;
    world.call(&["integrate", "client", "pgbouncer-k8s:database"])?;
    world.engine.wait_active(60)?;
    let bag = world.bag("client")?;
    ensure!(bag["secret-user"].is_string() && bag["password"].is_null(), "{bag}");
    let peers = world.call(&["show-unit", "pgbouncer-k8s/0", "--format", "json"])?;
    ensure!(!peers.contains("auth-file") && !peers.contains("auth_file"), "{peers}");
    world.call(&["forward", &PORT.to_string(), "pgbouncer-k8s-service:6432"]).map(drop)
}

/// Scenarios 18 to 21.
fn clients_read_and_write(world: &World) -> Result<()> {
    let url = client_url(&world.engine, "client", PORT)?;
    world.query(&url, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)")?;
    assert_eq!(world.query(&url, "SELECT n::text FROM kept")?, "42");
    let version = world.bag("client")?["version"].as_str().context("no version")?.to_owned();
    ensure!(world.query(&url, "SELECT version()")?.contains(&version), "not {version}");

    let replica = format!("{url}_readonly");
    let copied = |_: &Value| {
        world.query(&replica, "SELECT n::text FROM kept").is_ok_and(|found| found == "42")
    };
    world.engine.wait("the row on the replica", 30, copied)?;
    world.refused(&replica, "DROP TABLE kept")?;
    assert_eq!(world.query(&url, "SELECT n::text FROM kept")?, "42");

    world.query(&url, "CREATE DATABASE of_the_client")?;
    world.query(&url, "CREATE USER of_the_client").map(drop)
}

/// No entry of a configuration changes when another primary takes over.
fn another_primary_is_followed(world: &World) -> Result<()> {
    let url = client_url(&world.engine, "client", PORT)?;
    let entries = |unit| {
        let ini = world.ini(unit)?;
        let entries = ini.lines().filter(|line| line.contains(" auth_user="));
        anyhow::Ok(entries.map(str::to_owned).collect::<Vec<_>>())
    };
    let all = || (0..3).map(entries).collect::<Result<Vec<_>>>();
    let before = all()?;
    let dry = world.call(&["run", "postgresql-k8s/0", "switchover", "dry-run=true"])?;
    ensure!(dry.contains("open-transactions:"), "{dry}");
    world.call(&["run", "postgresql-k8s/0", "switchover"])?;
    world.engine.wait_active(120)?;
    assert_eq!(world.query(&url, "SELECT n::text FROM kept")?, "42");
    // A database that a client made meanwhile comes in addition.
    let after = all()?;
    let stay = before.iter().zip(&after).all(|(a, b)| a.iter().all(|line| b.contains(line)));
    ensure!(stay, "an entry changed with the primary: {before:?} {after:?}");
    Ok(())
}

/// Scenario 5.
fn a_bad_option_blocks_until_it_is_reset(world: &World) -> Result<()> {
    let options = [
        "listen_port=0",
        "pool_mode=abcXYZ123",
        "max_db_connections=-1",
        "max_prepared_statements=1001",
    ];
    for option in options {
        world.config(option)?;
        world.blocked("pgbouncer-k8s", 3, "Configuration Error")?;
        let (key, _) = option.split_once('=').context("no value")?;
        world.call(&["config", "pgbouncer-k8s", "--reset", key])?;
        world.engine.wait_active(60)?;
    }
    Ok(())
}

/// Scenario 9.
fn all_units_have_one_configuration(world: &World) -> Result<()> {
    // A unit has peers, a number among them, a user list in memory and a digest of its own.
    let own = ["auth_file", "peer_id", "syslog_ident"];
    let mut shared = BTreeSet::new();
    for unit in 0..3 {
        let ini = world.ini(unit)?;
        ensure!(ini.lines().any(|line| line.starts_with("auth_file = /")), "{ini}");
        ensure!(ini.contains("\nstats_users = pgbouncer_stats_pgbouncer_k8s\n"), "{ini}");
        let (before, rest) = ini.split_once("[peers]").context("no peers")?;
        let (_, settings) = rest.split_once("[pgbouncer]").context("no settings")?;
        let lines = before.lines().chain(settings.lines());
        let lines = lines.filter(|line| !own.iter().any(|key| line.starts_with(key)));
        shared.insert(lines.collect::<Vec<_>>().join("\n"));
    }
    ensure!(shared.len() == 1, "the units differ: {shared:?}");
    Ok(())
}

/// Scenarios 16, 22 and 27.
fn clients_outlive_scaling(world: &World) -> Result<()> {
    let url = client_url(&world.engine, "client", PORT)?;
    for units in [2, 1, 2, 1] {
        world.scale(units)?;
        assert_eq!(world.query(&url, "SELECT n::text FROM kept")?, "42", "with {units} units");
        let bag = world.bag("client")?;
        ensure!(bag["read-only-endpoints"].is_string(), "with {units} units: {bag}");
    }
    Ok(())
}

/// Scenarios 6, 23, 24, 26 and 28.
fn two_poolers_share_a_server(world: &World) -> Result<()> {
    world.deploy("pgbouncer-k8s", "other", &[])?;
    let trust = "Insufficient permissions, try: `juju trust other --scope=cluster`";
    world.blocked("other", 1, trust)?;
    world.call(&["trust", "other", "--scope=cluster"])?;
    world.blocked("other", 1, "waiting for backend database relation to initialise")?;

    world.call(&["integrate", "other:backend-database", "postgresql-k8s:database"])?;
    world.deploy("data-integrator", "second", &["--config", "database-name=second"])?;
    world.call(&["integrate", "second", "other:database"])?;
    world.engine.wait_active(90)?;
    world.call(&["forward", &SECOND.to_string(), "other-service:6432"])?;
    let first = client_url(&world.engine, "client", PORT)?;
    let second = client_url(&world.engine, "second", SECOND)?;
    assert_eq!(world.query(&first, "SELECT current_database()::text")?, "test-database");
    assert_eq!(world.query(&second, "SELECT current_database()::text")?, "second");
    let (one, two) = (world.bag("client")?, world.bag("second")?);
    for key in ["secret-user", "database", "endpoints"] {
        ensure!(one[key] != two[key], "{key} is one: {one} {two}");
    }

    let operator = world.operator()?;
    let user = second.split([':', '/']).nth(3).context("no user")?;
    let left = format!("SELECT count(*)::text FROM pg_roles WHERE rolname = '{user}'");
    assert_eq!(world.query(&operator, &left)?, "1");
    world.call(&["remove-relation", "second", "other"])?;
    let gone = |_: &Value| world.query(&operator, &left).is_ok_and(|count| count == "0");
    world.engine.wait("the client's user gone", 60, gone)?;
    world.refused(&second, "SELECT 1")?;
    world.call(&["remove-application", "second", "--no-prompt"])?;
    world.call(&["remove-application", "other", "--no-prompt"])?;
    world.engine.wait_active(60)?;
    assert_eq!(world.query(&first, "SELECT n::text FROM kept")?, "42");
    Ok(())
}

/// Scenario 17, and the end of 7.
fn without_relations_it_is_blocked_again(world: &World) -> Result<()> {
    world.call(&["remove-application", "client", "--no-prompt"])?;
    let gone = |status: &Value| status["applications"]["client"].is_null();
    world.engine.wait("the client gone", 60, gone)?;
    world.engine.wait_active(60)?;
    world.call(&["remove-relation", "pgbouncer-k8s", "postgresql-k8s"])?;
    world.blocked("pgbouncer-k8s", 1, "waiting for backend database relation to initialise")?;
    let ready = |_: &Value| world.ini(0).is_ok_and(|ini| !ini.contains("auth_query"));
    let status = world.engine.wait("the lookup gone", 60, ready)?;
    let server = &status["applications"]["postgresql-k8s"]["units"]["postgresql-k8s/0"];
    assert_eq!(server["workload-status"]["current"], "active");
    Ok(())
}
