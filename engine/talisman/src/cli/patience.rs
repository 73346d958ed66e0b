//! How long a verb waits for the end of what it shows.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use tokio::time::Instant;

use super::values::duration;

/// How long a verb waits for the end of what it shows.
#[derive(Debug, Args)]
pub(super) struct Patience {
    /// Wait this long for the end; 0 for as long as it takes, less for not at all.
    #[arg(long, value_parser = wait, allow_hyphen_values = true, conflicts_with = "watch")]
    wait: Option<Wait>,
    /// Wait for as long as it takes.
    #[arg(long)]
    watch: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    No,
    For(Duration),
    Forever,
}

fn wait(text: &str) -> Result<Wait, String> {
    if let Some(past) = text.strip_prefix('-') {
        return duration(past).map(|_| Wait::No);
    }
    let length = duration(text)?;
    Ok(if length.is_zero() { Wait::Forever } else { Wait::For(length) })
}

impl Patience {
    pub(super) fn wait(&self) -> Wait {
        let asked = self.wait.unwrap_or(Wait::No);
        if self.watch { Wait::Forever } else { asked }
    }

    /// When the waiting ends, if it begins at all and ends by itself.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.wait() {
            Wait::No => Some(Instant::now()),
            Wait::For(length) => Instant::now().checked_add(length),
            Wait::Forever => None,
        }
    }

    /// Refuses what has not ended although that was waited for.
    pub(super) fn check(&self, what: &str, status: &str) -> Result<()> {
        match self.wait() {
            Wait::For(length) if is_open(status) => {
                bail!("timed out: {what} is {status} after {length:?}")
            }
            _ => Ok(()),
        }
    }
}

/// Whether more may come of what has this status.
pub(super) fn is_open(status: &str) -> bool {
    matches!(status, "pending" | "running")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<Wait>) {
        assert_eq!(wait(text).ok(), want, "{text}");
    }

    #[test]
    fn times_mean_what_they_mean_to_juju() {
        check("-1s", Some(Wait::No));
        check("0", Some(Wait::Forever));
        check("0s", Some(Wait::Forever));
        check("2m", Some(Wait::For(Duration::from_secs(120))));
        check("soon", None);
        check("-soon", None);
    }
}
