//! A value that is too large fails its writer's hook, with a message, and no other.
#![allow(clippy::unwrap_used, reason = "tests")]

mod driver;

use std::collections::BTreeMap;

use driver::{PG, World, app, map, of, unit};
use juju_model::tools::{Port, SecretMetadata};
use juju_model::{
    ActionStatus, ActionsYaml, CharmMeta, DOCUMENT_MAX, HookOutcome, HookRun, KEPT_MAX,
    MetadataYaml, Next, Session, ToolCall,
};
use juju_names::RelationId;
use serde_json::{Map, json};

const RELATION: RelationId = RelationId(1);
const MIB: usize = 1 << 20;

/// `client` and `pg` with relation 1 between them; `pg` has peers in relation 0.
fn related() -> World {
    let mut world = World::with(&[("client", 1), ("pg", 1)]);
    world.model.integrate(world.now, "client", "pg").unwrap();
    world.settle();
    world
}

#[track_caller]
fn begin(world: &mut World, name: &str) -> (HookRun, Session) {
    match world.model.next(&unit(name), world.now) {
        Next::Hook(run) => {
            let session = world.model.begin(&run, world.now);
            (run, session)
        }
        other => panic!("{other:?}"),
    }
}

/// What is said of a hook of `pg/0` that ended well after these calls.
#[track_caller]
fn hook(world: &mut World, act: impl FnOnce(&mut ToolCall<'_>)) -> Option<String> {
    world.model.enqueue_exec(&unit("pg/0"), "true").unwrap();
    let (run, mut session) = begin(world, "pg/0");
    act(&mut world.model.tools(&mut session, world.now));
    let done = world.model.finish(run, session, HookOutcome::Exited(0), world.now);
    world.settle();
    done.err().map(|error| error.to_string())
}

fn large(key: &str, bytes: usize) -> BTreeMap<String, String> {
    BTreeMap::from([(key.to_owned(), "x".repeat(bytes))])
}

/// What the client reads of the databag of `pg/0`.
fn read(world: &mut World) -> usize {
    let mut size = 0;
    world.on("client/0", |tools| {
        let bag = tools.relation_get(RELATION, &of("pg/0")).unwrap();
        size = ["a", "b"].iter().filter_map(|key| bag.get(*key)).map(String::len).sum();
    });
    size
}

#[test]
fn a_bag_that_is_too_large_fails_its_writer_and_leaves_its_reader_alone() {
    let mut world = related();
    let words = "cannot write the databag of relation 1: it would have 18874732 bytes, and at \
                 most 16777216 are kept; write less";
    let said = hook(&mut world, |tools| {
        for key in ["a", "b"] {
            tools.relation_set(RELATION, false, large(key, 9 * MIB)).unwrap();
        }
    });
    assert_eq!(said.as_deref(), Some(words));
    assert_eq!(read(&mut world), 0);
    // The same in two hooks: the first is kept, the second is not.
    let write = |key: &'static str| {
        move |tools: &mut ToolCall<'_>| {
            tools.relation_set(RELATION, false, large(key, 9 * MIB)).unwrap();
        }
    };
    assert_eq!(hook(&mut world, write("a")), None);
    assert_eq!(hook(&mut world, write("b")).as_deref(), Some(words));
    assert_eq!(read(&mut world), 9 * MIB);
    assert_eq!(hook(&mut world, write("a")), None, "the same again");
    let smaller = |tools: &mut ToolCall<'_>| {
        tools.relation_set(RELATION, false, map(&[("a", "")])).unwrap();
    };
    assert_eq!(hook(&mut world, smaller), None);
    assert_eq!(read(&mut world), 0);
}

#[test]
fn a_hook_that_failed_over_its_bag_is_in_error_and_its_reader_is_not() {
    let mut world = related();
    let (mut model, now) = (world.model.clone(), world.now);
    model.set_config(now, &app("pg"), map(&[("size", "11")])).unwrap();
    world.model = model;
    let (run, mut session) = begin(&mut world, "pg/0");
    let mut tools = world.model.tools(&mut session, world.now);
    for key in ["a", "b"] {
        tools.relation_set(RELATION, false, large(key, 9 * MIB)).unwrap();
    }
    world.model.finish(run, session, HookOutcome::Exited(0), world.now).unwrap_err();
    let status = |name: &str| world.model.unit(&unit(name)).unwrap().status();
    assert_eq!(status("pg/0").message, "hook failed: \"config-changed\"");
    assert_ne!(status("client/0").status, "error");
}

#[test]
fn an_application_keeps_no_more_than_its_share() {
    let mut world = related();
    let write = |id: u32, app: bool, key: &'static str| {
        move |tools: &mut ToolCall<'_>| {
            tools.relation_set(RelationId(id), app, large(key, 12 * MIB)).unwrap();
        }
    };
    assert_eq!(hook(&mut world, write(1, false, "a")), None);
    assert_eq!(hook(&mut world, write(1, true, "a")), None);
    let said = hook(&mut world, write(0, false, "a")).unwrap();
    let start = "cannot keep what the hook wrote: databags, state and secrets of pg would have 377";
    assert!(said.starts_with(start), "{said}");
    assert!(said.ends_with("at most 33554432 are kept; remove what is of no use"), "{said}");
    // Another application has its own share.
    world.on("client/0", |tools| {
        tools.relation_set(RELATION, false, large("a", 12 * MIB)).unwrap();
    });
    let moved = hook(&mut world, |tools| {
        tools.relation_set(RELATION, true, map(&[("a", "")])).unwrap();
        tools.relation_set(RelationId(0), false, large("a", 12 * MIB)).unwrap();
    });
    assert_eq!(moved, None);
}

#[test]
fn a_hook_buffers_no_more_than_can_be_kept() {
    let mut world = related();
    let refused = "cannot buffer more than 33554432 bytes in one hook; write less, or in several";
    let said = hook(&mut world, |tools| {
        for _ in 0..10 {
            // Written again and again, it is buffered once.
            tools.relation_set(RELATION, false, large("a", 9 * MIB)).unwrap();
        }
        let value = "x".repeat(1_000_000);
        let mut add = || tools.secret_add(map(&[("key", &value)]), SecretMetadata::default());
        let added = std::iter::from_fn(|| add().ok()).take(100).count();
        assert!((20..30).contains(&added), "{added}");
        assert_eq!(add().unwrap_err().to_string(), refused);
        let more = tools.relation_set(RelationId(0), false, large("a", MIB));
        assert_eq!(more.unwrap_err().to_string(), refused);
        let port = |number| Port { number, protocol: "tcp".into(), endpoint: "x".repeat(100_000) };
        let opened = (1..1000).map_while(|number| tools.open_port(port(number)).ok()).count();
        assert!(opened < 20, "{opened}");
    });
    assert!(said.is_some_and(|words| words.starts_with("open port range: endpoint")));
}

#[test]
fn ports_are_of_endpoints_that_the_charm_has() {
    let mut world = related();
    let port = |endpoint: &str| Port {
        number: 80,
        protocol: "tcp".to_owned(),
        endpoint: endpoint.to_owned(),
    };
    assert_eq!(hook(&mut world, |tools| tools.open_port(port("database")).unwrap()), None);
    let opened = hook(&mut world, |tools| tools.open_port(port("x")).unwrap()).unwrap();
    assert_eq!(opened, "open port range: endpoint \"x\" for application \"pg\" not found");
    let closed = hook(&mut world, |tools| tools.close_port(port("x")).unwrap()).unwrap();
    assert_eq!(closed, "close port range: endpoint \"x\" for application \"pg\" not found");
}

#[test]
fn an_action_says_no_more_than_its_document_holds() {
    let mut world = related();
    let id = world.model.enqueue_action(world.now, &unit("pg/0"), "pause", Map::new()).unwrap();
    let (run, mut session) = begin(&mut world, "pg/0");
    let mut tools = world.model.tools(&mut session, world.now);
    let result = |key: &str| vec![(key.to_owned(), "x".repeat(9 * MIB))];
    let refused = "cannot keep more than 16777216 bytes of an action's results, output and log";
    tools.action_set(result("a")).unwrap();
    assert_eq!(tools.action_set(result("b")).unwrap_err().to_string(), refused);
    let long = "x".repeat(9 * MIB);
    assert_eq!(tools.action_log(&long).unwrap_err().to_string(), refused);
    assert_eq!(tools.action_fail(&long).unwrap_err().to_string(), refused);
    session.output(b"first\n", b"");
    session.output(long.as_bytes(), b"");
    session.output(b"last\n", b"");
    world.model.finish(run, session, HookOutcome::Exited(0), world.now).unwrap();
    let action = world.model.action(id).unwrap();
    assert_eq!(action.status, ActionStatus::Failed);
    let words = "cannot keep all output: results, output and log take at most 16777216 bytes";
    assert_eq!(action.message, words);
    assert_eq!(action.results["stdout"], json!("first\n"));
    assert_eq!(action.results["a"].as_str().map(str::len), Some(9 * MIB));
}

#[test]
fn actions_that_ended_long_ago_are_forgotten() {
    let mut world = related();
    let mut last = 0;
    for _ in 0..5 {
        last = world.model.enqueue_action(world.now, &unit("pg/0"), "pause", Map::new()).unwrap();
        let (run, mut session) = begin(&mut world, "pg/0");
        session.output("x".repeat(10 * MIB).as_bytes(), b"");
        world.model.finish(run, session, HookOutcome::Exited(0), world.now).unwrap();
    }
    let kept: Vec<u64> = world.model.actions().map(|action| action.id).collect();
    assert_eq!(kept, [last - 2, last - 1, last], "as many as {} bytes hold", KEPT_MAX);
    for _ in 0..1010 {
        world.model.enqueue_action(world.now, &unit("pg/0"), "pause", Map::new()).unwrap();
        world.settle();
    }
    assert_eq!(world.model.actions().count(), 1000);
}

#[test]
fn what_an_operator_says_is_bounded_too() {
    let mut world = related();
    let long = "x".repeat(DOCUMENT_MAX);
    let params = json!({"count": 1, "username": long}).as_object().unwrap().clone();
    let error = world.model.enqueue_action(world.now, &unit("pg/0"), "get-password", params);
    let said = error.unwrap_err().to_string();
    assert!(said.starts_with("cannot run the action: the parameters have 1677"), "{said}");
    let error = world.model.set_config(world.now, &app("pg"), map(&[("mode", &long)]));
    let said = error.unwrap_err().to_string();
    assert!(said.starts_with("cannot set the configuration: the options have 1677"), "{said}");
    for _ in 0..100 {
        world.model.enqueue_exec(&unit("pg/0"), "true").unwrap();
    }
    let said = world.model.enqueue_exec(&unit("pg/0"), "true").unwrap_err().to_string();
    let want =
        "cannot run the command: 100 commands wait for unit \"pg/0\" already; try again later";
    assert_eq!(said, want);
    let error = world.model.enqueue_exec(&unit("pg/0"), &"x".repeat(128 << 10)).unwrap_err();
    let want = "cannot run the command: it has 131072 bytes, and a program takes at most 131071; \
                put it into a file";
    assert_eq!(error.to_string(), want);
    world.settle();
    let said = hook(&mut world, |tools| tools.storage_add("pgdata", 4_000_000_000).unwrap());
    let want = "preparing storage additions: preparing storage add \"pgdata\" for unit \"pg/0\": \
                the unit would have 4000000001 of at most 1";
    assert_eq!(said.as_deref(), Some(want));
}

#[test]
fn names_in_a_charm_are_no_paths() {
    let check = |resources: &str, actions: &str, want: Option<&str>| {
        let pg = PG.replace("resources: {image:", &format!("resources: {{{resources} image:"));
        let metadata: MetadataYaml = serde_saphyr::from_str(&pg).unwrap();
        let parsed: ActionsYaml = serde_saphyr::from_str(actions).unwrap();
        let said = CharmMeta::from_parts(metadata, None, Some(parsed)).err();
        assert_eq!(said.map(|error| error.to_string()).as_deref(), want, "{resources} {actions}");
    };
    let no_name = |section: &str, name: &str| {
        format!(
            "cannot use the charm's {section}: {name:?} is no name; use letters, digits, '-', \
             '_' and '.'"
        )
    };
    check("notes: {filename: a.txt},", "{go: {}}", None);
    for name in ["../../x", "..", "a/b", "/etc", ".x", "a b"] {
        let resource = format!("{name:?}: {{filename: a}},");
        check(&resource, "{}", Some(&no_name("resources", name)));
        check("", &format!("{{{name:?}: {{}}}}"), Some(&no_name("actions", name)));
    }
    let resource = |fault: &str| format!("cannot use the charm's resource \"notes\": {fault}");
    check("notes: {},", "{}", Some(&resource("missing filename")));
    let slash = resource("filename cannot contain \"/\" (got \"../x\")");
    check("notes: {filename: ../x},", "{}", Some(&slash));
    let dots = resource("\"..\" is no name of a file");
    check("notes: {filename: ..},", "{}", Some(&dots));
    let kind = resource("type \"disk\" is none of file, oci-image");
    check("notes: {type: disk},", "{}", Some(&kind));
}
