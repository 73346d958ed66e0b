//! Models upgraded in place from older charms: every client keeps its user and password.
//! The bags are written by hand from the tables of what those charms wrote.

use juju_charm::{Event, RelationId, SecretContent};
use juju_interfaces::pgb_peers::{UnitBag, secret_keys};

use crate::effect::Effect;
use crate::facts::{Access, FullFacts, LegacyRelation};
use crate::fixture::{self, client, ready, step};

const OLD: RelationId = RelationId(9);

fn bag(pairs: &[(&str, &str)]) -> juju_charm::Bag {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// What a legacy client finds in the bags of each older charm.
fn legacy() -> LegacyRelation {
    let own = bag(&[
        ("user", "pgbouncer_k8s_user_9_m"),
        ("password", "kept-by-nine"),
        ("database", "polka"),
        ("allowed-units", "polka/0"),
    ]);
    LegacyRelation {
        id: OLD,
        access: Access::Database,
        app: "polka".parse().unwrap(),
        request: juju_interfaces::pgsql::Request::parse(&bag(&[("database", "polka")])),
        units: ["polka/0".parse().unwrap()].into(),
        subnets: ["10.1.0.9/32".to_owned()].into(),
        own_app: own.clone(),
        own_unit: own,
    }
}

/// The leader, whose container runs already, with these bags of its peers.
fn upgraded(
    app: &[(&str, &str)],
    unit: &[(&str, &str)],
    secret: Option<SecretContent>,
) -> FullFacts {
    let mut facts = ready();
    let peers = facts.peers.as_mut().unwrap();
    (peers.app_bag, peers.own_bag) = (bag(app), bag(unit));
    fixture::read_app(peers);
    peers.own = UnitBag::parse(&peers.own_bag);
    facts.secret = secret;
    facts.legacy = vec![legacy()];
    facts
}

/// Every client's user and password after the upgrade, by relation.
fn granted(effects: &[Effect]) -> Vec<(u32, String, String)> {
    let found = effects.iter().filter_map(|effect| match effect {
        Effect::Grant(grant) => {
            Some((grant.relation, &grant.account.request.user, &grant.account.password))
        }
        Effect::GrantLegacy(grant) => {
            Some((grant.relation, &grant.account.request.user, &grant.account.password))
        }
        _ => None,
    });
    found
        .map(|(id, user, password)| (id.0, user.to_string(), password.expose().to_owned()))
        .collect()
}

#[track_caller]
fn check(facts: FullFacts) -> (FullFacts, Vec<Effect>) {
    let (facts, decision) = step(&Event::UpgradeCharm, facts);
    let kept = |id: u32, user: &str, password: &str| (id, user.to_owned(), password.to_owned());
    assert_eq!(
        granted(&decision.effects),
        [
            kept(7, "relation_id_7", "kept-by-seven"),
            kept(9, "pgbouncer_k8s_user_9_m", "kept-by-nine"),
        ]
    );
    assert!(!super::has(&decision, "remove client"));
    let app_bag = format!("{:?}", facts.peers.as_ref().unwrap().app_bag);
    assert!(!app_bag.contains("kept-by"), "a password stays in the peers' bag: {app_bag}");
    let list = facts.secret.as_ref().unwrap().expose(secret_keys::AUTH_FILE).unwrap();
    assert!(!list.contains("\"md5"), "the lookup's user still has an md5 hash");
    super::check_settled(fixture::copy(&facts));
    (facts, decision.effects)
}

/// The charm of today that is written in Python: a map in the bag, secrets, md5 for the
/// lookup's user.
#[test]
fn from_the_charm_with_secrets() {
    let list = "\"pgbouncer_auth_relation_id_3\" \"md50123456789abcdef0123456789abcdef\"\n\
                \"pgbouncer_stats_pgbouncer_k8s\" \"SCRAM-SHA-256$4096:c2FsdA==$a:b\"";
    let secret = SecretContent::new()
        .with(secret_keys::AUTH_FILE, list)
        .with(secret_keys::MONITORING_PASSWORD, "stats-of-old");
    let map = "{\"7\": {\"name\": \"waltz\", \"legacy\": false}, \
               \"9\": {\"name\": \"polka\", \"legacy\": true}}";
    let unit = [
        ("private-address", "pgbouncer-k8s-0.pgbouncer-k8s-endpoints.m.svc.cluster.local"),
        ("userlist_nonce", "abcdefghijklmnopqrstuvwx"),
        ("container_initialised", "True"),
        ("data", "{}"),
    ];
    let app = [("pgb_dbs_config", map), ("current_port", "6432")];
    let mut facts = upgraded(&app, &unit, Some(secret));
    let mut modern = client(7, "waltz");
    modern.own = bag(&[("secret-user", "secret:d0"), ("database", "waltz")]);
    modern.password = Some("kept-by-seven".into());
    facts.clients = vec![modern];
    let (facts, _) = check(facts);
    let secret = facts.secret.as_ref().unwrap();
    assert_eq!(secret.expose(secret_keys::MONITORING_PASSWORD), Some("stats-of-old"));
    assert_eq!(facts.clients[0].own["secret-user"], "secret:d0");
    assert_eq!(facts.peers.unwrap().app.databases.unwrap().to_string(), map);
}

/// The charm of 2023: the whole configuration, the user list and passwords in the bag.
#[test]
fn from_the_charm_without_secrets() {
    let app = [
        ("cfg_file", "[databases]\nwaltz = host=h dbname=waltz port=5432\n\n[pgbouncer]\n"),
        ("auth_file", "\"pgbouncer_auth_relation_id_3\" \"md50123456789abcdef0123456789abcdef\""),
        ("leader_hostname", "pgbouncer-k8s-0.pgbouncer-k8s-endpoints.m.svc.cluster.local"),
        ("relation_id_7", "kept-by-seven"),
        ("pgbouncer_k8s_user_9_m", "kept-by-nine"),
    ];
    let mut facts = upgraded(&app, &[], None);
    let mut modern = client(7, "waltz");
    modern.request.as_mut().unwrap().requested_secrets = None;
    let plain = [("username", "relation_id_7"), ("password", "kept-by-seven")];
    modern.own = bag(&plain);
    modern.password = Some("kept-by-seven".into());
    facts.clients = vec![modern];
    let (facts, _) = check(facts);
    assert_eq!(facts.clients[0].own["password"], "kept-by-seven");
    let app_bag = facts.peers.unwrap().app_bag;
    for key in ["auth_file", "relation_id_7", "pgbouncer_k8s_user_9_m"] {
        assert!(!app_bag.contains_key(key), "{key} stays in the peers' bag");
    }
}
