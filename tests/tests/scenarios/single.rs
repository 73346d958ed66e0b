//! One unit of PostgreSQL: it says what it lacks and goes on once it has it; extensions, the
//! audit and the parameters are as its options have them.

use std::os::unix::fs::PermissionsExt;

use anyhow::{Result, ensure};
use end_to_end::disk::SmallDisk;
use end_to_end::kubernetes::quoted;
use end_to_end::{Talisman, root};
use serde_json::Value;

const INSTANCE: &str = "e2etrust";
const APP: &str = "postgresql-k8s";

fn message(status: &Value) -> &Value {
    let units = &status["applications"]["postgresql-k8s"]["units"];
    &units["postgresql-k8s/0"]["workload-status"]["message"]
}

fn inside(engine: &Talisman, line: &str) -> Result<String> {
    engine.call(&["ssh", "--container", "postgresql", "postgresql-k8s/0", line])
}

/// Fills the volume up to its last parts of a hundred, and makes room again.
fn a_full_volume(engine: &Talisman) -> Result<()> {
    engine.call(&["model-config", "update-status-hook-interval=3s"])?;
    let filler = "/var/lib/postgresql/data/filler";
    let fill = format!(
        "free=$(df --output=avail -k /var/lib/postgresql/data | tail -n 1) && \
         fallocate -l $((free * 96 / 100))K {filler}"
    );
    inside(engine, &fill)?;
    engine.wait("the full volume in the status", 60, |status| {
        message(status) == "<10% free space on pgdata volume."
    })?;
    inside(engine, &format!("rm {filler}"))?;
    engine.wait_active(60).map(drop)
}

/// A volume given to another user, with its data, is PostgreSQL's again by itself.
fn a_volume_that_somebody_took(engine: &Talisman) -> Result<()> {
    let data = "/var/lib/postgresql/data";
    let take = format!(
        "pebble stop postgresql && chown -R root:root {data}/pgdata && chown root:root {data} && \
         chmod 700 {data} && pebble start postgresql"
    );
    inside(engine, &take).ok();
    let own = format!(
        "test -z \"$(find {data}/pgdata ! -user postgres)\" && test $(stat -c %U {data}) = postgres"
    );
    engine.wait("the volume's owner", 60, |_| inside(engine, &own).is_ok())?;
    engine.wait("the server", 60, |_| {
        ask(engine, "postgres", "SELECT 1").is_ok_and(|answer| answer == "1")
    })?;
    engine.wait_active(60).map(drop)
}

/// What the server answers.
fn ask(engine: &Talisman, database: &str, sql: &str) -> Result<String> {
    let psql = "runuser -u postgres -- psql -U backup -h /var/run/postgresql";
    let answer = inside(engine, &format!("{psql} -d {database} -Atc {}", quoted(sql)))?;
    Ok(answer.trim().to_owned())
}

fn configure(engine: &Talisman, options: &[String]) -> Result<()> {
    let options = options.iter().map(String::as_str);
    engine.call(&["config", APP].into_iter().chain(options).collect::<Vec<_>>()).map(drop)
}

/// Numbers of workers follow the cores, and one that is far above them blocks.
fn workers_follow_the_cores(engine: &Talisman) -> Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    let show = |name: &str| ask(engine, "postgres", &format!("SHOW {name}"));
    assert_eq!(show("max_worker_processes")?, (2 * cores).min(8).to_string());
    assert_eq!(show("max_parallel_workers")?, (2 * cores).min(8).to_string());
    let (much, most) = (10 * cores + 1, 10 * cores);
    configure(engine, &[format!("cpu_max_parallel_workers={much}")])?;
    blocked(engine, &[&format!("value {much} exceeds maximum allowed of {most} (10 * vCores)")])?;
    configure(engine, &["cpu_max_parallel_workers=2".to_owned()])?;
    await_answer(engine, "SHOW max_parallel_workers", "2")
}

/// A password that is too long changes nothing, and an empty one stands for a made one.
fn odd_passwords(engine: &Talisman) -> Result<()> {
    let get = || engine.action("postgresql-k8s/leader", "get-password");
    let set = ["run", "postgresql-k8s/leader", "set-password"];
    let before = get()?;
    let long = format!("password={}", "x".repeat(2000));
    let output = engine.output(&[&set[..], &[&long]].concat())?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains("at most 1024 bytes"), "{said}");
    assert_eq!(get()?, before);
    engine.call(&[&set[..], &["password="]].concat())?;
    let after = get()?;
    assert_ne!(after, before);
    assert_eq!(after["password"].as_str().map(str::len), Some(32));
    let none = "PGPASSWORD= psql -w -h 127.0.0.1 -U operator -d postgres -c 'SELECT 1' 2>&1";
    assert!(inside(engine, none).is_err(), "the operator enters without a password");
    Ok(())
}

/// Switches plugins.
fn switch(engine: &Talisman, plugins: &[&str], on: bool) -> Result<()> {
    let options = plugins.iter().map(|plugin| format!("plugin_{plugin}_enable={on}"));
    configure(engine, &options.collect::<Vec<_>>())
}

/// Waits until a query has this answer.
fn await_answer(engine: &Talisman, sql: &str, expected: &str) -> Result<()> {
    let right = |_: &Value| ask(engine, "postgres", sql).is_ok_and(|answer| answer == expected);
    engine.wait(&format!("{sql}: {expected}"), 90, right).map(drop)
}

/// Every plugin whose extension is in the image.
const PLUGINS: [&str; 44] = [
    "audit",
    "bloom",
    "bool_plperl",
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "debversion",
    "dict_int",
    "dict_xsyn",
    "earthdistance",
    "fuzzystrmatch",
    "hll",
    "hstore",
    "hypopg",
    "icu_ext",
    "intarray",
    "ip4r",
    "isn",
    "jsonb_plperl",
    "lo",
    "ltree",
    "orafce",
    "pg_freespacemap",
    "pg_similarity",
    "pg_stat_statements",
    "pg_trgm",
    "pg_visibility",
    "pgrowlocks",
    "pgstattuple",
    "plperl",
    "plpython3u",
    "pltcl",
    "prefix",
    "seg",
    "spi",
    "tablefunc",
    "tcn",
    "tds_fdw",
    "tsm_system_rows",
    "tsm_system_time",
    "unaccent",
    "uuid_ossp",
    "vector",
];

fn extensions_come_and_go(engine: &Talisman) -> Result<()> {
    let count = "SELECT count(*) FROM pg_extension";
    // The language that is always there, the audit, and what else the options name: one of
    // them stands for four.
    let all = (PLUGINS.len() + 1 + 3).to_string();
    switch(engine, &PLUGINS, true)?;
    await_answer(engine, count, &all)?;
    let sample = "SELECT similarity('abc', 'abd') > 0, 'a=>1'::hstore -> 'a', 'A'::citext = 'a', \
                  uuid_generate_v4() IS NOT NULL, '[1,2]'::vector <-> '[1,3]'";
    assert_eq!(ask(engine, "postgres", sample)?, "t|1|t|t|1");
    ask(engine, "postgres", "CREATE DATABASE later")?;
    assert_eq!(ask(engine, "later", count)?, all);

    ask(engine, "later", "CREATE TABLE uses (words hstore)")?;
    switch(engine, &["hstore"], false)?;
    let in_use = "Cannot disable plugins: Existing objects depend on it. See logs";
    engine.wait("an extension in use", 60, |status| message(status) == in_use)?;
    ask(engine, "later", "DROP TABLE uses")?;
    engine.wait_active(60)?;
    assert_eq!(ask(engine, "later", "SELECT to_regtype('hstore') IS NULL")?, "t");

    switch(engine, &["postgis"], true)?;
    let absent = "the image has no postgis: refresh the resource postgresql-image, or set the \
                  option of the plugin to false";
    engine.wait("a plugin that the image lacks", 60, |status| message(status) == absent)?;
    switch(engine, &["postgis"], false)?;
    engine.wait_active(60).map(drop)
}

fn the_audit_is_an_option(engine: &Talisman) -> Result<()> {
    let show = "SHOW pgaudit.log";
    assert_eq!(ask(engine, "postgres", show)?, "ROLE,DDL,MISC,MISC_SET");
    ask(engine, "postgres", "CREATE TABLE audited ()")?;
    switch(engine, &["audit"], false)?;
    await_answer(engine, show, "none")?;
    ask(engine, "postgres", "CREATE TABLE unheard ()")?;
    let logs = inside(engine, "pebble logs -n all postgresql")?;
    let audited = |table: &str| {
        logs.lines()
            .any(|line| line.contains("AUDIT: ") && line.contains(&format!("CREATE TABLE {table}")))
    };
    assert!(audited("audited") && !audited("unheard"), "{logs}");
    Ok(())
}

/// What a collection of acceptance tests reads of the server.
const SETTINGS: [(&str, &str); 18] = [
    ("archive_command", "/bin/true"),
    ("archive_mode", "on"),
    ("autovacuum", "on"),
    ("cluster_name", "patroni-postgresql-k8s"),
    ("data_checksums", "on"),
    ("data_directory", "/var/lib/postgresql/data/pgdata"),
    ("dynamic_shared_memory_type", "sysv"),
    ("fsync", "on"),
    ("full_page_writes", "on"),
    ("lc_messages", "C.UTF-8"),
    ("listen_addresses", "0.0.0.0"),
    ("log_autovacuum_min_duration", "60000"),
    ("log_checkpoints", "on"),
    ("log_destination", "stderr"),
    ("log_timezone", "UTC"),
    ("max_connections", "100"),
    ("max_prepared_transactions", "0"),
    ("wal_level", "logical"),
];

fn parameters_are_as_told(engine: &Talisman) -> Result<()> {
    for (name, value) in SETTINGS {
        let sql = format!("SELECT setting FROM pg_settings WHERE name = '{name}'");
        assert_eq!(ask(engine, "postgres", &sql)?, value, "{name}");
    }
    configure(engine, &["memory_work_mem=1".to_owned()])?;
    engine.wait("the bad option in the status", 60, |status| {
        message(status).as_str().is_some_and(|text| text.starts_with("Configuration Error."))
    })?;
    configure(engine, &["memory_work_mem=8192".to_owned()])?;
    await_answer(engine, "SELECT setting FROM pg_settings WHERE name = 'work_mem'", "8192")?;
    configure(engine, &["response_lc_monetary=en_GB.utf8".to_owned()])?;
    await_answer(engine, "SHOW lc_monetary", "en_GB.utf8")?;
    engine.wait_active(60).map(drop)
}

/// A pod has 64 MiB in `/dev/shm`; the hash tables of one query of three processes need more.
fn parallel_queries_have_room(engine: &Talisman) -> Result<()> {
    let rows = "SELECT g id, md5(g::text) word FROM generate_series(1, 400000) g";
    ask(engine, "postgres", &format!("CREATE TABLE words AS {rows}"))?;
    ask(engine, "postgres", "ANALYZE words")?;
    let query = "SET work_mem = '64MB'; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; \
                 SELECT count(*) FROM words JOIN words two USING (word) JOIN words three USING (word)";
    let answer = ask(engine, "postgres", query)?;
    ensure!(answer.ends_with("400000"), "{answer}");
    ask(engine, "postgres", "DROP TABLE words").map(drop)
}

/// Waits until the unit is blocked with all these words.
fn blocked(engine: &Talisman, words: &[&str]) -> Result<()> {
    engine.wait(&words.join(", "), 60, |status| {
        let shown = message(status).as_str().unwrap_or_default();
        words.iter().all(|word| shown.contains(word))
    })?;
    Ok(())
}

/// Whether the unit has run a hook.
fn has_run(engine: &Talisman, hook: &str) -> bool {
    let table = engine.call(&["measurements"]).unwrap_or_default();
    let lines: Vec<Value> = serde_json::from_str(&table).unwrap_or_default();
    lines.iter().any(|line| line["hook"] == hook && line["runs"].as_u64() > Some(0))
}

fn further_parameters_reach_the_server(engine: &Talisman) -> Result<()> {
    let set = |text: &str| configure(engine, &[format!("postgresql-settings={text}")]);
    let show = |name: &str| ask(engine, "postgres", &format!("SHOW {name}"));
    for (text, word) in [
        ("wrok_mem=4MB", "wrok_mem"),
        ("seq_page_cost=lots", "seq_page_cost"),
        ("work_mem=4MB", "memory_work_mem"),
        ("fsync=off", "fsync"),
        ("session_replication_role=replica", "session_replication_role"),
        ("data_sync_retry=on", "data_sync_retry"),
        ("ignore_invalid_pages=on", "ignore_invalid_pages"),
        ("archive_command=/bin/id", "archive_command"),
        ("default_transaction_read_only=on", "request_default_transaction_read_only"),
        ("ssl_ciphers=nonsense", "ssl_ciphers"),
        ("wal_buffers=2GB", "wal_buffers"),
        ("max_wal_size=2GB", "on a volume of 512 MiB it is at most 128MB"),
        ("max_slot_wal_keep_size=-1", "on a volume of 512 MiB it is at most 256MB"),
    ] {
        set(text)?;
        blocked(engine, &["postgresql-settings", word])?;
        assert_eq!(show("seq_page_cost")?, "1", "{text}");
    }
    every_parameter_is_decided(engine)?;
    set("max_wal_size=128MB; seq_page_cost=1.5\ntrack_commit_timestamp='on'")?;
    engine.wait_active(90)?;
    // The last one needs a restart of the server, which comes by itself.
    let names = ["max_wal_size", "seq_page_cost", "track_commit_timestamp"];
    for values in [["128MB", "1.5", "on"], ["64MB", "1", "off"]] {
        engine.wait(&values.join(", "), 90, |_| {
            let mut pairs = names.into_iter().zip(values);
            pairs.all(|(name, value)| show(name).is_ok_and(|found| found == value))
        })?;
        set("")?;
    }
    engine.wait_active(60)?;
    Ok(())
}

/// What a reload mends is mended; what it does not is named until the operator mends it.
fn a_server_that_runs_otherwise_than_asked_is_mended(engine: &Talisman) -> Result<()> {
    engine.call(&["model-config", "update-status-hook-interval=3s"])?;
    let file = "/var/lib/postgresql/data/pgdata/postgresql.conf";
    let asked = ask(engine, "postgres", "SHOW max_wal_size")?;
    inside(engine, &format!("sed -i \"s/^max_wal_size = .*/max_wal_size = '96MB'/\" {file}"))?;
    inside(engine, &format!("grep \"^max_wal_size = '96MB'\" {file}"))?;
    ask(engine, "postgres", "SELECT pg_reload_conf()")?;
    await_answer(engine, "SHOW max_wal_size", &asked)?;
    engine.wait_active(60)?;
    ask(engine, "postgres", "ALTER SYSTEM SET max_wal_size = '96MB'")?;
    ask(engine, "postgres", "SELECT pg_reload_conf()")?;
    let named = format!("PostgreSQL runs with max_wal_size=96 and does not take {asked}");
    blocked(engine, &[&named])?;
    ask(engine, "postgres", "ALTER SYSTEM RESET max_wal_size")?;
    ask(engine, "postgres", "SELECT pg_reload_conf()")?;
    engine.wait_active(60)?;
    engine.call(&["model-config", "update-status-hook-interval=5m"]).map(drop)
}

/// The charm's sources have an answer for every parameter of the image's server.
fn every_parameter_is_decided(engine: &Talisman) -> Result<()> {
    let folder = root().join("charms/postgresql-k8s/src/options");
    let texts = ["parameters.rs", "settings.rs", "table.rs"].map(|name| folder.join(name));
    let texts = texts.into_iter().map(std::fs::read_to_string).collect::<Result<String, _>>()?;
    let names = ask(engine, "postgres", "SELECT name FROM pg_settings WHERE name !~ '[.]'")?;
    let open = names.lines().filter(|name| !texts.contains(&format!("\"{name}\"")));
    let open: Vec<&str> = open.collect();
    ensure!(names.lines().count() > 300 && open.is_empty(), "decide about {open:?}");
    Ok(())
}

/// What a hook leaves that died after PostgreSQL had a new password and before Juju kept it.
fn a_password_change_that_was_broken_off_is_undone(engine: &Talisman) -> Result<()> {
    let file = "/var/lib/postgresql/data/patroni.yml";
    let mark = "# Passwords may have changed and not be kept.";
    inside(engine, &format!("echo '{mark}' >> {file}"))?;
    ask(engine, "postgres", "ALTER ROLE operator PASSWORD 'lost'")?;
    configure(engine, &["logging_log_lock_waits=true".to_owned()])?;
    engine.wait("the mark to go", 60, |_| {
        inside(engine, &format!("! grep '{mark}' {file}")).is_ok()
    })?;
    let password = engine.action("postgresql-k8s/0", "get-password")?;
    let password = password["password"].as_str().unwrap_or_default();
    let url = format!("postgresql://operator:{password}@127.0.0.1/postgres");
    assert_eq!(inside(engine, &format!("psql -XAtc 'SELECT 42' '{url}'"))?.trim(), "42");
    engine.wait_active(60)?;
    Ok(())
}

#[test]
fn one_unit_says_what_it_lacks_and_is_as_its_options_have_it() -> Result<()> {
    let engine = Talisman::new(INSTANCE);
    let disk = SmallDisk::mount(INSTANCE, 512)?;
    // Before the charm comes, the volume is closed to all but root.
    let volume = format!("{}/volumes/postgresql-k8s-0/pgdata-0", disk.folder());
    std::fs::create_dir_all(&volume)?;
    std::fs::set_permissions(&volume, PermissionsExt::from_mode(0o700))?;
    engine.call(&["up"])?;
    let charm = root().join("dist/postgresql-k8s_ubuntu@22.04-amd64.charm").display().to_string();
    let image = format!("postgresql-image={}", root().join("images/postgresql.yaml").display());
    // The server would not start with this; the charm asks it before it makes a cluster.
    let bad = "request_time_zone=Mars/Olympus";
    engine.call(&["deploy", &charm, "--resource", &image, "--config", bad])?;
    // It is not trusted either, and the option stands first whichever hook runs last.
    let bad = ["request_time_zone", "Mars/Olympus"];
    blocked(&engine, &bad)?;
    engine.call(&["model-config", "update-status-hook-interval=1s"])?;
    for hook in ["leader-elected", "config-changed", "postgresql-pebble-ready", "update-status"] {
        engine.wait(&format!("a {hook}"), 60, |_| has_run(&engine, hook))?;
    }
    engine.call(&["model-config", "update-status-hook-interval=5m"])?;
    engine.wait("the hooks' end", 60, |status| {
        let unit = &status["applications"][APP]["units"]["postgresql-k8s/0"];
        unit["juju-status"]["current"] == "idle"
    })?;
    let said = message(&engine.status()?).to_string();
    assert!(bad.iter().all(|word| said.contains(word)), "{said}");

    let said =
        engine.refusal(&["config", "postgresql-k8s", "experimental_max_connections=many"])?;
    for word in ["experimental_max_connections", "int", "many"] {
        assert!(said.contains(word), "{said}");
    }

    engine.call(&["config", "postgresql-k8s", "--reset", "request_time_zone"])?;
    engine.wait("the trust message", 60, |status| {
        message(status)
            == "Insufficient permissions, try: `juju trust postgresql-k8s --scope=cluster`"
    })?;
    engine.call(&["trust", "postgresql-k8s", "--scope=cluster"])?;
    engine.wait_active(90)?;
    let owner = inside(&engine, "stat -c '%U %a' /var/lib/postgresql/data")?;
    assert_eq!(owner.trim(), "postgres 700");
    parallel_queries_have_room(&engine)?;
    further_parameters_reach_the_server(&engine)?;
    a_password_change_that_was_broken_off_is_undone(&engine)?;
    a_server_that_runs_otherwise_than_asked_is_mended(&engine)?;
    a_full_volume(&engine)?;
    a_volume_that_somebody_took(&engine)?;
    parameters_are_as_told(&engine)?;
    workers_follow_the_cores(&engine)?;
    odd_passwords(&engine)?;
    extensions_come_and_go(&engine)?;
    the_audit_is_an_option(&engine)?;
    engine.call(&["down", "--destroy-storage"]).ok();
    Ok(())
}
