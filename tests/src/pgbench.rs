//! pgbench as a client's load, and what it says became of its clients.

use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, bail, ensure};

const MISSING: &str = "cannot start pgbench; install it with `tools/setup test`";

/// Whom pgbench logs in as, and where; the password is in its environment only.
#[derive(Debug, Clone)]
pub struct Target(Vec<(&'static str, String)>);

impl Target {
    /// From a URL with a host, a port and a database.
    ///
    /// # Errors
    /// When it has none of them.
    pub fn parse(url: &str) -> Result<Self> {
        let (user, rest) = url.split_once('@').context("no user in the URL")?;
        let (_, credentials) = user.split_once("//").context("no scheme in the URL")?;
        let (user, password) = credentials.split_once(':').context("no password in the URL")?;
        let (address, database) = rest.split_once('/').context("no database in the URL")?;
        let (host, port) = address.split_once(':').context("no port in the URL")?;
        let pairs = [
            ("PGHOST", host),
            ("PGPORT", port),
            ("PGUSER", user),
            ("PGPASSWORD", password),
            ("PGDATABASE", database),
        ];
        Ok(Self(pairs.map(|(key, value)| (key, value.to_owned())).to_vec()))
    }

    fn pgbench(&self) -> Command {
        let mut command = Command::new("pgbench");
        command.envs(self.0.iter().map(|(key, value)| (*key, value)));
        command
    }

    /// Makes pgbench's tables.
    ///
    /// # Errors
    /// When pgbench is missing or fails.
    pub fn prepare(&self) -> Result<()> {
        let prepared = self.pgbench().args(["-i", "-q"]).output().context(MISSING)?;
        ensure!(prepared.status.success(), "pgbench: {}", words(&prepared));
        Ok(())
    }

    /// Starts a load with these flags, until it is ended.
    ///
    /// # Errors
    /// When pgbench is missing.
    pub fn load(&self, flags: &[&str]) -> Result<Load> {
        let child = self
            .pgbench()
            .args(["-n", "-T", "86400"])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context(MISSING)?;
        Ok(Load(Some(child)))
    }
}

/// What became of a load.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Transactions that were committed.
    pub transactions: u64,
    /// Transactions that failed.
    pub failed: u64,
    /// Clients that were dropped.
    pub dropped: usize,
    /// What pgbench said.
    pub said: String,
}

/// A running pgbench; dropping it ends it.
pub struct Load(Option<Child>);

impl Load {
    /// Whether all of its clients are there still.
    ///
    /// # Errors
    /// When it has ended.
    pub fn still_runs(&mut self) -> Result<()> {
        let child = self.0.as_mut().context("no pgbench")?;
        if child.try_wait()?.is_some() {
            bail!("pgbench ended early: {}", self.output()?.said);
        }
        Ok(())
    }

    /// Ends it as its own timer would, so that it reports.
    ///
    /// # Errors
    /// When it reports nothing.
    pub fn end(mut self) -> Result<Outcome> {
        let id = self.0.as_ref().context("no pgbench")?.id().to_string();
        let told = Command::new("kill").args(["-ALRM", &id]).status()?;
        ensure!(told.success(), "cannot end pgbench, process {id}");
        self.output()
    }

    fn output(&mut self) -> Result<Outcome> {
        let output = self.0.take().context("no pgbench")?.wait_with_output()?;
        let said = words(&output);
        let count = |begin: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(begin));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        };
        Ok(Outcome {
            transactions: count("number of transactions actually processed: ")
                .with_context(|| said.clone())?,
            failed: count("number of failed transactions: ").unwrap_or_default(),
            dropped: said.lines().filter(|line| line.contains("aborted")).count(),
            said,
        })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Everything that a process said.
fn words(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}
