//! What is refused to clients, and how that is reported.

use juju_charm::Event;

use super::{check_without, decide, list};
use crate::facts::Facts;
use crate::facts::fixture::{client, steady};

fn asking(database: &str, roles: &[&str]) -> Facts {
    let mut facts = steady();
    facts.clients = vec![client(4, database, roles), client(5, "farm", &[])];
    facts
}

/// Another client is served though this one is refused in these words.
#[track_caller]
fn check_refused(database: &str, roles: &[&str], words: &str) {
    let found = list(&decide(&Event::UpdateStatus, &asking(database, roles)));
    assert!(found.contains(&format!("refuse: {words}")), "{found:#?}");
    let served = "serve relation_id_5 farm Sole pg-primary.db.svc.cluster.local".to_owned();
    assert!(found.contains(&served), "{found:#?}");
    assert!(!found.iter().any(|words| words.starts_with("serve relation_id_4")), "{found:#?}");
}

#[test]
fn the_database_of_the_poolers_is_refused_by_name() {
    check_refused(
        "pgbouncer",
        &[],
        "Failed to initialize database relation: shop-app (relation 4): the database pgbouncer is \
         the poolers': choose another",
    );
    let pooler = list(&decide(&Event::UpdateStatus, &asking("pgbouncer", &["superuser"])));
    assert!(pooler.iter().any(|words| words.starts_with("serve relation_id_4 pgbouncer")));
    for name in ["postgres", "template0", "template1"] {
        let words = format!(
            "Failed to initialize database relation: shop-app (relation 4): the database {name} \
             is reserved: choose another"
        );
        check_refused(name, &[], &words);
    }
}

#[test]
fn a_request_that_is_too_large_is_refused_by_name() {
    let roles = "é".repeat(6 << 20);
    let bag = [("database".to_owned(), "shop".to_owned()), ("extra-user-roles".to_owned(), roles)];
    let mut facts = asking("shop", &[]);
    facts.clients[0].request = juju_interfaces::postgresql_client::Request::parse(&bag.into());
    let found = list(&decide(&Event::UpdateStatus, &facts));
    let words = "refuse: Failed to initialize database relation: shop-app (relation 4): cannot use \
        \"extra-user-roles\": a request may have 65536 bytes, and this one has 12582916";
    assert!(found.contains(&words.to_owned()), "{found:#?}");
    assert!(found.iter().any(|words| words.starts_with("serve relation_id_5 farm")));
}

#[test]
fn roles_of_others_are_refused_by_name() {
    for role in ["relation_id_6", "pgbouncer_auth_relation_id_5", "pg_read_server_files"] {
        let words = format!(
            "invalid role(s) for extra user roles: shop-app (relation 4): no client can be a member \
             of {role:?}: correct extra-user-roles"
        );
        check_refused("shop", &[role], &words);
    }
}

/// It is reported to one that was served before, too.
#[test]
fn a_client_with_more_than_it_may_have_is_named() {
    let mut facts = asking("pgbouncer", &[]);
    serve(&mut facts, &[]);
    let found = list(&decide(&Event::UpdateStatus, &facts));
    assert!(found.iter().any(|words| words.starts_with("refuse: Failed")), "{found:#?}");
}

fn serve(facts: &mut Facts, former: &[&str]) {
    let client = &mut facts.clients[0];
    let database = client.request.as_ref().unwrap().database.clone().unwrap();
    let host = "pg-primary.db.svc.cluster.local:5432";
    let pairs =
        [("database", database.as_str()), ("secret-user", "x"), ("read-only-endpoints", host)];
    client.offered = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    client.former = Some(former.iter().map(|&role| role.to_owned()).collect());
}

#[test]
fn roles_that_are_asked_for_no_more_are_taken_back() {
    let mut facts = asking("shop", &["readers"]);
    serve(&mut facts, &["readers"]);
    check_without(&decide(&Event::UpdateStatus, &facts), "serve relation_id_4");
    serve(&mut facts, &["admin", "readers"]);
    facts.clients[0].password = Some("kept".to_owned().into());
    let decision = decide(&Event::UpdateStatus, &facts);
    let former = decision.effects.iter().find_map(|effect| match effect {
        crate::Effect::ServeClient(client) if client.id.0 == 4 => {
            use juju_charm::ExposeSecret as _;
            assert_eq!(client.password.expose_secret(), "kept");
            Some(client.former.iter().map(ToString::to_string).collect::<Vec<_>>())
        }
        _ => None,
    });
    assert_eq!(former, Some(vec!["admin".to_owned(), "readers".to_owned()]));
}

/// Whatever kept a user from being removed, every hook tries again and so can say so; others are
/// served meanwhile.
#[test]
fn a_user_that_is_owed_its_removal_is_removed_in_any_hook() {
    let mut facts = asking("shop", &[]);
    facts.peer.as_mut().unwrap().app.insert("clients".to_owned(), "[3,4]".to_owned());
    for event in [Event::UpdateStatus, Event::ConfigChanged] {
        let found = list(&decide(&event, &facts));
        assert!(found.contains(&"remove relation_id_3".to_owned()), "{found:#?}");
        assert!(found.contains(&"set app 1: clients=[3,4,5]".to_owned()), "{found:#?}");
        assert!(found.iter().any(|words| words.starts_with("serve relation_id_5")));
    }
    facts.events_pending = true;
    check_without(&decide(&Event::UpdateStatus, &facts), "remove");
    facts.events_pending = false;
    facts.peer.as_mut().unwrap().leaving = true;
    check_without(&decide(&Event::UpdateStatus, &facts), "remove");
}

#[test]
fn the_server_is_guarded_now_and_then_by_the_leader() {
    let mut facts = steady();
    for event in [Event::UpdateStatus, Event::UpgradeCharm] {
        assert!(list(&decide(&event, &facts)).contains(&"guard server".to_owned()));
    }
    check_without(&decide(&Event::ConfigChanged, &facts), "guard server");
    facts.leader = false;
    check_without(&decide(&Event::UpdateStatus, &facts), "guard server");
}
