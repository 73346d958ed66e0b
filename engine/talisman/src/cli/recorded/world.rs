//! The model that the recorded commands were run on, as far as they show it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use juju_model::tools::SecretMetadata;
use juju_model::{CharmMeta, Deploy, Hook, HookOutcome, HookRun, Model, Next, ToolCall};
use juju_names::UnitName;
use serde_json::{Value, json};

use crate::api::{Answer, Read, Request, Task};
use crate::daemon::requests::{change, read};

/// Hooks after which a model that never settles is given up.
const HOOKS_MAX: usize = 500;

pub(super) struct World {
    pub(super) model: Model,
    commands: BTreeMap<u64, Value>,
    pub(super) now: Timestamp,
}

fn probe() -> CharmMeta {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/recordings/probe");
    crate::package::charm_file::read(std::path::Path::new(folder)).unwrap()
}

fn unit(name: &str) -> UnitName {
    name.parse().unwrap()
}

impl World {
    /// A model without anything in it.
    pub(super) fn empty() -> Self {
        let now: Timestamp = "2026-11-28T13:33:00Z".parse().unwrap();
        let model = Model::new("j1-b".parse().unwrap(), "uuid".to_owned(), 7).made_at(now);
        Self { model, commands: BTreeMap::new(), now }
    }

    /// The probe with two units, of which the second leads.
    pub(super) fn alone() -> Self {
        let mut world = Self::empty();
        world.deploy("probe", 2);
        // A charm had that name before, and its revision was counted.
        let (app, charm_ref) = ("probe".parse().unwrap(), "./probe.charm".to_owned());
        world.model.refresh(world.now, &app, probe(), charm_ref).unwrap();
        for unit in ["probe/0", "probe/1"] {
            world.model.agent_started(&unit.parse().unwrap(), true);
        }
        world.settle();
        world.model.lease_passes(&unit("probe/1"));
        world.settle();
        world
    }

    /// The same, related to another application of the same charm.
    pub(super) fn related() -> Self {
        let mut world = Self::alone();
        world.deploy("probe2", 1);
        world.model.integrate(world.now, "probe:out", "probe2:in").unwrap();
        world.settle();
        world
    }

    /// The same, the first application with no unit any more.
    pub(super) fn leaving() -> Self {
        let mut world = Self::related();
        world.model.scale(world.now, &"probe".parse().unwrap(), 0).unwrap();
        world.settle();
        world
    }

    fn deploy(&mut self, app: &str, units: u32) {
        let deploy = Deploy {
            app: app.parse().unwrap(),
            charm: probe(),
            charm_ref: "./probe.charm".to_owned(),
            units,
            config: BTreeMap::new(),
            trust: false,
        };
        let resources = ["work-image", "idle-image"].map(str::to_owned);
        self.model.deploy(self.now, deploy).unwrap();
        self.model.resources_given(&app.parse().unwrap(), resources);
        self.model.service_address(&app.parse().unwrap(), "10.96.254.7".to_owned());
        self.settle();
    }

    /// Runs hooks until nothing is due.
    pub(super) fn settle(&mut self) {
        let units: Vec<UnitName> = self.model.all_units().map(|unit| unit.name.clone()).collect();
        for unit in &units {
            if self.model.unit(unit).is_some_and(|unit| unit.address.is_none()) {
                let address = format!("10.244.0.{}", 35 + unit.number());
                self.model.unit_address(unit, Some(address));
                self.model.agent_started(unit, true);
            }
        }
        self.model.lease_tick(self.now);
        for _ in 0..HOOKS_MAX {
            let next = |unit: &UnitName| (unit.clone(), self.model.next(unit, self.now));
            let due = units.iter().map(next).find(|(_, next)| !matches!(next, Next::Idle { .. }));
            match due {
                Some((_, Next::Hook(run))) => self.run(run),
                Some((unit, Next::Gone)) => self.model.unit_gone(&unit),
                _ => return,
            }
        }
        panic!("the model does not settle");
    }

    fn run(&mut self, run: HookRun) {
        let mut session = self.model.begin(&run, self.now);
        let mut tools = self.model.tools(&mut session, self.now);
        let (code, out, err) = match &run.hook {
            Hook::Action { action, .. } => act(action, &mut tools),
            hook if hook.name().contains("relation-") => {
                let relation = tools.hook_relation().relation;
                let key = format!("seen-{}", run.unit.to_string().replace('/', "-"));
                let bag = BTreeMap::from([(key, hook.name())]);
                relation.map(|(id, _)| tools.relation_set(id, false, bag));
                (0, "", "")
            }
            _ => (0, "", ""),
        };
        session.output(out.as_bytes(), err.as_bytes());
        self.model.finish(run, session, HookOutcome::Exited(code), self.now).unwrap();
    }

    /// Has the next `config-changed` of a unit fail.
    pub(super) fn fail_next(&mut self, name: &str) {
        let option = BTreeMap::from([("text".to_owned(), format!("for {name}"))]);
        self.model.set_config(self.now, unit(name).app(), option).unwrap();
        let Next::Hook(run) = self.model.next(&unit(name), self.now) else { panic!("no hook") };
        let session = self.model.begin(&run, self.now);
        self.model.finish(run, session, HookOutcome::Exited(1), self.now).unwrap();
    }

    /// Secrets of the application's and of units.
    pub(super) fn secrets(&mut self) {
        self.secrets_of("probe/1", &[("appsec", false), ("owner-own", false), ("unitsec", true)]);
        self.secrets_of("probe/0", &[("unitlabel", true)]);
    }

    fn secrets_of(&mut self, owner: &str, labels: &[(&str, bool)]) {
        let owner = unit(owner);
        self.model.enqueue_exec(&owner, "true").unwrap();
        let Next::Hook(run) = self.model.next(&owner, self.now) else { panic!("no turn") };
        let mut session = self.model.begin(&run, self.now);
        let mut tools = self.model.tools(&mut session, self.now);
        for (label, of_unit) in labels {
            let metadata = SecretMetadata {
                label: Some((*label).to_owned()),
                description: (*label == "owner-own").then(|| "d1".to_owned()),
                owner_is_unit: Some(*of_unit),
                ..SecretMetadata::default()
            };
            let content = BTreeMap::from([("key".to_owned(), "dmFsdWU=".to_owned())]);
            tools.secret_add(content, metadata).unwrap();
        }
        self.model.finish(run, session, HookOutcome::Exited(0), self.now).unwrap();
    }

    /// What the daemon would answer.
    pub(super) fn answer(&mut self, request: Request) -> Answer {
        if let Request::Task(Task::Exec { units, command }) = &request {
            return Answer::Done(self.exec(units, command));
        }
        if let Request::Read(Read::Action { id }) = &request
            && let Some(command) = self.commands.get(id)
        {
            return Answer::Done(command.clone());
        }
        self.settle();
        let answer = match request {
            Request::Read(read) => read::answer_of(&self.model, read, self.now),
            Request::Change(change) => change::change(&mut self.model, change, self.now),
            Request::Task(_) => panic!("no machine is behind the model"),
        };
        match answer {
            Ok(value) => Answer::Done(value),
            Err(refused) => Answer::Refused(refused.refusal()),
        }
    }

    /// A command in units: what a shell would make of the recorded ones.
    fn exec(&mut self, units: &[UnitName], command: &str) -> Value {
        let (code, out, err) = match command {
            "true" => (0, "", ""),
            "is-leader" => (0, "True\n", ""),
            "echo hi" => (0, "hi\n", ""),
            "exit 3" => (3, "", ""),
            "echo out; echo err >&2" => (0, "out\n", "err\n"),
            "echo out; echo err >&2; exit 3" => (3, "out\n", "err\n"),
            other => panic!("nobody knows what {other:?} does"),
        };
        let operation = self.model.begin_operation();
        let mut tasks = Vec::new();
        for unit in units {
            let id = self.model.begin_operation();
            let task = json!({
                "id": id.to_string(),
                "operation": operation.to_string(),
                "unit": unit,
                "action": "juju-exec",
                "parameters": {"command": command},
                "status": "completed",
                "results": {"return-code": code, "stdout": out, "stderr": err},
                "enqueued": self.now,
                "started": self.now,
                "completed": self.now,
            });
            self.commands.insert(id, task);
            tasks.push(json!({"unit": unit, "id": id.to_string()}));
        }
        json!({"operation": operation.to_string(), "tasks": tasks})
    }
}

/// What the probe's actions did: their code and output.
fn act(action: &str, tools: &mut ToolCall<'_>) -> (i32, &'static str, &'static str) {
    let mut set = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        tools.action_set(pairs.collect()).unwrap();
    };
    match action {
        "bare" => {
            set(&[("9digit", "v"), ("a.b.c", "deep"), ("c.d", "x"), ("c.e", "y"), ("empty", "")]);
            set(&[("multi", "line1\nline2"), ("num", "1"), ("bool", "true"), ("nul", "null")]);
            set(&[("list", "[1,2]"), ("x", "2")]);
            for line in ["plain", "two words", "line1\nline2", ""] {
                tools.action_log(line).unwrap();
            }
            (0, "to stdout\n", "to stderr\n")
        }
        "fails" => {
            set(&[("before", "fail"), ("after", "fail")]);
            tools.action_fail("second reason").unwrap();
            (0, "", "")
        }
        "crashes" => {
            set(&[("before", "crash")]);
            (3, "", "")
        }
        "logs" => {
            tools.action_log("one").unwrap();
            tools.action_log("two").unwrap();
            (0, "out\n", "err\n")
        }
        _ => (0, "", ""),
    }
}
