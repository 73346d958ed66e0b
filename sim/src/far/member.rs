//! A Patroni that runs, and its PostgreSQL.

use std::collections::BTreeMap;

use juju_names::UnitName;
use serde_json::Value;

use super::disk::File;

/// What a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has no data and waits for a leader, or for the lock.
    Waits,
    /// It makes the cluster.
    Founds,
    /// It copies the leader's data.
    Copies,
    /// PostgreSQL starts.
    Starts,
    /// PostgreSQL runs.
    Runs,
    /// Its data are not whole, or of another cluster.
    Broken,
}

/// A Patroni that runs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    path: String,
    /// `patroni.yml` as it was read.
    pub(super) yml: Value,
    pub(crate) phase: Phase,
    /// Whether PostgreSQL takes writes.
    pub(crate) leads: bool,
    /// The member that PostgreSQL streams from, and which of its lives.
    pub(super) source: Option<(UnitName, u64)>,
    /// The member that Patroni last made PostgreSQL follow.
    pub(super) told: Option<UnitName>,
    /// Which start of PostgreSQL this is.
    pub(super) life: u64,
    /// Parameters that a start gave it and nothing else changes.
    pub(super) fixed: BTreeMap<String, Value>,
    /// Whether a parameter waits for a start.
    pub(super) pending: bool,
    /// The parameters of its file with which PostgreSQL runs, but for those.
    pub(super) in_force: Value,
    /// Whether PostgreSQL misses the next reload.
    pub(super) deaf: bool,
    /// Whether its configuration is to be read again.
    pub(super) reload: bool,
    /// The certificates that its REST API can be verified with, as they were read: its own and the
    /// CA beside it. None while it speaks in clear.
    pub(super) tls: Option<Vec<String>>,
    /// What it showed last in the API.
    pub(super) shown: Option<(Value, Option<&'static str>)>,
    /// Loops that it misses next.
    pub(super) misses: u32,
    /// Whether its pod stands still.
    pub(crate) frozen: bool,
    /// The callback that it owes.
    pub(super) due: Option<&'static str>,
}

/// A user and its password.
pub(crate) type Credentials = (String, String);

impl Member {
    /// Starts with the configuration at a path.
    pub(crate) fn start(path: &str, files: &BTreeMap<String, File>) -> Result<Self, String> {
        let yml = read(path, files)?;
        let tls = certificate(&yml, files)?;
        Ok(Self {
            path: path.to_owned(),
            yml,
            tls,
            phase: Phase::Waits,
            leads: false,
            source: None,
            told: None,
            life: 0,
            fixed: BTreeMap::new(),
            pending: false,
            in_force: Value::Null,
            deaf: false,
            reload: false,
            shown: None,
            misses: 0,
            frozen: false,
            due: None,
        })
    }

    /// Is asked to reload its configuration, which its next cycle does.
    pub(crate) fn hang_up(&mut self) {
        self.reload = true;
    }

    /// Reads its configuration again; one that is none is not taken.
    pub(super) fn read_again(&mut self, files: &BTreeMap<String, File>) {
        let Ok(yml) = read(&self.path, files) else { return };
        // Patroni looks for another certificate only where nothing else is new.
        let named = |yml: &Value| ["certfile", "keyfile"].map(|key| yml["restapi"][key].clone());
        if yml == self.yml || named(&yml) != named(&self.yml) {
            match certificate(&yml, files) {
                Ok(tls) => self.tls = tls,
                Err(_) => return,
            }
        }
        self.yml = yml;
        if !std::mem::take(&mut self.deaf) {
            self.take_parameters();
        }
    }

    /// PostgreSQL has what its file says from now on.
    pub(super) fn take_parameters(&mut self) {
        self.in_force = self.yml["postgresql"]["parameters"].clone();
    }

    /// The parameters with which PostgreSQL runs, and whether a start would change them.
    pub(crate) fn running(&self) -> impl Iterator<Item = (&String, &Value)> {
        let own = self.in_force.as_object().into_iter().flatten();
        own.filter(|(name, _)| !self.fixed.contains_key(*name)).chain(&self.fixed)
    }

    /// The parameters of its file with which PostgreSQL does not run.
    pub(crate) fn missed(&self) -> Vec<&String> {
        let asked = self.yml["postgresql"]["parameters"].as_object().into_iter().flatten();
        let has = |(name, value): &(&String, &Value)| {
            self.fixed.contains_key(*name) || self.in_force[name.as_str()] == **value
        };
        asked.filter(|one| !has(one)).map(|(name, _)| name).collect()
    }

    /// Whether its REST API speaks TLS.
    pub(crate) fn speaks_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether PostgreSQL accepts connections.
    pub(crate) fn serves(&self) -> bool {
        self.phase == Phase::Runs
    }

    /// Which start of PostgreSQL this is.
    pub(crate) fn life(&self) -> u64 {
        self.life
    }

    /// Whether it streams from a member.
    pub(crate) fn streams(&self) -> bool {
        self.serves() && self.source.is_some()
    }

    /// Whether a parameter waits for a start.
    pub(crate) fn awaits_restart(&self) -> bool {
        self.pending
    }

    /// A parameter of its file.
    pub(crate) fn parameter(&self, name: &str) -> &Value {
        &self.yml["postgresql"]["parameters"][name]
    }

    /// The passwords that Patroni knows, by user.
    pub(crate) fn known(&self) -> Vec<(&'static str, Option<String>)> {
        let password = |user: Option<Credentials>| user.map(|(_, password)| password);
        vec![
            ("operator", password(self.user("superuser"))),
            ("replication", password(self.user("replication"))),
            ("rewind", password(self.user("rewind"))),
            ("patroni", password(self.rest_user())),
        ]
    }

    /// Whether it streams from a member in this life.
    pub(crate) fn streams_from(&self, unit: &UnitName, life: u64) -> bool {
        self.serves() && self.source.as_ref() == Some(&(unit.clone(), life))
    }

    fn credentials(&self, pointer: &str) -> Option<Credentials> {
        let text = |key: &str| Some(self.yml.pointer(pointer)?[key].as_str()?.to_owned());
        Some((text("username")?, text("password")?))
    }

    /// The user of the REST API.
    pub(super) fn rest_user(&self) -> Option<Credentials> {
        self.credentials("/restapi/authentication")
    }

    /// One of PostgreSQL's own users.
    pub(super) fn user(&self, kind: &str) -> Option<Credentials> {
        self.credentials(&format!("/postgresql/authentication/{kind}"))
    }

    /// The key of the notice that a callback gives.
    pub(super) fn notice(&self, callback: &str) -> Option<&str> {
        let command = self.yml["postgresql"]["callbacks"][callback].as_str()?;
        let key = command.split("pebble notify ").nth(1)?;
        Some(key.trim_end_matches('\'').trim())
    }

    /// The lines of `pg_hba.conf`.
    pub(super) fn hba(&self) -> impl Iterator<Item = &str> {
        let lines = self.yml["postgresql"]["pg_hba"].as_array().into_iter().flatten();
        lines.filter_map(Value::as_str)
    }

    /// The state as Patroni calls it.
    pub(super) fn state(&self) -> &'static str {
        match self.phase {
            Phase::Waits | Phase::Broken => "stopped",
            Phase::Founds => "initializing new cluster",
            Phase::Copies => "creating replica",
            Phase::Starts => "starting",
            Phase::Runs => "running",
        }
    }

    /// The role as Patroni calls it.
    pub(super) fn role(&self) -> &'static str {
        match self.phase {
            _ if self.leads => "primary",
            Phase::Waits | Phase::Founds | Phase::Broken => "uninitialized",
            _ => "replica",
        }
    }
}

fn read(path: &str, files: &BTreeMap<String, File>) -> Result<Value, String> {
    let file = files.get(path).ok_or_else(|| format!("{path} does not exist"))?;
    let text = file.text().ok_or_else(|| format!("{path} may not be read"))?;
    serde_saphyr::from_str(text).map_err(|error| format!("{path}: {error}"))
}

/// The certificate of the REST API and its CA; without its files Patroni does not serve.
fn certificate(yml: &Value, files: &BTreeMap<String, File>) -> Result<Option<Vec<String>>, String> {
    let text = |path: &str| files.get(path).and_then(File::text).map(str::to_owned);
    let needed = |key: &str| {
        let path = yml["restapi"][key].as_str().ok_or_else(|| format!("no {key}"))?;
        text(path).ok_or_else(|| format!("{path} cannot be read"))
    };
    if yml["restapi"]["certfile"].is_null() {
        return Ok(None);
    }
    let shown = needed("certfile")?;
    needed("keyfile")?;
    let beside = yml["ctl"]["cacert"].as_str().and_then(text);
    Ok(Some(std::iter::once(shown).chain(beside).collect()))
}
