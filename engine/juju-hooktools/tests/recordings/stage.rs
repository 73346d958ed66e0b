//! The cluster of the recording: applications `probe` and `probe2`, driven by what was recorded.

use std::collections::BTreeMap;

use jiff::Timestamp;
use juju_hooktools::{Request, Response};
use juju_model::tools::Party;
use juju_model::{CharmMeta, Deploy, Hook, HookOutcome, HookRun, Juju, Model, Next, Session};
use juju_names::{RelationId, UnitName};
use serde_json::Value;

use crate::compare::Ids;
use crate::history::{Group, Row};

const UUID: &str = "56db5bb2-aed3-4f71-8dc8-1e305ceca2e4";
/// Hooks that may come before the one that was recorded.
const OTHERS: usize = 40;

pub(crate) struct Stage {
    model: Model,
    now: Timestamp,
    ids: Ids,
}

/// A hook that runs.
pub(crate) struct Turn<'a> {
    stage: &'a mut Stage,
    run: HookRun,
    session: Session,
}

fn charm() -> CharmMeta {
    let metadata = serde_saphyr::from_str(include_str!("metadata.yaml")).unwrap();
    let config = serde_saphyr::from_str(include_str!("config.yaml")).unwrap();
    let actions = serde_saphyr::from_str(include_str!("actions.yaml")).unwrap();
    CharmMeta::from_parts(metadata, Some(config), Some(actions)).unwrap()
}

fn address(unit: &UnitName) -> String {
    let last = match unit.to_string().as_str() {
        "probe/0" => 36,
        "probe/1" => 35,
        "probe2/0" => 38,
        _ => 40,
    };
    format!("10.244.0.{last}")
}

impl Stage {
    pub(crate) fn new() -> Self {
        let mut model = Model::new("j1-b".parse().unwrap(), UUID.to_owned(), 7).under(Juju::V4_0);
        let now = "2026-11-28T13:31:00Z".parse().unwrap();
        // Times are the recording's, and nothing here waits for them.
        let slow = BTreeMap::from([("update-status-hook-interval".into(), "1000h".into())]);
        model.set_model_config(now, slow).unwrap();
        let mut stage = Self { model, now, ids: Ids::default() };
        stage.deploy("probe", 2, "10.96.254.7");
        // The unit that led.
        stage.start("probe/1");
        stage.start("probe/0");
        stage.deploy("probe2", 1, "10.96.244.254");
        stage.start("probe2/0");
        stage.settle();
        stage.model.integrate(now, "probe:out", "probe2:in").unwrap();
        stage.settle();
        stage
    }

    fn deploy(&mut self, name: &str, units: u32, service: &str) {
        let app = name.parse().unwrap();
        let deploy = Deploy {
            app,
            charm: charm(),
            charm_ref: "./probe.charm".to_owned(),
            units,
            config: BTreeMap::new(),
            trust: false,
        };
        self.model.deploy(self.now, deploy).unwrap();
        self.model.service_address(&name.parse().unwrap(), service.to_owned());
    }

    fn start(&mut self, name: &str) {
        let unit: UnitName = name.parse().unwrap();
        self.model.unit_address(&unit, Some(address(&unit)));
        self.model.agent_started(&unit, true);
        for container in ["work", "idle"] {
            self.model.container_booted(&unit, &container.parse().unwrap(), "boot");
        }
        self.model.lease_tick(self.now);
    }

    fn units(&self) -> Vec<UnitName> {
        self.model.all_units().map(|unit| unit.name.clone()).collect()
    }

    fn settle(&mut self) {
        let mut ran = 0;
        while let Some(run) = self.units().iter().find_map(|unit| self.next(unit)) {
            self.run_bare(&run);
            ran += 1;
            assert!(ran < 10 * OTHERS, "{run:?}");
        }
    }

    fn next(&mut self, unit: &UnitName) -> Option<HookRun> {
        match self.model.next(unit, self.now) {
            Next::Hook(run) => Some(run),
            _ => None,
        }
    }

    fn run_bare(&mut self, run: &HookRun) {
        let mut session = self.begin(run);
        self.mark(run, &mut session);
        let ended = HookOutcome::Exited(0);
        self.model.finish(run.clone(), session, ended, self.now).unwrap();
    }

    fn begin(&mut self, run: &HookRun) -> Session {
        self.model.begin(run, self.now)
    }

    /// What the probe does in each hook: it reads every databag, and in a relation's hook leaves
    /// its mark.
    fn mark(&mut self, run: &HookRun, session: &mut Session) {
        let mut tools = self.model.tools(session, self.now);
        for end in ["peer", "out", "in"] {
            for id in tools.relation_ids(end).unwrap() {
                for unit in tools.relation_list(id).unwrap() {
                    tools.relation_get(id, &Party::Unit(unit)).unwrap();
                }
            }
        }
        let Some(event) = run.hook.relation() else { return };
        let key = format!("seen-{}", run.unit.to_string().replace('/', "-"));
        let mark = BTreeMap::from([(key, run.hook.name())]);
        let id: RelationId = event.id;
        self.model.tools(session, self.now).relation_set(id, false, mark).unwrap();
    }

    /// Runs the unit's hooks up to the recorded one, which then waits for its calls; `None`
    /// where it does not come, or is none with calls.
    pub(crate) fn enter(&mut self, group: &Group) -> Option<Turn<'_>> {
        self.now = format!("2026-11-28T{}Z", group.at).parse().unwrap();
        let unit: UnitName = group.unit.parse().unwrap();
        if self.model.unit(&unit).is_none() && !group.rows.is_empty() {
            self.model.scale(self.now, unit.app(), unit.number() + 1).unwrap();
            self.start(&group.unit);
        }
        if group.rows.is_empty() {
            self.follow(&unit, &group.event);
            return None;
        }
        let action = group.event.strip_prefix("actions/");
        if let Some(action) = action {
            let params = group.params.clone();
            self.model.enqueue_action(self.now, &unit, action, params).unwrap();
        } else {
            self.cause(&unit, group);
        }
        for _ in 0..OTHERS {
            let Some(run) = self.next(&unit) else { break };
            if run.hook.dispatch_path() == group.event {
                self.check_variables(&run, group);
                let mut session = self.begin(&run);
                self.mark(&run, &mut session);
                return Some(Turn { stage: self, run, session });
            }
            self.run_bare(&run);
        }
        None
    }

    #[track_caller]
    fn check_variables(&self, run: &HookRun, group: &Group) {
        let environment = self.model.environment(run);
        for (name, value) in &group.env {
            let ours = environment.get(name.as_str()).map(|ours| self.ids.theirs(ours));
            assert_eq!(ours.as_ref(), Some(value), "{name} of {}", group.event);
        }
    }

    /// Runs the unit's hooks up to a recorded one, as far as there are any.
    fn follow(&mut self, unit: &UnitName, event: &str) {
        for _ in 0..OTHERS {
            let Some(run) = self.next(unit) else { return };
            self.run_bare(&run);
            if run.hook.dispatch_path() == event {
                return;
            }
        }
    }

    /// Brings about what brought about the recorded hook.
    fn cause(&mut self, unit: &UnitName, group: &Group) {
        if self.model.unit(unit).is_some_and(juju_model::Unit::has_failed) {
            self.model.resolve(unit, true).unwrap();
        } else if group.event == "hooks/config-changed" {
            let values = BTreeMap::from([("text".to_owned(), group.at.clone())]);
            self.model.set_config(self.now, unit.app(), values).unwrap();
        }
    }
}

impl Turn<'_> {
    pub(crate) fn ids(&self) -> &Ids {
        &self.stage.ids
    }

    /// Makes a recorded call, as the tool's process and the agent do it.
    pub(crate) fn call(&mut self, row: &Row) -> Response {
        let mut args: Vec<String> = row.argv.iter().map(|arg| self.stage.ids.ours(arg)).collect();
        let tool = args.remove(0);
        let request = Request { tool, args, ..Request::default() };
        let mut read = |path: &str| match row.files.get(path) {
            _ if path == "-" => Ok(row.stdin.clone().unwrap_or_default().into_bytes()),
            Some(content) => Ok(content.bytes()),
            None if path == "/tmp/probe.big" => Ok(big(&row.table, row.row)),
            None => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
        };
        let prepared = match hooktool::prepare(request, &mut read) {
            Ok(prepared) => prepared,
            Err(error) => {
                let stderr = format!("ERROR {error}\n").into_bytes();
                return Response { code: error.code(), stdout: Vec::new(), stderr };
            }
        };
        let now = self.stage.now;
        let mut tools = self.stage.model.tools(&mut self.session, now);
        let Request { tool, args, stdin, .. } = prepared.request;
        let mut output = juju_hooktools::run(&mut tools, &tool, &args, stdin.as_deref());
        if let Some(path) = prepared.output.filter(|_| output.code == 0) {
            output.stdout.clear();
            if path.starts_with("/nonexistent") {
                let missing = std::io::ErrorKind::NotFound.into();
                let words = hooktool::cannot_open(&path, &missing);
                (output.code, output.stderr) = (1, format!("ERROR {words}\n").into_bytes());
            }
        }
        if row.argv[0] == "secret-add" {
            let theirs = String::from_utf8_lossy(&row.stdout.bytes()).into_owned();
            self.stage.ids.learn(&theirs, &String::from_utf8_lossy(&output.stdout));
        }
        output
    }

    pub(crate) fn leave(self, code: i32) {
        let Self { stage, run, session } = self;
        let outcome = HookOutcome::Exited(code);
        let operation = run.hook.is_operation();
        let ended = stage.model.finish(run.clone(), session, outcome, stage.now);
        assert!(ended.is_ok() || operation, "{run:?}: {ended:?}");
        if let Hook::Action { id, .. } = run.hook {
            let action: &juju_model::Action = stage.model.action(id).unwrap();
            assert!(action.completed.is_some() && action.results != Value::Null);
        }
    }
}

/// The large file that a table of sizes made last.
fn big(table: &str, row: u32) -> Vec<u8> {
    let of = match table.rsplit('-').next().unwrap().parse() {
        Ok(size) => size,
        Err(_) => [65_536, 1_048_576, 8_388_608][((row - 16) / 9) as usize],
    };
    format!("big: {}\n", "z".repeat(of)).into_bytes()
}
