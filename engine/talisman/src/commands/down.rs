//! `down`: everything stopped and removed that the engine made.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{say, tell};
use crate::api::Request;
use crate::args::Down;
use crate::client::Client;
use crate::paths::Paths;

pub(super) async fn down(paths: &Paths, client: &Client, args: Down) -> Result<()> {
    if client.is_running().await {
        tell("stopping the pods");
        client.ask(&Request::Down).await?;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while client.is_running().await {
            if tokio::time::Instant::now() > deadline {
                bail!("cannot stop the engine: it still answers after 30 s; see {}", paths.daemon_log().display());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    // What a killed engine left behind goes too.
    crate::daemon::teardown(paths).await?;
    if args.destroy_storage {
        std::fs::remove_dir_all(&paths.state)
            .or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })
            .with_context(|| format!("cannot remove {}", paths.state.display()))?;
        return say(&format!("Stopped. Kept: images in {}.", paths.cache.display()));
    }
    say(&format!(
        "Stopped. Kept: the model and its volumes in {}, images in {}; `talisman up` brings them back.",
        paths.state.display(),
        paths.cache.display()
    ))
}
