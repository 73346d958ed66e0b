//! Certificates come, change their issuer and go, under writers.

use anyhow::{Result, ensure};

use super::{APP, Cluster, Members, Outcome, UNITS, Writer, eventually};
use crate::root;

const CERTIFIER: &str = "certifier";
const CA: &str = "/var/lib/postgresql/data/ca.pem";

impl Cluster {
    /// Relates an issuer of certificates: servers and pooler use them.
    ///
    /// # Errors
    /// When a member goes without TLS, lets one in without, or the pooler does not verify.
    pub fn gain_tls(&self) -> Result<Outcome> {
        let outcome = self.watched(|_, _| {
            let charm = root().join("tests/charms").join(CERTIFIER).display().to_string();
            self.engine.call(&["deploy", &charm])?;
            self.engine.call(&["integrate", CERTIFIER, &format!("{APP}:certificates")])?;
            self.await_tls("on", "server_tls_sslmode = verify-full")
        })?;
        ensure!(!outcome.moved, "another member leads");
        for pod in (0..UNITS).map(Members::pod) {
            let host = format!("{pod}.{APP}-endpoints");
            for host in [host.as_str(), "127.0.0.1", "postgresql-k8s-primary"] {
                let plain = self.log_in(&pod, host, "sslmode=disable");
                ensure!(plain.is_err(), "{pod}: {host} lets in without TLS");
            }
            let verified = format!("sslmode=verify-full&sslrootcert={CA}");
            self.log_in(&pod, &host, &verified)?;
            self.log_in(&pod, "postgresql-k8s-primary", &verified)?;
        }
        self.await_encrypted_pooler()?;
        self.has_encrypted_api()?;
        Ok(outcome)
    }

    /// Waits until the primary sees connections of the pooler, and none of them without TLS.
    fn await_encrypted_pooler(&self) -> Result<()> {
        let address = self.address("pgbouncer-k8s-0")?;
        let query = format!(
            "SELECT count(*) FILTER (WHERE ssl) > 0 AND bool_and(ssl) FROM pg_stat_ssl \
             JOIN pg_stat_activity USING (pid) WHERE client_addr = $${address}$$"
        );
        // Without a client the pooler needs no connection.
        let writer = Writer::start(&self.url)?;
        eventually("an encrypted pooler", || {
            let found = self.query(&self.primary()?, &query)?;
            ensure!(found.trim() == "t", "the primary sees {found}");
            Ok(())
        })?;
        writer.stop().map(drop)
    }

    /// Has another authority issue every certificate anew.
    ///
    /// # Errors
    /// When a member does not take it.
    pub fn change_issuer(&self) -> Result<Outcome> {
        let before = self.inside(&Members::pod(0), &format!("cat {CA}"))?;
        let outcome = self.watched(|_, _| {
            self.engine.call(&["config", CERTIFIER, "authority=second"])?;
            eventually("all members have the second authority", || {
                for pod in (0..UNITS).map(Members::pod) {
                    let after = self.inside(&pod, &format!("cat {CA}"))?;
                    ensure!(after != before, "{pod} has the first");
                }
                Ok(())
            })?;
            self.engine.wait_active(120).map(drop)
        })?;
        let verified = format!("sslmode=verify-full&sslrootcert={CA}");
        for pod in (0..UNITS).map(Members::pod) {
            self.log_in(&pod, &format!("{pod}.{APP}-endpoints"), &verified)?;
        }
        Ok(outcome)
    }

    /// Ends the relation: everything is as before.
    ///
    /// # Errors
    /// When a member keeps TLS or its files.
    pub fn lose_tls(&self) -> Result<Outcome> {
        let outcome = self.watched(|_, _| {
            self.engine.call(&["remove-relation", CERTIFIER, APP])?;
            self.await_tls("off", "server_tls_sslmode = prefer")
        })?;
        for pod in (0..UNITS).map(Members::pod) {
            let left =
                self.inside(&pod, "ls /var/lib/postgresql/data/*.pem 2>/dev/null || true")?;
            ensure!(left.trim().is_empty(), "{pod} keeps {left}");
        }
        self.engine.call(&["remove-application", CERTIFIER, "--no-prompt"])?;
        self.has_clear_api()?;
        ensure!(!outcome.moved, "another member leads");
        Ok(outcome)
    }

    /// Waits until every member and the pooler are as asked for.
    fn await_tls(&self, ssl: &str, pooler: &str) -> Result<()> {
        eventually("TLS", || {
            for pod in (0..UNITS).map(Members::pod) {
                let found = self.query(&pod, "SHOW ssl")?;
                ensure!(found.trim() == ssl, "{pod}: ssl is {found}");
            }
            let ini = "/var/lib/pgbouncer/instance_0/pgbouncer.ini";
            let read = ["ssh", "--container", "pgbouncer", "pgbouncer-k8s/0", "cat", ini];
            let text = self.engine.call(&read)?;
            ensure!(text.contains(pooler), "the pooler has no {pooler}");
            Ok(())
        })
    }

    /// Logs in as the client from inside a pod.
    fn log_in(&self, pod: &str, host: &str, options: &str) -> Result<String> {
        let url = self.login.replace("HOST", host);
        let psql = format!("runuser -u postgres -- psql '{url}?{options}' -Atc 'SELECT 1' 2>&1");
        self.inside(pod, &psql)
    }
}
