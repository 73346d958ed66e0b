//! What happens to a cluster in its life: other passwords, other sizes, another owner.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::place::unit;
use super::{APP, Cluster, HEAL_BOUND, Members, Outcome, UNITS, eventually};
use crate::{Talisman, root};

/// The users whose password may be changed.
const ROTATED: [&str; 5] = ["replication", "rewind", "monitoring", "backup", "operator"];
/// A password that SQL, YAML and libpq's file each write in another way.
const ODD: &str = "password=it's:a\\odd #one";
impl Cluster {
    /// The password of one of the charm's users.
    fn password(&self, user: &str) -> Result<String> {
        let unit = format!("{APP}/leader");
        let text = self.engine.call(&[
            "run",
            &unit,
            "get-password",
            &format!("username={user}"),
            "--format",
            "json",
        ])?;
        let answer: Value = serde_json::from_str(&text)?;
        let first = answer.as_object().and_then(|all| all.values().next()).context("no answer")?;
        Ok(first["results"]["password"].as_str().context("no password")?.to_owned())
    }

    /// Changes every password under writers: no login fails, and the members can do without the old
    /// ones.
    ///
    /// # Errors
    /// When a log-in failed, a member does not restart, or a password is in a log.
    pub fn rotate_passwords(&self) -> Result<Outcome> {
        let mut secrets: Vec<String> =
            ROTATED.iter().map(|user| self.password(user)).collect::<Result<_>>()?;
        let leader = format!("{APP}/leader");
        let outcome = self.watched(|_, _| {
            for user in ROTATED {
                let name = format!("username={user}");
                let mut args = vec!["run", &leader, "set-password", &name];
                // As text: in YAML the rest would be a comment.
                args.extend((user == "replication").then_some(ODD));
                args.push("--string-args");
                self.engine.call(&args)?;
            }
            self.engine.wait_active(120).map(drop)
        })?;
        ensure!(outcome.failed == 0, "{outcome:?}");
        for (user, old) in ROTATED.iter().zip(secrets.clone()) {
            let new = self.password(user)?;
            ensure!(new != old, "the password of {user} is the old one");
            secrets.push(new);
        }
        // Logins from now on use the new passwords.
        let primary = self.primary()?;
        for pod in (0..UNITS).map(Members::pod).filter(|pod| *pod != primary) {
            eventually("the standby knows the new password", || {
                let known = self.inside(&pod, "cat /tmp/pgpass")?;
                ensure!(known.contains(r"it's\:a\\odd #one"), "{pod} has the old one");
                Ok(())
            })?;
        }
        self.logs_are_clean(&secrets)?;
        for pod in (0..UNITS).map(Members::pod).filter(|pod| *pod != primary) {
            self.engine.call(&["run", &unit(&pod)?, "restart"])?;
        }
        self.await_well(HEAL_BOUND)?;
        Ok(outcome)
    }

    /// Checks that the members' logs hold no refused log-in and none of these texts.
    fn logs_are_clean(&self, secrets: &[String]) -> Result<()> {
        for pod in (0..UNITS).map(Members::pod) {
            let logs = "PEBBLE_SOCKET=/charm/container/pebble.socket \
                        /charm/bin/pebble logs -n all postgresql";
            let text = self.inside(&pod, logs)?;
            ensure!(text.contains("LOG:"), "{pod} has no log: {text}");
            let refused: Vec<&str> =
                text.lines().filter(|line| line.contains("authentication failed")).collect();
            ensure!(refused.is_empty(), "{pod}: {refused:#?}");
            // The audit writes down who changed a password, and in its place that it is left out.
            ensure!(!text.contains("SCRAM-SHA-256$"), "{pod} logs a verifier");
            ensure!(!secrets.iter().any(|secret| text.contains(secret.as_str())), "{pod} logs one");
        }
        Ok(())
    }

    /// Changes the number of units step by step under writers; at the end it is what it was.
    ///
    /// # Errors
    /// When the members are not the units, a service leads elsewhere, WAL is kept for a unit that has
    /// left, no write is possible, or an acknowledged number is lost.
    pub fn resize(&self, sizes: &[usize]) -> Result<Outcome> {
        self.watched(|_, writer| {
            for size in sizes {
                self.engine.call(&["scale-application", APP, &size.to_string()])?;
                self.await_units(*size)?;
                if *size > 0 {
                    self.serves_by_name()?;
                    self.await_slots(*size)?;
                    writer.await_writes(20)?;
                }
            }
            Ok(())
        })
    }

    /// Deploys the charm under a name.
    pub(super) fn deploy(&self, app: &str, units: usize) -> Result<()> {
        Self::deploy_on(&self.engine, app, units)
    }

    pub(super) fn deploy_on(engine: &Talisman, app: &str, units: usize) -> Result<()> {
        let charm = root().join("dist/postgresql-k8s_ubuntu@22.04-amd64.charm");
        let charm = charm.display().to_string();
        let image = root().join("images/postgresql.yaml").display().to_string();
        let image = format!("postgresql-image={image}");
        let units = units.to_string();
        let args = ["deploy", &charm, app, "--trust", "--resource", &image, "-n", &units];
        engine.call(&args).map(drop)
    }

    pub(super) fn await_units(&self, size: usize) -> Result<()> {
        let wanted = |status: &Value| {
            let units = status["applications"][APP]["units"].as_object();
            units.map_or(0, serde_json::Map::len) == size
        };
        self.engine.wait(&format!("{size} units"), 120, wanted)?;
        if size == 0 {
            return Ok(());
        }
        self.engine.wait_active(120)?;
        let pods: BTreeSet<String> = (0..size).map(Members::pod).collect();
        eventually("the members are the units", || {
            let cluster = self.cluster(&Members::pod(0))?;
            let members = cluster["members"].as_array().context("no members")?;
            let well = ["running", "streaming"];
            let names: BTreeSet<String> = members
                .iter()
                .filter(|one| well.contains(&one["state"].as_str().unwrap_or_default()))
                .filter_map(|one| one["name"].as_str().map(str::to_owned))
                .collect();
            ensure!(names == pods && members.len() == size, "the members are {members:?}");
            Ok(())
        })
    }

    /// Removes the application: its objects go. Deploys it again under its name.
    ///
    /// # Errors
    /// When an object stays, or the new units do not become active.
    pub fn deploy_again(&self) -> Result<()> {
        self.engine.call(&["remove-application", APP, "--no-prompt"])?;
        self.engine
            .wait("the application is gone", 120, |status| status["applications"][APP].is_null())?;
        self.await_objects(&[])?;
        self.deploy(APP, 2)?;
        // The pooler may still be on its way out of the relation with the one before.
        eventually("the pooler is integrated", || {
            self.engine.call(&["integrate", "pgbouncer-k8s:backend-database", APP]).map(drop)
        })?;
        self.await_units(2)
    }
}
