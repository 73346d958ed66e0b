//! How Patroni's REST API is spoken to, and what of that can be read on the network.

use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::place::unit;
use super::{APP, Cluster, Members, UNITS, eventually, network};
use crate::root;

const SCRAPER: &str = "scraper";
/// The authority, as a member has it.
const CA: &str = "/var/lib/postgresql/data/ca.pem";

/// Prints each login that goes to Patroni's port in clear, until it is ended.
const SNIFF: &str = "
import re, socket
seen = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
print('ready', flush=True)
while True:
    frame = seen.recv(65535)
    login = re.search(rb'[Aa]uthorization: Basic ([A-Za-z0-9+/=]+)', frame)
    if login and b'\\x1f\\x48' in frame[:60]:
        print(login[1].decode(), flush=True)
";

/// A login of no user, which shows that logins are seen.
const DECOY: &str = "bm9ib2R5OmRlY295";

/// A listener on the pods' network.
pub(super) struct Sniffer {
    python: Child,
    file: tempfile::NamedTempFile,
}

impl Sniffer {
    fn start(instance: &str) -> Result<Self> {
        let file = tempfile::NamedTempFile::new()?;
        let python = Command::new("ip")
            .args(["netns", "exec", &format!("tlsm-{instance}"), "python3", "-c", SNIFF])
            .stdout(Stdio::from(file.reopen()?))
            .spawn()?;
        let sniffer = Self { python, file };
        eventually("somebody who listens", || {
            ensure!(sniffer.text()?.starts_with("ready\n"), "nobody listens");
            Ok(())
        })?;
        Ok(sniffer)
    }

    fn text(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.file.path())?)
    }

    /// The logins that were seen.
    fn logins(&self) -> Result<Vec<String>> {
        Ok(self.text()?.lines().skip(1).map(str::to_owned).collect())
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        drop(self.python.kill());
        drop(self.python.wait());
    }
}

impl Cluster {
    /// Checks that every member's REST API speaks TLS only, with a certificate from the issuer,
    /// that `scrape_jobs` says so, and that no password goes there in clear while the lead is
    /// handed over and members restart.
    ///
    /// # Errors
    /// When a member answers in clear, or a login is seen.
    pub(super) fn has_encrypted_api(&self) -> Result<()> {
        let sniffer = Sniffer::start(&self.instance)?;
        let first = self.address(&Members::pod(0))?;
        let lure = move || network::ask_in_clear(first, "/health", DECOY).map(drop);
        drop(network::joined(network::inside(&self.outlook(), lure)?));
        eventually("a login that is seen", || {
            ensure!(sniffer.logins()?.contains(&DECOY.to_owned()), "{:?}", sniffer.logins()?);
            Ok(())
        })?;
        let authority = self.inside(&Members::pod(0), &format!("cat {CA}"))?;
        for pod in (0..UNITS).map(Members::pod) {
            self.speaks_tls(&pod, &authority)?;
        }
        self.checks_are_well()?;
        self.is_measured("https")?;
        let before = self.primary()?;
        self.engine.call(&["run", &unit(&before)?, "switchover"])?;
        self.await_another(&before, super::HEAL_BOUND)?;
        self.await_well(super::HEAL_BOUND)?;
        self.reconfigure("experimental_max_connections=120", "max_connections", "120")?;
        let seen = sniffer.logins()?;
        ensure!(seen.iter().all(|login| login == DECOY), "passwords went in clear: {seen:?}");
        Ok(())
    }

    /// Checks that a member answers no request in clear, and shows a certificate of its name.
    fn speaks_tls(&self, pod: &str, authority: &str) -> Result<()> {
        let address = self.address(pod)?;
        let clear = move || network::ask_in_clear(address, "/health", DECOY);
        let answer = network::joined(network::inside(&self.outlook(), clear)?);
        ensure!(answer.is_err(), "{pod} answers in clear: {answer:?}");
        let host = format!("{pod}.{APP}-endpoints");
        let ask = |authority: String, host: String| {
            let verified = move || network::ask_verified(address, "/cluster", &host, &authority);
            network::joined(network::inside(&self.outlook(), verified)?)
        };
        let cluster = ask(authority.to_owned(), host.clone())?;
        let members = cluster["members"].as_array().context("no members")?;
        let shown = members.iter().filter_map(|member| member["api_url"].as_str());
        let encrypted = shown.filter(|url| url.starts_with("https://")).count();
        ensure!(encrypted == UNITS, "{pod} shows {members:?}");
        ensure!(ask(authority.to_owned(), "elsewhere".to_owned()).is_err(), "any name will do");
        ensure!(ask(String::new(), host).is_err(), "nobody needs to vouch for it");
        Ok(())
    }

    /// Waits until Pebble's check of every member is well, as the plan has it now.
    pub(super) fn checks_are_well(&self) -> Result<()> {
        let checks = "PEBBLE_SOCKET=/charm/container/pebble.socket /charm/bin/pebble checks";
        for pod in (0..UNITS).map(Members::pod) {
            eventually("a check that is well", || {
                let shown = self.inside(&pod, checks)?;
                let line = shown.lines().find(|line| line.starts_with("postgresql"));
                let line = line.context("no check")?;
                ensure!(line.contains(" up ") && line.contains(" 0/3"), "{pod}: {line}");
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Waits until `scrape_jobs` has Patroni under this scheme.
    pub(super) fn is_measured(&self, scheme: &str) -> Result<()> {
        let status = self.engine.status()?;
        if status["applications"][SCRAPER].is_null() {
            let charm = root().join("tests/charms").join(SCRAPER).display().to_string();
            self.engine.call(&["deploy", &charm])?;
            self.engine.call(&["integrate", SCRAPER, &format!("{APP}:metrics-endpoint")])?;
        }
        eventually("what is measured", || {
            let shown = self.engine.call(&["show-unit", "scraper/0", "--format", "json"])?;
            let shown: Value = serde_json::from_str(&shown)?;
            let told = &shown["scraper/0"]["relation-info"][0]["application-data"]["scrape_jobs"];
            let jobs: Value = serde_json::from_str(told.as_str().context("nothing is told")?)?;
            let patroni = jobs.as_array().and_then(|jobs| {
                let names = |job: &&Value| job["static_configs"].to_string().contains("*:8008");
                jobs.iter().find(names)
            });
            let patroni = patroni.context("Patroni is not measured")?;
            let found = patroni["scheme"].as_str().unwrap_or("http");
            ensure!(found == scheme, "{patroni}");
            let authority = patroni["tls_config"]["ca_file"].as_str().unwrap_or_default();
            ensure!(authority.contains("BEGIN CERTIFICATE") == (scheme == "https"), "{patroni}");
            Ok(())
        })
    }

    /// Checks that every member answers in clear again.
    pub(super) fn has_clear_api(&self) -> Result<()> {
        for pod in (0..UNITS).map(Members::pod) {
            let address: Ipv4Addr = self.address(&pod)?;
            eventually("an answer in clear", || {
                let clear = move || network::ask_in_clear(address, "/health", DECOY);
                network::joined(network::inside(&self.outlook(), clear)?).map(drop)
            })?;
        }
        self.checks_are_well()?;
        self.is_measured("http")?;
        self.engine.call(&["remove-application", SCRAPER, "--no-prompt"]).map(drop)
    }
}
