//! Failure and disorder around the pooler: who may log in and what is served stays right.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use end_to_end::pooled::{Pooled, connect, legacy_bag, operator_url, value};
use end_to_end::{Talisman, root};
use serde_json::Value;

const DIST: &str = "ubuntu@22.04-amd64.charm";

struct World {
    pooled: Pooled,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn up(instance: &str, port: u16) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        Ok(Self { pooled: Pooled::up(instance, port)?, runtime })
    }

    fn call(&self, args: &[&str]) -> Result<String> {
        self.pooled.engine.call(args)
    }

    fn active(&self) -> Result<Value> {
        self.pooled.engine.wait_active(120)
    }

    /// The first value of one query over a connection of its own.
    fn query(&self, url: &str, sql: &str) -> Result<String> {
        self.runtime.block_on(async { value(&connect(url).await?, sql).await })
    }

    /// Another application that asks the pooler for a database.
    fn integrator(&self, name: &str, options: &[&str]) -> Result<()> {
        let charm = root().join(format!("dist/data-integrator_{DIST}")).display().to_string();
        let mut args = vec!["deploy", &charm, name];
        args.extend(options.iter().flat_map(|option| ["--config", option]));
        self.call(&args)?;
        self.call(&["integrate", name, "pgbouncer-k8s:database"])?;
        Ok(())
    }

    /// The credentials of the legacy client, from its own databag.
    fn legacy(&self) -> Result<String> {
        let bag = legacy_bag(&self.pooled.engine)?;
        let field = |key: &str| bag[key].as_str().with_context(|| format!("no {key} in {bag}"));
        let (user, password, database) = (field("user")?, field("password")?, field("database")?);
        Ok(format!("postgresql://{user}:{password}@127.0.0.1:{}/{database}", self.pooled.port()))
    }

    /// The databases that a unit's first process serves.
    fn served(&self, unit: &str) -> Result<BTreeSet<String>> {
        let ini = "/var/lib/pgbouncer/instance_0/pgbouncer.ini";
        let text = self.call(&["ssh", "--container", "pgbouncer", unit, "cat", ini])?;
        let lines = text.lines().skip_while(|line| *line != "[databases]").skip(1);
        let entries = lines.take_while(|line| !line.starts_with('['));
        let name = |line: &str| line.split(" = ").next().unwrap_or_default().to_owned();
        Ok(entries.filter(|line| line.contains(" = ")).map(name).collect())
    }

    /// Waits until every unit serves just these databases, the read-only names left out.
    fn serves(&self, units: u32, expected: &[&str]) -> Result<()> {
        let expected: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
        for unit in (0..units).map(|number| format!("pgbouncer-k8s/{number}")) {
            self.eventually(&format!("{unit} serves {expected:?}"), || {
                let mut found = self.served(&unit)?;
                let own = ["_readonly", "_standby", "_lookup"];
                found.retain(|name| !own.iter().any(|suffix| name.ends_with(suffix)));
                Ok(found == expected)
            })?;
        }
        Ok(())
    }

    /// The roles in PostgreSQL that relations have made, by way of its operator.
    fn roles(&self, operator: &str) -> Result<BTreeSet<String>> {
        let sql = "SELECT coalesce(string_agg(rolname, ' '), '') FROM pg_roles WHERE rolname \
                   LIKE 'relation\\_id\\_%' OR rolname LIKE 'pgbouncer\\_auth%' \
                   OR rolname LIKE '%\\_user\\_%'";
        let found = self.query(operator, sql)?;
        Ok(found.split_whitespace().map(str::to_owned).collect())
    }

    fn eventually(&self, what: &str, holds: impl Fn() -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let last = holds();
            if matches!(last, Ok(true)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let status = self.call(&["status", "--relations"])?;
                let log = self.call(&["debug-log", "--no-tail", "--limit", "60"])?;
                last.context(format!("{what}\n{status}\n{log}"))?;
                anyhow::bail!("waited 60 s: {what}\n{status}\n{log}");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn logs_in(&self, url: &str) -> Result<()> {
        self.eventually("a client logs in", || Ok(self.query(url, "SELECT 42")? == "42"))
    }
}

/// The user in a URL.
fn user(url: &str) -> &str {
    url.split([':', '/']).nth(3).unwrap_or_default()
}

/// Scenarios 10 to 13, 23 to 26, 28, 30 and those that upstream does not test.
#[test]
fn clients_of_both_interfaces_keep_what_is_theirs() -> Result<()> {
    let world = World::up("e2edis", 16436)?;
    let operator = operator_url(&world.pooled.engine, "postgresql-k8s", 16437, "postgres")?;
    let first = world.pooled.url.clone();
    two_clients_share_a_database(&world)?;
    a_client_of_the_old_interface_is_served(&world, &operator)?;
    a_wildcard_comes_and_goes(&world)?;
    let (second, legacy) = (world.pooled.client("second")?, world.legacy()?);
    let all = [first.as_str(), second.as_str(), legacy.as_str()];

    units_come_and_go(&world, &all)?;
    let late = a_leader_goes_while_a_client_asks(&world, &all)?;
    // The pod goes, and with it the auth file, which is in memory only.
    world.pooled.engine.delete_pod("pgbouncer-k8s/0", "pgbouncer-k8s/0")?;
    all.iter().try_for_each(|url| world.logs_in(url))?;
    world.active()?;

    no_secret_is_in_the_open(&world, &[&first, &second, &late, &operator])?;
    each_relation_has_one_role(&world, &operator, &[&first, &second, &late, &legacy])?;
    ended_relations_leave_nothing_behind(&world, &operator, &[&late, &legacy])?;
    world.logs_in(&first)?;
    world.logs_in(&second)?;
    an_ended_backend_keeps_nothing_of_the_pooler(&world, &operator)?;
    let operator = a_backend_is_replaced(&world, &first)?;
    the_application_is_removed_at_once(&world, &operator, &first)
}

fn units_come_and_go(world: &World, all: &[&str]) -> Result<()> {
    for units in ["3", "1"] {
        world.call(&["scale-application", "pgbouncer-k8s", units])?;
        world.active()?;
        world.serves(units.parse()?, &["app", "waltz"])?;
        all.iter().try_for_each(|url| world.logs_in(url))?;
    }
    Ok(())
}

/// To no unit and back to one; the client that asked meanwhile has its database after that.
fn a_leader_goes_while_a_client_asks(world: &World, all: &[&str]) -> Result<String> {
    let legacy = world.legacy()?;
    world.integrator("late", &["database-name=late"])?;
    world.call(&["scale-application", "pgbouncer-k8s", "0"])?;
    world.pooled.engine.wait("no pooler", 60, |status| {
        status["applications"]["pgbouncer-k8s"]["units"].as_object().is_none_or(|u| u.is_empty())
    })?;
    world.call(&["scale-application", "pgbouncer-k8s", "1"])?;
    world.active()?;
    world.serves(1, &["app", "late", "waltz"])?;
    all.iter().try_for_each(|url| world.logs_in(url))?;
    assert_eq!(world.legacy()?, legacy, "the old interface's client keeps its password");
    let late = world.pooled.client("late")?;
    world.logs_in(&late)?;
    Ok(late)
}

fn each_relation_has_one_role(world: &World, operator: &str, clients: &[&str]) -> Result<()> {
    let mut expected: BTreeSet<String> = clients.iter().map(|url| user(url).to_owned()).collect();
    let mut roles = world.roles(operator)?;
    roles.retain(|role| !role.starts_with("pgbouncer_auth"));
    let backend = roles.iter().find(|role| !expected.contains(*role)).cloned();
    expected.extend(backend);
    assert_eq!(roles, expected, "one role per relation and the charm's own");
    Ok(())
}

fn ended_relations_leave_nothing_behind(
    world: &World,
    operator: &str,
    ended: &[&str],
) -> Result<()> {
    world.call(&["remove-relation", "legacy:db", "pgbouncer-k8s:db"])?;
    world.call(&["remove-relation", "late", "pgbouncer-k8s"])?;
    world.serves(1, &["app"])?;
    world.eventually("the roles are gone", || {
        let roles = world.roles(operator)?;
        Ok(!ended.iter().any(|url| roles.contains(user(url))))
    })
}

fn an_ended_backend_keeps_nothing_of_the_pooler(world: &World, operator: &str) -> Result<()> {
    world.call(&["remove-relation", "pgbouncer-k8s", "postgresql-k8s"])?;
    let message = "waiting for backend database relation to initialise";
    world.pooled.engine.wait("the pooler blocked", 60, |status| {
        let unit = &status["applications"]["pgbouncer-k8s"]["units"]["pgbouncer-k8s/0"];
        unit["workload-status"]["message"] == message
    })?;
    nothing_is_left(world, operator, &["pgbouncer", "postgres", "app", "waltz", "late"])
}

/// PostgreSQL knows neither the pooler's roles nor its clients', nor a lookup.
fn nothing_is_left(world: &World, operator: &str, databases: &[&str]) -> Result<()> {
    world.eventually("no role of a relation is left", || Ok(world.roles(operator)?.is_empty()))?;
    for database in databases {
        let operator = operator.replace("/postgres", &format!("/{database}"));
        let left = "SELECT count(*)::text FROM pg_proc WHERE proname = 'get_auth'";
        assert_eq!(world.query(&operator, left)?, "0", "a lookup is left in {database}");
    }
    Ok(())
}

fn two_clients_share_a_database(world: &World) -> Result<()> {
    world.integrator("second", &["database-name=app"])?;
    world.active()?;
    let second = world.pooled.client("second")?;
    ensure!(user(&second) != user(&world.pooled.url), "two clients have one user");
    world.query(&world.pooled.url, "CREATE TABLE shared (n int); INSERT INTO shared VALUES (7)")?;
    world.logs_in(&second)?;
    world.serves(1, &["app"])
}

/// An extension that is not there blocks until the client goes; once it is there it does not.
fn a_client_of_the_old_interface_is_served(world: &World, operator: &str) -> Result<()> {
    let charm = root().join("tests/charms/legacy-client").display().to_string();
    world.call(&["deploy", &charm, "legacy", "--config", "extensions=pg_trgm"])?;
    world.call(&["integrate", "legacy:db", "pgbouncer-k8s:db"])?;
    let shown = |status: &Value, wanted: &str| {
        let unit = &status["applications"]["pgbouncer-k8s"]["units"]["pgbouncer-k8s/0"];
        let said = &unit["workload-status"];
        said["current"] == "blocked"
            && said["message"].as_str().is_some_and(|message| message.contains(wanted))
    };
    let missing = "remote app requested extensions, which are unsupported";
    world.pooled.engine.wait("the extension missed", 90, |status| shown(status, missing))?;
    world.call(&["remove-relation", "legacy:db", "pgbouncer-k8s:db"])?;
    world.pooled.engine.wait("no block", 90, |status| !shown(status, missing))?;
    let own = operator.replace("/postgres", "/pgbouncer");
    world.query(&own, "CREATE EXTENSION pg_trgm")?;

    world.call(&["integrate", "legacy:db", "pgbouncer-k8s:db"])?;
    world.active()?;
    world.serves(1, &["app", "waltz"])?;
    let url = world.legacy()?;
    assert_eq!(world.query(&url, "SELECT current_database()::text")?, "waltz");
    assert_eq!(legacy_bag(&world.pooled.engine)?["extensions"], "pg_trgm");

    for (option, port) in
        [(["listen_port=6464"].as_slice(), "6464"), (&["--reset", "listen_port"], "6432")]
    {
        world.call(&[["config", "pgbouncer-k8s"].as_slice(), option].concat())?;
        world.eventually("the client is told the port", || {
            Ok(legacy_bag(&world.pooled.engine)?["port"] == port)
        })?;
    }
    world.active()?;
    world.logs_in(&url)
}

fn a_wildcard_comes_and_goes(world: &World) -> Result<()> {
    world.integrator("wild", &["database-name=wild", "extra-user-roles=CREATEDB"])?;
    world.active()?;
    world.serves(1, &["*", "app", "waltz", "wild"])?;
    let url = world.pooled.client("wild")?;
    world.query(&url, "CREATE DATABASE made_by_wild")?;
    let own = url.replace("/wild", "/made_by_wild");
    assert_eq!(world.query(&own, "SELECT current_database()::text")?, "made_by_wild");
    world.call(&["remove-relation", "wild", "pgbouncer-k8s"])?;
    world.serves(1, &["app", "waltz"])?;
    world.call(&["remove-application", "wild", "--no-prompt"])?;
    gone(&world.pooled.engine, "wild")?;
    world.logs_in(&world.pooled.url)
}

/// The secrets of this scenario must be nowhere but in Juju's secrets and in private files.
fn no_secret_is_in_the_open(world: &World, urls: &[&str]) -> Result<()> {
    let mut secrets: Vec<String> =
        urls.iter().filter_map(|url| url.split([':', '@']).nth(2).map(str::to_owned)).collect();
    let shown = world.pooled.engine.action("pgbouncer-k8s/leader", "get-console-credentials")?;
    for role in ["admin", "stats"] {
        secrets.extend(shown[role]["password"].as_str().map(str::to_owned));
    }
    let units = ["pgbouncer-k8s/0", "postgresql-k8s/0", "data-integrator/0", "second/0", "late/0"];
    let mut places = vec![("the status".to_owned(), world.call(&["status", "--format", "json"])?)];
    for unit in units {
        places.push((format!("a bag of {unit}"), world.call(&["show-unit", unit])?));
    }
    let log = ["debug-log", "--no-tail", "--level", "TRACE", "--limit", "50000"];
    places.push(("the log".to_owned(), world.call(&log)?));
    for (container, unit) in [("pgbouncer", "pgbouncer-k8s/0"), ("postgresql", "postgresql-k8s/0")]
    {
        let inside = |what: &str, script: &str| -> Result<(String, String)> {
            let text = world.call(&["ssh", "--container", container, unit, script])?;
            ensure!(!text.is_empty(), "nothing to look at in {what} of {unit}");
            Ok((format!("{what} of {unit}"), text))
        };
        places.push((format!("the plan of {unit}"), plan(unit, container)?));
        places.push(inside("a command line", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")?);
        let readable = "find / -xdev \\( -path /proc -o -path /sys -o -path /usr \\) -prune -o \
                        -type f -perm -o+r -size -1024k -newer /etc/os-release \
                        -exec cat {} + 2>/dev/null; \
                        find /dev/shm /run /tmp /charm -type f -perm -o+r -size -1024k \
                        -exec cat {} + 2>/dev/null; true";
        places.push(inside("a file that others can read", readable)?);
    }
    for (place, text) in places {
        for secret in &secrets {
            ensure!(!text.contains(secret.as_str()), "a password is in {place}");
        }
    }
    Ok(())
}

/// Pebble's plan of a container.
fn plan(unit: &str, container: &str) -> Result<String> {
    let pod = unit.replace('/', "-");
    let socket = format!("/var/lib/talisman/e2edis/pods/{pod}/shared/{container}/pebble.socket");
    let pebble = root().join("talisman").canonicalize()?.with_file_name("lib/pebble");
    let output =
        std::process::Command::new(pebble).arg("plan").env("PEBBLE_SOCKET", socket).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(text.contains("services:"), "no plan of {unit}");
    Ok(text)
}

/// Another PostgreSQL takes the place of the first; the client keeps its user and password.
fn a_backend_is_replaced(world: &World, client: &str) -> Result<String> {
    let charm = root().join(format!("dist/postgresql-k8s_{DIST}")).display().to_string();
    let image = format!("postgresql-image={}", root().join("images/postgresql.yaml").display());
    world.call(&["deploy", &charm, "other", "--trust", "--resource", &image])?;
    world.call(&["integrate", "pgbouncer-k8s:backend-database", "other:database"])?;
    world.eventually("the client logs in at the other PostgreSQL", || {
        Ok(world.query(client, "SELECT 42")? == "42")
    })?;
    world.serves(1, &["app"])?;
    let operator = operator_url(&world.pooled.engine, "other", 16438, "postgres")?;
    ensure!(world.roles(&operator)?.contains(user(client)), "the client's user is not there");
    let old = &world.pooled.engine;
    old.call(&["remove-application", "postgresql-k8s", "--no-prompt", "--destroy-storage"])?;
    gone(old, "postgresql-k8s")?;
    world.logs_in(client)?;
    Ok(operator)
}

/// With clients of both interfaces: PostgreSQL shuts the charm out before it has cleaned up.
fn the_application_is_removed_at_once(world: &World, operator: &str, client: &str) -> Result<()> {
    world.call(&["config", "legacy", "--reset", "extensions"])?;
    world.call(&["integrate", "legacy:db", "pgbouncer-k8s:db"])?;
    world.eventually("the client of the old interface works", || {
        world.query(&world.legacy()?, "CREATE SCHEMA made_by_legacy").map(|_| true)
    })?;
    world.query(client, "CREATE TABLE kept AS SELECT 42 AS n")?;
    ensure!(world.roles(operator)?.len() >= 5, "two users of the pooler and three clients");
    world.call(&["remove-application", "pgbouncer-k8s", "--no-prompt"])?;
    gone(&world.pooled.engine, "pgbouncer-k8s")?;
    nothing_is_left(world, operator, &["pgbouncer", "postgres", "app", "waltz"])?;
    let app = operator.replace("/postgres", "/app");
    assert_eq!(world.query(&app, "SELECT n::text FROM kept")?, "42");
    Ok(())
}

fn gone(engine: &Talisman, app: &str) -> Result<()> {
    engine.wait(&format!("{app} gone"), 90, |status| status["applications"][app].is_null())?;
    Ok(())
}
