//! What goes on while an option cannot be used.

use juju_charm::{Event, RelationEvent, RelationId, RelationKind, SecretString};
use serde_json::json;

use super::{check_order, check_without, decide, list, pebble_ready};
use crate::facts::Facts;
use crate::facts::fixture::{client, joined, new_leader, refused, steady};

const SAID: &str = "refuse: Configuration Error. Please check the logs: cannot use it";

/// A unit whose container is new: its files are there and nothing runs.
fn new_pod() -> Facts {
    let mut facts = steady();
    facts.labelled = Some(false);
    let container = facts.container.as_mut().unwrap();
    (container.running, container.health) = (false, None);
    container.plan = pebble_client::Plan::default();
    facts
}

/// The effects for the hook in which a pod is new, or for others.
fn effects(event: &Event, facts: Facts) -> Vec<String> {
    list(&decide(event, &refused(facts)))
}

#[test]
fn a_new_pod_starts_its_member_with_what_is_in_force() {
    for event in [pebble_ready(), Event::UpgradeCharm, Event::ConfigChanged] {
        let found = effects(&event, new_pod());
        let wanted = [SAID, "label pg-0", "start workload", "await member"];
        assert_eq!(found[..4], wanted, "{event:?}");
        assert!(!found.contains(&"push config".to_owned()), "{found:?}");
    }
}

#[test]
fn an_option_is_refused_before_kubernetes_refuses_whichever_hook_runs_last() {
    let peers = Event::Relation(RelationEvent {
        kind: RelationKind::Changed,
        endpoint: "database-peers".parse().unwrap(),
        id: RelationId(1),
        remote_app: None,
        remote_unit: None,
        departing_unit: None,
    });
    for event in [
        pebble_ready(),
        Event::LeaderElected,
        Event::ConfigChanged,
        Event::UpdateStatus,
        Event::UpgradeCharm,
        peers,
    ] {
        let mut facts = new_leader();
        facts.settings = Err(vec!["cannot use it".to_owned()]);
        check_order(&decide(&event, &facts), SAID, "apply services");
    }
    check_order(&decide(&Event::LeaderElected, &refused(steady())), SAID, "apply services");
}

#[test]
fn a_file_that_is_no_file_of_this_charm_starts_nothing() {
    let mut facts = refused(new_pod());
    facts.in_force = None;
    assert_eq!(list(&decide(&pebble_ready(), &facts)), [SAID]);
}

#[test]
fn a_member_that_runs_is_left_alone() {
    let reported = "set unit 1: member=started";
    assert_eq!(effects(&Event::ConfigChanged, steady()), [SAID, reported]);
}

#[test]
fn clients_are_served_and_commits_wait_for_standbys_that_join() {
    let mut facts = joined();
    facts.clients = vec![client(7, "waltz", &[])];
    let hosts = r#"["pg-0.pg-endpoints","pg-1.pg-endpoints"]"#.to_owned();
    facts.peer.as_mut().unwrap().app.insert("endpoints".to_owned(), hosts);
    let found = effects(&Event::UpdateStatus, facts);
    let served = "serve relation_id_7 waltz Sole pg-replicas.db.svc.cluster.local".to_owned();
    assert!(found.contains(&served), "{found:#?}");
    let slot = r#""slots":{"pg_1":{"type":"physical"}}"#;
    let patch = format!(r#"patch {{{slot},"synchronous_node_count":1}}"#);
    assert!(found.contains(&patch), "{found:#?}");
}

#[test]
fn a_new_password_and_a_certificate_that_goes_reach_the_file() {
    let mut facts = steady();
    let key = crate::passwords::key("rewind");
    facts.secret = facts.secret.with(key, SecretString::from("new".to_owned()));
    let found = effects(&Event::UpdateStatus, facts);
    let wanted = [SAID, "push config", "reload", "push config"];
    assert_eq!(found[..4], wanted);
}

#[test]
fn plugins_wait_for_the_options() {
    let switch = |facts: &Facts| list(&decide(&Event::ConfigChanged, facts));
    let mut facts = steady();
    facts.plugins = crate::options::Plugins::read("citext");
    assert!(switch(&facts).contains(&"extensions on citext off ".to_owned()));
    check_without(&decide(&Event::ConfigChanged, &refused(facts)), "extensions");
}

#[test]
fn a_password_is_changed_as_ever() {
    let event = Event::Action { name: "set-password".to_owned(), id: "1".to_owned() };
    let mut facts = refused(steady());
    facts.parameters = json!({"password": "new"}).as_object().unwrap().clone();
    let found = list(&decide(&event, &facts));
    assert!(found.contains(&"set password of operator".to_owned()), "{found:?}");
}
