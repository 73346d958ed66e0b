//! What any Pebble, real or not, has to do for this client.

use std::path::Path;
use std::time::Duration;

use pebble::{
    Check, Client, ExecCheck, ExecOptions, FileKind, Layer, Ownership, Service, ServiceStatus,
    Startup,
};
use serde_json::{Map, json};

/// How any step of the contract may fail.
pub(crate) type Failure = Box<dyn std::error::Error>;

const BOUND: Duration = Duration::from_secs(20);

fn sleeper(command: &str) -> Service {
    Service {
        command: Some(command.to_owned()),
        startup: Some(Startup::Enabled),
        environment: [("GREETING".to_owned(), "yes".to_owned())].into(),
        kill_delay: Some("1s".to_owned()),
        ..Service::default()
    }
}

/// A layer differs until it was added; an unchanged one does not.
pub(crate) async fn plans_are_compared(client: &Client) -> Result<(), Failure> {
    assert!(!client.system_info().await?.version.is_empty());
    let check = Check {
        exec: Some(ExecCheck { command: "true".to_owned(), ..ExecCheck::default() }),
        ..Check::default()
    };
    let layer = Layer::default().service("web", sleeper("sleep 100")).check("up", check);
    assert!(layer.differs_from(&client.plan().await?));
    client.add_layer("web", &layer, true).await?;
    assert!(!layer.differs_from(&client.plan().await?));
    let other = Layer::default().service("web", sleeper("sleep 101"));
    assert!(other.differs_from(&client.plan().await?));
    let refused = client.add_layer("web", &other, false).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("already exists")));
    let checks = client.checks(&["up"]).await?;
    assert_eq!(checks.len(), 1);
    Ok(())
}

/// Services start, survive a replan without changes, take signals and stop.
pub(crate) async fn services_run(client: &Client) -> Result<(), Failure> {
    let layer = Layer::default()
        .service("web", sleeper("sleep 100"))
        .service("idle", Service { startup: None, ..sleeper("sleep 100") });
    client.add_layer("all", &layer, true).await?;
    let change = client.replan().await?;
    assert!(client.wait_change(&change, BOUND).await?.ready);
    let found = client.services(&[]).await?;
    let states: Vec<_> = found.iter().map(|s| (s.name.as_str(), s.current)).collect();
    assert_eq!(states, [("idle", ServiceStatus::Inactive), ("web", ServiceStatus::Active)]);
    let change = client.replan().await?;
    client.wait_change(&change, BOUND).await?;
    client.signal("SIGCONT", &["web"]).await?;
    assert!(client.signal("SIGHUP", &["idle"]).await.is_err());
    let change = client.restart(&["web"]).await?;
    client.wait_change(&change, BOUND).await?;
    let change = client.stop(&["web"]).await?;
    client.wait_change(&change, BOUND).await?;
    assert!(!client.services(&["web"]).await?.iter().any(pebble::ServiceInfo::is_active));
    assert!(client.start(&["unknown"]).await.is_err());
    Ok(())
}

/// A service that ends at once makes the change fail with its own words.
pub(crate) async fn failed_starts_are_told(client: &Client) -> Result<(), Failure> {
    let layer = Layer::default().service("bad", sleeper("false"));
    client.add_layer("bad", &layer, true).await?;
    let change = client.start(&["bad"]).await?;
    let error = client.wait_change(&change, BOUND).await.err().ok_or("the start succeeded")?;
    assert!(error.to_string().starts_with("cannot complete the change"), "{error}");
    assert!(error.to_string().contains("exited quickly"), "{error}");
    Ok(())
}

/// Files are written, listed, read and removed, bytes unchanged.
pub(crate) async fn files_are_kept(client: &Client, root: &Path) -> Result<(), Failure> {
    let root = root.to_str().ok_or("the folder's name is no text")?;
    let folder = format!("{root}/a b&c/\"d\\é");
    let path = format!("{folder}/file.bin");
    let content: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    assert!(client.pull(&path).await.is_err_and(|error| error.is_not_found()));
    assert_eq!(client.pull_text(&path).await?, None);
    assert!(client.push(&path, &content, &Ownership::default()).await.is_err());
    client.push(&path, &content, &Ownership::make_dirs().mode(0o640)).await?;
    assert_eq!(client.pull(&path).await?, content);
    client.push(&path, b"", &Ownership::default().mode(0o600)).await?;
    assert_eq!(client.pull_text(&path).await?.as_deref(), Some(""));
    let other = format!("{folder}/other");
    client.push(&other, "\r\n--", &Ownership::default()).await?;
    let both = client.pull_texts(&[&other, "/no/such/file", &path]).await?;
    assert_eq!(both, [Some("\r\n--".to_owned()), None, Some(String::new())]);
    let listed = client.list_files(&folder, "*.bin").await?;
    assert_eq!(listed.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["file.bin"]);
    assert_eq!(listed[0].mode(), Some(0o600));
    assert_eq!(client.stat(&folder).await?.map(|info| info.kind), Some(FileKind::Directory));
    client.make_dir(&format!("{folder}/e/f"), &Ownership::make_dirs()).await?;
    assert!(client.remove_path(&folder, false).await.is_err());
    client.remove_path(&folder, true).await?;
    assert_eq!(client.stat(&folder).await?, None);
    Ok(())
}

/// Commands get their input and environment, and their output and code come back.
pub(crate) async fn commands_run(client: &Client) -> Result<(), Failure> {
    let mut options = ExecOptions::default().stdin("read me");
    options.environment.insert("WORD".to_owned(), "said".to_owned());
    let script = "cat; echo $WORD; echo wrong >&2; exit 3";
    let output = client.exec(&["sh", "-c", script], &options).await?;
    assert_eq!((output.code, output.success()), (3, false));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("read mesaid\n", "wrong\n"));
    let large = "x".repeat(300_000);
    let output = client.exec(&["cat"], &ExecOptions::default().stdin(large.clone())).await?;
    assert!(output.stdout == large, "{} bytes came back", output.stdout.len());
    let output = client.exec(&["true"], &ExecOptions::default().stdin("unread")).await?;
    assert!(output.success());
    let missing = client.exec(&["no-such-program"], &ExecOptions::default()).await;
    assert!(missing.is_err_and(|error| error.to_string().contains("cannot run no-such-program")));
    let short = ExecOptions { timeout: Some(Duration::from_millis(200)), ..Default::default() };
    let slow = client.exec(&["sleep", "20"], &short).await.err().ok_or("sleep ended")?;
    assert!(slow.to_string().contains("timed out"), "{slow}");
    Ok(())
}

/// Notices are counted by key.
pub(crate) async fn notices_are_counted(client: &Client) -> Result<(), Failure> {
    let mut data = Map::new();
    data.insert("step".to_owned(), json!("1"));
    let id = client.notify("example.com/backup", &data).await?;
    assert_eq!(client.notify("example.com/backup", &data).await?, id);
    let notices = client.notices(&["example.com/backup"]).await?;
    assert_eq!(notices.iter().map(|notice| notice.occurrences).collect::<Vec<_>>(), [2]);
    assert_eq!(client.notice(&id).await?.last_data, data);
    assert!(client.notify("no key", &data).await.is_err());
    Ok(())
}
