//! Commands without a recording, on the same model.

use std::cell::RefCell;
use std::rc::Rc;

use super::answered;
use super::world::World;

struct Session(Rc<RefCell<World>>);

impl Session {
    fn new(world: World) -> Self {
        Self(Rc::new(RefCell::new(world)))
    }

    /// Carries a command out; what it prints has these words, and none of those after `!`.
    #[track_caller]
    fn check(&self, line: &str, code: u8, wanted: &[&str]) {
        let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (found, out, words) = answered(&self.0, &argv);
        let said = format!("{out}{words}");
        assert_eq!(found, code, "{line}: {said}");
        for words in wanted {
            match words.strip_prefix('!') {
                Some(words) => assert!(!said.contains(words), "{line}: {words} in {said}"),
                None => assert!(said.contains(words), "{line}: no {words} in {said}"),
            }
        }
    }
}

#[test]
fn a_part_of_a_unit_is_shown() {
    let session = Session::new(World::related());
    session.check("show-unit probe/0 probe/1", 0, &["probe/0:", "probe/1:"]);
    session.check("show-unit probe/0 probe/7", 1, &["probe/7", "!leader"]);
    session.check("show-unit probe/0 --endpoint peer", 0, &["endpoint: peer", "!endpoint: out"]);
    session.check("show-unit probe/0 --endpoint none", 0, &["leader: ", "!relation-info"]);
    session.check("show-unit probe/0 --app", 0, &["application-data", "!in-scope", "!seen-"]);
    let related = "show-unit probe/0 --related-unit probe2/0";
    session.check(related, 0, &["probe2/0", "!probe/1", "!local-unit"]);
    session.check("show-application probe probe2", 0, &["probe:", "probe2:"]);
}

#[test]
fn what_a_charm_declares_is_listed() {
    let session = Session::new(World::alone());
    session.check("actions probe --schema", 0, &["additionalProperties: false", "title: typed"]);
    session.check("actions probe --format json", 0, &["\"bare\":\"Has no parameters.\""]);
    let shown = ["Parameters of all types.", "Arguments", "default: word", "type: integer"];
    session.check("show-action probe typed", 0, &shown);
    session.check("show-action probe nothing", 1, &["unknown action \"nothing\""]);
    session.check("resources probe/0 --format json", 0, &["\"resourceid\":\"probe/idle-image\""]);
    session.check("resources probe/9", 1, &["probe/9"]);
    session.check("show-storage rec/0", 0, &["rec/0:", "location: /rec"]);
    session.check("show-storage rec/0 rec/9", 1, &["\"rec/9\" not found"]);
    session.check("status --utc --no-color --integrations", 0, &["Integration provider"]);
    session.check("status -B --retry-count 1 --retry-delay 10ms", 0, &["probe/0"]);
    session.check("config probe text --no-color --no-browser-login", 0, &["plain"]);
    session.check("exec --parallel=false --no-color -u probe/0 -- true", 0, &[]);
    session.check("status --storage", 0, &["Storage Unit  Storage ID  Type", "/rec"]);
    session.check("help-hook-commands", 0, &["relation-get", "secret-add"]);
    session.check("help-hook-commands relation-get", 0, &["Usage: relation-get"]);
    session.check("help-hook-commands nothing", 1, &["\"nothing\""]);
}

#[test]
fn a_result_goes_to_the_file_that_is_named() {
    let session = Session::new(World::alone());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result");
    let name = path.display();
    session.check(&format!("status --format json -o {name}"), 0, &["!probe"]);
    assert!(std::fs::read_to_string(&path).unwrap().contains("\"probe/0\""));
    session.check(&format!("config probe text --output {name}"), 0, &["!plain"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "plain\n", "what was there is gone");
    // Words for people, and what stands for nothing, stay where they are.
    session.check(&format!("run probe/0 logs -o {name}"), 0, &["Waiting for task", "!out"]);
    assert!(std::fs::read_to_string(&path).unwrap().contains("out\n"));
    session.check(&format!("show-operation 77 --format json -o {name}"), 1, &["{}", "77"]);
    session.check("status -o /nowhere/at/all", 1, &["cannot write /nowhere/at/all"]);
    session.check(&format!("expose probe -o {name}"), 2, &["-o"]);
}

#[test]
fn a_model_keeps_what_is_said_of_it() {
    let session = Session::new(World::alone());
    session.check("set-model-constraints mem=512M arch=amd64", 0, &["arch has no effect"]);
    session.check("model-constraints", 0, &["arch=amd64 mem=512M"]);
    session.check("model-constraints --format json", 0, &["{\"arch\":\"amd64\",\"mem\":\"512M\"}"]);
    session.check("set-model-constraints mem=much", 1, &["mem=much"]);
    session.check("set-model-constraints", 0, &[]);
    session.check("model-constraints", 0, &["!mem"]);
    session.check("constraints probe", 0, &["\n"]);
    session.check("constraints nobody", 1, &["nobody"]);
    session.check("set-constraints probe mem=256M arch=amd64", 0, &["arch has no effect"]);
    session.check("constraints probe", 0, &["mem=256M"]);
    session.check("set-constraints probe cpu-power=500", 0, &[]);
    session.check("constraints probe", 0, &["cpu-power=500", "!mem"]);
    session.check("set-constraints nobody mem=1G", 1, &["nobody"]);
    session.check("expose probe", 0, &[]);
    session.check("status --format json", 0, &["\"exposed\":true"]);
    session.check("show-application probe", 0, &["expose-to-cidrs"]);
    session.check("unexpose probe", 0, &[]);
    session.check("status --format json", 0, &["!\"exposed\":true"]);
    session.check("expose nobody", 1, &["nobody"]);
}

#[test]
fn a_model_has_jujus_options() {
    let session = Session::new(World::empty());
    session.check("model-config", 0, &["Attribute", "logging-config", "default"]);
    session.check("model-config nothing", 1, &["key \"nothing\" not found"]);
    session.check("model-config mispelt=1", 0, &["WARNING key \"mispelt\" is not defined"]);
    session.check("model-config test-mode=true", 0, &["test-mode is kept and has no effect here"]);
    session.check("model-config test-mode", 0, &["true"]);
    session.check(
        "model-config --format json",
        0,
        &["\"test-mode\":{\"Source\":\"model\",\"Value\":true}"],
    );
    session.check("model-config --reset test-mode,update-status-hook-interval", 0, &["!WARNING"]);
    session.check("model-config test-mode", 0, &["false"]);
    session.check("model-config update-status-hook-interval=soon", 1, &["soon"]);
    session.check("model-config update-status-hook-interval=10s", 0, &[]);
    session.check("model-config update-status-hook-interval", 0, &["10s"]);
}

#[test]
fn models_are_listed_with_what_was_asked_for() {
    let session = Session::new(World::empty());
    session.check("models", 0, &["Model", "talisman", "stopped", "!UUID"]);
    session.check("models --all --uuid --exact-time", 0, &["UUID", "stopped"]);
}

#[test]
fn a_model_says_since_when_it_is_there() {
    let mut world = World::empty();
    world.now += jiff::SignedDuration::from_hours(3);
    let session = Session::new(world);
    let since = "\"since\":\"28 Nov 2026 13:33:00Z\"";
    session.check("status --format json", 0, &[since, "16:33:00Z"]);
}

#[test]
fn a_models_options_are_read_from_a_file() {
    let session = Session::new(World::empty());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("options.yaml");
    let name = path.display();
    std::fs::write(&path, "update-status-hook-interval: 20s\ntest-mode: true\n").unwrap();
    session.check(&format!("model-config --file {name} test-mode=false"), 0, &["test-mode"]);
    session.check("model-config update-status-hook-interval", 0, &["20s"]);
    session.check("model-config test-mode", 0, &["false"]);
    session.check(&format!("model-config --format yaml -o {name}"), 0, &[]);
    session.check("model-config update-status-hook-interval=1m", 0, &[]);
    session.check(&format!("model-config --file {name}"), 0, &["!WARNING"]);
    let shown = ["update-status-hook-interval:", "  source: model", "  value: 20s"];
    session.check("model-config update-status-hook-interval --format yaml", 0, &shown);
    session.check(&format!("model-config {name}"), 1, &["not found", "--file"]);
    session.check("model-config test-mode logging-config", 2, &["several"]);
    session.check(&format!("model-config test-mode --file {name}"), 2, &["use two"]);
    session.check("model-config test-mode=1 --reset test-mode", 2, &["set and reset test-mode"]);
    session.check("model-config --file /nowhere", 1, &["cannot read /nowhere"]);
}

#[test]
fn a_secret_is_shown_as_far_as_was_asked_for() {
    let mut world = World::alone();
    world.secrets();
    let id = world.model.secrets().next().map(|secret| secret.id.to_string()).unwrap();
    let session = Session::new(world);
    session.check(&format!("show-secret {id}"), 0, &["revision: 1", "!content", "!revisions"]);
    session.check(&format!("show-secret {id} --revision 1"), 0, &["!content"]);
    session.check(&format!("show-secret {id} --revision 7"), 1, &["\"7\""]);
    session.check(&format!("show-secret {id} --reveal"), 0, &["key: value", "!Data"]);
    let json = format!("show-secret {id} --reveal --format json");
    session.check(&json, 0, &["\"content\":{\"Data\":{\"key\":\"value\"}}"]);
    session.check(
        &format!("show-secret {id} --revisions"),
        0,
        &["revisions:", "backend: internal"],
    );
    session.check(&format!("show-secret {id} --revisions --reveal"), 1, &["use two commands"]);
}

#[test]
fn what_is_removed_is_said_and_what_is_not_too() {
    let session = Session::new(World::related());
    let would = ["WARNING", "will remove application probe2", "- will remove unit probe2/0"];
    session.check("remove-application probe2 --dry-run", 0, &would);
    session.check("remove-application nobody --dry-run", 1, &["nobody"]);
    session.check("remove-application probe2 --no-wait", 2, &["--force"]);
    session.check("status", 0, &["probe2/0"]);
    session.check("remove-relation 77", 1, &["no relation 77"]);
    session.check("remove-relation probe", 2, &["two applications, or its id"]);
    session.check("remove-relation 2", 0, &[]);
    session.check("status --relations", 0, &["!probe2:in"]);
    session.check("integrate probe:out probe2:in", 0, &[]);
    let found = ["nobody", "will remove application probe2"];
    session.check("remove-application nobody probe2 --force --no-wait", 1, &found);
    session.check("status", 0, &["!probe2"]);
    session.check("remove-unit probe/1", 2, &["name the application"]);
    session.check("remove-unit probe", 2, &["--num-units"]);
    session.check("remove-unit probe --num-units 0", 2, &["0"]);
    session.check("remove-unit probe --num-units 3", 1, &["has 2 units"]);
    session.check("remove-unit probe --num-units 1", 0, &["scaling down to 1 units"]);
    session.check("status", 0, &["probe/0", "!probe/1"]);
}

#[test]
fn secrets_of_the_operators_change() {
    let session = Session::new(World::alone());
    session.check("add-secret mine key=one", 0, &["secret:"]);
    session.check("add-secret mine", 2, &["without a value"]);
    session.check("update-secret mine key#base64=dHdv --name ours --info words", 0, &[]);
    session.check("update-secret mine key=three", 1, &["\"mine\"", "ours"]);
    session.check("update-secret ours", 1, &["say what is to change"]);
    session.check("update-secret ours key#base64=odd!", 1, &["no base64"]);
    let shown = ["name: ours", "description: words", "revision: 2", "key: two"];
    session.check("show-secret ours --reveal", 0, &shown);
    session.check("show-secret ours --revisions", 0, &["revision: 1", "revision: 2"]);
    session.check("remove-secret ours --revision 7", 1, &["no revision 7"]);
    session.check("remove-secret ours --revision 1", 0, &[]);
    session.check("show-secret ours --revisions", 0, &["!revision: 1"]);
    session.check("update-secret ours key=three --auto-prune", 0, &[]);
    session.check("show-secret ours --revisions", 0, &["!revision: 2", "revision: 3"]);
    session.check("remove-secret ours", 0, &[]);
    session.check("show-secret ours", 1, &["ours"]);
}

#[test]
fn operations_are_filtered() {
    let session = Session::new(World::alone());
    session.check("run probe/0 probe/1 logs", 0, &["with 2 tasks"]);
    session.check("run probe/1 fails", 0, &["Action id 5 failed: second reason"]);
    session.check("operations", 0, &["logs run on unit-probe-0,unit-probe-1", "2,3"]);
    session.check("operations --status failed", 0, &["fails run on", "!logs run on"]);
    session.check("operations --units probe/0", 0, &["logs run on", "!fails run on"]);
    session.check(
        "operations --limit 1",
        0,
        &["Displaying operation results 1 to 1.", "--offset=1"],
    );
    session.check("operations --actions nothing", 0, &["no matching operations"]);
    session.check("show-operation 1", 0, &["host: probe/0", "host: probe/1", "name: logs"]);
    session.check("show-operation 5", 1, &["operation \"5\" not found"]);
    session.check("show-task 5", 0, &["Action id 5 failed", "before: fail"]);
    session.check(
        "show-task 2 --format json",
        0,
        &["\"unit\":\"probe/0\"", "\"stdout\":\"out\\n\""],
    );
    session.check("exec --unit probe/0 --background -- true", 0, &["show-operation 6", "task 7"]);
    session.check("cancel-task 2", 1, &["task 2 is completed"]);
    session.check("cancel-task 77", 1, &["there is no task 77"]);
}

#[test]
fn the_end_of_a_task_is_waited_for_as_long_as_is_asked() {
    let session = Session::new(World::alone());
    session.check("run probe/0 logs --background", 0, &["with task 2"]);
    session.check("show-task 2 --watch", 0, &["out"]);
    session.check("show-operation 1 --wait 0 --format json", 0, &["\"status\":\"completed\""]);
    session.check("show-task 2 --watch --wait 5s", 2, &["--watch"]);
    let mut world = World::alone();
    let unit = "probe/0".parse().unwrap();
    world.model.agent_stopped(&unit, world.now);
    let session = Session::new(world);
    session.check("run probe/0 logs --background", 0, &["with task 2"]);
    session.check("show-task 2", 0, &["Task 2 pending"]);
    session.check("show-task 2 --wait -1s", 0, &["Task 2 pending"]);
    session.check("show-task 2 --wait 50ms", 1, &["timed out: task 2 is pending after 50ms"]);
    session.check("show-operation 1", 0, &["status: pending"]);
    session.check("show-operation 1 --wait=50ms", 1, &["timed out: operation 1 is pending"]);
}

#[test]
fn failed_hooks_of_several_units_are_resolved() {
    let failing = || {
        let mut world = World::alone();
        for unit in ["probe/0", "probe/1"] {
            world.fail_next(unit);
        }
        Session::new(world)
    };
    let session = failing();
    session.check("status", 0, &["hook failed: \"config-changed\""]);
    session.check("resolved --no-retry probe/0 probe/1", 0, &[]);
    session.check("status", 0, &["!hook failed"]);
    let session = failing();
    session.check("resolve --all", 0, &[]);
    session.check("status", 0, &["!hook failed"]);
    session.check("resolve --all --no-retry", 0, &[]);
    session.check("resolve probe/0 nobody/0", 1, &["probe/0", "nobody/0"]);
    session.check("resolve", 2, &["<UNITS>"]);
    session.check("resolve --all probe/0", 2, &["--all"]);
}
