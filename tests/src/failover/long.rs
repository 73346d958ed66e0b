//! What is written again and again over years, in minutes: does anything grow?

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::place::unit;
use super::{APP, Cluster, HEAL_BOUND, Members, UNITS, eventually};
use crate::root;

/// Patroni remembers switchovers in an annotation of this object.
const CONFIG: &str = "endpoints/patroni-postgresql-k8s-config";
/// Kubernetes refuses objects with more bytes of annotations.
const ANNOTATIONS_MAX: usize = 256 << 10;
/// Revisions of a secret that may be left after many were written.
const REVISIONS_MAX: usize = 2;

/// What was left after many repetitions.
#[derive(Debug, Clone, Copy)]
pub struct Growth {
    /// Bytes of the largest set of annotations among Patroni's objects.
    pub annotations: usize,
    /// The most revisions that any secret has.
    pub revisions: usize,
}

impl Cluster {
    /// What has grown so far.
    ///
    /// # Errors
    /// When an object is larger than Kubernetes takes, or revisions are left in Juju.
    pub fn growth(&self) -> Result<Growth> {
        let annotations = self.kubernetes("GET", CONFIG, "")?["metadata"]["annotations"].clone();
        let annotations = annotations.as_object().context("no annotations")?;
        let bytes = annotations.iter().map(|(key, value)| key.len() + text(value).len()).sum();
        ensure!(bytes < ANNOTATIONS_MAX, "{CONFIG} has {bytes} bytes of annotations");
        let growth = Growth { annotations: bytes, revisions: self.revisions()? };
        ensure!(growth.revisions <= REVISIONS_MAX, "{growth:?}");
        Ok(growth)
    }

    /// The most revisions that a secret has, whichever application owns it.
    fn revisions(&self) -> Result<usize> {
        let secrets = self.engine.call(&["secrets", "--format", "json"])?;
        let secrets: Value = serde_json::from_str(&secrets)?;
        let mut most = 0;
        for id in secrets.as_object().context("no secrets")?.keys() {
            let shown =
                self.engine.call(&["show-secret", id, "--revisions", "--format", "json"])?;
            let shown: Value = serde_json::from_str(&shown)?;
            let one = shown.as_object().and_then(|all| all.values().next()).context("no secret")?;
            most = most.max(one["revisions"].as_array().map_or(0, Vec::len));
        }
        Ok(most)
    }

    /// Promotes one standby after the other, so many times.
    ///
    /// # Errors
    /// When a promotion does not happen, or the members do not become well after it.
    pub fn switch_over(&self, times: usize) -> Result<()> {
        for time in 0..times {
            self.await_well(HEAL_BOUND)?;
            let primary = self.primary()?;
            let others = (0..UNITS).map(Members::pod).filter(|pod| *pod != primary);
            let others: Vec<String> = others.collect();
            let chosen = &others[time % others.len()];
            let unit = unit(chosen)?;
            self.engine.call(&["run", &unit, "promote-to-primary", "scope=unit"])?;
            eventually("the chosen member leads", || {
                let leads = self.primary()?;
                ensure!(leads == *chosen, "{leads} leads");
                Ok(())
            })?;
        }
        self.await_well(HEAL_BOUND)
    }

    /// Changes the operator's password so many times; the last one is the one that is in force.
    ///
    /// # Errors
    /// When it is refused.
    pub fn rotate_often(&self, times: usize) -> Result<()> {
        let leader = format!("{APP}/leader");
        for time in 0..times {
            let word = format!("password=the-password-number-{time}");
            self.engine.call(&["run", &leader, "set-password", "username=operator", &word])?;
        }
        self.engine.wait_active(120)?;
        let pod = self.primary()?;
        let last = format!("the-password-number-{}", times - 1);
        let ask = format!(
            "PGPASSWORD={last} psql -w -h 127.0.0.1 -U operator -d postgres -Atc 'SELECT 1'"
        );
        let answer = self.inside(&pod, &ask)?;
        ensure!(answer.trim() == "1", "the last password is refused: {answer}");
        Ok(())
    }

    /// Has all certificates issued anew so many times, by two authorities in turn.
    ///
    /// # Errors
    /// When a member does not take one.
    pub fn reissue(&self, times: usize) -> Result<()> {
        let charm = root().join("tests/charms/certifier").display().to_string();
        self.engine.call(&["deploy", &charm])?;
        self.engine.call(&["integrate", "certifier", &format!("{APP}:certificates")])?;
        let ca = "cat /var/lib/postgresql/data/ca.pem";
        for time in 0..times {
            let before = self.inside(&Members::pod(0), ca).ok();
            let option = format!("authority=number-{}", time % 2);
            self.engine.call(&["config", "certifier", &option])?;
            eventually("another authority", || {
                for pod in (0..UNITS).map(Members::pod) {
                    let after = self.inside(&pod, ca)?;
                    ensure!(Some(&after) != before.as_ref(), "{pod} has the one of before");
                }
                Ok(())
            })?;
        }
        self.engine.wait_active(120).map(drop)
    }

    /// A unit with a number of two digits becomes the primary, and serves.
    ///
    /// # Errors
    /// When it does not.
    pub fn promote_a_high_number(&self) -> Result<()> {
        self.engine.call(&["scale-application", APP, "11"])?;
        self.await_units(11)?;
        self.engine.call(&["run", &format!("{APP}/10"), "promote-to-primary", "scope=unit"])?;
        eventually("unit 10 leads", || {
            let cluster = self.cluster(&Members::pod(0))?;
            let members = cluster["members"].as_array().context("no members")?;
            let leads = members.iter().find(|one| one["role"] == "leader").context("no leader")?;
            ensure!(leads["name"] == format!("{APP}-10").as_str(), "{leads}");
            Ok(())
        })?;
        self.serves_by_name()?;
        self.engine.call(&["scale-application", APP, &UNITS.to_string()])?;
        self.await_units(UNITS)?;
        self.await_well(HEAL_BOUND)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
