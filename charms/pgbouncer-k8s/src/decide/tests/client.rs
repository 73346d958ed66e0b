//! Every edge of the charts of the relation `database`.

use juju_charm::{Changes, Decision, Event, Own, RelationEvent, RelationKind, Status};
use juju_interfaces::pgb_peers::departing_key;
use postgres::Owner;

use super::{has, list};
use crate::effect::{Effect, Grant};
use crate::facts::{DatabaseRelation, FullFacts, Service};
use crate::fixture::{self, CLIENT, PEERS, client, ready, relation, running, step};
use crate::wording::{CLIENT_WAITS, NO_BACKEND};

fn requested() -> Event {
    relation("database", RelationKind::Changed)
}

fn with(clients: Vec<DatabaseRelation>) -> FullFacts {
    FullFacts { clients, ..ready() }
}

fn grants(decision: &Decision<Effect>) -> Vec<&Grant> {
    let grants = decision.effects.iter().filter_map(|effect| match effect {
        Effect::Grant(grant) => Some(&**grant),
        _ => None,
    });
    grants.collect()
}

fn written(decision: &Decision<Effect>) -> Option<&Changes> {
    super::written(decision, CLIENT, Own::App)
}

/// The leader with one client that has its credentials.
fn granted() -> FullFacts {
    step(&requested(), with(vec![client(7, "waltz")])).0
}

#[test]
fn database_requested_is_known_yes_is_granted() {
    let (facts, decision) = step(&requested(), with(vec![client(7, "waltz")]));
    let [grant] = grants(&decision)[..] else { panic!("one grant") };
    assert_eq!(grant.account.request.user.as_str(), "relation_id_7");
    assert_eq!(grant.account.password.expose().len(), 24);
    assert_eq!(grant.account.owner, Owner::Sole);
    assert!(
        grant.account.request.secret && grant.account.lookup.databases.is_empty(),
        "{:?}",
        grant.account.lookup
    );
    assert_eq!(grant.uris.read_only.as_ref().unwrap().to_string(), "waltz_readonly");
    let text = format!("{:?}", grant.publish);
    assert!(text.contains("pgbouncer-k8s-service.m.svc.cluster.local:6432"), "{text}");
    assert!(!text.contains(grant.account.password.expose()));
    assert_eq!(decision.status, Some(Status::active()));
    assert_eq!(step(&Event::UpdateStatus, facts).1.effects, []);
}

#[test]
fn database_requested_is_leader_no_returns() {
    let mut facts = with(Vec::new());
    facts.common.leader = false;
    facts.service = Service::Unread;
    assert!(grants(&step(&requested(), facts).1).is_empty());
}

#[test]
fn database_requested_is_backend_ready_no_waits() {
    let facts = FullFacts { clients: vec![client(7, "waltz")], ..running() };
    let (facts, decision) = step(&requested(), facts);
    assert!(grants(&decision).is_empty());
    assert_eq!(decision.status, Some(Status::waiting(CLIENT_WAITS)));
    let (_, decision) = step(&Event::UpdateStatus, facts);
    assert_eq!(decision.status, Some(Status::blocked(NO_BACKEND)));
}

#[test]
fn database_requested_before_the_backend_is_granted_when_it_comes() {
    let facts = FullFacts {
        clients: vec![client(7, "waltz")],
        backend: Some(fixture::backend()),
        ..running()
    };
    let event = relation("backend-database", RelationKind::Changed);
    assert_eq!(grants(&step(&event, facts).1).len(), 1);
}

#[test]
fn database_requested_is_service_no_waits() {
    let facts = FullFacts { service: Service::Unreachable, ..with(vec![client(7, "waltz")]) };
    assert!(grants(&step(&requested(), facts).1).is_empty());
}

#[test]
fn database_requested_is_named_no_gets_nothing() {
    let mut quiet = client(7, "waltz");
    quiet.request.as_mut().unwrap().database = None;
    let (_, decision) = step(&requested(), with(vec![quiet]));
    assert!(grants(&decision).is_empty() && written(&decision).is_none());
}

#[test]
fn database_requested_is_known_no_waits_until_all_units_know_it() {
    let mut facts = with(vec![client(7, "waltz")]);
    let peers = facts.peers.as_mut().unwrap();
    peers.digests.insert(fixture::unit(1), Some("old".into()));
    let (mut facts, decision) = step(&requested(), facts);
    assert!(grants(&decision).is_empty());
    let message = "waiting for pgbouncer-k8s/1 to know all databases";
    assert_eq!(decision.status, Some(Status::waiting(message)));
    let digest = fixture::map(&[(7, "waltz")]).digest();
    let peers = facts.peers.as_mut().unwrap();
    assert!(peers.app_bag["pgb_dbs_config"].contains("waltz"));
    peers.digests.insert(fixture::unit(1), Some(digest));
    let (_, decision) = step(&relation("pgb-peers", RelationKind::Changed), facts);
    assert_eq!(grants(&decision).len(), 1);
    assert_eq!(decision.status, Some(Status::active()));
}

#[track_caller]
fn check_refused(edit: impl FnOnce(&mut DatabaseRelation), status: &str) {
    let mut bad = client(7, "waltz");
    edit(&mut bad);
    let (_, decision) = step(&requested(), with(vec![bad, client(8, "other")]));
    let granted: Vec<String> =
        grants(&decision).iter().map(|grant| grant.account.request.database.to_string()).collect();
    assert_eq!(granted, ["other"], "the other client is served");
    let said = decision.status.unwrap();
    let begin = format!("{status}: waltz (relation 7): ");
    assert_eq!((said.word(), said.message().starts_with(&begin)), ("blocked", true), "{said:?}");
}

#[test]
fn database_requested_is_valid_no_is_blocked_and_others_are_served() {
    for name in ["pgbouncer", "template1", "postgres", &"x".repeat(64), "*"] {
        let edit = |client: &mut DatabaseRelation| {
            client.request.as_mut().unwrap().database = Some(name.to_owned());
        };
        check_refused(edit, "invalid database name");
    }
}

#[test]
fn database_requested_bad_roles_are_blocked_and_others_are_served() {
    for role in ["relation_id_6", "pgbouncer_auth_relation_id_5", "operator", &"x".repeat(64)] {
        let edit = |client: &mut DatabaseRelation| {
            client.request.as_mut().unwrap().roles = vec![role.to_owned()];
        };
        check_refused(edit, "invalid role(s) for extra user roles");
    }
}

#[test]
fn database_requested_name_of_another_is_refused_whichever_comes_later() {
    for names in [["app", "app_readonly"], ["app_readonly", "app"]] {
        let clients = vec![client(7, names[0]), client(8, names[1]), client(9, "other")];
        let (mut facts, decision) = step(&requested(), with(clients));
        let given = |decision: &Decision<Effect>| -> Vec<u32> {
            grants(decision).iter().map(|grant| grant.relation.0).collect()
        };
        assert_eq!(given(&decision), [7, 9]);
        let said = decision.status.unwrap();
        let text = "invalid database name: waltz (relation 8): the name \"app_readonly\" is taken by \
                    waltz (relation 7): choose another database";
        assert_eq!(said, Status::blocked(text));
        let map = facts.peers.as_ref().unwrap().app.databases.clone().unwrap();
        assert!(!map.relations.contains_key(&juju_charm::RelationId(8)), "{map}");
        facts.clients.remove(0);
        let (facts, decision) = step(&relation("database", RelationKind::Broken), facts);
        assert_eq!(given(&decision), [8], "the name is free again");
        super::check_settled(facts);
    }
}

#[test]
fn database_changed_roles_are_granted_and_taken_back() {
    let mut asks = client(7, "waltz");
    asks.request.as_mut().unwrap().roles = vec!["admin".into(), "readers".into()];
    asks.echo = juju_interfaces::postgresql_client::seen(&asks.request.as_ref().unwrap().render());
    let (mut facts, decision) = step(&requested(), with(vec![asks]));
    assert_eq!(grants(&decision)[0].account.request.former, None);
    let asks = &mut facts.clients[0];
    asks.request.as_mut().unwrap().roles = vec!["readers".into()];
    asks.echo = juju_interfaces::postgresql_client::seen(&asks.request.as_ref().unwrap().render());
    asks.password = Some("known".into());
    let (facts, decision) = step(&requested(), facts);
    let account = &grants(&decision)[0].account;
    assert_eq!(account.password.expose(), "known");
    let former = ["admin", "readers"].map(|role| role.parse().unwrap());
    assert_eq!(account.request.former, Some(former.to_vec()));
    assert_eq!(account.request.roles.member_of, ["readers".parse().unwrap()]);
    super::check_settled(facts);
}

#[test]
fn what_a_client_is_owed_is_made_again() {
    let mut facts = granted();
    facts.clients[0].password = Some("known".into());
    assert!(grants(&step(&Event::UpdateStatus, facts).1).is_empty());
    // Where it cannot be read it may be any client.
    for owed in ["[7]", "nonsense"] {
        let mut facts = granted();
        facts.clients[0].password = Some("known".into());
        facts.peers.as_mut().unwrap().app_bag.insert("owed".into(), owed.into());
        let (_, decision) = step(&Event::UpdateStatus, facts);
        assert!(grants(&decision)[0].account.recreated, "{owed}");
    }
}

#[test]
fn database_requested_without_secrets_is_served_as_the_old_form_promises() {
    let mut old = client(7, "waltz");
    old.request.as_mut().unwrap().requested_secrets = None;
    let (facts, decision) = step(&requested(), with(vec![old]));
    assert!(!grants(&decision)[0].account.request.secret);
    let own = &facts.clients[0].own;
    let lines: Vec<String> =
        own.iter().map(|(k, v)| format!("{k}={}", v.replace(&own["password"], "***"))).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    data={"database": "waltz", "requested-secrets": "[\"username\", \"password\", \"uris\", \"read-only-uris\"]"}
    database=waltz
    endpoints=pgbouncer-k8s-service.m.svc.cluster.local:6432
    password=***
    read-only-endpoints=pgbouncer-k8s-service.m.svc.cluster.local:6432
    uris=postgresql://relation_id_7:***@pgbouncer-k8s-service.m.svc.cluster.local:6432/waltz
    username=relation_id_7
    version=17.5
    "#);
    super::check_settled(facts);
}

#[test]
fn database_requested_privileged_role_opens_all_databases() {
    let mut admin = client(7, "waltz");
    admin.request.as_mut().unwrap().roles = vec!["superuser".into()];
    let (mut facts, decision) = step(&requested(), with(vec![admin]));
    let lookup = &grants(&decision)[0].account.lookup;
    assert_eq!(lookup.databases, ["pgbouncer".parse().unwrap()]);
    assert_eq!(lookup.superusers, ["relation_id_7".parse().unwrap()]);
    let map = facts.peers.as_ref().unwrap().app.databases.clone().unwrap();
    assert_eq!(map.wildcard.as_deref(), Some("waltz"));
    facts.clients.clear();
    let (facts, _) = step(&relation("database", RelationKind::Broken), facts);
    assert_eq!(facts.peers.unwrap().app.databases.unwrap().wildcard, None);
}

#[test]
fn database_of_two_clients_is_shared() {
    let (_, decision) = step(&requested(), with(vec![client(7, "waltz"), client(8, "waltz")]));
    let owners: Vec<Owner> = grants(&decision).iter().map(|grant| grant.account.owner).collect();
    assert_eq!(owners, [Owner::Shared, Owner::Shared]);
    let passwords: Vec<&str> =
        grants(&decision).iter().map(|g| g.account.password.expose()).collect();
    assert_ne!(passwords[0], passwords[1]);
}

#[test]
fn database_long_name_has_no_read_only_entry() {
    let (_, decision) = step(&requested(), with(vec![client(7, &"x".repeat(60))]));
    let [grant] = grants(&decision)[..] else { panic!("one grant") };
    assert_eq!(grant.uris.read_only, Some("x".repeat(60).parse().unwrap()));
}

#[test]
fn database_changed_is_same_yes_keeps_what_was_granted() {
    let mut facts = granted();
    facts.clients[0].request.as_mut().unwrap().database = Some("another".into());
    let (facts, decision) = step(&requested(), facts);
    assert!(grants(&decision).is_empty());
    assert_eq!(facts.clients[0].own["database"], "waltz");
}

#[test]
fn database_changed_is_same_no_updates_the_client() {
    let mut facts = granted();
    facts.common.options.as_mut().unwrap().listen_port = 6464;
    let (_, decision) = step(&Event::ConfigChanged, facts);
    let changes = format!("{:?}", written(&decision).unwrap());
    assert!(changes.contains("svc.cluster.local:6464"), "{changes}");
    assert!(has(&decision, "update uris"));
}

#[test]
fn database_new_backend_gets_the_users_of_the_old_one() {
    let mut facts = granted();
    facts.secret = None;
    facts.clients[0].password = Some("known".into());
    let (_, decision) = step(&relation("backend-database", RelationKind::Changed), facts);
    let [grant] = grants(&decision)[..] else { panic!("one grant") };
    assert_eq!(grant.account.password.expose(), "known");
}

#[test]
fn database_departed_is_this_unit_departing_yes_tells_its_peers() {
    let Event::Relation(event) = relation("database", RelationKind::Departed) else {
        unreachable!()
    };
    let departing_unit = Some(fixture::unit(0));
    let event = Event::Relation(RelationEvent { departing_unit, ..event });
    let (_, decision) = step(&event, granted());
    let flag = departing_key("database", CLIENT);
    assert_eq!(list(&decision, ""), [format!("set unit {PEERS}: {flag}=true")]);
}

/// A hook that lost the lead made a user, and its relation ended before another hook came.
#[test]
fn a_user_of_whom_nothing_is_known_goes() {
    let mut facts = granted();
    let grantor = facts.backend.as_ref().unwrap().login.as_ref().unwrap().username.clone();
    let auth_user = crate::names::auth_user(grantor.as_str()).parse().unwrap();
    let known = [auth_user, crate::validate::client_user(CLIENT)];
    facts.backend.as_mut().unwrap().owned_roles = Some(known.to_vec());
    let (mut facts, decision) = step(&Event::UpdateStatus, facts);
    assert!(!has(&decision, "remove orphaned users"));
    let held = facts.backend.as_mut().unwrap().owned_roles.as_mut().unwrap();
    held.push("relation_id_99".parse().unwrap());
    let (_, decision) = step(&Event::UpdateStatus, facts);
    assert_eq!(list(&decision, "remove orphaned"), ["remove orphaned users relation_id_99"]);
}

/// A person dropped a client's user, or set the server back to a time before it.
#[test]
fn a_user_that_the_server_has_lost_is_made_again() {
    let mut facts = granted();
    facts.backend.as_mut().unwrap().owned_roles = Some(Vec::new());
    facts.clients[0].password = Some("known".into());
    let (_, decision) = step(&Event::UpdateStatus, facts);
    let made = decision.effects.iter().find_map(|effect| match effect {
        Effect::Grant(grant) => Some(grant.account.password.expose().to_owned()),
        _ => None,
    });
    assert_eq!(made.as_deref(), Some("known"));
}

fn removals(decision: &Decision<Effect>) -> Vec<(u32, bool)> {
    let removal = |effect: &Effect| match effect {
        Effect::RemoveClient { relation, lookup, .. } => Some((relation.0, lookup.is_some())),
        _ => None,
    };
    decision.effects.iter().filter_map(removal).collect()
}

#[test]
fn database_broken_check_depart_yes_only_clears_the_flag() {
    let mut facts = granted();
    facts.clients.clear();
    let key = departing_key("database", CLIENT);
    facts.peers.as_mut().unwrap().own_bag.insert(key.clone(), "true".into());
    let (_, decision) = step(&relation("database", RelationKind::Broken), facts);
    assert_eq!(list(&decision, ""), [format!("set unit {PEERS}: {key}=")]);
}

#[test]
fn database_broken_is_shared_no_removes_the_user_and_the_entry() {
    let mut facts = granted();
    facts.clients.clear();
    let (facts, decision) = step(&relation("database", RelationKind::Broken), facts);
    assert_eq!(removals(&decision), [(7, false)], "the lookup serves all databases");
    let text = fixture::pushed(&decision, &crate::names::ini(0));
    assert!(!text.contains("waltz"));
    assert_eq!(step(&Event::UpdateStatus, facts).1.effects, []);
}

#[test]
fn database_broken_is_shared_yes_keeps_the_lookup() {
    let clients = vec![client(7, "waltz"), client(8, "waltz")];
    let (mut facts, _) = step(&requested(), with(clients));
    facts.clients.remove(0);
    let (_, decision) = step(&relation("database", RelationKind::Broken), facts);
    assert_eq!(removals(&decision), [(7, false)]);
}

#[test]
fn database_broken_is_backend_ready_no_is_made_up_for() {
    let mut facts = granted();
    facts.clients.clear();
    facts.backend.as_mut().unwrap().server = None;
    let (mut facts, decision) = step(&relation("database", RelationKind::Broken), facts);
    assert!(removals(&decision).is_empty());
    facts.backend = Some(fixture::backend());
    let (_, decision) = step(&Event::UpdateStatus, facts);
    assert_eq!(removals(&decision), [(7, false)]);
}

#[test]
fn a_pgbouncer_without_auth_dbname_loses_the_lookup_of_a_database_with_its_last_client() {
    let old = Some(pgbouncer::Version { minor: 18, patch: 0 });
    let mut facts = with(vec![client(7, "waltz")]);
    let workload = facts.workload.as_mut().unwrap();
    (workload.version, workload.reported) = (old, old);
    let (mut facts, decision) = step(&requested(), facts);
    let lookup = &grants(&decision)[0].account.lookup;
    assert_eq!(lookup.databases, ["waltz".parse().unwrap()]);
    assert!(!fixture::pushed(&decision, &crate::names::ini(0)).contains("auth_dbname"));
    facts.clients.clear();
    let (_, decision) = step(&relation("database", RelationKind::Broken), facts);
    assert_eq!(removals(&decision), [(7, true)]);
}

#[test]
fn database_requested_waits_for_units_that_are_behind_but_not_for_ever() {
    let mut facts = with(vec![client(7, "waltz")]);
    let peers = facts.peers.as_mut().unwrap();
    peers.digests.insert(fixture::unit(1), Some("stale".into()));
    let (mut facts, decision) = step(&requested(), facts);
    assert!(grants(&decision).is_empty());
    assert_eq!(facts.barrier.as_ref().map(|(_, since)| *since), Some(facts.now));
    facts.now += 299;
    let (mut facts, decision) = step(&Event::UpdateStatus, facts);
    assert_eq!((grants(&decision).len(), &decision.effects[..]), (0, &[][..]));
    facts.now += 1;
    let (facts, decision) = step(&Event::UpdateStatus, facts);
    assert_eq!(grants(&decision).len(), 1);
    assert!(list(&decision, "log").concat().contains("k8s/1"), "{decision:?}");
    let (facts, decision) = step(&Event::UpdateStatus, facts);
    assert_eq!((list(&decision, ""), facts.barrier), (vec!["forget barrier".to_owned()], None));
}

#[test]
fn a_client_whose_bag_is_empty_for_a_moment_keeps_everything() {
    let mut facts = granted();
    let before = facts.clients[0].own.clone();
    facts.clients[0].request = Ok(Default::default());
    let (facts, decision) = step(&requested(), facts);
    assert_eq!(decision.effects, []);
    assert_eq!(facts.clients[0].own, before);
}

#[test]
fn a_client_does_not_get_the_user_that_the_charm_has_itself() {
    let mut facts = with(vec![client(7, "waltz"), client(8, "waltz")]);
    let login = facts.backend.as_mut().unwrap().login.as_mut().unwrap();
    login.username = "relation_id_7".parse().unwrap();
    let (mut facts, _) = step(&requested(), facts);
    facts.clients.iter_mut().for_each(|client| client.password = Some("known".into()));
    facts.backend.as_mut().unwrap().owned_roles = Some(Vec::new());
    let (mut facts, decision) = step(&Event::UpdateStatus, facts);
    let made: Vec<u32> = grants(&decision).iter().map(|grant| grant.relation.0).collect();
    assert_eq!(made, [8], "no client is given the charm's own user, lost or not");
    let reported = decision.status.unwrap();
    assert!(
        reported.message().contains("(relation 7): its user relation_id_7 is the one"),
        "{reported:?}"
    );
    facts.clients.remove(0);
    assert_eq!(removals(&step(&Event::UpdateStatus, facts).1), []);
}

/// A new leader gets the events of a relation later than Juju lists its application.
#[test]
fn a_relation_without_events_yet_is_not_taken_for_gone() {
    let mut facts = granted();
    facts.clients.clear();
    facts.events_pending = true;
    let (facts, decision) = step(&Event::LeaderElected, facts);
    assert_eq!(removals(&decision), []);
    assert!(facts.peers.as_ref().unwrap().app_bag["pgb_dbs_config"].contains("waltz"));
    let (_, decision) = step(&Event::UpdateStatus, FullFacts { events_pending: false, ..facts });
    assert_eq!(removals(&decision), [(7, false)]);
}
