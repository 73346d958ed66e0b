//! The contract, kept by the real Pebble, and what no simulated one has: commands of any kind
//! and notices.
//!
//! `TALISMAN_PEBBLE` names the binary; otherwise it is looked for on `PATH` and in
//! `/usr/local/lib/talisman`.

mod contract;
mod daemon;
mod logs;

use std::time::Duration;

use contract::{Failure, Far};
use daemon::daemon;
use pebble_client::{Client, ExecOptions};
use serde_json::{Map, json};

macro_rules! keeps {
    ($($promise:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $promise() -> Result<(), Failure> {
            let (daemon, client) = daemon().await?;
            let root = daemon.folder.path().join("root");
            std::fs::create_dir(&root)?;
            let root = root.to_str().ok_or("the folder's name is no text")?.to_owned();
            contract::$promise(&Far { client, root, user: "daemon" }).await
        }
    )*};
}

keeps!(
    plans_are_compared,
    layers_are_laid,
    layers_are_refused,
    logs_are_sent,
    log_targets_are_refused,
    services_run,
    a_replan_restarts_what_changed,
    failed_starts_are_told,
    signals_reach_services,
    files_are_kept,
    owners_and_modes_are_set,
    several_files_go_together,
    folders_are_made,
    files_are_listed_and_removed,
    commands_end,
);

/// Commands get their input and environment, and their output and code come back.
#[tokio::test]
async fn commands_run() -> Result<(), Failure> {
    let (_daemon, client) = daemon().await?;
    let mut options = ExecOptions::default().stdin("read me");
    options.environment.insert("WORD".to_owned(), "said".to_owned());
    let script = "cat; echo $WORD; echo wrong >&2; exit 3";
    let output = client.exec(&["sh", "-c", script], &options).await?;
    assert_eq!((output.code, output.success()), (3, false));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("read mesaid\n", "wrong\n"));
    let large = "x".repeat(300_000);
    let output = client.exec(&["cat"], &ExecOptions::default().stdin(large.clone())).await?;
    assert!(output.stdout == large, "{} bytes came back", output.stdout.len());
    let missing = client.exec(&["no-such-program"], &ExecOptions::default()).await;
    assert!(missing.is_err_and(|error| error.to_string().contains("cannot run no-such-program")));
    let short = ExecOptions { timeout: Some(Duration::from_millis(200)), ..Default::default() };
    let slow = client.exec(&["sleep", "20"], &short).await.err().ok_or("sleep ended")?;
    assert!(slow.to_string().contains("timed out"), "{slow}");
    Ok(())
}

/// Notices are counted by key.
#[tokio::test]
async fn notices_are_counted() -> Result<(), Failure> {
    let (_daemon, client) = daemon().await?;
    let mut data = Map::new();
    data.insert("step".to_owned(), json!("1"));
    let id = client.notify("example.com/backup", &data).await?;
    assert_eq!(client.notify("example.com/backup", &data).await?, id);
    let notices = client.notices(&["example.com/backup"]).await?;
    assert_eq!(notices.iter().map(|notice| notice.occurrences).collect::<Vec<_>>(), [2]);
    assert_eq!(client.notice(&id).await?.last_data, data);
    let happened = client.wait_notices("", Duration::from_secs(1)).await?;
    let keys: Vec<_> = happened.iter().map(|notice| notice.key.as_str()).collect();
    assert_eq!(keys, ["example.com/backup"]);
    assert!(client.notify("no key", &data).await.is_err());
    Ok(())
}

#[tokio::test]
async fn nobody_listening_is_unreachable() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let client = Client::new(folder.path().join("socket"));
    let error = client.system_info().await.err().ok_or("somebody answered")?;
    assert!(error.is_unreachable(), "{error}");
    Ok(())
}
