//! The Kubernetes objects of a cluster: which there are, where they lead, and that they return.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{APP, Cluster, Members, Outcome, UNITS, eventually};
use crate::kubernetes::quoted;

/// Patroni's endpoints in a cluster that commits synchronously.
const PATRONIS: [&str; 3] =
    ["patroni-postgresql-k8s", "patroni-postgresql-k8s-config", "patroni-postgresql-k8s-sync"];
/// What keeps a controller manager from deleting endpoints without a service.
const LOCK: &str = "control-plane.alpha.kubernetes.io/leader";

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

impl Cluster {
    /// What the API answers to the pooler's service account.
    pub(super) fn kubernetes(&self, verb: &str, path: &str, body: &str) -> Result<Value> {
        self.engine.kubernetes("pgbouncer-k8s/0", verb, path, body)
    }

    /// The objects of a kind.
    fn listed(&self, path: &str) -> Result<Vec<Value>> {
        let mut list = self.kubernetes("GET", path, "")?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// The objects of the cluster, those that are every application's left out.
    fn objects(&self) -> Result<BTreeSet<String>> {
        let every = [APP.to_owned(), format!("{APP}-endpoints")];
        let mut found = BTreeSet::new();
        for kind in ["endpoints", "services"] {
            let objects = self.listed(kind)?;
            let names = objects.iter().map(name).filter(|name| name.contains(APP));
            let ours = names.filter(|name| !every.iter().any(|other| other == name));
            found.extend(ours.map(|name| format!("{kind} {name}")));
        }
        Ok(found)
    }

    /// Waits until the cluster's objects are just these.
    pub(super) fn await_objects(&self, expected: &[&str]) -> Result<()> {
        let expected: BTreeSet<String> = expected.iter().map(|line| (*line).to_owned()).collect();
        eventually("the objects", || {
            let found = self.objects()?;
            ensure!(found == expected, "there are {found:?}");
            Ok(())
        })
    }

    /// Checks that the objects are those of an active cluster, and that each pod is labelled as
    /// one of it.
    ///
    /// # Errors
    /// When one is missing or more than they are there.
    pub fn has_its_objects(&self) -> Result<()> {
        self.await_objects(&[
            "endpoints patroni-postgresql-k8s",
            "endpoints patroni-postgresql-k8s-config",
            "endpoints patroni-postgresql-k8s-sync",
            "endpoints postgresql-k8s-primary",
            "endpoints postgresql-k8s-replicas",
            "services patroni-postgresql-k8s-config",
            "services postgresql-k8s-primary",
            "services postgresql-k8s-replicas",
        ])?;
        let selector = "application%3Dpatroni,cluster-name%3Dpatroni-postgresql-k8s";
        let pods = self.listed(&format!("pods?labelSelector={selector}"))?;
        let found: BTreeSet<String> = pods.iter().map(|pod| name(pod).to_owned()).collect();
        ensure!(found == (0..UNITS).map(Members::pod).collect(), "labelled are {found:?}");
        Ok(())
    }

    /// Checks that each member says that it is well, and that its exporter could read it.
    ///
    /// # Errors
    /// When one does not.
    pub fn is_observed(&self) -> Result<()> {
        let read = |port: u16, path: &str| {
            let url = format!("http://127.0.0.1:{port}/{path}");
            let script = "import sys, urllib.request as web; \
                          print(web.urlopen(sys.argv[1]).read().decode())";
            format!("python3 -c {} {url}", quoted(script))
        };
        for unit in (0..UNITS).map(|number| format!("{APP}/{number}")) {
            self.engine.call(&["ssh", &unit, &read(8008, "health")])?;
            let metrics = self.engine.call(&["ssh", &unit, &read(9187, "metrics")])?;
            for line in ["pg_exporter_last_scrape_error 0", "pg_up 1"] {
                ensure!(metrics.lines().any(|found| found == line), "{unit}: {metrics}");
            }
        }
        Ok(())
    }

    /// Waits until the services lead to the primary and to the rest, by their names.
    pub(super) fn serves_by_name(&self) -> Result<()> {
        let of = |service: &str| -> Result<BTreeSet<String>> {
            let endpoints = self.kubernetes("GET", &format!("endpoints/{service}"), "")?;
            let addresses = endpoints["subsets"][0]["addresses"].as_array().cloned();
            let pods = addresses.unwrap_or_default();
            let pods = pods.iter().filter_map(|one| one["targetRef"]["name"].as_str());
            Ok(pods.map(str::to_owned).collect())
        };
        eventually("services that lead to the members", || {
            let cluster = self.cluster(&Members::pod(0))?;
            let members = cluster["members"].as_array().context("no members")?;
            let (leaders, rest): (Vec<&Value>, Vec<&Value>) =
                members.iter().partition(|member| member["role"] == "leader");
            for (service, wanted, follows) in [("primary", leaders, "f"), ("replicas", rest, "t")] {
                let service = format!("{APP}-{service}");
                let wanted = wanted.iter().filter_map(|member| member["name"].as_str());
                let wanted: BTreeSet<String> = wanted.map(str::to_owned).collect();
                let found = of(&service)?;
                ensure!(found == wanted, "{service} leads to {found:?}, not to {wanted:?}");
                self.inside(&Members::pod(0), &format!("getent hosts {service}"))?;
                if !wanted.is_empty() {
                    let told = self.ask_at(&service, "SELECT pg_is_in_recovery()")?;
                    ensure!(told.trim() == follows, "{service} leads to one in recovery: {told}");
                }
            }
            Ok(())
        })
    }

    /// What a host answers to the client that comes from the first member's container.
    fn ask_at(&self, host: &str, sql: &str) -> Result<String> {
        let url = self.login.replace("HOST", host);
        self.inside(&Members::pod(0), &format!("runuser -u postgres -- psql '{url}' -Atc '{sql}'"))
    }

    /// Deletes what Patroni keeps in Kubernetes, and the service that gives members their
    /// names, under writers: all of it returns.
    ///
    /// # Errors
    /// When something does not return, or an acknowledged number is lost.
    pub fn lose_objects(&self) -> Result<Outcome> {
        let host = format!("{}.{APP}-endpoints", Members::pod(1));
        let outcome = self.watched(|_, writer| {
            for name in PATRONIS {
                self.kubernetes("DELETE", &format!("endpoints/{name}"), "")?;
            }
            writer.await_writes(20)?;
            self.has_its_objects()?;
            self.kubernetes("DELETE", &format!("services/{APP}-endpoints"), "")?;
            eventually("a member without a name", || {
                let found = self.inside(&Members::pod(0), &format!("getent hosts {host}"));
                ensure!(found.is_err(), "{host} is {found:?}");
                Ok(())
            })?;
            writer.await_writes(20)?;
            // Nothing happens to the units that causes an event.
            self.engine.call(&["model-config", "update-status-hook-interval=3s"])?;
            eventually("names", || {
                self.inside(&Members::pod(0), &format!("getent hosts {host}")).map(drop)
            })?;
            self.await_adoption()
        })?;
        self.engine.call(&["model-config", "update-status-hook-interval=5m"])?;
        self.engine.wait_active(60)?;
        Ok(outcome)
    }

    /// Waits until each of Patroni's endpoints goes with the application, and stays until then.
    fn await_adoption(&self) -> Result<()> {
        eventually("an owner of each object", || {
            for name in PATRONIS {
                let object = self.kubernetes("GET", &format!("endpoints/{name}"), "")?;
                let metadata = &object["metadata"];
                ensure!(metadata["ownerReferences"][0]["name"] == APP, "{name} has no owner");
                ensure!(metadata["annotations"][LOCK].is_string(), "{name} is nobody's lock");
            }
            Ok(())
        })
    }
}
