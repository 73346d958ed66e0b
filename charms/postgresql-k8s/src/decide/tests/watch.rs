//! The charts "metrics joined", "dashboard joined" and "logging changed".

use charm_kit::watch::{Keepers, Watchers};
use juju_charm::{Event, RelationEvent, RelationKind};

use super::{decide, list};
use crate::facts::fixture::steady;

/// What the hook of a relation does that gathers these.
fn watched(endpoint: &str, leader: bool, watchers: Watchers) -> Vec<String> {
    let event = Event::Relation(RelationEvent {
        kind: RelationKind::Joined,
        endpoint: endpoint.parse().unwrap(),
        id: "8".parse().unwrap(),
        remote_app: Some("watcher".parse().unwrap()),
        remote_unit: None,
        departing_unit: None,
    });
    let mut facts = steady();
    facts.leader = leader;
    facts.watchers = watchers;
    list(&decide(&event, &facts))
}

fn measured(leader: bool) -> Vec<String> {
    let metrics = vec!["8".parse().unwrap()];
    watched("metrics-endpoint", leader, Watchers { metrics, ..Watchers::default() })
}

fn shown(leader: bool) -> Vec<String> {
    let dashboards = vec!["8".parse().unwrap()];
    watched("grafana-dashboard", leader, Watchers { dashboards, ..Watchers::default() })
}

#[test]
fn metrics_joined_is_leader_yes_tells_of_exporter_and_patroni() {
    let words = measured(true);
    assert!(words[0].starts_with("set unit 8: prometheus_scrape_unit_address="), "{words:?}");
    assert!(words[1].contains("*:9187") && words[1].contains("*:8008"), "{words:?}");
    assert!(words[1].contains("PatroniNoPrimary") && words[1].contains("PostgresqlDown"));
    assert!(!words[1].contains("%%"), "{words:?}");
}

#[test]
fn metrics_joined_is_leader_yes_tells_of_tls_as_clients_know_it() {
    let reported = |reported: &str| {
        let mut facts = steady();
        facts.container = None;
        facts.watchers.metrics = vec!["8".parse().unwrap()];
        facts.peer.as_mut().unwrap().app.insert("tls-ca".to_owned(), reported.to_owned());
        list(&decide(&Event::LeaderElected, &facts)).join("\n")
    };
    let words = reported("pem");
    assert!(
        words.contains(r#"["*:8008"], "labels": {"process": "patroni"}}], "scheme": "https", "tls_config": {"ca_file": "pem"}"#),
        "{words}"
    );
    assert!(words.contains(r#"["*:9187"], "labels": {"process": "postgresql"}}]}"#), "{words}");
    assert!(!reported("").contains("https"));
}

#[test]
fn metrics_joined_is_leader_no_tells_of_itself() {
    assert_eq!(measured(false).len(), 1);
}

#[test]
fn dashboard_joined_is_leader_yes_offers_them() {
    let words = shown(true);
    assert!(words[0].starts_with("set app 8: dashboards="), "{words:?}");
    assert!(words[0].contains("file:patroni") && words[0].contains("file:postgresql"));
}

#[test]
fn dashboard_joined_is_leader_no_does_nothing() {
    assert!(shown(false).is_empty());
}

#[test]
fn logging_changed() {
    let logs = |found: &[(&str, &str)]| {
        let pair = |(unit, url): &(&str, &str)| (unit.parse().unwrap(), Ok((*url).to_owned()));
        let logs = Some(Keepers(found.iter().map(pair).collect()));
        watched("logging", false, Watchers { logs, ..Watchers::default() })
    };
    let words = logs(&[("loki/0", "http://loki:3100/loki/api/v1/push")]);
    assert!(words[0].starts_with("send logs of postgresql to [\"loki/0-"), "{words:?}");
    assert_eq!(logs(&[]), ["send logs of postgresql to []"]);
}
