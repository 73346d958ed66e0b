//! The Pebble layer of the workload.

use juju_charm::UnitName;
use pebble_client::{Check, ExecCheck, HttpCheck, Layer, Override, Service, Startup};

use crate::topology::{PATRONI_PORT, Topology};

/// The label of the layer, and the name of the service and of its check.
pub(crate) const NAME: &str = "postgresql";

/// Who runs PostgreSQL and Patroni, and owns their files; the group has the same name.
pub(crate) const USER: &str = "postgres";

/// The key of the notice that a member's role changed.
pub(crate) const ROLE_CHANGED: &str = "canonical.com/postgresql/role-changed";

/// The name of the service that records that notice.
const NOTICES: &str = "role_notices";
/// Where Patroni's configuration is.
pub(crate) const PATRONI_YML: &str = "/var/lib/postgresql/data/patroni.yml";
/// A named pipe into which a member's callbacks write when it has started or its role has changed.
const BELL: &str = "/run/role-changed";
/// The charm's own program under the name by which Patroni runs it before it stops PostgreSQL.
pub(crate) const BEFORE_STOP: &str = "/usr/local/bin/before-stop";
/// Which program that is.
pub(crate) const BEFORE_STOP_VERSION: &str = "/usr/local/bin/before-stop.version";
/// Pebble's own program, where Juju puts it.
pub(crate) const PEBBLE: &str = "/charm/bin/pebble";

/// The name of the exporter's service.
const METRICS: &str = "metrics_server";
/// The port on which the exporter answers.
pub(crate) const METRICS_PORT: u16 = 9187;

/// How long Patroni may take to stop PostgreSQL, for which a checkpoint may be due. Juju gives a
/// pod 30 s to end: what is left of it is for Pebble, so that not all processes are killed at once.
const KILL_DELAY: &str = "25s";

/// The exporter asks through the socket: processes of the workload's own user log in there without
/// a password, so neither the plan nor the argument list can show one.
///
/// It takes what follows a comma for another server, so `pg_temp` is not named: its session has no
/// temporary objects, and no other session can make any there.
fn metrics() -> Service {
    let source = "user=monitoring host=/var/run/postgresql dbname=postgres \
        search_path=pg_catalog";
    Service {
        r#override: Override::Replace,
        summary: Some("PostgreSQL's metrics".to_owned()),
        command: Some(format!(
            "/usr/bin/prometheus-postgres-exporter --web.listen-address=:{METRICS_PORT} \
             --collector.database_wraparound --collector.stat_checkpointer"
        )),
        startup: Some(Startup::Enabled),
        user: Some(USER.to_owned()),
        group: Some(USER.to_owned()),
        on_failure: Some("restart".to_owned()),
        environment: [("DATA_SOURCE_NAME".to_owned(), source.to_owned())].into(),
        ..Service::default()
    }
}

/// Records the notice whenever the pipe is written to.
///
/// It runs as root: until Juju 3.6.25, and in 4.0 without that mend, notices of other users do not
/// reach a charm, and Patroni is not root. A writer can cause one notice a second and nothing else:
/// what it writes is discarded, and the pipe lies in a folder that is root's.
fn notices() -> Service {
    let notify = format!("{PEBBLE} notify {ROLE_CHANGED}");
    Service {
        r#override: Override::Replace,
        summary: Some("Notices of changed roles".to_owned()),
        command: Some(format!("sh -c '{}'", listen(BELL, &notify))),
        startup: Some(Startup::Enabled),
        on_failure: Some("restart".to_owned()),
        before: vec![NAME.to_owned()],
        ..Service::default()
    }
}

/// Does something whenever the bell rings; all that rang meanwhile is one ring.
fn listen(bell: &str, action: &str) -> String {
    format!(
        "test -p {bell} || mkfifo -m 622 {bell}; exec 3<>{bell}; \
         while dd bs=64k count=1 of=/dev/null status=none <&3; do {action}; sleep 1; done"
    )
}

/// The command by which Patroni reports that its member started or its role changed; what it adds
/// is of no use. Where nothing reads the pipe yet, it records the notice itself.
pub(crate) fn callback() -> String {
    format!("sh -c '{} || {PEBBLE} notify {ROLE_CHANGED}'", ring(BELL))
}

/// The command that Patroni runs before it stops PostgreSQL. It has a bound of its own, and another
/// one around it: Patroni has none, and does not renew the leader lock while it ends.
pub(crate) fn before_stop(topology: &Topology, unit: &UnitName) -> String {
    format!("/usr/bin/timeout -k 0.2 4 {BEFORE_STOP} {} {}", topology.scope(), unit.pod())
}

/// Writes to the pipe, without waiting for a reader.
fn ring(bell: &str) -> String {
    format!("echo | dd of={bell} oflag=nonblock conv=nocreat,notrunc status=none")
}

/// Whether the member is well, asked of Patroni itself.
///
/// Pebble's own requests trust the system's authorities only, and an authority or a date that is
/// wrong must not take a member that serves from its clients: no secret goes this way, and only the
/// own pod answers at a loopback address.
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

/// The check that fails on a standby that does not stream although a member leads: it takes the pod
/// out of the Service for reading. Juju sends the charm an event when it fails and when it passes
/// again.
pub(crate) const FOLLOWS: &str = "follows";
/// The check that fails on a primary that a member does not stream from, and on a member whose
/// parameters wait for a restart. Its pod stays ready.
pub(crate) const SETTLED: &str = "settled";

/// The checks whose failure or recovery changes what a unit says: whether PostgreSQL runs, too.
pub(crate) const CHECKS: [&str; 3] = [NAME, FOLLOWS, SETTLED];

/// The pause between two reads of which member streams.
const STREAM_PERIOD: &str = "10s";
/// Failures in a row that count: a lost primary's lock has expired by then, and a standby that
/// waits for the next primary stays in the Service for reading.
const STREAM_FAILURES: u64 = 4;

/// A check that fails where this Python expression is true, or Patroni does not answer. It has the
/// members by name as `m`, the own one as `own`, those that lead as `lead` and the own health as `o`.
fn streaming(encrypted: bool, pod: &str, wrong: &str, level: Option<&str>) -> Check {
    let connection = match encrypted {
        true => format!(
            "h.HTTPSConnection('localhost', {PATRONI_PORT}, timeout=2, \
                 context=ssl._create_unverified_context())"
        ),
        false => format!("h.HTTPConnection('localhost', {PATRONI_PORT}, timeout=2)"),
    };
    let program = format!(
        "import http.client as h, json, ssl; c = {connection}; \
         get = lambda path: (c.request('GET', path), json.load(c.getresponse()))[1]; \
         m = {{x['name']: x for x in get('/cluster')['members']}}; o = get('/health'); \
         own = m.get('{pod}', {{}}); \
         lead = [x for x in m.values() if x['role'] == 'leader' and x['state'] == 'running']; \
         raise SystemExit(bool({wrong}))"
    );
    Check {
        r#override: Override::Replace,
        level: level.map(str::to_owned),
        period: Some(STREAM_PERIOD.to_owned()),
        threshold: Some(STREAM_FAILURES),
        exec: Some(ExecCheck {
            command: format!("python3 -ISc \"{program}\""),
            ..ExecCheck::default()
        }),
        ..Check::default()
    }
}

/// Patroni, which runs PostgreSQL, and the exporter of its metrics.
pub(crate) fn layer(topology: &Topology, unit: &UnitName, encrypted: bool) -> Layer {
    let pod = unit.pod();
    let not_streaming = "lead and own not in lead and own.get('state') == 'running' \
                  and o.get('replication_state') != 'streaming'";
    let unsettled = "o.get('pending_restart') or own in lead and set(m) - {own['name']} - {x['application_name'] \
                 for x in o.get('replication', []) if x['state'] == 'streaming'}";
    let scope = topology.scope();
    let environment = [
        ("LANG", "C.UTF-8".to_owned()),
        ("PATRONI_KUBERNETES_LABELS", format!("{{application: patroni, cluster-name: {scope}}}")),
        ("PATRONI_KUBERNETES_LEADER_LABEL_VALUE", "primary".to_owned()),
        ("PATRONI_KUBERNETES_NAMESPACE", topology.model.clone()),
        ("PATRONI_KUBERNETES_USE_ENDPOINTS", "true".to_owned()),
        ("PATRONI_NAME", pod.clone()),
        ("PATRONI_SCOPE", scope.clone()),
        ("PATRONI_REPLICATION_USERNAME", "replication".to_owned()),
        ("PATRONI_SUPERUSER_USERNAME", "operator".to_owned()),
    ];
    let service = Service {
        r#override: Override::Replace,
        summary: Some("PostgreSQL under Patroni".to_owned()),
        command: Some(format!("patroni {}", PATRONI_YML)),
        startup: Some(Startup::Enabled),
        user: Some(USER.to_owned()),
        group: Some(USER.to_owned()),
        on_failure: Some("restart".to_owned()),
        kill_delay: Some(KILL_DELAY.to_owned()),
        environment: environment.map(|(key, value)| (key.to_owned(), value)).into(),
        ..Service::default()
    };
    Layer { summary: "postgresql + patroni layer".to_owned(), ..Layer::default() }
        .service(NAME, service)
        .service(METRICS, metrics())
        .service(NOTICES, notices())
        .check(NAME, health(encrypted))
        .check(FOLLOWS, streaming(encrypted, &pod, not_streaming, Some("ready")))
        .check(SETTLED, streaming(encrypted, &pod, unsettled, None))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    use std::path::Path;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn patroni_knows_where_it_is() {
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

    /// The plan of `pg/1` as Pebble shows it.
    const SHOWN: &str = "
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
    role_notices:
        summary: Notices of changed roles
        startup: enabled
        override: replace
        command: sh -c 'test -p /run/role-changed || mkfifo -m 622 /run/role-changed; exec \
             3<>/run/role-changed; while dd bs=64k count=1 of=/dev/null status=none <&3; do \
             /charm/bin/pebble notify canonical.com/postgresql/role-changed; sleep 1; done'
        before:
            - postgresql
        on-failure: restart
    metrics_server:
        summary: PostgreSQL's metrics
        startup: enabled
        override: replace
        command: /usr/bin/prometheus-postgres-exporter --web.listen-address=:9187 \
             --collector.database_wraparound --collector.stat_checkpointer
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
    follows:
        override: replace
        level: ready
        period: 10s
        threshold: 4
        exec:
            command: >-
                python3 -ISc \"import http.client as h, json, ssl; c = \
             h.HTTPConnection('localhost', 8008, timeout=2); get = lambda path: \
             (c.request('GET', path), json.load(c.getresponse()))[1]; m = {x['name']: x for x in \
             get('/cluster')['members']}; o = get('/health'); own = m.get('pg-1', {}); lead = [x \
             for x in m.values() if x['role'] == 'leader' and x['state'] == 'running']; raise \
             SystemExit(bool(lead and own not in lead and own.get('state') == 'running' and \
             o.get('replication_state') != 'streaming'))\"
    settled:
        override: replace
        period: 10s
        threshold: 4
        exec:
            command: >-
                python3 -ISc \"import http.client as h, json, ssl; c = \
             h.HTTPConnection('localhost', 8008, timeout=2); get = lambda path: \
             (c.request('GET', path), json.load(c.getresponse()))[1]; m = {x['name']: x for x in \
             get('/cluster')['members']}; o = get('/health'); own = m.get('pg-1', {}); lead = [x \
             for x in m.values() if x['role'] == 'leader' and x['state'] == 'running']; raise \
             SystemExit(bool(o.get('pending_restart') or own in lead and set(m) - {own['name']} - {x['application_name'] for x \
             in o.get('replication', []) if x['state'] == 'streaming'}))\"
";

    #[test]
    fn the_plan_as_pebble_shows_it_is_the_layer() {
        let topology = Topology { app: "pg".parse().unwrap(), model: "db".to_owned() };
        let plan = pebble_client::Plan::parse(SHOWN).unwrap();
        let unit = "pg/1".parse().unwrap();
        assert!(!layer(&topology, &unit, false).differs_from(&plan));
        // Only the check changes with TLS, for which nothing restarts.
        let encrypted = layer(&topology, &unit, true);
        assert!(encrypted.differs_from(&plan) && !encrypted.restarts(&plan));
    }

    /// Answers as the Patroni of `pg-1` in a cluster that `pg-0` leads, until the test ends.
    fn patroni(members: [(&str, &str, &str); 2], health: &serde_json::Value) -> u16 {
        let members = members.map(
            |(name, role, state)| serde_json::json!({"name": name, "role": role, "state": state}),
        );
        let cluster = serde_json::json!({"members": members}).to_string();
        let health = health.to_string();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                let body = if line.contains("/cluster") { &cluster } else { &health };
                let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all((head + body).as_bytes()).unwrap();
            }
        });
        port
    }

    /// Whether the checks of `pg-0`, which leads or not, and of `pg-1` pass.
    #[track_caller]
    fn check_streams(
        members: [(&str, &str, &str); 2],
        health: &serde_json::Value,
        unit: &str,
        (follows, settled): (bool, bool),
    ) {
        let topology = Topology { app: "pg".parse().unwrap(), model: "db".to_owned() };
        let layer = layer(&topology, &unit.parse().unwrap(), false);
        let port = patroni(members, health).to_string();
        let passes = |check: &str| {
            let command = layer.checks[check].exec.as_ref().unwrap().command.clone();
            let status = Command::new("sh").args(["-c", &command.replace("8008", &port)]).status();
            status.unwrap().success()
        };
        assert_eq!((passes(FOLLOWS), passes(SETTLED)), (follows, settled), "{unit} {members:?}");
    }

    #[test]
    fn a_member_that_does_not_stream_is_found_where_one_leads() {
        let lead = ("pg-0", "leader", "running");
        let standby = |state| [lead, ("pg-1", "replica", state)];
        let none = serde_json::json!({"state": "running"});
        let streams = serde_json::json!({"replication_state": "streaming"});
        check_streams(standby("running"), &none, "pg/1", (false, true));
        check_streams(standby("streaming"), &streams, "pg/1", (true, true));
        // What the member itself says is newer.
        check_streams(standby("running"), &streams, "pg/1", (true, true));
        check_streams(standby("creating replica"), &none, "pg/1", (true, true));
        let lost = [("pg-0", "replica", "running"), ("pg-1", "replica", "running")];
        check_streams(lost, &none, "pg/1", (true, true));
        let fed = |state| {
            let row = serde_json::json!({"application_name": "pg-1", "state": state});
            serde_json::json!({"replication": [row]})
        };
        check_streams(standby("streaming"), &fed("streaming"), "pg/0", (true, true));
        check_streams(standby("streaming"), &fed("startup"), "pg/0", (true, false));
        check_streams(standby("streaming"), &none, "pg/0", (true, false));
        let mut pending = fed("streaming");
        pending["pending_restart"] = true.into();
        check_streams(standby("streaming"), &pending, "pg/0", (true, false));
    }

    /// Runs a line as a user until it ends; whether it went well.
    fn run(line: &str, user: u32) -> bool {
        let status = Command::new("sh").args(["-c", line]).uid(user).status();
        status.unwrap().success()
    }

    fn lines(path: &Path) -> usize {
        std::fs::read_to_string(path).unwrap_or_default().lines().count()
    }

    #[track_caller]
    fn within_bound(mut is: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !is() {
            assert!(Instant::now() < end, "it did not come");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Who is not root gets root to record the notice, and to do nothing else.
    #[test]
    fn the_bell_is_heard_and_nothing_more() {
        const NOBODY: u32 = 65_534;
        let folder = tempfile::tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let (bell, heard) = (folder.path().join("bell"), folder.path().join("heard"));
        let at = bell.display().to_string();
        assert!(!run(&ring(&at), NOBODY), "nobody listens yet");
        assert!(!bell.exists(), "run this as root: nobody must not make the pipe");
        let script = listen(&at, &format!("echo heard >>{}", heard.display()));
        let mut service =
            Command::new("sh").args(["-c", &script]).process_group(0).spawn().unwrap();
        let begun = Instant::now();
        within_bound(|| run(&ring(&at), NOBODY));
        within_bound(|| lines(&heard) == 1);
        let hostile = format!("yes '$(touch {at}.done); touch {at}.done' | dd of={at} count=99");
        assert!(run(&hostile, NOBODY));
        within_bound(|| lines(&heard) > 1);
        for line in [format!("head -c1 {at}"), format!("rm -f {at}"), format!("mv {at} {at}2")] {
            assert!(!run(&line, NOBODY), "{line}");
        }
        let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap();
        assert!(lines(&heard) <= seconds + 2, "one a second at the most");
        assert!(!folder.path().join("bell.done").exists());
        assert!(run(&format!("kill -- -{}", service.id()), 0));
        service.wait().unwrap();
    }
}
