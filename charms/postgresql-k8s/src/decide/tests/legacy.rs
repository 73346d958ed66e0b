//! Clients of `db` and `db-admin`.

use juju_charm::{Event, ExposeSecret as _};

use super::{check_without, decide, list};
use crate::Effect;
use crate::endpoint::Endpoint;
use crate::facts::fixture::{client, second_unit, steady};
use crate::facts::{DatabaseRelation, Facts, Legacy};

fn old(endpoint: Endpoint, database: &str) -> DatabaseRelation {
    let roles: &[&str] = if endpoint == Endpoint::DbAdmin { &["superuser"] } else { &[] };
    let legacy = Legacy {
        endpoint,
        extensions: Vec::new(),
        asks_roles: false,
        units: vec!["shop-app/0".parse().unwrap(), "shop-app/1".parse().unwrap()],
        subnets: ["10.1.2.0/24".to_owned()].into(),
        own: Default::default(),
    };
    DatabaseRelation { legacy: Some(legacy), ..client(4, database, roles) }
}

fn with(client: DatabaseRelation) -> Facts {
    Facts { clients: vec![client], ..steady() }
}

#[test]
fn a_legacy_client_reads_its_credentials_in_the_bags() {
    for (endpoint, superuser) in [(Endpoint::Db, false), (Endpoint::DbAdmin, true)] {
        let decision = decide(&Event::UpdateStatus, &with(old(endpoint, "shop")));
        let served = decision.effects.iter().find_map(|effect| match effect {
            Effect::ServeClient(client) => Some(client),
            _ => None,
        });
        let served = served.unwrap();
        assert_eq!(served.roles.superuser, superuser);
        let mut bag = served.bag.clone().unwrap();
        let password = served.password.expose_secret();
        bag.values_mut().for_each(|value| *value = value.replace(password, "(password)"));
        let lines: Vec<String> = bag.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        insta::assert_snapshot!("the_bag_of_a_legacy_client", lines.join("\n"));
    }
}

#[test]
fn what_a_legacy_client_cannot_have_is_refused_by_name() {
    let check = |change: &dyn Fn(&mut DatabaseRelation), words: &str| {
        let mut client = old(Endpoint::Db, "shop");
        change(&mut client);
        let found = list(&decide(&Event::UpdateStatus, &with(client)));
        assert!(found.contains(&format!("refuse: {words}")), "{found:#?}");
        assert!(!found.iter().any(|words| words.starts_with("serve")), "{found:#?}");
    };
    let legacy = |client: &mut DatabaseRelation, change: &dyn Fn(&mut Legacy)| {
        change(client.legacy.as_mut().unwrap());
    };
    check(
        &|client| legacy(client, &|it| it.extensions = vec!["citext:public".to_owned()]),
        "extensions requested through relation: shop-app (relation 4): citext: no option \
         plugin_<name>_enable switches it on",
    );
    check(
        &|client| legacy(client, &|it| it.asks_roles = true),
        "roles requested through relation, use postgresql_client interface instead: shop-app \
         (relation 4): relate to the endpoint database",
    );
    check(
        &|client| legacy(client, &|it| it.extensions = vec!["x".repeat(70_000)]),
        "Failed to initialize db relation: shop-app (relation 4): a request may have 65536 bytes, \
         and this one has 70011",
    );
    check(
        &|client| client.request.as_mut().unwrap().database = Some("postgres".to_owned()),
        "Failed to initialize db relation: shop-app (relation 4): the database postgres is \
         reserved: choose another",
    );
}

/// A client that is served.
fn served() -> DatabaseRelation {
    let mut client = old(Endpoint::Db, "shop");
    let decision = decide(&Event::UpdateStatus, &with(old(Endpoint::Db, "shop")));
    let bag = decision.effects.into_iter().find_map(|effect| match effect {
        Effect::ServeClient(client) => client.bag,
        _ => None,
    });
    client.offered = bag.unwrap();
    client.legacy.as_mut().unwrap().own = client.offered.clone();
    client
}

#[test]
fn a_legacy_client_that_is_served_is_told_what_changes() {
    check_without(&decide(&Event::UpdateStatus, &with(served())), "serve");
    let changed = |facts: &Facts| -> Vec<String> {
        let found = list(&decide(&Event::UpdateStatus, facts));
        found.into_iter().filter(|words| words.contains(" 4: ")).collect()
    };
    assert_eq!(changed(&with(served())), [""; 0]);
    let mut client = served();
    client.legacy.as_mut().unwrap().units.pop();
    let wanted = ["set app 4: allowed-units=shop-app/0", "set unit 4: allowed-units=shop-app/0"];
    assert_eq!(changed(&with(client)), wanted);
    // A new leader writes its own bag.
    let mut client = served();
    client.legacy.as_mut().unwrap().own.clear();
    let found = changed(&with(client));
    assert!(found.len() == 1 && found[0].starts_with("set unit 4: "), "{found:?}");
    let follower = Facts { clients: vec![served()], ..second_unit() };
    assert_eq!(changed(&follower), [""; 0]);
}
