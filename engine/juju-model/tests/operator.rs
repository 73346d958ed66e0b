//! Operator commands: what they accept, and what they say when they refuse.
#![allow(clippy::unwrap_used, reason = "tests")]

mod driver;

use driver::{World, app, charm, map, unit};
use juju_model::{ActionsYaml, CharmMeta, ConfigYaml, MetadataYaml, OptionKind};
use serde_json::{Map, Value, json};

#[track_caller]
fn check<T: std::fmt::Debug, E: std::fmt::Display>(result: Result<T, E>, expected: &str) {
    match result {
        Ok(value) => assert_eq!(format!("{value:?}"), expected),
        Err(error) => assert_eq!(error.to_string(), expected),
    }
}

#[test]
fn integrate_infers_endpoints_or_says_why_not() {
    let mut world = World::new();
    for name in ["client", "other", "pg", "pgb"] {
        world.deploy(name, 0);
    }
    for (a, b, expected) in [
        ("client", "pg", "3"),
        (
            "pg",
            "client:database",
            "cannot integrate: relation \"client:database pg:database\" already exists",
        ),
        (
            "pg",
            "none",
            "cannot integrate: there is no application \"none\"; there is client, other, pg, pgb",
        ),
        ("pgb:backend", "pg", "4"),
        (
            "pgb:x",
            "pg",
            "cannot integrate: application \"pgb\" has no endpoint \"x\"; it has db, pgsql, backend, certificates",
        ),
        (
            "pgb:peers",
            "pg",
            "cannot integrate: endpoint \"peers\" of application \"pgb\" relates its own units only",
        ),
        ("pgb", "pgb", "cannot integrate: \"pgb\" and \"pgb\" are one application; name two"),
        (
            "pgb",
            "other",
            "cannot integrate: \"pgb\" and \"other\" fit in more than one way; \
          write one of \"other:backend pgb:db\", \"pgb:backend other:db\"",
        ),
        (
            "pgb:pgsql",
            "pg",
            "cannot integrate: no endpoints of \"pgb:pgsql\" and \"pg\" fit: \
          \"pgb:pgsql\" has pgsql (provides pgsql); \"pg\" has database (provides postgresql_client)",
        ),
        ("pgb:db", "other:backend", "5"),
    ] {
        check(world.model.integrate(world.now, a, b), expected);
    }
}

#[test]
fn an_endpoints_limit_is_kept() {
    const TLS: &str = "{name: tls, provides: {one: {interface: tls}, two: {interface: tls}}}";
    let mut world = World::new();
    world.deploy("pgb", 0);
    let deploy = juju_model::Deploy {
        app: app("tls"),
        charm: charm(TLS),
        charm_ref: String::new(),
        units: 0,
        config: map(&[]),
        trust: false,
    };
    world.model.deploy(world.now, deploy).unwrap();
    check(world.model.integrate(world.now, "pgb", "tls:one"), "1");
    check(
        world.model.integrate(world.now, "pgb", "tls:two"),
        "cannot integrate: endpoint \"certificates\" of application \"pgb\" takes at most \
         1 relations; remove one first",
    );
}

#[test]
fn remove_relation_names_what_there_is() {
    let mut world = World::with(&[("client", 1), ("pg", 1)]);
    check(
        world.model.remove_relation(world.now, "client", "pg"),
        "cannot remove the relation: there is no relation between \"client\" and \"pg\"; there is none",
    );
    world.model.integrate(world.now, "client", "pg").unwrap();
    world.settle();
    check(
        world.model.remove_relation_by_id(world.now, juju_names::RelationId(0)),
        "cannot remove the relation: there is no relation 0 between applications; there is 1",
    );
    check(world.model.remove_relation(world.now, "pg", "client:database"), "1");
    check(
        world.model.integrate(world.now, "client", "pg"),
        "cannot integrate: relation \"client:database pg:database\" is being removed; wait for it",
    );
}

#[test]
fn options_are_typed() {
    let mut world = World::with(&[("pgb", 0)]);
    let secret = "secret:0123456789abcdefghij";
    for (key, value, expected) in [
        ("size", "5", "()"),
        (
            "size",
            "5.5",
            "cannot set the configuration: option \"size\" is of type int, and \"5.5\" is not",
        ),
        (
            "ratio",
            "x",
            "cannot set the configuration: option \"ratio\" is of type float, and \"x\" is not",
        ),
        (
            "tls",
            "maybe",
            "cannot set the configuration: option \"tls\" is of type boolean, and \"maybe\" is not",
        ),
        ("tls", "True", "()"),
        (
            "password",
            "x",
            "cannot set the configuration: option \"password\" is of type secret, and \"x\" is not",
        ),
        ("password", secret, "()"),
        (
            "no",
            "1",
            "cannot set the configuration: charm \"pgb\" has no option \"no\"; \
          it has empty, mode, password, ratio, size, tls",
        ),
    ] {
        check(world.model.set_config(world.now, &app("pgb"), map(&[(key, value)])), expected);
    }
    let config = &world.model.application(&app("pgb")).unwrap().config;
    assert_eq!(json!(config), json!({"size": 5, "tls": true, "password": secret}));
    check(
        world.model.set_model_config(world.now, map(&[("update-status-hook-interval", "soon")])),
        "cannot set the model's configuration: update-status-hook-interval is a time such as \
         300, 90s, 5m or 1h, not \"soon\"",
    );
}

fn params(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

#[test]
fn actions_and_their_parameters_are_checked() {
    let mut world = World::with(&[("pgb", 1)]);
    for (action, given, expected) in [
        ("get-password", json!({"count": 1}), "1"),
        (
            "go",
            json!({}),
            "cannot run the action: charm \"pgb\" has no action \"go\"; it has get-password, pause \
             (not found)",
        ),
        (
            "get-password",
            json!({}),
            "cannot run the action: action \"get-password\" needs parameter \"count\"",
        ),
        (
            "get-password",
            json!({"count": "x"}),
            "cannot run the action: parameter \"count\" of action \
          \"get-password\" is of type integer, and \"x\" is not",
        ),
        (
            "get-password",
            json!({"count": 0}),
            "cannot run the action: parameter \"count\" of action \
          \"get-password\" is at least 1, not 0",
        ),
        (
            "get-password",
            json!({"count": 1, "x": 1}),
            "cannot run the action: action \"get-password\" has \
          no parameter \"x\"; it has count, username",
        ),
        ("pause", json!({"anything": 1}), "2"),
    ] {
        let result = world.model.enqueue_action(world.now, &unit("pgb/0"), action, params(given));
        check(result, expected);
    }
    check(
        world.model.enqueue_action(world.now, &unit("pgb/7"), "pause", Map::new()),
        "cannot run the action: there is no unit \"pgb/7\"; there is pgb/0 (not found)",
    );
}

#[test]
fn a_refresh_keeps_what_fits_and_never_breaks_a_relation() {
    let mut world = World::with(&[("client", 1), ("pg", 1)]);
    world.model.integrate(world.now, "client", "pg").unwrap();
    world.settle();
    world.model.set_config(world.now, &app("pg"), map(&[("size", "5")])).unwrap();
    world.settle();
    check(
        world.model.refresh(world.now, &app("pg"), charm(driver::PGB), String::new()),
        "cannot refresh: the new charm of \"pg\" has no endpoint \"database-peers\" of interface \
         \"pg_peers\", which relation \"pg:database-peers\" uses; remove the relation first",
    );
    let mut newer = charm(driver::PG);
    newer.config.remove("size");
    world.model.refresh(world.now, &app("pg"), newer, "new".to_owned()).unwrap();
    assert!(world.model.application(&app("pg")).unwrap().config.is_empty());
    assert!(world.model.is_outdated(&unit("pg/0")));
    world.pod(&unit("pg/0"), "new");
    assert!(!world.model.is_outdated(&unit("pg/0")));
    let ran = world.settle();
    let expected = ["upgrade-charm", "config-changed", "start", "postgresql-pebble-ready"];
    assert_eq!(ran, expected.map(|hook| format!("pg/0 {hook}")));
}

#[test]
fn a_refresh_waits_for_a_failed_hook_unless_it_is_forced() {
    let mut world = World::with(&[("pg", 1)]);
    world.model.set_config(world.now, &app("pg"), map(&[("size", "5")])).unwrap();
    world.run(|_, _| 1);
    let refresh = |world: &mut World, forced| {
        let charm = charm(driver::PG);
        world.model.refresh(world.now, &app("pg"), charm, "new".to_owned()).unwrap();
        world.model.force_refresh(&app("pg"), forced);
        world.model.is_held(&unit("pg/0"))
    };
    assert!(refresh(&mut world, false));
    assert!(!refresh(&mut world, true));
    assert!(refresh(&mut world, false));
    world.model.resolve(&unit("pg/0"), true).unwrap();
    world.settle();
    assert!(!world.model.is_held(&unit("pg/0")), "the hook has run");
    assert!(world.model.is_outdated(&unit("pg/0")));
}

#[test]
fn a_name_is_taken_once() {
    let mut world = World::with(&[("pgb", 1)]);
    let deploy = juju_model::Deploy {
        app: app("pgb"),
        charm: charm(driver::PGB),
        charm_ref: String::new(),
        units: 1,
        config: map(&[]),
        trust: false,
    };
    check(
        world.model.deploy(world.now, deploy),
        "cannot deploy \"pgb\": an application of that name exists; choose another name",
    );
}

#[test]
fn charm_files_are_read_in_the_forms_people_write() {
    let metadata = "
name: x
display-name: X
description: |
  long
assumes: [{any-of: [juju >= 3.4]}]
containers: {web: , db: {resource: db-image, mounts: [{storage: data, location: /d}]}}
peers:
provides:
  a: {interface: i, limit: null, optional: true, schema: {x: 1}}
  b: j
requires: {c: {interface: k, limit: 1}}
extra-bindings: {extra: }
storage:
  data: {type: filesystem, minimum-size: 1G, multiple: {range: 0-}}
resources:
  db-image: {type: oci-image, description: d, upstream-source: s}
charm-user: root
";
    let config = "
options:
  s: {default: 5, type: string}
  n: {type: string, default: null}
  i: {type: int, default: 7, description: }
  f: {type: float, default: 1}
  b: {type: boolean, default: false}
";
    let metadata: MetadataYaml = serde_saphyr::from_str(metadata).unwrap();
    let config: ConfigYaml = serde_saphyr::from_str(config).unwrap();
    let actions: ActionsYaml =
        serde_saphyr::from_str("{a: , b: {params: , description: x}}").unwrap();
    let meta = CharmMeta::from_parts(metadata, Some(config), Some(actions)).unwrap();
    let endpoints: Vec<_> =
        meta.endpoints().map(|(name, e)| format!("{name} {} {:?}", e.interface, e.limit)).collect();
    assert_eq!(endpoints, ["a i None", "b j None", "c k Some(1)"]);
    assert_eq!(meta.config["s"].default, Some(json!("5")));
    assert_eq!((meta.config["f"].kind, &meta.config["n"].default), (OptionKind::Float, &None));
    assert_eq!(meta.storage["data"].multiple.as_deref(), Some("0-"));
    assert_eq!(meta.actions.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(meta.containers.len(), 2);
    check(
        CharmMeta::from_parts(MetadataYaml::default(), None, None).map(|meta| meta.name),
        "cannot use the charm: metadata.yaml has no name",
    );
}

#[test]
fn a_task_is_called_off_before_its_turn_only() {
    let mut world = World::with(&[("pgb", 1)]);
    let operation = world.model.begin_operation();
    let id =
        world.model.enqueue_action(world.now, &unit("pgb/0"), "pause", Default::default()).unwrap();
    world.model.join_operation(id, operation);
    assert_eq!((id, world.model.action(id).unwrap().operation), (operation + 1, Some(operation)));
    world.model.cancel_action(world.now, id).unwrap();
    assert_eq!(world.model.action(id).unwrap().status.to_string(), "cancelled");
    assert_eq!(world.settle(), Vec::<String>::new());
    let again = world.model.cancel_action(world.now, id).unwrap_err().to_string();
    assert_eq!(
        again,
        format!(
            "cannot cancel the task: task {id} is cancelled; only pending ones can be called off"
        )
    );
}

#[test]
fn hooks_that_ran_are_told_at_the_default_level() {
    let mut world = World::with(&[("pgb", 1)]);
    let told: Vec<String> = world
        .model
        .take_log()
        .into_iter()
        .filter(|line| line.level == "INFO" && line.module == "juju.worker.uniter.operation")
        .map(|line| format!("{} {}", line.entity, line.message))
        .collect();
    let install = "unit-pgb-0 ran \"install\" hook (via hook dispatching script: dispatch)";
    assert_eq!(told.first().map(String::as_str), Some(install));
}
