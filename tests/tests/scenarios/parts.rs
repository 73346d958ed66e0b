//! Contracts, kept by the real parts in pods; the simulator's tests have the simulated ones
//! keep them too.

#[path = "../../../crates/patroni/tests/contract/mod.rs"]
mod cluster;
#[path = "../../../crates/pgbouncer/tests/contract/mod.rs"]
mod pgbouncer;
#[path = "parts/pooler.rs"]
mod pooler;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use end_to_end::parts::{DATABASE, POOLER, Parts};
use pooler::Real;
use postgres::{Client, ConnectOptions};
use serde_json::Value;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where the real PgBouncer and its server are.
#[derive(Clone)]
struct Place {
    socket: PathBuf,
    pooler: String,
    primary: String,
    password: String,
    server: String,
}

impl Place {
    fn of(parts: &Parts) -> Result<Self> {
        let shown: Value = parts.engine.action(&format!("{DATABASE}/leader"), "get-primary")?;
        let primary = shown["primary"].as_str().context("no primary")?.replace('/', "-");
        let shown = parts.engine.action(&format!("{DATABASE}/leader"), "get-password")?;
        Ok(Self {
            socket: parts.socket(&format!("{POOLER}-0"), "pgbouncer"),
            pooler: parts.address(&format!("{POOLER}-0"))?,
            primary: parts.address(&primary)?,
            password: shown["password"].as_str().context("no password")?.to_owned(),
            server: format!("{DATABASE}-primary"),
        })
    }

    async fn operator(&self) -> Result<Client, pgbouncer::Failure> {
        let options = ConnectOptions {
            host: self.primary.clone(),
            port: 5432,
            user: "operator".parse()?,
            password: self.password.clone().into(),
            database: "postgres".parse()?,
            timeout: PATIENCE,
            ca: None,
        };
        Ok(Client::connect(&options).await?)
    }
}

/// The members of a cluster: the addresses of pods and the sockets of their Pebbles.
#[derive(Clone)]
struct Pods(BTreeMap<String, (String, PathBuf)>);

impl cluster::Members for Pods {
    fn rest(&self, pod: &str) -> patroni::Rest {
        patroni::Rest::new(self.0[pod].0.clone(), 8008)
    }

    fn trusting(&self, pod: &str, authority: &str) -> patroni::Rest {
        patroni::Rest::trusting(self.0[pod].0.clone(), 8008, authority)
    }

    fn certificate(&self, pod: &str) -> Result<(String, String), cluster::Failure> {
        let made = rcgen::generate_simple_self_signed(vec![self.0[pod].0.clone()])?;
        Ok((made.cert.pem(), made.signing_key.serialize_pem()))
    }

    fn pebble(&self, pod: &str) -> pebble_client::Client {
        pebble_client::Client::new(self.0[pod].1.clone())
    }
}

/// Where the real Patroni is, and what its charm may ask Kubernetes with.
#[derive(Clone)]
struct Members {
    pods: Pods,
    config: kubernetes_client::ClusterConfig,
    password: String,
}

impl Members {
    fn of(parts: &Parts) -> Result<Self> {
        let pods = (0..3).map(|number| format!("{DATABASE}-{number}"));
        let place = |pod: String| {
            let place = (parts.address(&pod)?, parts.socket(&pod, "postgresql"));
            Ok((pod, place))
        };
        let first = format!("{DATABASE}-0");
        let config = kubernetes_client::ClusterConfig {
            host: "10.1.255.1".to_owned(),
            port: 6443,
            token: parts.account(&first, "token")?.trim().to_owned().into(),
            ca_pem: parts.account(&first, "ca.crt")?,
            namespace: parts.account(&first, "namespace")?.trim().to_owned(),
        };
        let file = "cat /var/lib/postgresql/data/patroni.yml";
        let unit = format!("{DATABASE}/0");
        let file = parts.engine.call(&["ssh", "--container", "postgresql", &unit, file])?;
        let password = file.split_once("username: patroni").context("no user of the API")?.1;
        let password = password.lines().find_map(|line| line.trim().strip_prefix("password: "));
        Ok(Self {
            pods: Pods(pods.map(place).collect::<Result<_>>()?),
            config,
            password: password.context("no password of the API")?.to_owned(),
        })
    }
}

macro_rules! keeps_together {
    ($parts:expr, $members:expr; $($promise:ident),* $(,)?) => {$(
        let Members { pods, config, password } = $members.clone();
        let suite = || async move {
            let (kubernetes, app) = (kubernetes_client::Client::new(config)?, DATABASE.to_owned());
            let far = cluster::Far { members: &pods, kubernetes, app, password };
            cluster::$promise(&far).await
        };
        $parts.run(suite).context(stringify!($promise))?;
    )*};
}

macro_rules! keeps {
    ($parts:expr, $place:expr; $($promise:ident),* $(,)?) => {$(
        let place = $place.clone();
        let suite = || async move {
            let pooler = &Real::of(&place.pooler, &place.primary);
            let pebble = pebble_client::Client::new(place.socket.clone());
            let (operator, server) = (place.operator().await?, place.server.clone());
            pgbouncer::$promise(&pgbouncer::Far { pebble, pooler, operator, server }).await
        };
        $parts.run(suite).context(stringify!($promise))?;
    )*};
}

#[test]
fn the_real_parts_keep_their_contracts() -> Result<()> {
    let parts = Parts::up("ctpat")?;
    let members = Members::of(&parts)?;
    keeps_together!(
        parts, members;
        the_cluster_is_shown,
        the_objects_are_marked,
        settings_are_merged,
        parameters_wait_for_a_restart,
        the_file_is_read_again,
        the_api_speaks_tls_by_its_file,
        the_lead_is_handed_over,
        impossible_orders_are_refused,
        members_that_stop_and_come_back,
    );
    // Another member may lead by now.
    let place = Place::of(&parts)?;
    keeps!(
        parts, place;
        configurations_are_taken_or_not,
        processes_share_a_port,
        tls_needs_its_files,
        clients_prove_who_they_are,
        a_wildcard_leads_to_every_database,
        the_console_has_its_own_users,
        what_the_server_refuses_is_refused,
        reloads_take_what_they_can,
        restarts_take_the_rest,
        the_console_shows_what_is_in_force,
        a_refused_reload_takes_a_part,
        users_stay_until_there_is_another_list,
        a_pause_holds_clients,
        a_pause_waits_for_transactions,
        a_login_in_flight_poisons_the_pool,
        a_process_that_ends_does_not_resume,
        a_shutdown_waits_for_clients,
    );
    Ok(())
}
