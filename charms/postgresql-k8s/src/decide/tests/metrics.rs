//! The chart "metrics joined".

use juju_charm::{Event, RelationEvent, RelationKind};

use super::{decide, list};
use crate::facts::fixture::steady;

/// Those who measure, as the hooks that look for them find them.
fn measured(leader: bool) -> Vec<String> {
    let event = Event::Relation(RelationEvent {
        kind: RelationKind::Joined,
        endpoint: "metrics-endpoint".parse().unwrap(),
        id: "8".parse().unwrap(),
        remote_app: Some("prometheus".parse().unwrap()),
        remote_unit: None,
        departing_unit: None,
    });
    let mut facts = steady();
    facts.leader = leader;
    facts.metrics = vec!["8".parse().unwrap()];
    list(&decide(&event, &facts))
}

#[test]
fn metrics_joined_is_leader_yes_tells_of_exporter_and_patroni() {
    let words = measured(true);
    assert!(words[0].starts_with("set unit 8: prometheus_scrape_unit_address="), "{words:?}");
    assert!(words[1].contains("*:9187") && words[1].contains("*:8008"), "{words:?}");
}

#[test]
fn metrics_joined_is_leader_yes_tells_of_tls_as_clients_know_it() {
    let reported = |reported: &str| {
        let mut facts = steady();
        facts.container = None;
        facts.metrics = vec!["8".parse().unwrap()];
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
