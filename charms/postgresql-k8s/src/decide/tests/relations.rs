//! Clients, members that come and go, options.

use juju_charm::{Bag, Event, RelationEvent, RelationKind, Status};
use patroni::{Role, State};
use serde_json::json;

use super::actions::action;
use super::{check_without, decide, deferred, list};
use crate::facts::Facts;
use crate::facts::fixture::{
    client, feed, follow, joined, member, new_leader, second_unit, steady,
};

fn event(endpoint: &str, kind: RelationKind, departing: Option<&str>) -> Event {
    Event::Relation(RelationEvent {
        kind,
        endpoint: endpoint.parse().unwrap(),
        id: "4".parse().unwrap(),
        remote_app: Some("app".parse().unwrap()),
        remote_unit: None,
        departing_unit: departing.map(|unit| unit.parse().unwrap()),
    })
}

fn changed() -> Event {
    event("database", RelationKind::Changed, None)
}

fn with_client(mut facts: Facts, database: &str, roles: &[&str]) -> Facts {
    facts.clients.push(client(4, database, roles));
    facts
}

fn served(mut facts: Facts) -> Facts {
    facts.clients.push(client(4, "shop", &[]));
    facts.peer.as_mut().unwrap().app.insert("clients".to_owned(), "[4]".to_owned());
    facts.clients[0].offered = Bag::from(
        [
            ("database", "shop"),
            ("secret-user", "secret:abcdefghij0123456789"),
            ("read-only-endpoints", "pg-primary.db.svc.cluster.local:5432"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    facts
}

#[test]
fn converge_is_running_yes_does_nothing_to_a_steady_unit() {
    for event in [Event::UpdateStatus, Event::ConfigChanged, Event::UpgradeCharm, changed()] {
        let decision = decide(&event, &served(steady()));
        let same = ["set unit 1: member=started", "guard server"];
        let changes = list(&decision).into_iter().filter(|words| !same.contains(&words.as_str()));
        let changes: Vec<String> = changes.collect();
        assert_eq!(changes, Vec::<String>::new(), "{event:?}");
        assert_eq!(decision.status, Some(Status::Active("Primary".to_owned())), "{event:?}");
    }
}

#[test]
fn database_changed_has_cluster_initialised_no_defers() {
    let decision = decide(&changed(), &with_client(new_leader(), "shop", &[]));
    assert!(deferred(&decision));
    let decision = decide(&changed(), &with_client(steady(), "shop", &["superuser"]));
    assert_eq!(
        list(&decision),
        ["set app 1: clients=[4]", "serve relation_id_4 shop Sole pg-primary.db.svc.cluster.local"]
    );
    let mut facts = with_client(steady(), "shop", &[]);
    facts.leader = false;
    assert!(list(&decide(&changed(), &facts)).is_empty());
}

#[test]
fn a_client_whose_event_was_lost_is_served_by_any_other() {
    let facts = with_client(steady(), "shop", &[]);
    let wanted = "serve relation_id_4 shop Sole pg-primary.db.svc.cluster.local";
    assert!(list(&decide(&Event::UpdateStatus, &facts)).contains(&wanted.to_owned()));
}

#[test]
fn database_changed_has_primary_no_defers() {
    let mut facts = with_client(steady(), "shop", &[]);
    facts.cluster = None;
    assert!(deferred(&decide(&changed(), &facts)));
}

#[test]
fn database_changed_is_valid_yes_shares_a_database() {
    let mut facts = with_client(joined(), "shop", &[]);
    facts.clients.push(client(5, "shop", &[]));
    assert_eq!(
        list(&decide(&changed(), &facts)),
        [
            "set app 1: clients=[4,5]",
            "serve relation_id_4 shop Shared pg-replicas.db.svc.cluster.local",
            "serve relation_id_5 shop Shared pg-replicas.db.svc.cluster.local"
        ]
    );
}

#[test]
fn database_changed_is_valid_no_stops_no_other_client() {
    let mut facts = with_client(steady(), "postgres", &[]);
    facts.clients.push(client(5, &"x".repeat(64), &[]));
    facts.clients.push(client(6, "farm", &[&"r".repeat(64)]));
    facts.clients.push(client(7, "farm", &[]));
    let found = list(&decide(&changed(), &facts)).into_iter();
    let begin = |words: String| words.split(": shop-app").next().unwrap_or_default().to_owned();
    assert_eq!(
        found.map(begin).collect::<Vec<_>>(),
        [
            "set app 1: clients=[4,5,6,7]",
            "refuse: Failed to initialize database relation",
            "refuse: Failed to initialize database relation",
            "refuse: invalid role(s) for extra user roles",
            "serve relation_id_7 farm Shared pg-primary.db.svc.cluster.local"
        ]
    );
}

#[test]
fn served_clients_hear_of_replicas() {
    let peer_changed = event("database-peers", RelationKind::Changed, None);
    let reported = "move readers 4: pg-replicas.db.svc.cluster.local\nset app 4: read-only-endpoints=pg-replicas.db.svc.cluster.local:5432";
    assert!(list(&decide(&peer_changed, &served(joined()))).join("\n").contains(reported));
    let departed = event("database-peers", RelationKind::Departed, Some("pg/1"));
    let mut facts = served(steady());
    facts.clients[0].offered.insert("read-only-endpoints".to_owned(), "old:5432".to_owned());
    let reported = "set app 4: read-only-endpoints=pg-primary.db.svc.cluster.local:5432";
    assert!(list(&decide(&departed, &facts)).contains(&reported.to_owned()));
}

#[test]
fn database_broken_is_leader_yes_removes_the_user() {
    let broken = event("database", RelationKind::Broken, None);
    let facts = with_client(steady(), "shop", &[]);
    assert_eq!(list(&decide(&broken, &facts)), ["remove relation_id_4"]);
    let known = served(steady());
    assert_eq!(list(&decide(&broken, &known)), ["remove relation_id_4"]);
}

/// The unit that led when the relation broke may never have seen it.
#[test]
fn leader_elected_is_client_gone_yes_removes_its_user() {
    let mut facts = served(steady());
    let found = |facts: &Facts| list(&decide(&Event::LeaderElected, facts));
    assert!(!found(&facts).contains(&"remove relation_id_4".to_owned()));
    facts.clients.clear();
    facts.leader = false;
    assert!(found(&facts).is_empty());
    facts.leader = true;
    assert!(found(&facts).ends_with(&["remove relation_id_4".into()]));
}

/// Nor does the unit that led when the client came.
#[test]
fn leader_elected_is_client_waiting_yes_serves_it() {
    let mut facts = with_client(steady(), "shop", &[]);
    let last =
        |facts: &Facts| list(&decide(&Event::LeaderElected, facts)).pop().unwrap_or_default();
    assert!(last(&facts).starts_with("serve relation_id_4 shop"), "{}", last(&facts));
    facts.leader = false;
    assert_eq!(last(&facts), "");
}

#[test]
fn database_broken_is_departing_yes_keeps_the_user() {
    let departed = event("database", RelationKind::Departed, Some("pg/0"));
    assert_eq!(list(&decide(&departed, &steady())), ["set unit 1: departing=True"]);
    let other = event("database", RelationKind::Departed, Some("app/0"));
    assert!(list(&decide(&other, &steady())).is_empty());
    let mut facts = steady();
    facts.peer.as_mut().unwrap().leaving = true;
    let broken = event("database", RelationKind::Broken, None);
    assert!(list(&decide(&broken, &facts)).is_empty());
}

#[test]
fn a_second_unit_joins_and_commits_wait_once_it_streams() {
    let peer_joined = event("database-peers", RelationKind::Joined, None);
    let decision = decide(&peer_joined, &joined());
    assert!(list(&decision).contains(&"label pg-1".to_owned()));
    let mut facts = joined();
    let hosts = r#"["pg-0.pg-endpoints","pg-1.pg-endpoints"]"#.to_owned();
    facts.peer.as_mut().unwrap().app.insert("endpoints".to_owned(), hosts);
    let replica = member("pg-1", Role::Replica, State::Streaming);
    facts.cluster.as_mut().unwrap().members.push(replica);
    facts.dynamic.as_mut().unwrap()["slots"]["pg_1"] = json!({"type": "physical"});
    assert!(list(&decide(&peer_joined, &facts)).contains(
        &r#"patch {"synchronous_mode_strict":true,"synchronous_node_count":1}"#.to_owned()
    ));
}

#[test]
fn commits_wait_for_a_replica_only_once_it_streams() {
    let mut facts = joined();
    let replica = member("pg-1", Role::Replica, State::Running);
    facts.cluster.as_mut().unwrap().members.push(replica);
    let peer_changed = event("database-peers", RelationKind::Changed, None);
    check_without(&decide(&peer_changed, &facts), r#"patch {"synchronous_mode_strict""#);
}

#[test]
fn pebble_ready_may_join_no_waits_unless_its_volume_was_a_members() {
    let mut facts = second_unit();
    facts.peer.as_mut().unwrap().app = steady().peer.unwrap().app;
    let decision = decide(&super::pebble_ready(), &facts);
    assert!(deferred(&decision));
    assert_eq!(list(&decision), ["prepare storage"]);
    assert_eq!(decision.status, Some(Status::waiting("awaiting for member to start")));
    facts.container.as_mut().unwrap().config = Some("old".to_owned().into());
    assert!(list(&decide(&super::pebble_ready(), &facts)).contains(&"start workload".to_owned()));
}

#[test]
fn pebble_ready_is_labelled_no_labels_in_whichever_hook() {
    let mut facts = steady();
    facts.labelled = Some(false);
    assert!(list(&decide(&Event::UpdateStatus, &facts)).contains(&"label pg-0".to_owned()));
    facts.labelled = None;
    check_without(&decide(&Event::UpdateStatus, &facts), "label");
}

#[test]
fn peer_departed_is_own_no_strikes_it_off_and_commits_do_not_wait() {
    let mut facts = steady();
    let hosts = r#"["pg-0.pg-endpoints","pg-1.pg-endpoints"]"#.to_owned();
    facts.peer.as_mut().unwrap().app.insert("endpoints".to_owned(), hosts);
    let dynamic = facts.dynamic.as_mut().unwrap();
    dynamic["synchronous_node_count"] = 1.into();
    dynamic["synchronous_mode_strict"] = true.into();
    // Its log is kept no longer.
    dynamic["slots"]["pg_1"] = json!({"type": "physical"});
    let departed = event("database-peers", RelationKind::Departed, Some("pg/1"));
    assert_eq!(
        list(&decide(&departed, &facts)),
        [
            r#"set app 1: endpoints=["pg-0.pg-endpoints"]"#,
            "patch {\"slots\":{\"pg_1\":null},\"synchronous_mode_strict\":false,\
             \"synchronous_node_count\":0}"
        ]
    );
    let own = event("database-peers", RelationKind::Departed, Some("pg/0"));
    assert!(list(&decide(&own, &facts)).is_empty());
}

fn with_standby() -> Facts {
    let mut facts = joined();
    let replica = member("pg-1", Role::SyncStandby, State::Streaming);
    facts.cluster.as_mut().unwrap().members.push(replica);
    facts
}

#[test]
fn storage_detaching_is_primary_yes_hands_over() {
    let detaching =
        Event::StorageDetaching { id: "pgdata/0".to_owned(), location: "/x".to_owned() };
    let expected = ["hand over", "set unit 1: departing=True"];
    assert_eq!(list(&decide(&detaching, &with_standby())), expected);
}

#[test]
fn storage_detaching_is_primary_no_tells_the_others() {
    let detaching =
        Event::StorageDetaching { id: "pgdata/0".to_owned(), location: "/x".to_owned() };
    for facts in [steady(), replica()] {
        assert_eq!(list(&decide(&detaching, &facts)), ["set unit 1: departing=True"]);
    }
}

fn replica() -> Facts {
    follow(with_standby(), "pg/1")
}

fn role_changed() -> Event {
    Event::PebbleCustomNotice {
        container: "postgresql".parse().unwrap(),
        id: "1".to_owned(),
        key: "canonical.com/postgresql/role-changed".to_owned(),
    }
}

#[test]
fn role_changed_is_primary_yes_takes_the_label_and_shows_the_role() {
    let decision = decide(&role_changed(), &feed(with_standby(), "pg-1"));
    assert!(list(&decision).ends_with(&[
        "take primary label".into(),
        "report to clients".into(),
        "adopt objects".into(),
        "report timeline".into()
    ]));
    assert_eq!(decision.status, Some(Status::Active("Primary".to_owned())));
    let alone = decide(&role_changed(), &steady());
    assert!(!list(&alone).contains(&"report timeline".to_owned()));
}

#[test]
fn role_changed_is_primary_no_shows_the_role() {
    let decision = decide(&role_changed(), &replica());
    assert!(list(&decision).contains(&"report timeline".to_owned()));
    check_without(&decision, "take primary label");
    assert_eq!(decision.status, Some(Status::active()));
}

#[test]
fn peer_departed_is_own_yes_changes_nothing() {
    let own = event("database-peers", RelationKind::Departed, Some("pg/0"));
    assert!(list(&decide(&own, &joined())).is_empty());
    let other = event("database-peers", RelationKind::Departed, Some("pg/0"));
    assert!(list(&decide(&other, &replica())).is_empty());
}

#[test]
fn database_changed_is_leader_no_does_nothing() {
    let mut facts = with_client(steady(), "shop", &[]);
    facts.leader = false;
    assert!(list(&decide(&changed(), &facts)).is_empty());
}

#[test]
fn database_broken_is_leader_no_does_nothing() {
    let mut facts = with_client(steady(), "shop", &[]);
    facts.leader = false;
    let broken = event("database", RelationKind::Broken, None);
    assert!(list(&decide(&broken, &facts)).is_empty());
}

#[test]
fn converge_is_leader_yes_leads_without_deferral() {
    let mut facts = joined();
    facts.cluster.as_mut().unwrap().members[0].state = State::Starting;
    let decision = decide(&Event::ConfigChanged, &facts);
    assert!(list(&decision).iter().any(|words| words.starts_with("patch")));
    assert!(!deferred(&decision));
}

#[test]
fn converge_is_startable_no_does_nothing() {
    let mut facts = second_unit();
    facts.container = None;
    assert!(list(&decide(&Event::ConfigChanged, &facts)).is_empty());
    let mut facts = second_unit();
    facts.peer.as_mut().unwrap().app.remove("cluster_initialised");
    assert!(list(&decide(&Event::ConfigChanged, &facts)).is_empty());
}

#[test]
fn converge_is_valid_no_blocks_and_changes_nothing() {
    let mut facts = steady();
    facts.settings = Err(vec!["cannot use 0 for the option x".to_owned()]);
    let decision = decide(&Event::ConfigChanged, &facts);
    let shown = "Configuration Error. Please check the logs: cannot use 0 for the option x";
    assert_eq!(list(&decision), [format!("refuse: {shown}")]);
    assert_eq!(decision.status, Some(Status::blocked(shown)));
}

#[test]
fn converge_is_stale_yes_pushes_and_patroni_reloads() {
    let mut facts = steady();
    let settings = facts.settings.as_mut().unwrap();
    settings.parameters.insert("work_mem".to_owned(), 4096.into());
    settings.shared.insert("max_connections".to_owned(), 200.into());
    let decision = decide(&Event::ConfigChanged, &facts);
    let list = list(&decision);
    assert!(
        list.contains(&r#"patch {"postgresql":{"parameters":{"max_connections":200}}}"#.into())
    );
    assert!(list.contains(&"reload".to_owned()));
    check_without(&decision, "start workload");
}

#[test]
fn converge_is_running_no_starts_it_again() {
    let mut facts = steady();
    let container = facts.container.as_mut().unwrap();
    (container.running, container.health) = (false, None);
    let decision = decide(&Event::UpdateStatus, &facts);
    assert!(list(&decision).contains(&"start workload".to_owned()));
}

#[test]
fn converge_does_it_follow_yes_shows_the_role() {
    let status = |facts: &Facts| decide(&Event::UpdateStatus, facts).status.unwrap();
    assert_eq!(status(&joined()), Status::Active("Primary (degraded)".to_owned()));
    assert_eq!(status(&follow(joined(), "pg/1")), Status::active());
    assert_eq!(decide(&Event::UpdateStatus, &new_leader()).status, None);
    assert!(list(&decide(&Event::UpdateStatus, &second_unit())).contains(&"await member".into()));
}

#[test]
fn odd_passwords_are_refused_and_an_empty_one_is_none() {
    let set = |password: &str| action("set-password", &json!({"password": password}), steady());
    let refused = "fail: Failed changing the password: \
                   it may have at most 1024 bytes and no control characters.";
    assert_eq!(set(&"x".repeat(2_000_000)), [refused]);
    assert_eq!(set("a\nb"), [refused]);
    assert_eq!(set("a'b\\c:d \"é")[1], "set password of operator");
    // Upstream would leave the user without a password; here it gets one that is made.
    assert_eq!(set("")[1], "set password of operator");
}

/// A hook that dies between the server and Juju's secret leaves a line in `patroni.yml`.
#[test]
fn passwords_are_confirmed_after_a_change_that_may_not_be_kept() {
    check_without(&decide(&Event::UpdateStatus, &steady()), "confirm passwords");
    let marked = || {
        let mut facts = steady();
        facts.container.as_mut().unwrap().marks.unconfirmed = true;
        facts
    };
    let found = list(&decide(&Event::UpdateStatus, &marked()));
    let at = found.iter().position(|effect| effect == "confirm passwords").unwrap();
    assert_eq!(found[at + 1], "push config");
    // A standby without its password may be what holds every other statement up.
    let early = ["label pods", "copy", "await"];
    let first = &found[..at];
    assert!(first.iter().all(|e| early.iter().any(|word| e.starts_with(word))), "{first:?}");
    let again = action("set-password", &json!({"password": "new"}), marked());
    assert_eq!(again[..3], ["confirm passwords", "push config", "set password of operator"]);
}

#[test]
fn what_a_client_asks_for_hides_no_invalid_option() {
    let mut facts = steady();
    facts.settings = Err(vec!["cannot use it".to_owned()]);
    let status = decide(&changed(), &facts).status;
    let shown = "Configuration Error. Please check the logs: cannot use it";
    assert_eq!(status, Some(Status::blocked(shown)));
}

#[test]
fn the_lead_goes_to_the_named_or_the_best_unit() {
    assert_eq!(action("switchover", &json!({}), with_standby()), ["switch over from pg-0 to any"]);
    let named = json!({"candidate": "pg/1"});
    assert_eq!(action("switchover", &named, with_standby()), ["switch over from pg-0 to pg-1"]);
    let dry = json!({"candidate": "pg/1", "dry-run": true});
    assert_eq!(action("switchover", &dry, with_standby()), ["show open transactions"]);
    assert_eq!(action("switchover", &named, steady()), ["fail: pg/1 is not a member"]);
    let nonsense = json!({"candidate": "x"});
    assert_eq!(action("switchover", &nonsense, steady()), ["fail: x is not the name of a unit"]);
}
