//! Events as Juju sets them in the environment.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(path: &str, vars: &[(&str, &str)], wanted: &str) {
    let own = |(k, v): &(&str, &str)| ((*k).to_owned().into(), (*v).to_owned());
    let mut all: Vars = vars.iter().map(own).collect();
    all.insert("JUJU_DISPATCH_PATH".into(), path.to_owned());
    let found = match Event::parse(&all) {
        Ok(event) => {
            assert_eq!(Event::parse(&event.to_vars()).ok().as_ref(), Some(&event));
            assert_eq!(event.name(), path.rsplit('/').next().unwrap_or_default());
            format!("{event:?}")
        }
        Err(error) => error.to_string(),
    };
    assert!(found.starts_with(wanted), "{found}");
}

#[test]
fn every_kind_of_event_is_read() {
    check("hooks/install", &[], "Install");
    check("hooks/databases_change", &[], "Custom(\"databases_change\")");
    check("actions/get-password", &[("JUJU_ACTION_UUID", "4")], "Action { name: \"get");
    check("hooks/pgbouncer-pebble-ready", &[], "PebbleReady { container: pgbouncer }");
    let relation =
        [("JUJU_RELATION", "db"), ("JUJU_RELATION_ID", "db:4"), ("JUJU_REMOTE_APP", "app")];
    check("hooks/db-relation-created", &relation, "Relation(RelationEvent { kind: Created");
    check("hooks/db-relation-joined", &[], "cannot read the event");
    let restarted = [("JUJU_RELATION", "db"), ("JUJU_RELATION_ID", "db:4")];
    check("hooks/db-relation-broken", &restarted, "Relation(RelationEvent { kind: Broken");
    let emptied = [("JUJU_RELATION", "db"), ("JUJU_RELATION_ID", "4"), ("JUJU_REMOTE_APP", "")];
    check("hooks/db-relation-broken", &emptied, "Relation(RelationEvent { kind: Broken");
    let id = [("JUJU_SECRET_ID", "secret:d1a2b3c4d5e6f7g8h9i0"), ("JUJU_SECRET_LABEL", "")];
    check("hooks/secret-changed", &id, "SecretChanged");
    check("hooks/secret-remove", &id, "cannot read the event");
    check("hooks/secret-other", &id, "Custom");
    let storage = [("JUJU_STORAGE_ID", "pgdata/0"), ("JUJU_STORAGE_LOCATION", "/var/lib/juju")];
    check("hooks/pgdata-storage-attached", &storage, "StorageAttached");
}

/// What Juju 3.6 and 4.0 set, and leave out, in different places.
#[test]
fn what_is_left_out_fails_no_hook_that_can_do_its_work() {
    const ID: &str = "JUJU_SECRET_ID";
    let four = [(ID, "hptkt1fvb4k92l9dukm0"), ("JUJU_SECRET_REVISION", "1")];
    check("hooks/secret-remove", &four, "SecretRemove { id: secret:hptkt1fvb4k92l9dukm0, ");
    check("hooks/secret-expired", &four, "SecretExpired { id: secret:hptkt1fvb4k92l9dukm0, ");
    let three = [(ID, "secret:hptkt1fvb4k92l9dukm0/7"), ("JUJU_SECRET_LABEL", "mine")];
    let read = "SecretRemove { id: secret:hptkt1fvb4k92l9dukm0, label: Some(\"mine\"), revision: 7";
    check("hooks/secret-remove", &three, read);
    check("hooks/secret-rotate", &three, "SecretRotate { id: secret:hptkt1fvb4k92l9dukm0, ");
    let foreign = [(ID, "secret://56db5bb2-aed3/hptkt1fvb4k92l9dukm0")];
    let read = "SecretChanged { id: secret://56db5bb2-aed3/hptkt1fvb4k92l9dukm0, label: None";
    check("hooks/secret-changed", &foreign, read);
    let broken = "Relation(RelationEvent { kind: Broken, endpoint: db, id: 4, remote_app: None";
    let emptied = [("JUJU_RELATION_ID", "db:4"), ("JUJU_REMOTE_APP", ""), ("JUJU_REMOTE_UNIT", "")];
    check("hooks/db-relation-broken", &emptied, broken);
    check("hooks/db-relation-broken", &[("JUJU_RELATION_ID", "4")], broken);
    check("hooks/pgdata-storage-detaching", &[], "StorageDetaching { id: \"pgdata\", ");
    check("hooks/web-pebble-ready", &[], "PebbleReady { container: web }");
    check("hooks/web-pebble-check-failed", &[], "PebbleCheckFailed { container: web, check: \"\"");
    // A command run by `juju exec` is no action.
    let exec = [("JUJU_ACTION_NAME", "juju-exec"), ("JUJU_ACTION_UUID", "9")];
    check("", &exec, "Custom(\"\")");
}

proptest! {
    #[test]
    fn no_dispatch_path_panics(path in ".{0,60}", id in ".{0,20}") {
        let vars = Vars::from([
            ("JUJU_DISPATCH_PATH".into(), path),
            ("JUJU_RELATION_ID".into(), id),
        ]);
        let _ = Event::parse(&vars);
    }
}
