//! Faults after which a charm has to do its part.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::place::unit;
use super::{APP, Cluster, HEAL_BOUND, Members, Outcome, UNITS, eventually};

/// How long another member may take to lead after a primary that went by plan.
const HAND_OVER: Duration = Duration::from_secs(60);

impl Cluster {
    /// Stops the primary's service, removes its data, and has the others begin WAL files
    /// afresh, under writers: the unit starts again by itself and copies the new primary.
    ///
    /// # Errors
    /// When it does not, or an acknowledged number is lost.
    pub fn lose_data_and_wal(&self) -> Result<Outcome> {
        let outcome = self.watched(|primary, writer| {
            // In one breath: a hook may start the service again as soon as another one leads.
            self.inside(
                primary,
                "pebble stop postgresql && rm -rf /var/lib/postgresql/data/pgdata/*",
            )?;
            self.engine.call(&["model-config", "update-status-hook-interval=3s"])?;
            self.await_another(primary, HAND_OVER)?;
            let successor = self.primary()?;
            for _ in 0..4 {
                writer.await_writes(20)?;
                self.query(&successor, "SELECT pg_switch_wal()")?;
                self.query(&successor, "CHECKPOINT")?;
            }
            Ok(())
        })?;
        self.engine.call(&["model-config", "update-status-hook-interval=5m"])?;
        Ok(outcome)
    }

    /// Cuts a primary off, has it write what no standby gets, and lets it come back where it cannot
    /// be rewound: its unit says so, whatever state its server is in, and is made anew by command.
    ///
    /// # Errors
    /// When it is active meanwhile, or not well in the end.
    pub fn diverge(&self) -> Result<()> {
        self.await_well(HEAL_BOUND)?;
        let primary = self.primary()?;
        let unit = unit(&primary)?;
        let rewind = "/usr/lib/postgresql/17/bin/pg_rewind";
        self.inside(&primary, &format!("printf '#!/bin/sh\\nexit 1\\n' > {rewind}"))?;
        {
            let _mend = self.cut(&primary, "iif != lo", "oif != lo")?;
            let write = "SET synchronous_commit = local; CREATE TABLE lost AS SELECT 1";
            self.query(&primary, write)?;
            self.await_another(&primary, HAND_OVER)?;
        }
        let begun = Instant::now();
        self.await_choice(&unit)?;
        // From now on its server does not even start, because it has the other's history.
        self.pebble(&primary, "restart").ok();
        let end = Instant::now() + HEAL_BOUND;
        while Instant::now() < end {
            let status = self.engine.status()?;
            let said = &status["applications"][APP]["units"][&unit]["workload-status"];
            ensure!(said["current"] != "active", "active after {:?}: {said}", begun.elapsed());
            if said["message"].as_str().is_some_and(|text| text.starts_with("PostgreSQL ")) {
                break;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        self.engine.call(&["run", &unit, "reinitialise", "force=true"])?;
        self.await_well(HEAL_BOUND)?;
        self.engine.wait_active(60).map(drop)
    }

    /// Waits until a unit says that it is not well, and names the action that gives its data up.
    fn await_choice(&self, unit: &str) -> Result<()> {
        self.engine.wait("the choice in the status", 120, |status| {
            let said = &status["applications"][APP]["units"][unit]["workload-status"];
            let named = said["message"].as_str().is_some_and(|text| text.contains("reinitialise"));
            named && said["current"] != "active"
        })?;
        Ok(())
    }

    /// Deletes all pods at once after a standby has lost its charm, under writers.
    ///
    /// # Errors
    /// When they do not come back, or an acknowledged number is lost.
    pub fn replace_all_pods(&self) -> Result<Outcome> {
        self.watched(|primary, _| {
            let mut pods = (0..UNITS).map(Members::pod);
            let broken = pods.find(|pod| pod != primary).context("no standby")?;
            let dispatch = format!("/var/lib/juju/agents/unit-{broken}/charm/dispatch");
            self.engine.call(&["ssh", &unit(&broken)?, &format!("rm {dispatch}")])?;
            self.replace_pods(&(0..UNITS).map(Members::pod).collect::<Vec<_>>())?;
            self.await_well(HEAL_BOUND)?;
            let whole = format!("test -x {dispatch}");
            self.engine.call(&["ssh", &unit(&broken)?, &whole])?;
            self.engine.wait_active(120).map(drop)
        })
    }

    /// Makes a standby the primary by the action that is upstream's.
    ///
    /// # Errors
    /// When another one leads then.
    pub fn promote(&self) -> Result<Outcome> {
        self.watched(|primary, _| {
            let mut pods = (0..UNITS).map(Members::pod);
            let chosen = pods.find(|pod| pod != primary).context("no standby")?;
            let unit = unit(&chosen)?;
            self.engine.call(&["run", &unit, "promote-to-primary", "scope=unit"])?;
            eventually("the chosen member leads", || {
                let leads = self.primary()?;
                ensure!(leads == chosen, "{leads} leads");
                Ok(())
            })
        })
    }

    /// Has commits wait for some standbys only, and for all again.
    ///
    /// # Errors
    /// When the standbys are not those that the option counts.
    pub fn counts_standbys(&self) -> Result<()> {
        for (option, expected) in [("majority", (1, 1)), ("2", (2, 0)), ("all", (2, 0))] {
            let option = format!("synchronous_node_count={option}");
            self.engine.call(&["config", APP, &option])?;
            eventually(&option, || {
                let cluster = self.cluster(&Members::pod(0))?;
                let members = cluster["members"].as_array().context("no members")?;
                let count = |role| members.iter().filter(|one| one["role"] == role).count();
                let found = (count("sync_standby"), count("replica"));
                ensure!(found == expected, "{found:?} of {members:?}");
                Ok(())
            })?;
        }
        self.await_well(HEAL_BOUND)
    }

    /// Makes roles and a database as a superuser: on every member the roles enter what they
    /// may connect to, and nothing else.
    ///
    /// # Errors
    /// When a member lets one in or out against its rights.
    pub fn admits_new_roles(&self) -> Result<()> {
        let primary = self.primary()?;
        for sql in [
            "CREATE ROLE plain LOGIN PASSWORD $$plain-word$$",
            "CREATE ROLE chief SUPERUSER LOGIN PASSWORD $$chief-word$$",
            "CREATE DATABASE theirs OWNER plain",
        ] {
            self.query(&primary, sql)?;
        }
        let enter = |pod: &str, role: &str, database: &str| {
            let host = format!("{pod}.{APP}-endpoints");
            let url = format!("postgresql://{role}:{role}-word@{host}:5432/{database}");
            self.inside(pod, &format!("runuser -u postgres -- psql {url} -Atc 'SELECT 1' 2>&1"))
        };
        for pod in (0..UNITS).map(Members::pod) {
            for (role, database) in [("plain", "theirs"), ("chief", "theirs"), ("chief", "app")] {
                // The roles may be a moment late on a standby that only wrote them down.
                eventually("the role enters", || enter(&pod, role, database).map(drop))?;
            }
            let refused = enter(&pod, "plain", "app");
            ensure!(refused.is_err(), "{pod} lets a plain role into a database of others");
        }
        Ok(())
    }
}
