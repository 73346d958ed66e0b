//! Clients of the pooler with TLS: scenarios 33 to 37.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use end_to_end::failover::eventually;
use end_to_end::pooled::{Pooled, legacy_bag};
use end_to_end::root;
use serde_json::Value;
use tempfile::TempDir;

const INSTANCE: &str = "e2etls";
const PORT: u16 = 16445;
const POOLER: &str = "pgbouncer-k8s";
const CERTIFIER: &str = "certifier";

/// The default bundle, and a place for what clients trust.
struct World {
    pooled: Pooled,
    folder: TempDir,
}

/// Asks for one value as this user of this database, `user:password` and a name.
fn ask(host: &str, (login, database): (&str, &str), options: &str) -> Result<()> {
    let url = format!("postgresql://{login}@{host}/{database}?{options}");
    let psql = ["netns", "exec", &format!("tlsm-{INSTANCE}"), "psql", "-XAtc", "SELECT 42", &url];
    let output = Command::new("ip").args(psql).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.stdout == b"42\n", "{host} with {options}: {said}");
    Ok(())
}

impl World {
    fn up() -> Result<Self> {
        Ok(Self { pooled: Pooled::up(INSTANCE, PORT)?, folder: tempfile::tempdir()? })
    }

    fn call(&self, args: &[&str]) -> Result<String> {
        self.pooled.engine.call(args)
    }

    /// What was published to the client.
    fn told(&self) -> Result<Value> {
        let shown = self.pooled.engine.action("data-integrator/0", "get-credentials")?;
        Ok(shown["postgresql"].clone())
    }

    /// Waits until TLS is published to the client, or withdrawn.
    fn await_told(&self, tls: &str) -> Result<()> {
        eventually("what clients are told", || {
            let told = self.told()?;
            ensure!(told["tls"] == tls, "the client was told {}", told["tls"]);
            let ca = told["tls-ca"].as_str().unwrap_or_default();
            let pem = ca.contains("-----BEGIN CERTIFICATE-----");
            ensure!(pem == (tls == "True"), "the client was told of {ca:?}");
            std::fs::write(self.folder.path().join("ca.pem"), ca)?;
            Ok(())
        })
    }

    /// The client's user with its password, and its database.
    fn client(&self) -> Result<(String, String)> {
        let (_, rest) = self.pooled.url.split_once("://").context("no scheme")?;
        let (login, rest) = rest.split_once('@').context("no user")?;
        let (_, database) = rest.split_once('/').context("no database")?;
        Ok((login.to_owned(), database.to_owned()))
    }

    /// Asks each unit of the pooler by the name of its Service, as this client.
    fn ask_as(&self, client: (&str, &str), options: &str) -> Result<()> {
        let status = self.pooled.engine.status()?;
        let model = status["model"]["name"].as_str().context("no model")?;
        let host = format!("{POOLER}-service.{model}.svc.cluster.local:6432");
        let units = status["applications"][POOLER]["units"].as_object().context("no units")?;
        for (name, unit) in units {
            let address = unit["address"].as_str().with_context(|| format!("{name}: nowhere"))?;
            ask(&host, client, &format!("hostaddr={address}&{options}"))?;
        }
        Ok(())
    }

    /// The public key of the certificate that a unit serves with.
    fn shown(&self, unit: &str, port: u16) -> Result<String> {
        let status = self.pooled.engine.status()?;
        let (app, _) = unit.split_once('/').context("no unit")?;
        let address = &status["applications"][app]["units"][unit]["address"];
        let address = address.as_str().with_context(|| format!("{unit}: nowhere"))?;
        let read = format!(
            "openssl s_client -starttls postgres -connect {address}:{port} </dev/null 2>/dev/null \
             | openssl x509 -noout -pubkey"
        );
        let inside = ["netns", "exec", &format!("tlsm-{INSTANCE}"), "sh", "-c", &read];
        Ok(String::from_utf8(Command::new("ip").args(inside).output()?.stdout)?)
    }

    fn ask(&self, options: &str) -> Result<()> {
        let (login, database) = self.client()?;
        self.ask_as((&login, &database), options)
    }

    /// The query of a client that trusts only the published CA.
    fn verified(&self, mode: &str) -> String {
        let ca = self.folder.path().join("ca.pem");
        format!("sslmode={mode}&sslrootcert={}", ca.display())
    }

    /// Waits until every process serves with a certificate that the client trusts.
    fn await_verified(&self) -> Result<()> {
        // Each connection is one of a unit's two processes.
        eventually("verified connections", || {
            (0..7).try_for_each(|_| self.ask(&self.verified("verify-full")))
        })
    }
}

#[test]
fn clients_are_served_with_tls() -> Result<()> {
    let world = World::up()?;
    ensure!(world.ask("sslmode=require").is_err(), "TLS without a certificate");
    let charm = root().join("tests/charms").join(CERTIFIER).display().to_string();
    world.call(&["deploy", &charm])?;
    for app in [POOLER, "postgresql-k8s"] {
        world.call(&["integrate", CERTIFIER, &format!("{app}:certificates")])?;
    }
    world.await_told("True")?;
    world.await_verified()?;
    world.ask("sslmode=disable").context("a client that does not ask for TLS")?;

    plain_clients_can_be_refused(&world)?;
    a_bad_cipher_leaves_tls_as_it_is(&world)?;
    a_person_sets_the_key(&world)?;
    the_old_interface_is_served(&world)?;
    another_unit_has_a_certificate_too(&world)?;
    it_holds_outside_of_the_cluster(&world)?;
    another_authority_takes_over(&world)?;

    the_issuer_goes_while_tls_is_required(&world)?;
    world.await_told("False")?;
    eventually("no TLS", || {
        ensure!(world.ask("sslmode=require").is_err(), "TLS without an issuer");
        world.ask("sslmode=disable")
    })?;
    let left = ["ssh", "--container", "pgbouncer", "pgbouncer-k8s/0", "ls", "/dev/shm"];
    ensure!(!world.call(&left)?.contains(".pem"), "the key is still there");
    world.call(&["integrate", CERTIFIER, &format!("{POOLER}:certificates")])?;
    world.await_told("True")?;
    world.await_verified()
}

fn plain_clients_can_be_refused(world: &World) -> Result<()> {
    world.pooled.configure(&["pgbouncer-settings=client_tls_sslmode=require"])?;
    eventually("plain clients refused", || {
        ensure!(world.ask("sslmode=disable").is_err(), "a plain client is let in");
        world.ask(&world.verified("verify-full"))
    })?;
    world.pooled.configure(&["pgbouncer-settings="])?;
    eventually("plain clients let in", || world.ask("sslmode=disable"))
}

/// A certificate does not make up for ciphers that are none, and only PgBouncer knows them.
fn a_bad_cipher_leaves_tls_as_it_is(world: &World) -> Result<()> {
    for text in ["client_tls_ciphers=nonsense", "client_tls_sslmode=disable"] {
        world.call(&["config", POOLER, &format!("pgbouncer-settings={text}")])?;
        world.pooled.engine.wait(&format!("{text} named"), 60, |status| {
            let unit = &status["applications"][POOLER]["units"]["pgbouncer-k8s/0"];
            let said = unit["workload-status"]["message"].to_string();
            let name = text.split('=').next().unwrap_or_default();
            said.contains(name) || said.contains("nonsense")
        })?;
        world.ask(&world.verified("verify-full"))?;
    }
    world.pooled.configure(&["pgbouncer-settings="])
}

/// The key goes with the next certificate of the unit, and clients go on trusting it.
fn a_person_sets_the_key(world: &World) -> Result<()> {
    let kind = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    for (unit, port) in [("pgbouncer-k8s/0", 6432), ("postgresql-k8s/0", 5432)] {
        let file = world.folder.path().join("key.pem").display().to_string();
        openssl(&[&["genpkey", "-quiet", "-out", &file], &kind[..]].concat())?;
        let wanted = openssl(&["pkey", "-in", &file, "-pubout"])?;
        let encoded = openssl(&["base64", "-A", "-in", &file])?;
        let set = format!("private-key={encoded}");
        world.call(&["run", unit, "set-tls-private-key", &set])?;
        eventually("the key that was set", || {
            let shown = world.shown(unit, port)?;
            ensure!(shown == wanted, "{unit} serves with the key {shown}");
            Ok(())
        })?;
    }
    world.await_verified()
}

/// What a command of OpenSSL prints.
fn openssl(args: &[&str]) -> Result<String> {
    let output = Command::new("openssl").args(args).output().context("openssl is needed")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn the_old_interface_is_served(world: &World) -> Result<()> {
    let charm = root().join("tests/charms/legacy-client").display().to_string();
    world.call(&["deploy", &charm, "legacy"])?;
    world.call(&["integrate", "legacy:db", &format!("{POOLER}:db")])?;
    eventually("a client of the old interface", || {
        let bag = legacy_bag(&world.pooled.engine)?;
        let field = |key: &str| bag[key].as_str().with_context(|| format!("no {key} in {bag}"));
        let login = format!("{}:{}", field("user")?, field("password")?);
        world.ask_as((&login, field("database")?), &world.verified("verify-full"))
    })?;
    world.call(&["remove-application", "legacy", "--no-prompt"])?;
    Ok(())
}

fn another_unit_has_a_certificate_too(world: &World) -> Result<()> {
    world.call(&["scale-application", POOLER, "2"])?;
    world.pooled.engine.wait_active(120)?;
    world.await_verified()?;
    world.call(&["scale-application", POOLER, "1"])?;
    eventually("one unit", || {
        let status = world.pooled.engine.wait_active(120)?;
        let units = status["applications"][POOLER]["units"].as_object().map_or(0, |all| all.len());
        ensure!(units == 1, "{units} units");
        Ok(())
    })?;
    world.await_verified()
}

/// The certificate names no node, so a client outside verifies its authority.
fn it_holds_outside_of_the_cluster(world: &World) -> Result<()> {
    let inside = world.told()?["endpoints"].clone();
    world.pooled.configure(&["expose-external=nodeport"])?;
    let (login, database) = world.client()?;
    eventually("the node's port", || {
        let told = world.told()?;
        ensure!(told["endpoints"] != inside && told["tls"] == "True", "the client was told {told}");
        let endpoint = told["endpoints"].as_str().context("no endpoints")?;
        ask(endpoint, (&login, &database), &world.verified("verify-ca"))
    })?;
    world.pooled.configure(&["expose-external=false"])
}

/// Without an issuer nothing changes while clients have to come with TLS.
fn the_issuer_goes_while_tls_is_required(world: &World) -> Result<()> {
    world.pooled.configure(&["pgbouncer-settings=client_tls_sslmode=require"])?;
    world.call(&["remove-relation", CERTIFIER, POOLER])?;
    world.pooled.engine.wait("the missing certificate named", 60, |status| {
        let unit = &status["applications"][POOLER]["units"]["pgbouncer-k8s/0"];
        unit["workload-status"]["message"].to_string().contains("client_tls_sslmode=require")
    })?;
    world.ask(&world.verified("verify-full"))?;
    ensure!(world.ask("sslmode=disable").is_err(), "a plain client is let in");
    world.pooled.configure(&["pgbouncer-settings="])
}

fn another_authority_takes_over(world: &World) -> Result<()> {
    let before = world.told()?["tls-ca"].clone();
    world.call(&["config", CERTIFIER, "authority=second"])?;
    eventually("another authority", || {
        ensure!(world.told()?["tls-ca"] != before, "the client trusts the first");
        Ok(())
    })?;
    world.await_told("True")?;
    world.await_verified()
}
