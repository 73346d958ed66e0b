//! The Pebble layer of the workload.

use charm::UnitName;
use pebble::{Check, ExecCheck, HttpCheck, Layer, Override, Service, Startup};

use crate::patroni_yml;
use crate::topology::{PATRONI_PORT, Topology};

/// The label of the layer, and the name of the service and of its check.
pub(crate) const NAME: &str = "postgresql";

/// The key of the notice that a member's role changed.
pub(crate) const ROLE_CHANGED: &str = "canonical.com/postgresql/role-changed";

/// The name of the exporter's service.
const METRICS: &str = "metrics_server";
/// The port on which the exporter answers.
pub(crate) const METRICS_PORT: u16 = 9187;

/// How long Patroni may take to stop PostgreSQL, for which a checkpoint may be due. Juju gives a
/// pod 30 s to end: what is left of it is for Pebble, so that the end is not everybody's at once.
const KILL_DELAY: &str = "25s";

/// The exporter asks through the socket: whoever runs as the workload's own user is let in
/// there without a password, so neither the plan nor the argument list can show one.
///
/// It takes what follows a comma for another server, so `pg_temp` is not named: its session has
/// no temporary objects, and nobody else can make any there.
fn metrics() -> Service {
    let source = "user=monitoring host=/var/run/postgresql dbname=postgres \
        search_path=pg_catalog";
    Service {
        r#override: Override::Replace,
        summary: Some("PostgreSQL's metrics".to_owned()),
        command: Some(format!(
            "/usr/bin/prometheus-postgres-exporter --web.listen-address=:{METRICS_PORT}"
        )),
        startup: Some(Startup::Enabled),
        user: Some("postgres".to_owned()),
        group: Some("postgres".to_owned()),
        on_failure: Some("restart".to_owned()),
        environment: [("DATA_SOURCE_NAME".to_owned(), source.to_owned())].into(),
        ..Service::default()
    }
}

/// Whether the member is well, asked of Patroni itself.
///
/// Pebble's own requests trust the system's authorities only, and an authority or a date that is
/// wrong must not take a member that serves from its clients: no secret goes this way, and nobody
/// but the own pod answers at a loopback address.
fn health(encrypted: bool) -> Check {
    let check = Check {
        r#override: Override::Replace,
        level: Some("ready".to_owned()),
        period: Some("5s".to_owned()),
        ..Check::default()
    };
    if !encrypted {
        let url = format!("http://localhost:{PATRONI_PORT}/health");
        return Check { http: Some(HttpCheck { url, ..HttpCheck::default() }), ..check };
    }
    let program = format!(
        "import http.client as h, ssl; \
         c = h.HTTPSConnection('localhost', {PATRONI_PORT}, timeout=2, \
         context=ssl._create_unverified_context()); \
         c.request('GET', '/health'); raise SystemExit(c.getresponse().status != 200)"
    );
    // Without the site's modules Python starts in half the time.
    let command = format!("python3 -ISc \"{program}\"");
    Check { exec: Some(ExecCheck { command, ..ExecCheck::default() }), ..check }
}

/// Patroni, which runs PostgreSQL, and the exporter of its metrics.
pub(crate) fn layer(topology: &Topology, unit: &UnitName, encrypted: bool) -> Layer {
    let scope = topology.scope();
    let environment = [
        ("LANG", "C.UTF-8".to_owned()),
        ("PATRONI_KUBERNETES_LABELS", format!("{{application: patroni, cluster-name: {scope}}}")),
        ("PATRONI_KUBERNETES_LEADER_LABEL_VALUE", "primary".to_owned()),
        ("PATRONI_KUBERNETES_NAMESPACE", topology.model.clone()),
        ("PATRONI_KUBERNETES_USE_ENDPOINTS", "true".to_owned()),
        ("PATRONI_NAME", unit.pod()),
        ("PATRONI_SCOPE", scope.clone()),
        ("PATRONI_REPLICATION_USERNAME", "replication".to_owned()),
        ("PATRONI_SUPERUSER_USERNAME", "operator".to_owned()),
    ];
    let service = Service {
        r#override: Override::Replace,
        summary: Some("PostgreSQL under Patroni".to_owned()),
        command: Some(format!("patroni {}", patroni_yml::PATH)),
        startup: Some(Startup::Enabled),
        user: Some("postgres".to_owned()),
        group: Some("postgres".to_owned()),
        on_failure: Some("restart".to_owned()),
        kill_delay: Some(KILL_DELAY.to_owned()),
        environment: environment.map(|(key, value)| (key.to_owned(), value)).into(),
        ..Service::default()
    };
    Layer { summary: "postgresql + patroni layer".to_owned(), ..Layer::default() }
        .service(NAME, service)
        .service(METRICS, metrics())
        .check(NAME, health(encrypted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patroni_is_told_where_it_is() {
        let topology = Topology { app: "pg".parse().unwrap(), model: "db".to_owned() };
        let layer = layer(&topology, &"pg/1".parse().unwrap(), false);
        let environment: Vec<String> = layer.services[NAME]
            .environment
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        insta::assert_snapshot!(environment.join("\n"), @"
        LANG=C.UTF-8
        PATRONI_KUBERNETES_LABELS={application: patroni, cluster-name: patroni-pg}
        PATRONI_KUBERNETES_LEADER_LABEL_VALUE=primary
        PATRONI_KUBERNETES_NAMESPACE=db
        PATRONI_KUBERNETES_USE_ENDPOINTS=true
        PATRONI_NAME=pg-1
        PATRONI_REPLICATION_USERNAME=replication
        PATRONI_SCOPE=patroni-pg
        PATRONI_SUPERUSER_USERNAME=operator
        ");
        assert!(!layer.differs_from(&layer));
    }

    #[test]
    fn the_plan_as_pebble_shows_it_is_the_layer() {
        let topology = Topology { app: "pg".parse().unwrap(), model: "db".to_owned() };
        let shown = "
services:
    postgresql:
        summary: PostgreSQL under Patroni
        startup: enabled
        override: replace
        command: patroni /var/lib/postgresql/data/patroni.yml
        environment:
            LANG: C.UTF-8
            PATRONI_KUBERNETES_LABELS: '{application: patroni, cluster-name: patroni-pg}'
            PATRONI_KUBERNETES_LEADER_LABEL_VALUE: primary
            PATRONI_KUBERNETES_NAMESPACE: db
            PATRONI_KUBERNETES_USE_ENDPOINTS: \"true\"
            PATRONI_NAME: pg-1
            PATRONI_REPLICATION_USERNAME: replication
            PATRONI_SCOPE: patroni-pg
            PATRONI_SUPERUSER_USERNAME: operator
        user: postgres
        group: postgres
        on-failure: restart
        kill-delay: 25s
    metrics_server:
        summary: PostgreSQL's metrics
        startup: enabled
        override: replace
        command: /usr/bin/prometheus-postgres-exporter --web.listen-address=:9187
        environment:
            DATA_SOURCE_NAME: user=monitoring host=/var/run/postgresql dbname=postgres \
             search_path=pg_catalog
        user: postgres
        group: postgres
        on-failure: restart
checks:
    postgresql:
        override: replace
        level: ready
        period: 5s
        threshold: 3
        http:
            url: http://localhost:8008/health
";
        let plan = pebble::Plan::parse(shown).unwrap();
        let unit = "pg/1".parse().unwrap();
        assert!(!layer(&topology, &unit, false).differs_from(&plan));
        // Only the check changes with TLS, for which nothing restarts.
        let encrypted = layer(&topology, &unit, true);
        assert!(encrypted.differs_from(&plan) && !encrypted.restarts(&plan));
    }
}
