//! A second cluster in the model: born among an earlier one's objects, removed by force, and
//! its data in the wrong place.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{APP, Cluster, Members, eventually};
use crate::kubernetes::quoted;

const SECOND: &str = "second";
/// The identifier of a cluster that is long gone.
const GONE: &str = "7000000000000000001";
const CONTROL: &str = "pgdata/global/pg_control";

impl Cluster {
    /// Deploys a second cluster where an earlier one of its name left its objects.
    ///
    /// # Errors
    /// When it does not become active, or the two know each other.
    pub fn gain_neighbour(&self) -> Result<()> {
        let labels = json!({"application": "patroni", "cluster-name": "patroni-second"});
        let now = "2026-01-01T00:00:00+00:00";
        let lock = json!({"leader": "second-0", "ttl": "30", "transitions": "3",
            "renewTime": now, "acquireTime": now, "optime": "50331648"});
        let config = json!({"initialize": GONE, "config": "{}"});
        for (name, annotations) in [("patroni-second", lock), ("patroni-second-config", config)] {
            let metadata = json!({"name": name, "labels": labels, "annotations": annotations});
            let body = json!({"metadata": metadata}).to_string();
            self.kubernetes("POST", "endpoints", &body)?;
        }
        self.deploy(SECOND, 1)?;
        self.engine.wait_active(90)?;
        let object = self.kubernetes("GET", "endpoints/patroni-second-config", "")?;
        let system = object["metadata"]["annotations"]["initialize"].clone();
        ensure!(system.is_string() && system != GONE, "the cluster is {system}");
        self.in_second("CREATE TABLE kept AS SELECT 41 + 1 AS n")?;
        let here = "SELECT to_regclass($$kept$$) IS NULL";
        let members = self.cluster(&Members::pod(0))?["members"].to_string();
        ensure!(self.query(&Members::pod(0), here)?.trim() == "t", "a table is in both clusters");
        ensure!(!members.contains(SECOND), "{members}");
        Ok(())
    }

    /// What the second cluster answers.
    fn in_second(&self, sql: &str) -> Result<String> {
        let psql = "runuser -u postgres -- psql -U backup -h /var/run/postgresql -d postgres";
        let line = format!("{psql} -Atc {}", quoted(sql));
        self.engine.call(&["ssh", "--container", "postgresql", "second/0", &line])
    }

    /// The folder of a pod's volume.
    fn volume(&self, pod: &str) -> Result<PathBuf> {
        let folder = format!("/var/lib/talisman/{}/volumes/{pod}", self.instance);
        let found = Path::new(&folder).read_dir()?.next().context("no volume")??;
        Ok(found.path())
    }

    /// Removes the second cluster's unit by force, gives a copy of its data to a unit of the
    /// first, and asks for both units again.
    ///
    /// # Errors
    /// When the second has not its data, or the first does anything with those of the other.
    pub fn confuse_volumes(&self) -> Result<()> {
        self.engine.call(&["scale-application", APP, "1"])?;
        self.engine.call(&["remove-unit", SECOND, "--num-units", "1", "--force", "--no-prompt"])?;
        self.await_units(1)?;
        self.engine.wait("no unit", 60, |status| {
            status["applications"][SECOND]["units"].as_object().is_none_or(|units| units.is_empty())
        })?;
        let (lent, taken) = (self.volume("second-0")?, self.volume("postgresql-k8s-1")?);
        std::fs::remove_dir_all(taken.join("pgdata"))?;
        let copied = Command::new("cp").arg("-a").arg(lent.join("pgdata")).arg(&taken).status()?;
        ensure!(copied.success(), "cannot copy a volume");
        let control = std::fs::read(taken.join(CONTROL))?;
        self.engine.call(&["scale-application", SECOND, "1"])?;
        self.engine.call(&["scale-application", APP, "2"])?;

        let told = |status: &Value| {
            let unit = &status["applications"][APP]["units"]["postgresql-k8s/1"];
            let shown = &unit["workload-status"];
            let text = shown["message"].as_str().filter(|_| shown["current"] == "blocked")?;
            Some(text.split_once("`juju ")?.1.trim_end_matches('`').to_owned())
        };
        let status = self.engine.wait("a command to run", 90, |status| told(status).is_some())?;
        let command = told(&status).context("no command")?;
        ensure!(std::fs::read(taken.join(CONTROL))? == control, "the data were touched");
        self.engine.call(&command.split(' ').collect::<Vec<_>>())?;
        self.engine.call(&["model-config", "update-status-hook-interval=3s"])?;
        self.await_units(2)?;
        let aside = command.rsplit_once('/').context("no folder in the command")?.1;
        ensure!(taken.join(aside).join("global/pg_control").exists(), "the data are gone");
        eventually("the data of the one that was removed by force", || {
            let kept = self.in_second("SELECT n FROM kept")?;
            ensure!(kept.trim() == "42", "they are {kept}");
            Ok(())
        })
    }
}
