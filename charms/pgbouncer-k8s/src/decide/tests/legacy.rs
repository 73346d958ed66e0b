//! Every edge of the charts of the relations `db` and `db-admin`.

use std::collections::BTreeSet;

use juju_charm::{
    Bag, Changes, Decision, Event, Own, RelationEvent, RelationId, RelationKind, Status,
};
use juju_interfaces::pgb_peers::{departing_key, secret_keys};
use juju_interfaces::pgsql::Request;

use super::{check_settled, follower, list};
use crate::effect::{Effect, LegacyGrant};
use crate::facts::{Access, FullFacts, LegacyRelation};
use crate::fixture::{self, CLIENT, PEERS, ready, relation, running, step};
use crate::wording::{BAD_DATABASE, CLIENT_WAITS, EXTENSIONS};

const HOST: &str = "pgbouncer-k8s-service.m.svc.cluster.local";

fn joined() -> Event {
    relation("db", RelationKind::Joined)
}

fn legacy(access: Access, database: &str) -> LegacyRelation {
    LegacyRelation {
        id: CLIENT,
        access,
        app: "waltz".parse().unwrap(),
        request: Request { database: Some(database.into()), ..Request::default() },
        units: BTreeSet::from(["waltz/0".parse().unwrap()]),
        subnets: BTreeSet::from(["10.1.0.9/32".to_owned()]),
        own_app: Bag::new(),
        own_unit: Bag::new(),
    }
}

fn with(client: LegacyRelation) -> FullFacts {
    FullFacts { legacy: vec![client], ..ready() }
}

fn granted() -> FullFacts {
    step(&joined(), with(legacy(Access::Database, "waltz"))).0
}

fn grant(decision: &Decision<Effect>) -> Option<&LegacyGrant> {
    decision.effects.iter().find_map(|effect| match effect {
        Effect::GrantLegacy(grant) => Some(&**grant),
        _ => None,
    })
}

fn written(decision: &Decision<Effect>, which: Own) -> Option<&Changes> {
    super::written(decision, CLIENT, which)
}

#[test]
fn db_joined_is_admin_no_is_granted() {
    let (facts, decision) = step(&joined(), with(legacy(Access::Database, "waltz")));
    let found = grant(&decision).unwrap();
    assert_eq!(found.account.request.user.as_str(), "pgbouncer_k8s_user_7_m");
    assert!(!found.account.request.roles.superuser);
    assert!(found.account.lookup.superusers.is_empty());
    let password = found.account.password.expose().to_owned();
    assert_eq!(password.len(), 24);
    let bag = facts.legacy[0].own_app.clone();
    assert_eq!(bag, facts.legacy[0].own_unit);
    let lines: Vec<String> =
        bag.iter().map(|(k, v)| format!("{k}={}", v.replace(&password, "***"))).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    allowed-subnets=10.1.0.9/32
    allowed-units=waltz/0
    database=waltz
    host=pgbouncer-k8s-service.m.svc.cluster.local
    master=host=pgbouncer-k8s-service.m.svc.cluster.local dbname=waltz port=6432 user=pgbouncer_k8s_user_7_m password=*** fallback_application_name=waltz
    password=***
    port=6432
    standbys=host=pgbouncer-k8s-service.m.svc.cluster.local dbname=waltz_standby port=6432 user=pgbouncer_k8s_user_7_m password=*** fallback_application_name=waltz
    state=master
    user=pgbouncer_k8s_user_7_m
    version=17.5
    ");
    let ini = fixture::pushed(&decision, &crate::names::ini(0));
    assert!(ini.contains("waltz_standby = ") && ini.contains("waltz_readonly = "), "{ini}");
    let secret = facts.secret.as_ref().unwrap();
    assert_eq!(secret.expose(&secret_keys::legacy_password(CLIENT)), Some(password.as_str()));
    assert_eq!(decision.status, Some(Status::active()));
    check_settled(facts);
}

#[test]
fn db_joined_is_admin_yes_is_a_superuser_with_all_databases() {
    let event = relation("db-admin", RelationKind::Joined);
    let (facts, decision) = step(&event, with(legacy(Access::Admin, "waltz")));
    let found = grant(&decision).unwrap();
    assert!(found.account.request.roles.superuser);
    assert_eq!(found.endpoint, crate::endpoint::Endpoint::DbAdmin);
    assert_eq!(found.account.lookup.superusers, ["pgbouncer_k8s_user_7_m".parse().unwrap()]);
    let map = facts.peers.as_ref().unwrap().app.databases.clone().unwrap();
    assert_eq!(map.wildcard.as_deref(), Some("waltz"));
    check_settled(facts);
}

#[test]
fn db_joined_is_backend_ready_no_waits() {
    let facts = FullFacts { legacy: vec![legacy(Access::Database, "waltz")], ..running() };
    let (_, decision) = step(&joined(), facts);
    assert!(grant(&decision).is_none());
    assert_eq!(decision.status, Some(Status::waiting(CLIENT_WAITS)));
}

#[test]
fn db_joined_before_the_backend_is_granted_when_it_comes() {
    let facts = FullFacts {
        legacy: vec![legacy(Access::Database, "waltz")],
        backend: Some(fixture::backend()),
        ..running()
    };
    let event = relation("backend-database", RelationKind::Changed);
    let (facts, decision) = step(&event, facts);
    assert!(grant(&decision).is_some());
    check_settled(facts);
}

#[test]
fn db_joined_is_named_no_waits() {
    let mut client = legacy(Access::Database, "waltz");
    client.request.database = None;
    let (facts, decision) = step(&joined(), with(client));
    assert!(grant(&decision).is_none());
    assert_eq!(decision.status, Some(Status::active()));
    check_settled(facts);
}

#[test]
fn db_joined_is_valid_no_is_blocked() {
    let (_, decision) = step(&joined(), with(legacy(Access::Database, "pgbouncer")));
    assert!(grant(&decision).is_none());
    assert!(decision.status.unwrap().message().starts_with(BAD_DATABASE));
}

#[test]
fn who_says_more_than_can_be_repeated_is_refused_and_named() {
    let many = || (0..5000).map(|n| format!("2001:db8::{n}/128")).collect();
    let mut client = legacy(Access::Database, "waltz");
    client.subnets = many();
    let (_, decision) = step(&joined(), with(client));
    assert!(grant(&decision).is_none());
    let said = decision.status.unwrap();
    assert!(said.message().contains("its extensions and subnets have"), "{said:?}");
    // One that was served keeps what it has.
    for leader in [true, false] {
        let mut facts = granted();
        (facts.common.leader, facts.legacy[0].subnets) = (leader, many());
        let (_, decision) = step(&Event::UpdateStatus, facts);
        assert!(written(&decision, Own::App).is_none() && written(&decision, Own::Unit).is_none());
    }
}

#[test]
fn db_joined_name_of_another_is_refused() {
    let mut facts = with(legacy(Access::Database, "waltz"));
    facts.clients = vec![crate::fixture::client(9, "waltz_standby")];
    let (_, decision) = step(&joined(), facts);
    assert!(grant(&decision).is_some());
    let said = decision.status.unwrap();
    assert!(said.message().contains("\"waltz_standby\" is taken by"), "{said:?}");
}

#[test]
fn db_joined_is_extension_no_is_blocked_until_they_are_enabled() {
    let mut client = legacy(Access::Database, "waltz");
    client.request.extensions = vec!["pg_trgm:public".into(), "unaccent".into()];
    let mut facts = with(client);
    facts.extensions = BTreeSet::from(["plpgsql".to_owned(), "pg_trgm".to_owned()]);
    let (mut facts, decision) = step(&joined(), facts);
    assert!(grant(&decision).is_none());
    assert!(decision.status.unwrap().message().starts_with(EXTENSIONS));
    facts.extensions.insert("unaccent".to_owned());
    let (facts, decision) = step(&Event::UpdateStatus, facts);
    assert!(grant(&decision).is_some());
    assert_eq!(facts.legacy[0].own_app["extensions"], "pg_trgm:public,unaccent");
}

#[test]
fn db_joined_is_known_no_waits_until_all_units_know_it() {
    let mut facts = with(legacy(Access::Database, "waltz"));
    let peers = facts.peers.as_mut().unwrap();
    peers.digests.insert(fixture::unit(1), Some("old".into()));
    let (facts, decision) = step(&joined(), facts);
    assert!(grant(&decision).is_none());
    // Its password is in the secret already, and is the one that is granted later.
    let key = secret_keys::legacy_password(CLIENT);
    let early = facts.secret.as_ref().unwrap().expose(&key).unwrap().to_owned();
    let mut facts = facts;
    facts.peers.as_mut().unwrap().digests.clear();
    let (_, decision) = step(&relation("pgb-peers", RelationKind::Changed), facts);
    assert_eq!(grant(&decision).unwrap().account.password.expose(), early);
}

#[test]
fn db_joined_is_password_yes_mirrors_the_leaders_credentials() {
    let leader = granted();
    let mut facts = follower();
    facts.secret = leader.secret.clone();
    let peers = facts.peers.as_mut().unwrap();
    peers.app_bag = leader.peers.as_ref().unwrap().app_bag.clone();
    fixture::read_app(peers);
    facts.legacy = vec![legacy(Access::Database, "waltz")];
    let (facts, decision) = step(&relation("pgb-peers", RelationKind::Changed), facts);
    assert!(written(&decision, Own::App).is_none());
    let (mine, theirs) = (&facts.legacy[0].own_unit, &leader.legacy[0].own_unit);
    assert_eq!(mine["state"], "standby");
    for (key, value) in theirs.iter().filter(|(key, _)| *key != "state") {
        assert_eq!(mine.get(key), Some(value), "{key}");
    }
}

#[test]
fn db_joined_is_password_no_waits() {
    let mut facts = follower();
    facts.legacy = vec![legacy(Access::Database, "waltz")];
    let (facts, _) = step(&joined(), facts);
    assert!(facts.legacy[0].own_unit.is_empty());
}

#[test]
fn db_joined_credentials_of_an_older_charm_are_kept() {
    let mut client = legacy(Access::Database, "waltz");
    // The older charm's leader has them in its own unit's bag and in the application's.
    let bag = [("user", "pgb_user_7_m"), ("password", "known"), ("database", "waltz")];
    client.own_app = bag.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let (facts, decision) = step(&Event::UpdateStatus, with(client));
    assert!(grant(&decision).is_none());
    let bag = &facts.legacy[0].own_app;
    assert_eq!((bag["user"].as_str(), bag["password"].as_str()), ("pgb_user_7_m", "known"));
    let secret = facts.secret.as_ref().unwrap();
    assert_eq!(secret.expose(&secret_keys::legacy_user(CLIENT)), Some("pgb_user_7_m"));
}

#[test]
fn db_changed_new_leader_keeps_the_databases_and_the_users() {
    let mut facts = granted();
    facts.common.unit = fixture::unit(1);
    facts.legacy[0].own_unit.clear();
    let (facts, decision) = step(&Event::LeaderElected, facts);
    let map = facts.peers.as_ref().unwrap().app.databases.clone().unwrap();
    assert_eq!(map.relations[&CLIENT].name, "waltz");
    assert!(grant(&decision).is_none());
    assert_eq!(facts.legacy[0].own_unit["state"], "master");
}

#[test]
fn db_changed_is_same_yes_writes_nothing() {
    assert_eq!(step(&relation("db", RelationKind::Changed), granted()).1.effects, []);
}

#[test]
fn db_changed_is_same_no_updates_the_client() {
    let mut facts = granted();
    facts.common.options.as_mut().unwrap().listen_port = 6464;
    let (facts, _) = step(&Event::ConfigChanged, facts);
    assert_eq!(facts.legacy[0].own_app["port"], "6464");
    assert!(facts.legacy[0].own_unit["master"].contains(&format!("host={HOST}")));
    assert!(facts.legacy[0].own_unit["master"].contains("port=6464"));
}

#[test]
fn db_changed_new_backend_gets_the_users_of_the_old_one() {
    let mut facts = granted();
    let password = facts.legacy[0].own_app["password"].clone();
    facts.secret = None;
    let (_, decision) = step(&relation("backend-database", RelationKind::Changed), facts);
    assert_eq!(grant(&decision).unwrap().account.password.expose(), password);
}

fn departed(unit: juju_charm::UnitName) -> Event {
    let Event::Relation(event) = relation("db", RelationKind::Departed) else { unreachable!() };
    Event::Relation(RelationEvent { departing_unit: Some(unit), ..event })
}

#[test]
fn db_departed_is_this_unit_departing_yes_tells_its_peers() {
    let (_, decision) = step(&departed(fixture::unit(0)), granted());
    let flag = departing_key("db", CLIENT);
    assert_eq!(list(&decision, ""), [format!("set unit {PEERS}: {flag}=True")]);
}

#[test]
fn db_departed_is_this_unit_departing_no_leaves_the_allowed_units() {
    let mut facts = granted();
    facts.legacy[0].units = BTreeSet::from(["waltz/1".parse().unwrap()]);
    let (facts, _) = step(&departed("waltz/0".parse().unwrap()), facts);
    assert_eq!(facts.legacy[0].own_app["allowed-units"], "waltz/1");
}

fn removal(decision: &Decision<Effect>) -> Option<(RelationId, String, bool)> {
    decision.effects.iter().find_map(|effect| match effect {
        Effect::RemoveClient { relation, user, lookup } => {
            Some((*relation, user.to_string(), lookup.is_some()))
        }
        _ => None,
    })
}

#[test]
fn db_broken_check_depart_yes_only_clears_the_flag() {
    let mut facts = granted();
    facts.legacy.clear();
    let key = departing_key("db", CLIENT);
    facts.peers.as_mut().unwrap().own_bag.insert(key.clone(), "True".into());
    let (_, decision) = step(&relation("db", RelationKind::Broken), facts);
    assert_eq!(list(&decision, ""), [format!("set unit {PEERS}: {key}=")]);
}

#[test]
fn db_broken_is_shared_no_removes_the_user_the_entries_and_the_secret() {
    let mut facts = granted();
    facts.legacy.clear();
    let (facts, decision) = step(&relation("db", RelationKind::Broken), facts);
    assert_eq!(removal(&decision), Some((CLIENT, "pgbouncer_k8s_user_7_m".to_owned(), false)));
    assert!(!fixture::pushed(&decision, &crate::names::ini(0)).contains("waltz"));
    let secret = facts.secret.as_ref().unwrap();
    assert!(secret.get(&secret_keys::legacy_password(CLIENT)).is_none());
    check_settled(facts);
}

#[test]
fn db_broken_is_shared_yes_keeps_the_lookup() {
    let mut facts = with(legacy(Access::Database, "waltz"));
    facts.clients = vec![fixture::client(8, "waltz")];
    let (mut facts, _) = step(&joined(), facts);
    facts.legacy.clear();
    let (_, decision) = step(&relation("db", RelationKind::Broken), facts);
    assert_eq!(removal(&decision).map(|(_, _, unused)| unused), Some(false));
}

#[test]
fn db_broken_is_backend_ready_no_is_made_up_for() {
    let mut facts = granted();
    facts.legacy.clear();
    facts.backend.as_mut().unwrap().server = None;
    let (mut facts, decision) = step(&relation("db", RelationKind::Broken), facts);
    assert_eq!(removal(&decision), None);
    facts.backend = Some(fixture::backend());
    assert!(removal(&step(&Event::UpdateStatus, facts).1).is_some());
}

#[test]
fn db_broken_is_leader_no_keeps_the_user() {
    let leader = granted();
    let mut facts = follower();
    facts.peers.as_mut().unwrap().app = leader.peers.as_ref().unwrap().app.clone();
    let (_, decision) = step(&relation("db", RelationKind::Broken), facts);
    assert_eq!(removal(&decision), None);
}

#[test]
fn db_long_user_names_are_cut_and_differ() {
    let app = "a-rather-long-application-name".parse().unwrap();
    let model = "a-model-with-a-name-of-some-length";
    let names = [7, 8].map(|id| crate::names::legacy_user(&app, RelationId(id), model));
    assert!(names.iter().all(|name| name.len() <= 63), "{names:?}");
    assert_ne!(names[0], names[1]);
}

#[test]
fn db_credentials_of_a_relation_without_events_yet_stay_in_the_secret() {
    let facts = FullFacts { legacy: Vec::new(), events_pending: true, ..granted() };
    let (facts, _) = step(&Event::LeaderElected, facts);
    let secret = facts.secret.as_ref().unwrap();
    assert!(secret.expose(&secret_keys::legacy_password(CLIENT)).is_some());
}
