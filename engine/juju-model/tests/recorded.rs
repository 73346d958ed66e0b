//! The order of events of a real Juju 4.0.15, and ours: the operations that were done to it are
//! done to the model, and each unit's events are compared with what it recorded then.
//!
//! How often a bag changes and when `update-status` is due is a matter of time, so a remote
//! unit's first `relation-changed` after its `relation-joined` counts; containers are ready in no
//! promised order.
#![allow(clippy::unwrap_used, reason = "tests")]

mod driver;

use std::collections::BTreeMap;

use driver::{app, unit};
use jiff::Timestamp;
use juju_model::{CharmMeta, Deploy, HookOutcome, Juju, Model, Next};
use serde_json::Value;

const HISTORY: &str =
    include_str!("../../juju-hooktools/tests/recordings/juju-4.0.15/history.jsonl");
const METADATA: &str = include_str!("../../juju-hooktools/tests/recordings/metadata.yaml");
const UNITS: [&str; 4] = ["probe/0", "probe/1", "probe/2", "probe2/0"];

/// Events by unit.
type Events = BTreeMap<String, Vec<String>>;

/// What the units recorded between two times of the day.
fn recorded(from: &str, to: &str) -> Events {
    let mut events = Events::new();
    for line in HISTORY.lines().filter(|line| !line.starts_with("{\"table\"")) {
        let group: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| group.pointer(key).and_then(Value::as_str).unwrap_or_default();
        let Some(hook) = text("/event").strip_prefix("hooks/") else { continue };
        if (from..to).contains(&text("/at")) && hook != "update-status" {
            let event = format!("{hook} {}", text("/env/JUJU_REMOTE_UNIT"));
            events.entry(text("/unit").to_owned()).or_default().push(event.trim().to_owned());
        }
    }
    events
}

/// Without changes that depend on the time, and with containers in the order of their names.
fn comparable(events: Vec<String>) -> String {
    let mut kept: Vec<String> = Vec::new();
    for event in events {
        let is_ready = |event: &str| event.ends_with("-pebble-ready");
        if kept.last().is_some_and(|last| is_ready(last) && is_ready(&event) && *last > event) {
            kept.insert(kept.len() - 1, event);
        } else if !event.contains("-relation-changed") || is_first(&kept, &event) {
            kept.push(event);
        }
    }
    kept.join(", ")
}

fn is_first(kept: &[String], changed: &String) -> bool {
    let joined = changed.replace("-changed ", "-joined ");
    !kept.contains(changed) && (joined == *changed || kept.contains(&joined))
}

/// The probe charm's applications; what has run since the last look.
struct Probe {
    model: Model,
    now: Timestamp,
    events: Events,
    /// Units whose next `config-changed` asks for a reboot, as the option `table` had it.
    reboots: Vec<&'static str>,
}

impl Probe {
    fn new() -> Self {
        let model = Model::new("dev".parse().unwrap(), "uuid".to_owned(), 7).under(Juju::V4_0);
        let mut probe = Self {
            model,
            now: "2026-11-28T13:31:00Z".parse().unwrap(),
            events: Events::new(),
            reboots: Vec::new(),
        };
        let slow = BTreeMap::from([("update-status-hook-interval".into(), "1000h".into())]);
        probe.model.set_model_config(probe.now, slow).unwrap();
        probe
    }

    fn deploy(&mut self, name: &str, units: u32) {
        let charm = serde_saphyr::from_str(METADATA).unwrap();
        let deploy = Deploy {
            app: app(name),
            charm: CharmMeta::from_parts(charm, None, None).unwrap(),
            charm_ref: "./probe.charm".to_owned(),
            units,
            config: BTreeMap::new(),
            trust: false,
        };
        self.model.deploy(self.now, deploy).unwrap();
        self.model.service_address(&app(name), "10.96.0.1".to_owned());
    }

    fn start(&mut self, name: &str, fresh_pod: bool) {
        self.model.unit_address(&unit(name), Some("10.244.0.1".to_owned()));
        self.model.agent_started(&unit(name), fresh_pod);
        for container in ["work", "idle"] {
            self.model.container_booted(&unit(name), &container.parse().unwrap(), "boot");
        }
        self.model.lease_tick(self.now);
    }

    /// The agent runs `stop`, ends, and starts in the same pod or in a new one.
    fn replace(&mut self, name: &str, fresh_pod: bool) {
        self.model.pod_stopping(&unit(name));
        self.run();
        self.model.agent_stopped(&unit(name), self.now);
        self.start(name, fresh_pod);
    }

    /// Runs all hooks that are due.
    fn run(&mut self) {
        while let Some(name) = UNITS.into_iter().find(|name| self.step(name)) {
            let ran: usize = self.events.values().map(Vec::len).sum();
            assert!(ran < 500, "{name}: {:?}", self.events);
        }
    }

    /// Runs a unit's next hook. As the probe did, one in a relation leaves its mark there, and a
    /// command, in the place of an action, writes into the application's bags.
    fn step(&mut self, name: &str) -> bool {
        let run = match self.model.next(&unit(name), self.now) {
            Next::Hook(run) => run,
            Next::Gone if self.model.unit(&unit(name)).is_some() => {
                self.model.unit_gone(&unit(name));
                self.model.lease_tick(self.now);
                return true;
            }
            Next::Gone | Next::Restart | Next::Idle { .. } => return false,
        };
        let mut session = self.model.begin(&run, self.now);
        let mark = BTreeMap::from([(format!("seen-{}", run.unit.number()), run.hook.name())]);
        let mut tools = self.model.tools(&mut session, self.now);
        if let Some(event) = run.hook.relation() {
            tools.relation_set(event.id, false, mark).unwrap();
        } else if run.hook.is_operation() {
            for id in ["peer", "out"].map(|endpoint| tools.relation_ids(endpoint).unwrap()).concat()
            {
                tools.relation_set(id, true, mark.clone()).unwrap();
            }
        }
        let mut outcome = HookOutcome::Exited(0);
        if run.hook.name() == "config-changed" && self.reboots.contains(&name) {
            self.reboots.retain(|unit| *unit != name);
            tools.juju_reboot(true).unwrap();
            outcome = HookOutcome::Killed;
        }
        let remote = run.hook.remote_unit().map(ToString::to_string).unwrap_or_default();
        let event = format!("{} {remote}", run.hook.name()).trim().to_owned();
        if !run.hook.is_operation() {
            self.events.entry(name.to_owned()).or_default().push(event);
        }
        self.model.finish(run, session, outcome, self.now).unwrap();
        if outcome == HookOutcome::Killed {
            self.now += jiff::SignedDuration::from_secs(5);
        }
        true
    }

    /// What ran is what was recorded, but for what is different in these units.
    #[track_caller]
    fn check(&mut self, from: &str, to: &str, different: &[(&str, &str)]) {
        self.run();
        let mut ours = std::mem::take(&mut self.events);
        let mut theirs = recorded(from, to);
        assert!(!theirs.is_empty(), "nothing was recorded from {from} to {to}");
        for name in UNITS {
            let ours = comparable(ours.remove(name).unwrap_or_default());
            let theirs = comparable(theirs.remove(name).unwrap_or_default());
            let listed = different.iter().find(|(unit, _)| *unit == name).map(|(_, ours)| *ours);
            assert_eq!(ours, listed.unwrap_or(&theirs), "{name} from {from}");
            assert_ne!(listed, Some(theirs.as_str()), "{name} from {from} is as recorded");
        }
    }
}

#[test]
fn events_come_in_the_order_that_was_recorded() {
    let mut probe = Probe::new();
    deploy_and_relate(&mut probe);
    restart_and_unrelate(&mut probe);
    scale_and_remove(&mut probe);
}

fn deploy_and_relate(probe: &mut Probe) {
    probe.deploy("probe", 2);
    probe.start("probe/1", true);
    probe.start("probe/0", true);
    probe.check("13:31", "13:35", &[]);

    probe.deploy("probe2", 1);
    probe.start("probe2/0", true);
    probe.check("13:35", "13:36:10", &[]);

    probe.model.integrate(probe.now, "probe:out", "probe2:in").unwrap();
    probe.check("13:36:10", "13:39", &[]);

    // The leader writes into its application's bags.
    probe.model.enqueue_exec(&unit("probe/1"), "true").unwrap();
    probe.check("13:41:51", "13:41:52", &[]);
}

fn restart_and_unrelate(probe: &mut Probe) {
    // The charm container of probe/1 ends and starts again, with notices and checks of before.
    probe.replace("probe/1", false);
    let work = "work".parse().unwrap();
    for key in ["root", "nobody", "rep"] {
        probe.model.container_notice(&unit("probe/1"), &work, key, "custom", key);
    }
    for failed in [true, false] {
        probe.model.container_check(&unit("probe/1"), &work, "ok", failed);
    }
    // The agent may get notices before it has looked at the containers.
    let ours = "stop, start, idle-pebble-ready, work-pebble-ready, work-pebble-custom-notice, \
                work-pebble-custom-notice, work-pebble-custom-notice, work-pebble-check-failed, \
                work-pebble-check-recovered";
    probe.check("13:54:57", "13:55:10", &[("probe/1", ours)]);

    // A unit that came and went at once; its peers got no event that it went.
    probe.model.scale(probe.now, &app("probe"), 3).unwrap();
    probe.start("probe/2", true);
    probe.run();
    probe.model.scale(probe.now, &app("probe"), 2).unwrap();
    probe.run();
    probe.events.clear();

    // A refresh.
    probe.replace("probe/1", true);
    probe.replace("probe/0", true);
    // Looking at the containers took a while, as it did not in probe/1.
    let ours = "stop, upgrade-charm, config-changed, start, idle-pebble-ready, \
                work-pebble-ready, peer-relation-departed probe/2";
    probe.check("13:56:20", "13:56:50", &[("probe/0", ours)]);

    // The pod of probe/1 is deleted.
    probe.replace("probe/1", true);
    probe.check("13:58:20", "13:58:40", &[]);

    probe.model.remove_relation(probe.now, "probe:out", "probe2:in").unwrap();
    probe.check("13:59", "14:00", &[]);
}

fn scale_and_remove(probe: &mut Probe) {
    probe.model.scale(probe.now, &app("probe"), 3).unwrap();
    probe.start("probe/2", true);
    probe.reboots = vec!["probe/2"];
    probe.check("14:01:20", "14:02:30", &[]);

    probe.model.scale(probe.now, &app("probe"), 2).unwrap();
    probe.check("14:03", "14:03:30", &[]);

    probe.model.integrate(probe.now, "probe:out", "probe2:in").unwrap();
    probe.check("14:04", "14:04:20", &[]);

    probe.model.scale(probe.now, &app("probe"), 1).unwrap();
    probe.check("14:04:20", "14:05:40", &[]);

    probe.model.remove_application(probe.now, &app("probe2")).unwrap();
    probe.check("14:05:40", "14:06", &[]);

    probe.model.scale(probe.now, &app("probe"), 3).unwrap();
    probe.start("probe/1", true);
    probe.start("probe/2", true);
    probe.reboots = vec!["probe/1", "probe/2"];
    probe.check("14:06", "14:08", &[]);

    probe.model.scale(probe.now, &app("probe"), 2).unwrap();
    probe.check("14:09:50", "14:10:20", &[]);

    probe.model.scale(probe.now, &app("probe"), 1).unwrap();
    probe.check("14:11", "14:12", &[]);

    probe.model.remove_application(probe.now, &app("probe")).unwrap();
    probe.check("14:12:30", "14:13", &[]);
}
