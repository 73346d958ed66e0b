//! What the pooler does to its clients, seen through their connections.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use end_to_end::pooled::{Pooled, Session, connect, operator_url, setting, value};
use serde_json::Value;

/// Connections tried, enough to meet both processes of a unit.
const TRIES: usize = 24;
/// How long a process may take to reload.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_pool_mode_and_the_pool_sizes_reach_the_running_pooler() -> Result<()> {
    let world = Pooled::up("e2epool", 16434)?;
    every_process_is_measured(&world)?;
    let operator = operator_url(&world.engine, "postgresql-k8s", 16443, "postgres")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        only_its_own_users_reach_the_console(&world, &operator).await?;
        sessions_keep_their_locks_to_themselves(&world).await?;
        transactions_share_their_server(&world).await?;
        a_connection_outlives_500_reloads(&world).await?;
        nothing_leaks_to_the_next_client(&world).await?;
        cancel_requests_find_their_query(&world).await
    })
}

#[test]
fn the_pooler_outlives_a_backend_that_is_away_and_a_bad_option() -> Result<()> {
    let world = Pooled::up("e2epoolb", 16435)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ask = || runtime.block_on(async { value(&connect(&world.url).await?, "SELECT 42").await });
    let unit = |status: &Value| {
        let app = &status["applications"]["pgbouncer-k8s"];
        app["units"]["pgbouncer-k8s/0"]["workload-status"].clone()
    };

    settings_that_cannot_be_followed_change_nothing(&world, &ask, &unit)?;
    runtime.block_on(a_pause_that_an_operator_left_is_named(&world, &unit))?;
    world.engine.call(&["config", "pgbouncer-k8s", "max_db_connections=5000"])?;
    world.engine.wait("more than PostgreSQL has", 30, |s| {
        let said = unit(s)["message"].to_string();
        unit(s)["current"] == "blocked" && said.contains("max_db_connections=5000 is more than")
    })?;
    assert_eq!(ask()?, "42", "the poolers share what there is");
    world.configure(&["max_db_connections=100"])?;

    world.engine.call(&["scale-application", "postgresql-k8s", "0"])?;
    let message = "backend database relation not ready";
    world.engine.wait("the backend missed", 60, |s| unit(s)["message"] == message)?;
    world.engine.call(&["scale-application", "postgresql-k8s", "1"])?;
    world.engine.wait_active(90)?;
    assert_eq!(ask()?, "42", "the credentials of before work again");

    let operator = operator_url(&world.engine, "postgresql-k8s", 16444, "postgres")?;
    let operator =
        |sql: &str| runtime.block_on(async { value(&connect(&operator).await?, sql).await });
    a_login_that_postgresql_refuses_is_mended(&world, &operator, &unit)?;
    assert_eq!(ask()?, "42", "clients do not notice a rotated password of the pooler");
    a_pebble_that_does_not_answer_is_waited_for(&world, &ask, &unit)
}

/// Settings, and the word by which the status names what is wrong.
const BAD: [(&str, &str); 9] = [
    ("query_wait_timeout=soon", "query_wait_timeout"),
    ("client_tls_sslmode=require", "client_tls_sslmode"),
    ("pkt_buf=2147483647", "pkt_buf"),
    ("resolv_conf=/nonexistent", "resolv_conf"),
    ("max_packet_size=0", "max_packet_size"),
    ("server_tls_sslmode=verify-full;server_tls_ca_file=/nonexistent", "server_tls_ca_file"),
    ("server_tls_sslmode=require", "server_tls_sslmode"),
    ("stats_period=0", "stats_period"),
    // Only PgBouncer's program knows which ciphers there are.
    ("server_tls_ciphers=nonsense", "nonsense"),
];

/// The poolers go on with what they have, and come up with it after each restart.
fn settings_that_cannot_be_followed_change_nothing(
    world: &Pooled,
    ask: &dyn Fn() -> Result<String>,
    unit: &dyn Fn(&Value) -> Value,
) -> Result<()> {
    let shell = |line: &str| {
        let unit = "pgbouncer-k8s/0";
        world.engine.call(&["ssh", "--container", "pgbouncer", unit, line])
    };
    let comes_up = |what: &str| -> Result<()> {
        let end = Instant::now() + PATIENCE;
        // In a row, for both processes have to be back.
        while (0..TRIES).any(|_| ask().ok().as_deref() != Some("42")) {
            ensure!(Instant::now() < end, "nobody is served with {what} after a restart");
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    };
    world.configure(&["pgbouncer-settings=query_wait_timeout=21"])?;
    let inis = "cat /var/lib/pgbouncer/instance_*/pgbouncer.ini";
    let before = shell(inis)?;
    ensure!(before.matches("query_wait_timeout = 21").count() == 2, "{before}");
    for (text, word) in BAD {
        let option = format!("pgbouncer-settings={text}");
        world.engine.call(&["config", "pgbouncer-k8s", &option])?;
        world.engine.wait(&format!("{text} named"), 60, |status| {
            let said = unit(status)["message"].to_string();
            unit(status)["current"] == "blocked" && said.contains(word)
        })?;
        ensure!(ask()? == "42", "nobody is served with {text}");
        ensure!(shell(inis)? == before, "{text} was written");
        shell("kill -QUIT $(cat /var/lib/pgbouncer/instance_*/pgbouncer.pid)")?;
        comes_up(text)?;
    }
    // The container starts anew, with nothing in it but what the charm writes.
    let pid = "/var/lib/talisman/e2epoolb/pods/pgbouncer-k8s-0/containers/pgbouncer/pid";
    let pid = std::fs::read_to_string(pid).context("no pid of the container")?;
    let killed = std::process::Command::new("kill").args(["-KILL", pid.trim()]).status()?;
    ensure!(killed.success(), "cannot end the container");
    let end = Instant::now() + PATIENCE;
    while !shell(inis).is_ok_and(|inis| inis.matches("query_wait_timeout = 21").count() == 2) {
        ensure!(Instant::now() < end, "the settings of before are not written again");
        std::thread::sleep(Duration::from_millis(200));
    }
    comes_up("a new container")?;
    world.configure(&["pgbouncer-settings=query_wait_timeout=20"])
}

/// PostgreSQL changes the password of the pooler's own user; the secret has it later.
fn a_login_that_postgresql_refuses_is_mended(
    world: &Pooled,
    operator: &dyn Fn(&str) -> Result<String>,
    unit: &dyn Fn(&Value) -> Value,
) -> Result<()> {
    let shown = world.engine.call(&["show-unit", "pgbouncer-k8s/0", "--format", "json"])?;
    let shown: Value = serde_json::from_str(&shown)?;
    let relations = shown["pgbouncer-k8s/0"]["relation-info"].as_array().context("no relations")?;
    let backend = relations.iter().find(|relation| relation["endpoint"] == "backend-database");
    let secret = &backend.context("no backend")?["application-data"]["secret-user"];
    let secret = secret.as_str().context("no secret")?;
    let user = "SELECT rolname FROM pg_roles WHERE rolsuper AND rolname LIKE 'relation\\_id\\_%'";
    let user = operator(user)?;
    operator(&format!("ALTER ROLE {user} PASSWORD 'rotated-by-postgresql'"))?;
    world.engine.call(&["config", "pgbouncer-k8s", "max_prepared_statements=101"])?;
    let message = "backend database relation not ready";
    world.engine.wait("the refusal noticed", 60, |s| unit(s)["message"] == message)?;
    let command = format!("secret-set {secret} password=rotated-by-postgresql username={user}");
    world.engine.call(&["exec", "--unit", "postgresql-k8s/0", "--", &command])?;
    world.engine.wait_active(60)?;
    Ok(())
}

/// Pebble is stopped while a hook wants to change something, and goes on later.
fn a_pebble_that_does_not_answer_is_waited_for(
    world: &Pooled,
    ask: &dyn Fn() -> Result<String>,
    unit: &dyn Fn(&Value) -> Value,
) -> Result<()> {
    let pid = "/var/lib/talisman/e2epoolb/pods/pgbouncer-k8s-0/containers/pgbouncer/pid";
    let pid = std::fs::read_to_string(pid).context("no pid of the container")?;
    let signal = |name: &str| -> Result<()> {
        let sent = std::process::Command::new("kill").args([name, pid.trim()]).status()?;
        ensure!(sent.success(), "cannot send {name}");
        Ok(())
    };
    signal("-STOP")?;
    world.engine.call(&["config", "pgbouncer-k8s", "max_prepared_statements=102"])?;
    let message = "PgBouncer container currently unavailable";
    let missed = world.engine.wait("Pebble missed", 60, |s| unit(s)["message"] == message);
    signal("-CONT")?;
    missed?;
    world.configure(&["max_prepared_statements=103"])?;
    // Kubelet ends a container whose Pebble is silent for 15 s; it comes again, with its settings.
    let ini = "/var/lib/pgbouncer/instance_0/pgbouncer.ini";
    let read = ["ssh", "--container", "pgbouncer", "pgbouncer-k8s/0", "cat", ini];
    let end = Instant::now() + PATIENCE;
    loop {
        let text = world.engine.call(&read);
        let written =
            text.as_ref().is_ok_and(|text| text.contains("max_prepared_statements = 103"));
        if written && ask().is_ok_and(|answer| answer == "42") {
            return Ok(());
        }
        ensure!(Instant::now() < end, "nobody is served after Pebble answers again: {text:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Every process is asked by an exporter of its own.
fn every_process_is_measured(world: &Pooled) -> Result<()> {
    for port in [9127, 9128] {
        let script = format!(
            "bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}; \
             printf \"GET /metrics HTTP/1.0\\r\\n\\r\\n\" >&3; cat <&3'"
        );
        let args = ["ssh", "--container", "pgbouncer", "pgbouncer-k8s/0", &script];
        // The exporter waits for its process, and a command fails while nothing listens.
        let end = Instant::now() + PATIENCE;
        loop {
            let text = world.engine.call(&args).unwrap_or_else(|error| error.to_string());
            let pools = text.contains("pgbouncer_pools_client_active_connections");
            if pools && text.contains("pgbouncer_up 1") {
                break;
            }
            ensure!(Instant::now() < end, "port {port}: {text}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}

/// A pause holds every client of its process, until an operator resumes it.
async fn a_pause_that_an_operator_left_is_named(
    world: &Pooled,
    unit: &impl Fn(&Value) -> Value,
) -> Result<()> {
    world.engine.call(&["model-config", "update-status-hook-interval=2s"])?;
    let console = world.console().await?;
    for (pause, resume, whom) in
        [("PAUSE", "RESUME", "all clients"), ("PAUSE app", "RESUME app", "the clients of app")]
    {
        console.simple_query(pause).await?;
        world.engine.wait("the pause in the status", 60, |status| {
            let said = unit(status)["message"].to_string();
            unit(status)["current"] == "blocked"
                && said.contains(&format!("is paused and holds {whom}: RESUME"))
        })?;
        console.simple_query(resume).await?;
        world.engine.wait_active(60)?;
    }
    world.engine.call(&["model-config", "update-status-hook-interval=5m"])?;
    Ok(())
}

/// Neither a client nor a role of PostgreSQL by the name of a console's user reaches the console
/// or what passwords are looked up through.
async fn only_its_own_users_reach_the_console(world: &Pooled, operator: &str) -> Result<()> {
    let operator = connect(operator).await?;
    let port = world.port();
    let (client, _) = world.url.rsplit_once('/').context("no database in the URL")?;
    let mut tries = vec![format!("{client}/pgbouncer"), format!("{client}/pgbouncer_lookup")];
    for user in ["pgbouncer_admin_pgbouncer_k8s", "pgbouncer_stats_pgbouncer_k8s", "pgbouncer"] {
        let make = format!("CREATE ROLE {user} SUPERUSER LOGIN PASSWORD 'mine'");
        operator.simple_query(&make).await?;
        for database in ["pgbouncer", "app"] {
            tries.push(format!("postgresql://{user}:mine@127.0.0.1:{port}/{database}"));
            tries.push(format!("postgresql://{user}@127.0.0.1:{port}/{database}"));
        }
    }
    for url in &tries {
        let answer = match connect(url).await {
            Ok(session) if url.ends_with("/pgbouncer") => {
                session.simple_query("SHOW VERSION").await.map(drop)
            }
            Ok(session) => session.simple_query("SELECT 1").await.map(drop),
            Err(_) => continue,
        };
        ensure!(answer.is_err(), "{url} is let in");
    }
    for user in ["pgbouncer_admin_pgbouncer_k8s", "pgbouncer_stats_pgbouncer_k8s", "pgbouncer"] {
        operator.simple_query(&format!("DROP ROLE {user}")).await?;
    }
    world.console().await?.simple_query("SHOW VERSION").await?;
    Ok(())
}

/// Whether one of many new clients gets a lock that `holder` holds: it does if it shares the
/// holder's connection to PostgreSQL.
async fn shared(world: &Pooled, lock: u32) -> Result<bool> {
    let one = async || -> Result<bool> {
        let client = connect(&world.url).await?;
        let sql = format!("SELECT pg_try_advisory_lock({lock})::text, pg_sleep(0.05)");
        let shares = value(&client, &sql).await? == "true";
        if shares {
            client.simple_query("SELECT pg_advisory_unlock_all()").await?;
        }
        Ok(shares)
    };
    // At a time, for PgBouncer gives one client after another the connection that was used last.
    let all = futures_util::future::try_join_all((0..TRIES).map(|_| one())).await?;
    Ok(all.contains(&true))
}

async fn sessions_keep_their_locks_to_themselves(world: &Pooled) -> Result<()> {
    let holder = connect(&world.url).await?;
    holder.simple_query("SELECT pg_advisory_lock(1)").await?;
    ensure!(!shared(world, 1).await?, "in session mode two clients share a server");
    Ok(())
}

/// The client that holds the lock was connected before the change.
async fn transactions_share_their_server(world: &Pooled) -> Result<()> {
    let holder = connect(&world.url).await?;
    holder.simple_query("SELECT 1").await?;
    world.configure(&["pool_mode=transaction"])?;
    taken_over(world, "pool_mode", "transaction").await?;
    holder.simple_query("SELECT pg_advisory_lock(2)").await?;
    ensure!(shared(world, 2).await?, "in transaction mode no client shares a server");
    Ok(())
}

/// One client's loop: a transaction at a time until it is stopped.
async fn work(client: Session, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        client.simple_query("BEGIN; SELECT count(*) FROM pg_class; COMMIT").await?;
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

async fn a_connection_outlives_500_reloads(world: &Pooled) -> Result<()> {
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = Vec::new();
    for _ in 0..8 {
        let client = connect(&world.url).await?;
        clients.push(tokio::spawn(work(client, stop.clone(), done.clone())));
    }
    // Some by the charm, each with a new configuration, the rest by the console.
    for prepared in 0..10 {
        world.configure(&[&format!("max_prepared_statements={}", 200 + prepared)])?;
    }
    // Each console is one of the two processes.
    let mut consoles = Vec::new();
    for _ in 0..7 {
        consoles.push(world.console().await?);
    }
    for round in 0..490 {
        consoles[round % consoles.len()].simple_query("RELOAD").await?;
    }
    stop.store(true, Ordering::Relaxed);
    let mut dropped = 0;
    for client in clients {
        dropped += usize::from(client.await?.is_err());
    }
    let done = done.load(Ordering::Relaxed);
    ensure!(dropped == 0, "500 reloads dropped {dropped} of 8 clients after {done} transactions");
    ensure!(done > 500, "only {done} transactions ran beside 500 reloads");
    Ok(())
}

/// What a session may leave behind, each asked for by the client that comes next.
const TRACES: [(&str, &str, &str); 4] = [
    ("SET work_mem = '7MB'", "SHOW work_mem", "4MB"),
    ("CREATE TEMP TABLE left_behind (n int)", "SELECT to_regclass('left_behind')::text", ""),
    ("SET statement_timeout = 4321", "SHOW statement_timeout", "0"),
    (
        "SELECT pg_advisory_lock(3)",
        // Another connection is not cleaned yet, perhaps, while its client has just gone.
        "SELECT count(*)::text FROM pg_locks \
         WHERE locktype = 'advisory' AND objid = 3 AND pid = pg_backend_pid()",
        "0",
    ),
];

/// Waits until the processes run with a value: they take a signal some time after the hook that
/// sent it.
async fn taken_over(world: &Pooled, key: &str, wanted: &str) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    // Each console is one of the two processes.
    for _ in 0..7 {
        let console = world.console().await?;
        while setting(&console, key).await? != wanted {
            ensure!(Instant::now() < end, "{key} does not become {wanted}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

async fn nothing_leaks_to_the_next_client(world: &Pooled) -> Result<()> {
    // One server connection per process, user and database.
    world.configure(&["pool_mode=session", "max_db_connections=4"])?;
    taken_over(world, "pool_mode", "session").await?;
    let role = "SELECT current_user::text";
    let pid = "SELECT pg_backend_pid()::text";
    let mut used = BTreeSet::new();
    let mut met = 0;
    for _ in 0..TRIES {
        let client = connect(&world.url).await?;
        if !used.insert(value(&client, pid).await?) {
            met += 1;
            for (_, look, clean) in TRACES {
                assert_eq!(value(&client, look).await?, clean, "{look}");
            }
            assert_eq!(value(&client, role).await?, world.user(), "{role}");
        }
        for (leave, _, _) in TRACES {
            client.simple_query(leave).await?;
        }
        let group = "SELECT rolname FROM pg_roles WHERE rolname <> current_user \
                     AND pg_has_role(current_user, oid, 'MEMBER') LIMIT 1";
        let group = value(&client, group).await?;
        if !group.is_empty() {
            client.simple_query(&format!("SET ROLE {group}")).await?;
        }
    }
    ensure!(met > 0, "no client met the server connection of another: {used:?}");
    world.configure(&["max_db_connections=100"])
}

/// Many at once within a unit, whose processes meet by socket; one at a time between units:
/// while PgBouncer connects to a peer over the network for one cancel request, it forgets to
/// connect for a second one to the same peer.
async fn cancel_requests_find_their_query(world: &Pooled) -> Result<()> {
    let (cancelled, _) = cancel(world, 10, true).await?;
    assert_eq!(cancelled, 100, "of 100 cancel requests, ten at once");
    world.engine.call(&["scale-application", "pgbouncer-k8s", "2"])?;
    world.engine.wait_active(90)?;
    let (cancelled, pools) = cancel(world, 20, false).await?;
    assert_eq!(cancelled, 200, "of 200 cancel requests");
    assert_eq!(pools.len(), 2, "both units served: {pools:?}");
    Ok(())
}

/// How many of ten queries a round were cancelled, and the units that served them.
async fn cancel(world: &Pooled, rounds: usize, at_once: bool) -> Result<(usize, BTreeSet<String>)> {
    let seen = connect(&world.url).await?;
    let (mut cancelled, mut pools) = (0, BTreeSet::new());
    for round in 0..rounds {
        let mut queries = Vec::new();
        for number in 0..10 {
            let client = connect(&world.url).await?;
            let from =
                "SELECT host(client_addr) FROM pg_stat_activity WHERE pid = pg_backend_pid()";
            pools.insert(value(&client, from).await?);
            let token = client.cancel_token();
            let sql = format!("SELECT pg_sleep(20) /* cancel {round} {number} */");
            queries
                .push((token, tokio::spawn(async move { client.simple_query(&sql).await.err() })));
        }
        let running = format!("/* cancel {round} % */");
        let count = format!(
            "SELECT count(*)::text FROM pg_stat_activity WHERE state = 'active' \
             AND query LIKE 'SELECT pg_sleep(20) {running}'"
        );
        let deadline = Instant::now() + Duration::from_secs(60);
        while value(&seen, &count).await? != "10" {
            ensure!(Instant::now() < deadline, "the queries of round {round} do not run");
        }
        let mut sent = tokio::task::JoinSet::new();
        for (token, query) in queries {
            sent.spawn(async move {
                token.cancel_query(tokio_postgres::NoTls).await?;
                anyhow::Ok(query.await?)
            });
            if at_once && sent.len() < 10 {
                continue;
            }
            for error in std::mem::take(&mut sent).join_all().await {
                let code = error?.and_then(|error| error.code().map(|code| code.code().to_owned()));
                cancelled += usize::from(code.as_deref() == Some("57014"));
            }
        }
    }
    Ok((cancelled, pools))
}
