//! The life of secrets: owners, tracking, grants, events.
#![allow(clippy::unwrap_used, reason = "tests")]

mod driver;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use driver::{World, app, map, unit};
use jiff::SignedDuration;
use juju_model::tools::{Answer, Bag, Revision, SecretMetadata};
use juju_model::{Juju, SecretUpdate};
use juju_names::{RelationId, SecretId};

const RELATION: RelationId = RelationId(1);

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Answer<T>, message: &str) {
    assert_eq!(answer.unwrap_err().to_string(), message);
}

fn labelled(label: &str) -> SecretMetadata {
    SecretMetadata { label: Some(label.to_owned()), ..SecretMetadata::default() }
}

/// Values are in base64, as tools hand them on.
fn content(value: &str) -> Bag {
    map(&[("password", STANDARD.encode(value).as_str())])
}

/// `pg` owns a secret with the label `own`, granted to `client` by relation 1 unless not.
fn world(granted: bool) -> (World, SecretId) {
    world_of(Juju::V3_6, granted)
}

fn world_of(juju: Juju, granted: bool) -> (World, SecretId) {
    let mut world = World::under(juju, &[("client", 2), ("pg", 2)]);
    world.model.integrate(world.now, "client", "pg").unwrap();
    world.settle();
    let mut id = None;
    world.on("pg/0", |tools| {
        let added = tools.secret_add(content("one"), labelled("own")).unwrap();
        if granted {
            tools.secret_grant(&added, RELATION, None).unwrap();
        }
        id = Some(added);
    });
    (world, id.unwrap())
}

fn set(world: &mut World, id: &SecretId, value: &str) -> Vec<String> {
    world.on("pg/0", |tools| {
        tools.secret_set(id, Some(content(value)), SecretMetadata::default()).unwrap();
    })
}

#[track_caller]
fn reads(world: &mut World, reader: &str, id: &SecretId, revision: Revision, value: &str) {
    world.on(reader, |tools| {
        assert_eq!(tools.secret_get(Some(id), None, revision).unwrap(), content(value));
    });
}

#[test]
fn an_observer_tracks_its_first_read_until_it_refreshes() {
    let (mut world, id) = world(true);
    reads(&mut world, "client/0", &id, Revision::Tracked, "one");
    assert_eq!(set(&mut world, &id, "two"), ["client/0 secret-changed"]);
    reads(&mut world, "client/0", &id, Revision::Tracked, "one");
    reads(&mut world, "client/0", &id, Revision::Peek, "two");
    reads(&mut world, "client/0", &id, Revision::Tracked, "one");
    reads(&mut world, "client/0", &id, Revision::Refresh, "two");
    reads(&mut world, "client/0", &id, Revision::Tracked, "two");
    reads(&mut world, "client/1", &id, Revision::Tracked, "two");
}

#[test]
fn units_of_the_owner_track_what_they_read_as_others_do() {
    let (mut world, id) = world(false);
    for reader in ["pg/0", "pg/1"] {
        reads(&mut world, reader, &id, Revision::Tracked, "one");
    }
    assert_eq!(set(&mut world, &id, "two"), ["pg/0 secret-changed", "pg/1 secret-changed"]);
    for reader in ["pg/0", "pg/1"] {
        reads(&mut world, reader, &id, Revision::Tracked, "one");
    }
    let refresh = |world: &mut World, reader: &str| {
        world.on(reader, |tools| {
            tools.secret_get(Some(&id), None, Revision::Refresh).unwrap();
        })
    };
    assert_eq!(refresh(&mut world, "pg/0"), Vec::<String>::new());
    assert_eq!(refresh(&mut world, "pg/1"), ["pg/0 secret-remove"]);
    reads(&mut world, "pg/0", &id, Revision::Tracked, "two");
}

#[test]
fn a_writer_that_reads_on_in_its_hook_is_not_told() {
    let (mut world, id) = world(false);
    reads(&mut world, "pg/0", &id, Revision::Tracked, "one");
    let ran = world.on("pg/0", |tools| {
        tools.secret_set(&id, Some(content("two")), SecretMetadata::default()).unwrap();
        tools.secret_get(Some(&id), None, Revision::Refresh).unwrap();
    });
    assert_eq!(ran, ["pg/0 secret-remove"]);
    reads(&mut world, "pg/0", &id, Revision::Tracked, "two");
}

#[test]
fn an_owners_label_at_a_read_renames_the_secret_at_once() {
    for juju in Juju::ALL {
        let (mut world, id) = world_of(juju, false);
        let read = |world: &mut World, unit: &str, label: &str| {
            let mut said = None;
            world.on(unit, |tools| {
                let answer = tools.secret_get(Some(&id), Some(label), Revision::Tracked);
                said = answer.err().map(|error| error.to_string());
            });
            said
        };
        assert_eq!(read(&mut world, "pg/0", "new"), None);
        assert_eq!(world.model.secret(&id).unwrap().label.as_deref(), Some("new"));
        let lease = (juju == Juju::V4_0).then(|| "lease not held".to_owned());
        assert_eq!(read(&mut world, "pg/1", "mine"), lease, "{juju}");
        assert_eq!(world.model.secret(&id).unwrap().label.as_deref(), Some("new"));
    }
}

#[test]
fn secrets_of_a_hook_that_is_refused_stand_in_one_juju_and_not_in_the_other() {
    for (juju, kept) in [(Juju::V3_6, 2), (Juju::V4_0, 1)] {
        let (mut world, _) = world_of(juju, false);
        world.on("pg/0", |tools| {
            tools.secret_add(content("x"), labelled("more")).unwrap();
            tools.storage_add("nope", 1).unwrap();
        });
        assert_eq!(world.model.secrets().count(), kept, "{juju}");
    }
}

#[test]
fn an_old_revision_that_nobody_tracks_is_offered_for_removal_once() {
    let (mut world, id) = world(true);
    reads(&mut world, "client/0", &id, Revision::Tracked, "one");
    set(&mut world, &id, "two");
    let ran = world.on("client/0", |tools| {
        tools.secret_get(Some(&id), None, Revision::Refresh).unwrap();
    });
    assert_eq!(ran, ["pg/0 secret-remove"]);
    world.on("pg/0", |tools| tools.secret_remove(&id, Some(1)).unwrap());
    let secret = world.model.secret(&id).unwrap();
    assert_eq!(secret.revisions.keys().collect::<Vec<_>>(), [&2]);
}

#[test]
fn the_same_content_is_no_new_revision_and_one_hook_makes_one() {
    let (mut world, id) = world(true);
    set(&mut world, &id, "one");
    assert_eq!(world.model.secret(&id).unwrap().latest, 1);
    world.on("pg/0", |tools| {
        for value in ["two", "three"] {
            tools.secret_set(&id, Some(content(value)), SecretMetadata::default()).unwrap();
        }
        assert_eq!(tools.secret_get(Some(&id), None, Revision::Tracked).unwrap(), content("one"));
        assert_eq!(tools.secret_get(Some(&id), None, Revision::Peek).unwrap(), content("three"));
        assert_eq!(tools.secret_info_get(Some(&id), None).unwrap().revision, 1, "as it was");
    });
    assert_eq!(world.model.secret(&id).unwrap().latest, 2);
}

#[test]
fn a_grant_dies_with_its_relation() {
    let (mut world, id) = world(true);
    reads(&mut world, "client/0", &id, Revision::Tracked, "one");
    world.model.remove_relation(world.now, "client", "pg").unwrap();
    world.settle();
    world.on("client/0", |tools| {
        refused(tools.secret_get(Some(&id), None, Revision::Tracked), "permission denied");
    });
}

#[test]
fn who_is_not_granted_is_refused_and_an_unknown_id_is_not_found() {
    let (mut world, id) = world(false);
    world.on("client/0", |tools| {
        refused(tools.secret_get(Some(&id), None, Revision::Tracked), "permission denied");
        let other = SecretId::from_bytes([1; 12]);
        let missing = format!("secret \"{}\" not found", other.bare());
        refused(tools.secret_get(Some(&other), None, Revision::Peek), &missing);
        refused(
            tools.secret_info_get(Some(&id), None),
            &format!("secret \"{}\" not found", id.bare()),
        );
        refused(
            tools.secret_grant(&id, RELATION, None),
            &format!("secret \"{}\" not found", id.bare()),
        );
        let gone = "consumer label \"x\" not found";
        refused(tools.secret_get(None, Some("x"), Revision::Peek), gone);
    });
}

#[test]
fn set_and_remove_of_a_foreign_secret_fail_when_the_hook_commits() {
    let (mut world, id) = world(true);
    for removal in [false, true] {
        world.model.set_config(world.now, &app("client"), map(&[("size", "5")])).unwrap();
        world.pass(1);
        let ran = world.run(|run, tools| {
            if run.unit == unit("client/0") {
                if removal {
                    tools.secret_remove(&id, None).unwrap();
                } else {
                    let none = SecretMetadata::default();
                    tools.secret_set(&id, Some(content("x")), none).unwrap();
                }
            }
            0
        });
        let failed = if removal { "client/0 config-changed !" } else { ran[0].as_str() };
        assert_eq!(failed, "client/0 config-changed !");
        world.model.resolve(&unit("client/0"), true).unwrap();
        world.model.reset_config(world.now, &app("client"), &["size".to_owned()]).unwrap();
    }
    assert_eq!(world.model.secret(&id).unwrap().latest, 1);
}

#[test]
fn a_label_that_is_taken_fails_the_hook_when_it_commits() {
    let (mut world, _) = world(false);
    world.model.set_config(world.now, &app("pg"), map(&[("size", "5")])).unwrap();
    let ran = world.run(|run, tools| {
        if run.unit == unit("pg/0") {
            tools.secret_add(content("x"), labelled("own")).unwrap();
        }
        0
    });
    assert_eq!(ran, ["pg/0 config-changed !", "pg/1 config-changed"]);
    assert_eq!(world.model.secrets().count(), 1);
}

#[test]
fn only_the_leader_owns_for_its_application() {
    let (mut world, _) = world(false);
    world.on("pg/1", |tools| {
        refused(tools.secret_add(content("x"), labelled("l")), "this unit is not the leader");
        assert_eq!(tools.secret_ids().unwrap(), []);
        let own = SecretMetadata { owner_is_unit: Some(true), ..labelled("l") };
        let added = tools.secret_add(content("x"), own).unwrap();
        assert_eq!(tools.secret_ids().unwrap(), [added]);
        assert_eq!(tools.secret_info_get(None, Some("l")).unwrap().owner, "unit");
        assert_eq!(tools.secret_get(None, Some("l"), Revision::Tracked).unwrap(), content("x"));
        assert_eq!(tools.secret_get(None, Some("own"), Revision::Tracked).unwrap(), content("one"));
    });
    assert_eq!(world.model.secrets().count(), 2);
    world.model.scale(world.now, &app("pg"), 1).unwrap();
    world.settle();
    assert_eq!(world.model.secrets().count(), 1, "a unit's secrets go with it");
}

#[test]
fn labels_are_unique_per_owner_and_observers_bind_their_own() {
    let (mut world, id) = world(true);
    world.on("pg/0", |tools| {
        let taken = "secret with label \"new\" already exists";
        let added = tools.secret_add(content("x"), labelled("new")).unwrap();
        refused(tools.secret_add(content("x"), labelled("new")), taken);
        tools.secret_remove(&added, None).unwrap();
    });
    assert_eq!(world.model.secrets().count(), 1);
    world.on("client/0", |tools| {
        tools.secret_get(Some(&id), Some("mine"), Revision::Tracked).unwrap();
        assert_eq!(tools.secret_get(None, Some("mine"), Revision::Peek).unwrap(), content("one"));
    });
    set(&mut world, &id, "two");
    let tracking = &world.model.secret(&id).unwrap().tracking[&unit("client/0")];
    assert_eq!(tracking.label.as_deref(), Some("mine"));
}

#[test]
fn keys_follow_jujus_grammar() {
    let (mut world, _) = world(false);
    world.on("pg/0", |tools| {
        for key in ["ab", "Abc", "a--b", "abc-", "1ab", "a_b", "", "-abc"] {
            let answer = tools.secret_add(map(&[(key, "eA==")]), SecretMetadata::default());
            refused(answer, &format!("key \"{key}\" not valid"));
        }
        for key in ["abc", "a-bc", "a1-2"] {
            tools.secret_add(map(&[(key, "eA==")]), SecretMetadata::default()).unwrap();
        }
        let empty = tools.secret_add(Bag::new(), SecretMetadata::default());
        refused(empty, "missing secret value or filename");
        let large = map(&[("abc", "x".repeat(1_000_001).as_str())]);
        assert!(tools.secret_add(large, SecretMetadata::default()).is_err());
    });
}

#[test]
fn an_owner_is_asked_to_rotate_and_asked_again_when_it_did_not() {
    let (mut world, id) = world(false);
    world.on("pg/0", |tools| {
        let rotate = Some("hourly".to_owned());
        tools.secret_set(&id, None, SecretMetadata { rotate, ..Default::default() }).unwrap();
    });
    let hooks = |world: &mut World, value: Option<&str>| {
        let ran = world.run(|run, tools| {
            if let ("secret-rotate", Some(value)) = (run.hook.name().as_str(), value) {
                let none = SecretMetadata::default();
                tools.secret_set(&id, Some(content(value)), none).unwrap();
            }
            0
        });
        ran.iter().filter(|line| line.contains("secret-rotate")).count()
    };
    world.pass(3600);
    assert_eq!(hooks(&mut world, None), 1);
    world.pass(300);
    assert_eq!(hooks(&mut world, Some("two")), 1);
    world.pass(3599);
    assert_eq!(hooks(&mut world, None), 0);
    world.pass(1);
    assert_eq!(hooks(&mut world, None), 1);
}

#[test]
fn an_expired_revision_is_told_until_it_is_gone() {
    let (mut world, id) = world(false);
    let expire = Some(world.now + SignedDuration::from_secs(60));
    world.on("pg/0", |tools| {
        tools.secret_set(&id, None, SecretMetadata { expire, ..Default::default() }).unwrap();
        assert_eq!(tools.secret_info_get(Some(&id), None).unwrap().expiry, expire);
    });
    assert_eq!(world.settle(), Vec::<String>::new());
    for pause in [60, 300] {
        world.pass(pause);
        assert!(world.settle().contains(&"pg/0 secret-expired".to_owned()));
    }
    world.on("pg/0", |tools| tools.secret_remove(&id, Some(1)).unwrap());
    assert!(world.model.secret(&id).is_none());
}

#[test]
fn info_lists_grants_and_revoke_takes_them_back() {
    let (mut world, id) = world(true);
    world.on("pg/0", |tools| {
        let info = tools.secret_info_get(None, Some("own")).unwrap();
        let scope = "relation-client.database#pg.database".to_owned();
        assert_eq!(info.access, [("application-client".to_owned(), scope, "view".to_owned())]);
        tools.secret_revoke(&id, Some(RELATION), None).unwrap();
        tools.secret_grant(&id, RELATION, Some(&unit("client/1"))).unwrap();
    });
    reads(&mut world, "client/1", &id, Revision::Tracked, "one");
    world.on("client/0", |tools| {
        refused(tools.secret_get(Some(&id), None, Revision::Tracked), "permission denied");
    });
    world.on("pg/0", |tools| assert!(tools.secret_grant(&id, RELATION, None).is_err()));
}

#[test]
fn an_operators_secret_is_read_by_the_application_it_is_granted_to() {
    let (mut world, _) = world(false);
    let id = world.model.add_secret(world.now, "mine", &map(&[("password", "x")])).unwrap();
    assert!(world.model.add_secret(world.now, "mine", &map(&[("password", "x")])).is_err());
    world.model.grant_user_secret("mine", &app("pg"), true).unwrap();
    reads(&mut world, "pg/1", &id, Revision::Tracked, "x");
    let content = map(&[("password#base64", "eQ==")]);
    let update = SecretUpdate { content: Some(&content), ..SecretUpdate::default() };
    world.model.update_secret(world.now, "mine", update).unwrap();
    assert_eq!(world.settle(), ["pg/1 secret-changed"]);
    world.model.grant_user_secret("mine", &app("pg"), false).unwrap();
    world.on("pg/1", |tools| {
        refused(tools.secret_get(Some(&id), None, Revision::Peek), "permission denied");
    });
}

#[test]
fn an_operators_secret_has_another_name_and_loses_revisions() {
    let (mut world, _) = world(false);
    let id = world.model.add_secret(world.now, "mine", &map(&[("password", "x")])).unwrap();
    world.model.add_secret(world.now, "taken", &map(&[("password", "x")])).unwrap();
    world.model.grant_user_secret("mine", &app("pg"), true).unwrap();
    reads(&mut world, "pg/1", &id, Revision::Tracked, "x");
    let content = map(&[("password", "y")]);
    let now = world.now;
    let mut update = |secret, content, name, auto_prune| {
        let update = SecretUpdate { content, name, auto_prune, ..SecretUpdate::default() };
        world.model.update_secret(now, secret, update)
    };
    assert!(update("mine", Some(&content), Some("taken"), false).is_err());
    update("mine", None, Some("mine"), false).unwrap();
    update("mine", None, Some("ours"), false).unwrap();
    assert!(update("mine", Some(&content), None, false).is_err());
    update("ours", Some(&content), None, true).unwrap();
    let revisions = |world: &World| -> Vec<u32> {
        world.model.secret(&id).unwrap().revisions.keys().copied().collect()
    };
    assert_eq!(revisions(&world), [1, 2], "pg/1 tracks the first");
    world.settle();
    reads(&mut world, "pg/1", &id, Revision::Refresh, "y");
    assert_eq!(revisions(&world), [2]);
    assert!(world.model.remove_user_secret("ours", Some(1)).is_err());
    world.model.remove_user_secret("ours", Some(2)).unwrap();
    assert!(world.model.secret(&id).is_none(), "it goes with its last revision");
}

#[test]
fn content_is_never_printed() {
    let (world, _) = world(true);
    assert!(!format!("{:?}", world.model).contains("one\""));
}
