//! The main job on real parts: an application's SQL through PgBouncer to PostgreSQL.

use anyhow::{Context, Result, ensure};
use end_to_end::{Talisman, root};
use serde_json::Value;

/// The loopback port of the pooler in these tests.
const PORT: u16 = 16432;

struct World {
    engine: Talisman,
    url: String,
}

/// The default bundle, up, with a URL that works on this host.
fn up(instance: &str) -> Result<World> {
    let engine = Talisman::new(instance);
    let forward = format!("{PORT}:pgbouncer-k8s-service:6432");
    let bundle = root().join("bundle.yaml").display().to_string();
    engine.call(&["up", &bundle, "--forward", &forward])?;
    let url = url(&engine)?;
    Ok(World { engine, url })
}

/// The client's credentials, turned towards the loopback port.
fn url(engine: &Talisman) -> Result<String> {
    let results = engine.action("data-integrator/0", "get-credentials")?;
    let uris = results["postgresql"]["uris"].as_str().context("no uris among the credentials")?;
    let (user, rest) = uris.split_once('@').context("no user in the uris")?;
    let (_, database) = rest.rsplit_once('/').context("no database in the uris")?;
    Ok(format!("{user}@127.0.0.1:{PORT}/{database}"))
}

/// One value from one query, over a connection of its own.
fn query(url: &str, sql: &str) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        let messages = client.simple_query(sql).await?;
        connection.abort();
        let value = messages.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        Ok(value.unwrap_or_default())
    })
}

fn unit_address(status: &Value, unit: &str) -> String {
    let app = unit.split('/').next().unwrap_or_default();
    let address = &status["applications"][app]["units"][unit]["address"];
    address.as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_client_goes_through_the_pooler_to_the_database() -> Result<()> {
    let world = up("e2emain")?;
    let status = world.engine.status()?;

    // PostgreSQL sees the pooler's own address.
    let seen = query(
        &world.url,
        "SELECT host(client_addr) FROM pg_stat_activity WHERE pid = pg_backend_pid()",
    )?;
    assert_eq!(seen, unit_address(&status, "pgbouncer-k8s/0"));

    second_up_changes_nothing(&world)?;
    the_pool_mode_changes_under_an_open_connection(&world)?;
    a_second_pooler_serves_the_same_credentials(&world)?;
    passwords_travel_in_secrets_only(&world)?;
    ending_the_relation_removes_the_user_and_keeps_the_data(&world)?;
    Ok(())
}

fn second_up_changes_nothing(world: &World) -> Result<()> {
    let before = hooks_run(&world.engine)?;
    let bundle = root().join("bundle.yaml").display().to_string();
    let begun = std::time::Instant::now();
    world.engine.call(&["up", &bundle])?;
    assert_eq!(hooks_run(&world.engine)?, before);
    ensure!(begun.elapsed().as_secs() < 10, "a second up took {:?}", begun.elapsed());
    Ok(())
}

/// How many hooks have run, actions and update-status left out.
fn hooks_run(engine: &Talisman) -> Result<u64> {
    let table: Value = serde_json::from_str(&engine.call(&["measurements"])?)?;
    let lines = table.as_array().context("no table")?.iter();
    let counted =
        lines.filter(|line| line["hook"] != "update-status" && line["hook"] != "get-credentials");
    Ok(counted.filter_map(|line| line["runs"].as_u64()).sum())
}

fn the_pool_mode_changes_under_an_open_connection(world: &World) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, connection) =
            tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        client.simple_query("CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)").await?;
        world.engine.call(&["config", "pgbouncer-k8s", "pool_mode=transaction"])?;
        // The charm publishes the configuration after the pooler has it.
        world.engine.wait("the mode in the published configuration", 60, |_| {
            let shown = world.engine.call(&["show-unit", "pgbouncer-k8s/0", "--format", "json"]);
            shown.is_ok_and(|shown| shown.contains("pool_mode = transaction"))
        })?;
        // The connection that was open before the change still answers.
        let row = client.query_one("SELECT n FROM kept", &[]).await?;
        assert_eq!(row.get::<_, i32>(0), 42);
        connection.abort();
        anyhow::Ok(())
    })?;
    assert_eq!(world.engine.call(&["config", "pgbouncer-k8s", "pool_mode"])?.trim(), "transaction");
    Ok(())
}

fn a_second_pooler_serves_the_same_credentials(world: &World) -> Result<()> {
    world.engine.call(&["scale-application", "pgbouncer-k8s", "2"])?;
    let status = world.engine.wait_active(90)?;
    let both = ["pgbouncer-k8s/0", "pgbouncer-k8s/1"].map(|unit| unit_address(&status, unit));
    let mut seen = std::collections::BTreeSet::new();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    // The service spreads connections over both.
    while seen.len() < 2 {
        ensure!(std::time::Instant::now() < deadline, "only {seen:?} of {both:?} serve");
        seen.insert(query(
            &world.url,
            "SELECT host(client_addr) FROM pg_stat_activity WHERE pid = pg_backend_pid()",
        )?);
    }
    assert_eq!(seen, both.into_iter().collect());
    Ok(())
}

fn passwords_travel_in_secrets_only(world: &World) -> Result<()> {
    let password = world.url.split([':', '@']).nth(2).context("no password in the URL")?;
    for unit in ["pgbouncer-k8s/0", "postgresql-k8s/0", "data-integrator/0"] {
        let shown = world.engine.call(&["show-unit", unit, "--format", "json"])?;
        ensure!(!shown.contains(password), "the password is in a databag of {unit}");
    }
    let log =
        world.engine.call(&["debug-log", "--no-tail", "--level", "TRACE", "--limit", "20000"])?;
    ensure!(!log.contains(password), "the password is in the log");
    Ok(())
}

fn ending_the_relation_removes_the_user_and_keeps_the_data(world: &World) -> Result<()> {
    world.engine.call(&["remove-relation", "data-integrator", "pgbouncer-k8s"])?;
    world.engine.wait("the relation gone", 60, |status| {
        status["applications"]["data-integrator"]["relations"]
            .as_object()
            .is_none_or(serde_json::Map::is_empty)
            && status["applications"]["pgbouncer-k8s"]["units"]["pgbouncer-k8s/0"]["juju-status"]
                ["current"]
                == "idle"
    })?;
    ensure!(query(&world.url, "SELECT 1").is_err(), "the old credentials still work");
    world.engine.call(&["integrate", "data-integrator", "pgbouncer-k8s:database"])?;
    world.engine.wait_active(60)?;
    let again = url(&world.engine)?;
    ensure!(again != world.url, "a new relation has the old credentials");
    assert_eq!(query(&again, "SELECT n FROM kept")?, "42");
    let user = world.url.split(['/', ':']).nth(3).context("no user in the URL")?;
    let left = query(&again, &format!("SELECT count(*) FROM pg_roles WHERE rolname = '{user}'"))?;
    assert_eq!(left, "0", "the user {user} is still in PostgreSQL");
    Ok(())
}
