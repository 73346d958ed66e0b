//! How clients are held, and how a process ends.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{Answer, BOUND, Failure, Far, LOOKUP, PORT, Row, Session};

/// What is held does not answer for so long.
const HELD: Duration = Duration::from_millis(1500);
/// Pools of transactions, and a client that waits is not sent away meanwhile.
const POOLS: &str = "pool_mode = transaction\ndefault_pool_size = 2\nquery_wait_timeout = 60\n";
/// The columns of `SHOW POOLS` that count.
const COUNTED: [&str; 5] = ["cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_login"];

type Open = Box<dyn Session>;

async fn client(far: &Far<'_>, database: &str) -> Result<Open, Failure> {
    Ok(far.pooler.opens(PORT, "suite_app", "suite_app", database).await?)
}

async fn administrator(far: &Far<'_>) -> Result<Open, Failure> {
    Ok(far.pooler.opens(PORT, "console", "co\"nsole", "pgbouncer").await?)
}

/// Begins with a database of the server's and one behind the server that can fall silent.
async fn begin(far: &Far<'_>, more: &str) -> Result<(), Failure> {
    far.populate("suite_shop", &["suite_app"]).await?;
    far.pooler.silence(false).await;
    let (host, port) = far.pooler.behind_silence().await;
    let behind = format!(
        "behind = host={host} port={port} dbname=suite_shop auth_user={LOOKUP} \
         auth_dbname=suite_shop\n"
    );
    far.begin(&format!("{}{behind}", far.entries(&["suite_shop"])), &format!("{POOLS}{more}")).await
}

/// What a command is refused with.
async fn refusal(session: &dyn Session, command: &str) -> String {
    let answer = session.asks(command).await;
    answer.err().unwrap_or_else(|| panic!("{command} is not refused"))
}

async fn is_held(answer: impl Future<Output = Answer> + Unpin) -> bool {
    timeout(HELD, answer).await.is_err()
}

/// Waits until the pool of a database shows these counts.
async fn await_pool(
    console: &dyn Session,
    database: &str,
    expected: [(&str, &str); 2],
) -> Result<(), Failure> {
    let end = Instant::now() + BOUND;
    loop {
        let pools = console.asks("SHOW POOLS").await?;
        let named = |row: &&Row| row["database"] == database && row["user"] == "suite_app";
        let found = pools.iter().find(named);
        if let Some(row) = found {
            assert!(COUNTED.iter().all(|column| row[*column].parse::<u32>().is_ok()), "{row:?}");
        }
        if found.is_some_and(|row| expected.iter().all(|(column, value)| row[*column] == *value)) {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(format!("the pool of {database} is {found:?}, not {expected:?}").into());
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn state(console: &dyn Session, key: &str) -> Result<bool, Failure> {
    let rows = console.asks("SHOW STATE").await?;
    Ok(rows.iter().any(|row| row["key"] == key && row["value"] == "yes"))
}

/// Waits until the process has ended.
async fn await_end(far: &Far<'_>) -> Result<(), Failure> {
    let end = Instant::now() + BOUND;
    while far.pebble.services(&["suite"]).await?.iter().any(|service| service.is_active()) {
        if Instant::now() > end {
            return Err("PgBouncer does not end".into());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// A client that asks while the process is paused waits, also with a new connection; `RESUME`, or
/// SIGUSR2, lets all go on. A reload does not.
pub(crate) async fn a_pause_holds_clients(far: &Far<'_>) -> Result<(), Failure> {
    begin(far, "").await?;
    let (console, here) = (administrator(far).await?, client(far, "suite_shop").await?);
    here.asks("SELECT 1").await?;
    await_pool(&*console, "suite_shop", [("sv_idle", "1"), ("cl_active", "1")]).await?;
    assert!(refusal(&*console, "RESUME").await.contains("pooler is not paused/suspended"));
    for command in ["PAUSE", "RESUME", "SHUTDOWN WAIT_FOR_CLIENTS", "SET min_pool_size = 0"] {
        let looker = far.pooler.opens(PORT, "looker", "looker", "pgbouncer").await?;
        assert!(refusal(&*looker, command).await.contains("admin access needed"), "{command}");
    }
    for resumes in [true, false] {
        console.asks("PAUSE").await?;
        assert!(state(&*console, "paused").await? && !state(&*console, "active").await?);
        assert!(refusal(&*console, "PAUSE").await.contains("already suspended/paused"));
        await_pool(&*console, "suite_shop", [("sv_idle", "0"), ("sv_active", "0")]).await?;
        let (mut old, mut new) = (pin!(here.asks("SELECT 1")), pin!(client(far, "suite_shop")));
        assert!(is_held(old.as_mut()).await, "a client goes on");
        await_pool(&*console, "suite_shop", [("cl_waiting", "1"), ("sv_login", "0")]).await?;
        assert!(timeout(HELD, new.as_mut()).await.is_err(), "a new client gets in");
        far.pebble.signal("SIGHUP", &["suite"]).await?;
        assert!(is_held(old.as_mut()).await, "a client goes on after a reload");
        match resumes {
            true => drop(console.asks("RESUME").await?),
            false => far.pebble.signal("SIGUSR2", &["suite"]).await?,
        }
        timeout(BOUND, old).await??;
        timeout(BOUND, new).await??.asks("SELECT 1").await?;
        assert!(state(&*console, "active").await? && !state(&*console, "paused").await?);
    }
    far.stop("suite").await
}

/// A transaction that is open ends before `PAUSE` is answered, and nothing else begins meanwhile.
/// A server connection that belongs to a session is one, too. A `RESUME` from another console
/// ends the wait, and `PAUSE` is never answered then.
pub(crate) async fn a_pause_waits_for_transactions(far: &Far<'_>) -> Result<(), Failure> {
    begin(far, "").await?;
    let (console, other) = (administrator(far).await?, administrator(far).await?);
    let (here, there) = (client(far, "suite_shop").await?, client(far, "suite_shop").await?);
    for command in ["BEGIN", "SELECT 1"] {
        here.asks(command).await?;
    }
    await_pool(&*other, "suite_shop", [("sv_active", "1"), ("cl_active", "2")]).await?;
    let mut pause = pin!(console.asks("PAUSE"));
    assert!(is_held(pause.as_mut()).await, "PAUSE does not wait");
    let mut waits = pin!(there.asks("SELECT 1"));
    assert!(is_held(waits.as_mut()).await, "a client goes on");
    for command in ["SELECT 1", "COMMIT"] {
        here.asks(command).await?;
    }
    timeout(BOUND, pause).await??;
    other.asks("RESUME").await?;
    timeout(BOUND, waits).await??;
    {
        here.asks("BEGIN").await?;
        let mut unanswered = pin!(console.asks("PAUSE"));
        assert!(is_held(unanswered.as_mut()).await, "PAUSE does not wait");
        other.asks("RESUME").await?;
        here.asks("COMMIT").await?;
        there.asks("SELECT 1").await?;
        assert!(is_held(unanswered).await, "PAUSE is answered after RESUME");
    }
    far.stop("suite").await?;
    begin(far, "pool_mode = session\n").await?;
    let (console, here) = (administrator(far).await?, client(far, "suite_shop").await?);
    here.asks("SELECT 1").await?;
    let mut pause = pin!(console.asks("PAUSE"));
    assert!(is_held(pause.as_mut()).await, "PAUSE does not wait for a session");
    here.asks("SELECT 1").await?;
    drop(here);
    timeout(BOUND, pause).await??;
    far.stop("suite").await
}

/// A login that `PAUSE` closes counts as failed: until another ends well, a client that
/// asks and did not wait already is sent away. A `PAUSE` without one costs nobody anything.
pub(crate) async fn a_login_in_flight_poisons_the_pool(far: &Far<'_>) -> Result<(), Failure> {
    begin(far, "server_connect_timeout = 60\n").await?;
    let console = administrator(far).await?;
    let (here, there) = (client(far, "behind").await?, client(far, "behind").await?);
    here.asks("SELECT 1").await?;
    console.asks("PAUSE").await?;
    console.asks("RESUME").await?;
    here.asks("BEGIN").await?;
    far.pooler.silence(true).await;
    let mut waits = pin!(there.asks("SELECT 1"));
    assert!(is_held(waits.as_mut()).await, "a server answers that is silent");
    await_pool(&*console, "behind", [("sv_login", "1"), ("sv_active", "1")]).await?;
    here.asks("COMMIT").await?;
    timeout(BOUND, waits).await??;
    console.asks("PAUSE").await?;
    await_pool(&*console, "behind", [("sv_login", "0"), ("sv_idle", "0")]).await?;
    console.asks("RESUME").await?;
    let cut = refusal(&*here, "SELECT 1").await;
    assert!(cut.contains("cached error: pause mode"), "{cut}");
    far.pooler.silence(false).await;
    far.await_knocks(PORT, &[("suite_app", "suite_app", "behind", true)]).await?;
    far.stop("suite").await
}

/// A process that got SIGTERM serves its clients on, takes no new ones, takes `PAUSE`, and
/// refuses to resume; the second SIGTERM ends it.
pub(crate) async fn a_process_that_ends_does_not_resume(far: &Far<'_>) -> Result<(), Failure> {
    begin(far, "").await?;
    let (console, here) = (administrator(far).await?, client(far, "suite_shop").await?);
    here.asks("BEGIN").await?;
    far.pebble.signal("SIGTERM", &["suite"]).await?;
    far.await_knocks(PORT, &[("suite_app", "suite_app", "suite_shop", false)]).await?;
    for command in ["SELECT 1", "COMMIT", "BEGIN"] {
        here.asks(command).await?;
    }
    let mut pause = pin!(console.asks("PAUSE"));
    assert!(is_held(pause.as_mut()).await, "PAUSE does not wait");
    here.asks("COMMIT").await?;
    timeout(BOUND, pause).await??;
    assert!(refusal(&*console, "RESUME").await.contains("pooler is shutting down"));
    let mut held = pin!(here.asks("SELECT 1"));
    far.pebble.signal("SIGUSR2", &["suite"]).await?;
    assert!(is_held(held.as_mut()).await, "a client goes on");
    far.pebble.signal("SIGTERM", &["suite"]).await?;
    assert!(timeout(BOUND, held).await?.is_err(), "a client of no process is answered");
    await_end(far).await
}

/// `SHUTDOWN WAIT_FOR_CLIENTS` does as SIGTERM, and a process without clients ends; a console that
/// is open is one.
pub(crate) async fn a_shutdown_waits_for_clients(far: &Far<'_>) -> Result<(), Failure> {
    begin(far, "").await?;
    let (console, here) = (administrator(far).await?, client(far, "suite_shop").await?);
    here.asks("SELECT 1").await?;
    console.asks("SHUTDOWN WAIT_FOR_CLIENTS").await?;
    far.await_knocks(PORT, &[("suite_app", "suite_app", "suite_shop", false)]).await?;
    assert!(refusal(&*console, "RESUME").await.contains("pooler is shutting down"));
    here.asks("SELECT 1").await?;
    drop(here);
    sleep(HELD).await;
    console.asks("SHOW STATE").await?;
    drop(console);
    await_end(far).await
}
