//! The Pebble layer: PgBouncer's processes, the exporter, the rotation of logs, one check.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use juju_charm::AppName;
use juju_interfaces::Endpoint;
use pebble_client::{Check, ExecCheck, Layer, Override, Service, Startup, TcpCheck};
use pooler_agent::isready::{self, Seen};

use crate::facts::Login;
use crate::names;

/// The layer's label.
pub(crate) const LABEL: &str = "pgbouncer";
/// The port on which the first process' exporter answers; the others follow.
const METRICS_PORT: u32 = 9127;

/// How long a process may take to end: its clients' transactions go on for most of it. It is less
/// than a pod's grace, 30 s.
const KILL_DELAY: &str = "25s";

/// What the services follow from.
pub(crate) struct Services {
    /// How many PgBouncer processes there are.
    pub(crate) processes: NonZeroU32,
    /// Where they listen.
    pub(crate) port: u16,
    /// The exporter has a user.
    pub(crate) exporter: bool,
    /// The digest of the agent's configuration, if it has one.
    pub(crate) agent: Option<String>,
}

/// What the check of the backend asks, and what this hook saw of it.
pub(crate) struct Watch<'a> {
    /// Where, and as whom.
    pub(crate) login: &'a Login,
    /// With its certificate checked.
    pub(crate) verified: bool,
    /// What this hook saw.
    pub(crate) seen: Seen,
}

/// What runs in the container.
pub(crate) fn layer(app: &AppName, services: &Services, backend: Option<&Watch<'_>>) -> Layer {
    let Services { processes, port, exporter, .. } = *services;
    let mut layer = Layer { summary: "pgbouncer layer".to_owned(), ..Layer::default() };
    let poolers: Vec<String> = (0..processes.get()).map(names::service).collect();
    for index in 0..processes.get() {
        let metrics = metrics(app, index, port, exporter);
        layer = layer
            .service(&names::service(index), pooler(app, index))
            .service(&names::exporter(index), metrics);
    }
    let check = Check {
        r#override: Override::Replace,
        level: Some("ready".to_owned()),
        tcp: Some(TcpCheck { port, host: None }),
        ..Check::default()
    };
    layer
        .check(names::BACKEND_CHECK, watch(backend))
        .service(names::AGENT, agent(app, services.agent.as_deref(), poolers.clone()))
        .service(names::LOGROTATE, logrotate(poolers))
        .check("pgbouncer", check)
}

/// The check that PostgreSQL is as this hook saw it. It notifies the charm of a server that went or
/// came since, which no databag shows, and fails until a hook has seen the server as it is now. It is
/// no matter of the pod's own health.
fn watch(backend: Option<&Watch<'_>>) -> Check {
    let check = Check {
        r#override: Override::Replace,
        startup: Some(if backend.is_some() { Startup::Enabled } else { Startup::Disabled }),
        period: Some("5s".to_owned()),
        timeout: Some("3s".to_owned()),
        threshold: Some(1),
        ..Check::default()
    };
    let (seen, environment) = match backend {
        None => (Seen::Away, BTreeMap::new()),
        Some(Watch { login, verified, seen }) => {
            let Endpoint { host, port } = &login.primary;
            let ca = verified.then(|| (isready::CA, names::SERVER_CA.to_owned()));
            let variables = [
                (isready::HOST, host.clone()),
                (isready::PORT, port.to_string()),
                (isready::USER, login.username.to_string()),
                (isready::DATABASE, names::OWN_DATABASE.to_string()),
            ];
            let all = variables.into_iter().chain(ca);
            (*seen, all.map(|(name, value)| (name.to_owned(), value)).collect())
        }
    };
    let exec = ExecCheck {
        command: format!("{} {} {seen}", names::AGENT_PROGRAM, isready::WORD),
        environment,
        user: Some(names::OWNER.to_owned()),
        group: Some(names::OWNER.to_owned()),
        ..ExecCheck::default()
    };
    Check { exec: Some(exec), ..check }
}

/// The port of the exporter of process `index`.
pub(crate) fn metrics_port(index: u32) -> u16 {
    u16::try_from(METRICS_PORT.saturating_add(index)).unwrap_or(u16::MAX)
}

/// A process, under the program that ends it between transactions.
fn pooler(app: &AppName, index: u32) -> Service {
    let (ini, agent) = (names::ini(index), names::agent_config(app));
    Service {
        summary: Some(format!("pgbouncer service {index}")),
        command: Some(format!("{} serve {ini} {agent}", names::AGENT_PROGRAM)),
        kill_delay: Some(KILL_DELAY.to_owned()),
        startup: Some(Startup::Enabled),
        user: Some(names::OWNER.to_owned()),
        group: Some(names::OWNER.to_owned()),
        ..Service::default()
    }
}

/// Each process has an exporter, which asks it through its own socket: behind the shared port
/// a different process would answer each time. The password is in a file that only the
/// exporter's user may read, so neither the plan nor the argument list shows it.
fn metrics(app: &AppName, index: u32, port: u16, exporter: bool) -> Service {
    let user = names::stats_user(app);
    let connection = format!(
        "host={} port={port} user={user} dbname=pgbouncer sslmode=disable",
        names::folder(index)
    );
    let listen = metrics_port(index);
    // The exporter ends at once while PgBouncer does not listen yet.
    let socket = format!("{}/.s.PGSQL.{port}", names::folder(index));
    let command = format!(
        "sh -c 'until test -S {socket}; do sleep 0.1; done; \
         exec /usr/bin/prometheus-pgbouncer-exporter --web.listen-address=:{listen} \
         --pgBouncer.connectionString=\"{connection}\"'"
    );
    let environment = BTreeMap::from([("PGPASSFILE".to_owned(), names::passfile(app))]);
    Service {
        summary: Some(format!("postgresql metrics exporter {index}")),
        command: Some(if exporter { command } else { REST.to_owned() }),
        startup: Some(if exporter { Startup::Enabled } else { Startup::Disabled }),
        on_success: (!exporter).then(|| "ignore".to_owned()),
        environment: if exporter { environment } else { BTreeMap::new() },
        user: Some(names::OWNER.to_owned()),
        group: Some(names::OWNER.to_owned()),
        after: vec![names::service(index)],
        ..Service::default()
    }
}

/// A replan starts whatever ran before and has changed, disabled or not. What takes such a
/// service's place stays up for the second that Pebble looks at it, and then ends for good.
const REST: &str = "sleep 2";

/// The agent. It starts again when its configuration is another one, whose digest it is given for
/// that. A pause goes on over its restart, so it may be ended at any time.
fn agent(app: &AppName, digest: Option<&str>, after: Vec<String>) -> Service {
    let command = format!("{} {}", names::AGENT_PROGRAM, names::agent_config(app));
    let runs = digest.is_some();
    let environment = digest.map(|digest| ("CONFIGURATION".to_owned(), digest.to_owned()));
    Service {
        summary: Some("holds clients while the primary changes".to_owned()),
        command: Some(if runs { command } else { REST.to_owned() }),
        startup: Some(if runs { Startup::Enabled } else { Startup::Disabled }),
        on_success: (!runs).then(|| "ignore".to_owned()),
        environment: environment.into_iter().collect(),
        user: Some(names::OWNER.to_owned()),
        group: Some(names::OWNER.to_owned()),
        backoff_delay: runs.then(|| "100ms".to_owned()),
        after,
        ..Service::default()
    }
}

/// Ends after each run; the pause before its next start makes it a daily job.
fn logrotate(after: Vec<String>) -> Service {
    Service {
        summary: Some("logrotate".to_owned()),
        command: Some("sh -c '/usr/sbin/logrotate -v /etc/logrotate.conf; sleep 5'".to_owned()),
        startup: Some(Startup::Enabled),
        backoff_delay: Some("24h".to_owned()),
        backoff_factor: Some(1.0),
        after,
        ..Service::default()
    }
}

/// The rules by which logs are rotated. PgBouncer opens its log again on SIGHUP.
pub(crate) fn logrotate_rules() -> &'static str {
    "/var/log/pgbouncer/instance_*/pgbouncer.log {
    daily
    rotate 10
    missingok
    notifempty
    nocompress
    sharedscripts
    create 0600 postgres postgres
    dateext
    dateformat -%Y%m%d_%H:%M.log
    postrotate
        for pid in /var/lib/pgbouncer/instance_*/pgbouncer.pid; do
            kill -HUP \"$(cat \"$pid\")\" 2>/dev/null || true
        done
    endscript
}
"
}

/// The exporter's password file; host and port do not matter to it.
pub(crate) fn passfile(user: &str, password: &str) -> String {
    format!("*:*:*:{user}:{password}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn services(backend: bool) -> Services {
        let agent = backend.then(|| "digest".to_owned());
        Services { processes: NonZeroU32::new(2).unwrap(), port: 6432, exporter: backend, agent }
    }

    #[test]
    fn the_layer_with_a_backend() {
        let login = fixture::login();
        let backend = Watch { login: &login, verified: false, seen: Seen::Ready };
        let layer = layer(&fixture::app(), &services(true), Some(&backend));
        assert_eq!(layer.summary, "pgbouncer layer");
        let mut services = layer.services;
        assert!(services.remove(names::AGENT).is_some());
        insta::assert_json_snapshot!(services, @r#"
        {
          "logrotate": {
            "override": "replace",
            "summary": "logrotate",
            "command": "sh -c '/usr/sbin/logrotate -v /etc/logrotate.conf; sleep 5'",
            "startup": "enabled",
            "after": [
              "pgbouncer_0",
              "pgbouncer_1"
            ],
            "backoff-delay": "24h",
            "backoff-factor": 1.0
          },
          "metrics_server": {
            "override": "replace",
            "summary": "postgresql metrics exporter 0",
            "command": "sh -c 'until test -S /var/lib/pgbouncer/instance_0/.s.PGSQL.6432; do sleep 0.1; done; exec /usr/bin/prometheus-pgbouncer-exporter --web.listen-address=:9127 --pgBouncer.connectionString=\"host=/var/lib/pgbouncer/instance_0 port=6432 user=pgbouncer_stats_pgbouncer_k8s dbname=pgbouncer sslmode=disable\"'",
            "startup": "enabled",
            "environment": {
              "PGPASSFILE": "/dev/shm/pgbouncer-k8s.pgpass"
            },
            "user": "postgres",
            "group": "postgres",
            "after": [
              "pgbouncer_0"
            ]
          },
          "metrics_server_1": {
            "override": "replace",
            "summary": "postgresql metrics exporter 1",
            "command": "sh -c 'until test -S /var/lib/pgbouncer/instance_1/.s.PGSQL.6432; do sleep 0.1; done; exec /usr/bin/prometheus-pgbouncer-exporter --web.listen-address=:9128 --pgBouncer.connectionString=\"host=/var/lib/pgbouncer/instance_1 port=6432 user=pgbouncer_stats_pgbouncer_k8s dbname=pgbouncer sslmode=disable\"'",
            "startup": "enabled",
            "environment": {
              "PGPASSFILE": "/dev/shm/pgbouncer-k8s.pgpass"
            },
            "user": "postgres",
            "group": "postgres",
            "after": [
              "pgbouncer_1"
            ]
          },
          "pgbouncer_0": {
            "override": "replace",
            "summary": "pgbouncer service 0",
            "command": "/var/lib/pgbouncer/pooler-agent serve /var/lib/pgbouncer/instance_0/pgbouncer.ini /dev/shm/pgbouncer-k8s.agent.json",
            "startup": "enabled",
            "user": "postgres",
            "group": "postgres",
            "kill-delay": "25s"
          },
          "pgbouncer_1": {
            "override": "replace",
            "summary": "pgbouncer service 1",
            "command": "/var/lib/pgbouncer/pooler-agent serve /var/lib/pgbouncer/instance_1/pgbouncer.ini /dev/shm/pgbouncer-k8s.agent.json",
            "startup": "enabled",
            "user": "postgres",
            "group": "postgres",
            "kill-delay": "25s"
          }
        }
        "#);
    }

    #[test]
    fn the_agent_starts_again_with_another_configuration() {
        let login = fixture::login();
        let backend = Watch { login: &login, verified: false, seen: Seen::Ready };
        let layer = layer(&fixture::app(), &services(true), Some(&backend));
        insta::assert_json_snapshot!(layer.services[names::AGENT], @r#"
        {
          "override": "replace",
          "summary": "holds clients while the primary changes",
          "command": "/var/lib/pgbouncer/pooler-agent /dev/shm/pgbouncer-k8s.agent.json",
          "startup": "enabled",
          "environment": {
            "CONFIGURATION": "digest"
          },
          "user": "postgres",
          "group": "postgres",
          "after": [
            "pgbouncer_0",
            "pgbouncer_1"
          ],
          "backoff-delay": "100ms"
        }
        "#);
    }

    #[test]
    fn the_poolers_and_the_backend_are_checked() {
        let login = fixture::login();
        let backend = Watch { login: &login, verified: false, seen: Seen::Ready };
        let layer = layer(&fixture::app(), &services(true), Some(&backend));
        insta::assert_json_snapshot!(layer.checks, @r#"
        {
          "backend": {
            "override": "replace",
            "startup": "enabled",
            "period": "5s",
            "timeout": "3s",
            "threshold": 1,
            "exec": {
              "command": "/var/lib/pgbouncer/pooler-agent isready ready",
              "environment": {
                "PGDATABASE": "pgbouncer",
                "PGHOST": "postgresql-k8s-primary.m.svc.cluster.local",
                "PGPORT": "5432",
                "PGUSER": "relation_id_3"
              },
              "user": "postgres",
              "group": "postgres"
            }
          },
          "pgbouncer": {
            "override": "replace",
            "level": "ready",
            "tcp": {
              "port": 6432
            }
          }
        }
        "#);
    }

    #[test]
    fn without_a_backend_exporter_and_agent_rest() {
        let layer = layer(&fixture::app(), &services(false), None);
        let exporter = &layer.services[names::EXPORTER];
        assert_eq!(exporter.startup, Some(Startup::Disabled));
        assert_eq!(exporter.command.as_deref(), Some("sleep 2"));
        assert_eq!(exporter.on_success.as_deref(), Some("ignore"));
        let agent = &layer.services[names::AGENT];
        assert_eq!(agent.startup, Some(Startup::Disabled));
        assert_eq!(agent.command.as_deref(), Some("sleep 2"));
        assert_eq!(layer.checks[names::BACKEND_CHECK].startup, Some(Startup::Disabled));
    }
}
