//! The Pebble layer: PgBouncer's processes, the exporter, the rotation of logs, one check.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use charm::AppName;
use interfaces::Endpoint;
use pebble::{Check, Layer, Override, Service, Startup, TcpCheck};

use crate::place;

/// The layer's label.
pub(crate) const LABEL: &str = "pgbouncer";
/// The port on which the first process' exporter answers; the others follow.
const METRICS_PORT: u32 = 9127;

/// What runs in the container. The exporter runs only if it has somebody to ask for
/// statistics as.
///
/// The check of the backend tells the charm when PostgreSQL goes and when it is back: no
/// databag changes then. It is no matter of the pod's own health.
pub(crate) fn layer(
    app: &AppName,
    processes: NonZeroU32,
    port: u16,
    exporter: bool,
    backend: Option<&Endpoint>,
) -> Layer {
    let mut layer = Layer { summary: "pgbouncer layer".to_owned(), ..Layer::default() };
    let poolers: Vec<String> = (0..processes.get()).map(place::service).collect();
    for index in 0..processes.get() {
        let metrics = metrics(app, index, port, exporter);
        layer = layer
            .service(&place::service(index), pooler(index))
            .service(&place::exporter(index), metrics);
    }
    let check = Check {
        r#override: Override::Replace,
        level: Some("ready".to_owned()),
        tcp: Some(TcpCheck { port, host: None }),
        ..Check::default()
    };
    let away = Endpoint { host: "localhost".to_owned(), port };
    let Endpoint { host, port: server } = backend.unwrap_or(&away);
    let watch = Check {
        r#override: Override::Replace,
        startup: Some(if backend.is_some() { Startup::Enabled } else { Startup::Disabled }),
        period: Some("5s".to_owned()),
        timeout: Some("3s".to_owned()),
        threshold: Some(2),
        tcp: Some(TcpCheck { port: *server, host: Some(host.clone()) }),
        ..Check::default()
    };
    layer
        .check(place::BACKEND_CHECK, watch)
        .service(place::LOGROTATE, logrotate(poolers))
        .check("pgbouncer", check)
}

/// The port of the exporter of process `index`.
pub(crate) fn metrics_port(index: u32) -> u16 {
    u16::try_from(METRICS_PORT.saturating_add(index)).unwrap_or(u16::MAX)
}

fn pooler(index: u32) -> Service {
    Service {
        summary: Some(format!("pgbouncer service {index}")),
        command: Some(format!("/usr/sbin/pgbouncer {}", place::ini(index))),
        startup: Some(Startup::Enabled),
        user: Some(place::OWNER.to_owned()),
        group: Some(place::OWNER.to_owned()),
        ..Service::default()
    }
}

/// Each process has an exporter, which asks it through its own socket: behind the shared port
/// a different process would answer each time. The password is in a file that only the
/// exporter's user may read, so neither the plan nor the argument list shows it.
fn metrics(app: &AppName, index: u32, port: u16, exporter: bool) -> Service {
    let user = place::stats_user(app);
    let connection = format!(
        "host={} port={port} user={user} dbname=pgbouncer sslmode=disable",
        place::folder(index)
    );
    let listen = metrics_port(index);
    // The exporter gives up at once where nobody listens yet.
    let socket = format!("{}/.s.PGSQL.{port}", place::folder(index));
    let command = format!(
        "sh -c 'until test -S {socket}; do sleep 0.1; done; \
         exec /usr/bin/prometheus-pgbouncer-exporter --web.listen-address=:{listen} \
         --pgBouncer.connectionString=\"{connection}\"'"
    );
    let environment = BTreeMap::from([("PGPASSFILE".to_owned(), place::passfile(app))]);
    // A replan starts whatever ran before and has changed, disabled or not. What takes the
    // exporter's place stays up for the second that Pebble looks at it, and then ends for good.
    let rest = || "sleep 2".to_owned();
    Service {
        summary: Some(format!("postgresql metrics exporter {index}")),
        command: Some(if exporter { command } else { rest() }),
        startup: Some(if exporter { Startup::Enabled } else { Startup::Disabled }),
        on_success: (!exporter).then(|| "ignore".to_owned()),
        environment: if exporter { environment } else { BTreeMap::new() },
        user: Some(place::OWNER.to_owned()),
        group: Some(place::OWNER.to_owned()),
        after: vec![place::service(index)],
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
    use crate::testing;

    #[test]
    fn the_layer_with_a_backend() {
        let backend = testing::login().primary;
        let layer = layer(&testing::app(), NonZeroU32::new(2).unwrap(), 6432, true, Some(&backend));
        assert_eq!(layer.summary, "pgbouncer layer");
        insta::assert_json_snapshot!(layer.services, @r#"
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
            "command": "/usr/sbin/pgbouncer /var/lib/pgbouncer/instance_0/pgbouncer.ini",
            "startup": "enabled",
            "user": "postgres",
            "group": "postgres"
          },
          "pgbouncer_1": {
            "override": "replace",
            "summary": "pgbouncer service 1",
            "command": "/usr/sbin/pgbouncer /var/lib/pgbouncer/instance_1/pgbouncer.ini",
            "startup": "enabled",
            "user": "postgres",
            "group": "postgres"
          }
        }
        "#);
    }

    #[test]
    fn the_poolers_and_the_backend_are_checked() {
        let backend = testing::login().primary;
        let layer = layer(&testing::app(), NonZeroU32::new(2).unwrap(), 6432, true, Some(&backend));
        insta::assert_json_snapshot!(layer.checks, @r#"
        {
          "backend": {
            "override": "replace",
            "startup": "enabled",
            "period": "5s",
            "timeout": "3s",
            "threshold": 2,
            "tcp": {
              "port": 5432,
              "host": "postgresql-k8s-primary.m.svc.cluster.local"
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
    fn without_a_backend_the_exporter_rests() {
        let layer = layer(&testing::app(), NonZeroU32::new(2).unwrap(), 6432, false, None);
        let exporter = &layer.services[place::EXPORTER];
        assert_eq!(exporter.startup, Some(Startup::Disabled));
        assert_eq!(exporter.command.as_deref(), Some("sleep 2"));
        assert_eq!(exporter.on_success.as_deref(), Some("ignore"));
        assert_eq!(layer.checks[place::BACKEND_CHECK].startup, Some(Startup::Disabled));
    }
}
