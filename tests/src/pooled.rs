//! The default bundle with the pooler forwarded, for tests that speak to it in SQL.

use std::ops::Deref;
use std::time::{Duration, Instant};

use crate::{Talisman, root};
use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The default bundle, up and active.
pub struct Pooled {
    /// The engine; dropping it takes everything down.
    pub engine: Talisman,
    /// A client's URL that works on this host.
    pub url: String,
    port: u16,
}

/// A connection; dropping it closes it.
pub struct Session {
    client: tokio_postgres::Client,
    task: tokio::task::JoinHandle<()>,
}

impl Deref for Session {
    type Target = tokio_postgres::Client;
    fn deref(&self) -> &Self::Target {
        &self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Opens a connection.
pub async fn connect(url: &str) -> Result<Session> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    let task = tokio::spawn(async move {
        connection.await.ok();
    });
    Ok(Session { client, task })
}

/// The first value of a query's answer, as text; empty where there is none.
pub async fn value(client: &Session, sql: &str) -> Result<String> {
    let messages = client.simple_query(sql).await.with_context(|| sql.to_owned())?;
    let value = messages.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    Ok(value.unwrap_or_default())
}

/// A setting as a process has it, by its console.
pub async fn setting(console: &Session, key: &str) -> Result<String> {
    let lines = console.simple_query("SHOW CONFIG").await?;
    let value = lines.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) if row.get("key") == Some(key) => {
            row.get("value").map(str::to_owned)
        }
        _ => None,
    });
    value.with_context(|| format!("no setting {key}"))
}

/// The credentials that a data-integrator shows, turned towards a loopback port.
pub fn client_url(engine: &Talisman, app: &str, port: u16) -> Result<String> {
    let results = engine.action(&format!("{app}/0"), "get-credentials")?;
    let uris = results["postgresql"]["uris"].as_str().context("no uris")?;
    let (user, rest) = uris.split_once('@').context("no user in the uris")?;
    let (_, database) = rest.rsplit_once('/').context("no database in the uris")?;
    Ok(format!("{user}@127.0.0.1:{port}/{database}"))
}

/// A way in for PostgreSQL's own operator, past the pooler, through this loopback port.
pub fn operator_url(engine: &Talisman, app: &str, port: u16, database: &str) -> Result<String> {
    engine.call(&["forward", &port.to_string(), &format!("{app}-primary:5432")])?;
    let password = engine.action(&format!("{app}/leader"), "get-password")?;
    let password = password["password"].as_str().context("no password")?;
    Ok(format!("postgresql://operator:{password}@127.0.0.1:{port}/{database}"))
}

/// What the pooler wrote for `legacy`, a legacy client.
pub fn legacy_bag(engine: &Talisman) -> Result<Value> {
    let shown = engine.call(&["show-unit", "legacy/0", "--format", "json"])?;
    let shown: Value = serde_json::from_str(&shown)?;
    let relations = shown["legacy/0"]["relation-info"].as_array().context("no relations")?;
    let ours = relations.iter().find(|relation| relation["endpoint"] == "db");
    Ok(ours.context("no relation db")?["application-data"].clone())
}

impl Pooled {
    /// Brings up the default bundle in an engine of its own.
    pub fn up(instance: &str, port: u16) -> Result<Self> {
        let engine = Talisman::new(instance);
        let forward = format!("{port}:pgbouncer-k8s-service:6432");
        let bundle = root().join("bundle.yaml").display().to_string();
        engine.call(&["up", &bundle, "--forward", &forward])?;
        let url = client_url(&engine, "data-integrator", port)?;
        Ok(Self { engine, url, port })
    }

    /// The credentials of another client, turned towards the forwarded port.
    pub fn client(&self, app: &str) -> Result<String> {
        client_url(&self.engine, app, self.port)
    }

    /// The forwarded port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The client's user.
    pub fn user(&self) -> &str {
        self.url.split([':', '/']).nth(3).unwrap_or_default()
    }

    /// Sets options of the pooler and waits until its hook has taken them over.
    pub fn configure(&self, options: &[&str]) -> Result<()> {
        let before = self.config_hooks()?;
        let mut args = vec!["config", "pgbouncer-k8s"];
        args.extend(options);
        self.engine.call(&args)?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.config_hooks()? == before {
            ensure!(Instant::now() < deadline, "no config-changed hook after {options:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        self.engine.wait_active(60)?;
        Ok(())
    }

    /// How many config-changed hooks the pooler has run.
    fn config_hooks(&self) -> Result<u64> {
        let table: Value = serde_json::from_str(&self.engine.call(&["measurements"])?)?;
        let lines = table.as_array().context("no table")?.iter();
        let ours = lines.filter(|line| {
            line["hook"] == "config-changed" && line.to_string().contains("pgbouncer-k8s")
        });
        Ok(ours.filter_map(|line| line["runs"].as_u64()).sum())
    }

    /// The admin console of one of the processes.
    pub async fn console(&self) -> Result<Session> {
        let shown = self.engine.action("pgbouncer-k8s/0", "get-console-credentials")?;
        let field = |key: &str| {
            shown["admin"][key].as_str().map(str::to_owned).with_context(|| format!("no {key}"))
        };
        let (user, password) = (field("username")?, field("password")?);
        connect(&format!("postgresql://{user}:{password}@127.0.0.1:{}/pgbouncer", self.port)).await
    }
}
