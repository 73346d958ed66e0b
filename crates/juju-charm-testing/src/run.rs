//! One event: the charm runs as a hook of the model, with the engine's hook tools.

use std::cell::RefCell;
use std::rc::Rc;

use juju_charm::{Bag, Charm, Environment, Event, ToolError, Tools};
use juju_model::{ActionStatus, Hook, HookOutcome, HookRun, Model, Session};
use serde_json::{Map, Value};

use crate::Impossible;
use crate::world::{NOW, World};

/// What one run did.
pub struct Ran {
    /// Whether the hook succeeded; otherwise what went wrong, and Juju has dropped every
    /// buffered write.
    pub result: Result<(), String>,
    /// The world afterwards.
    pub world: World,
    /// The names of the hook tools called, in order.
    pub tools: Vec<String>,
    /// The lines logged: level and text. Juju puts the relation of a relation's hook before them.
    pub logs: Vec<(String, String)>,
    /// The action's results, by dotted key.
    pub results: Bag,
    /// The message of the action's failure.
    pub failure: Option<String>,
}

impl Ran {
    /// How often a tool was called.
    pub fn calls(&self, tool: &str) -> usize {
        self.tools.iter().filter(|name| *name == tool).count()
    }
}

/// A hook that runs.
#[derive(Clone)]
struct Running {
    model: Model,
    session: Session,
    calls: Vec<String>,
}

/// The hook tools of a hook that runs.
struct InProcess(Rc<RefCell<Running>>);

impl Tools for InProcess {
    fn call(
        &mut self,
        tool: &str,
        args: &[&str],
        stdin: Option<&str>,
    ) -> Result<String, ToolError> {
        let Running { model, session, calls } = &mut *self.0.borrow_mut();
        calls.push(tool.to_owned());
        let mut tools = model.tools(session, NOW);
        let answer = juju_hooktools::run(&mut tools, tool, args, stdin.map(str::as_bytes));
        if answer.code == 0 {
            return Ok(String::from_utf8_lossy(&answer.stdout).into_owned());
        }
        let message = String::from_utf8_lossy(&answer.stderr).trim().to_owned();
        let message = message.strip_prefix("ERROR ").map(str::to_owned).unwrap_or(message);
        Err(ToolError::Refused { tool: tool.to_owned(), code: answer.code.into(), message })
    }

    fn call_with_file(
        &mut self,
        tool: &str,
        args: &[&str],
        content: &str,
    ) -> Result<String, ToolError> {
        self.call(tool, &[args, &["--file", "/content"]].concat(), Some(content))
    }
}

impl World {
    /// Sends one event to the charm.
    ///
    /// # Errors
    /// When Juju would never produce this world or send this event in it. That the hook
    /// fails is no error: see [`Ran::result`].
    pub fn run<C: Charm>(self, charm: C, event: &Event) -> Result<Ran, Impossible> {
        self.run_with(charm, event, Map::new())
    }

    /// Runs an action with parameters; defaults come from `actions.yaml`.
    ///
    /// # Errors
    /// As [`World::run`].
    pub fn run_action<C: Charm>(
        self,
        charm: C,
        name: &str,
        params: &[(&str, Value)],
    ) -> Result<Ran, Impossible> {
        let params = params.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        let event = Event::Action { name: name.to_owned(), id: String::new() };
        self.run_with(charm, &event, params)
    }

    fn run_with<C: Charm>(
        self,
        charm: C,
        event: &Event,
        params: Map<String, Value>,
    ) -> Result<Ran, Impossible> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Impossible(vec![error.to_string()]))?;
        runtime.block_on(self.run_async(charm, event, params))
    }

    /// As [`World::run`], inside a runtime that is there already.
    ///
    /// # Errors
    /// As [`World::run`].
    pub async fn run_async<C: Charm>(
        mut self,
        mut charm: C,
        event: &Event,
        params: Map<String, Value>,
    ) -> Result<Ran, Impossible> {
        let hook = self.hook(event, params)?;
        let unit = self.unit.clone();
        let run = self.model.given_hook(&unit, hook);
        let session = self.model.begin(&run, NOW);
        self.model.take_log();
        let mut vars = self.model.environment(&run);
        vars.insert("JUJU_CHARM_DIR".into(), "/charm-dir".to_owned());
        let environment = Environment::parse(&vars);
        let mut environment = environment.map_err(|error| Impossible(vec![error.to_string()]))?;
        environment.sockets = Some(self.containers.clone());
        let model = self.model.clone();
        let running = Rc::new(RefCell::new(Running { model, session, calls: Vec::new() }));
        let tools = Box::new(InProcess(Rc::clone(&running)));
        let dispatched = juju_charm::dispatch(&mut charm, environment, &vars, tools).await;
        let dispatched = dispatched.map_err(|error| error.to_string());
        let running = running.borrow().clone();
        Ok(self.ended(running, run, dispatched))
    }

    /// Ends the hook and looks at what it left.
    fn ended(mut self, running: Running, run: HookRun, dispatched: Result<(), String>) -> Ran {
        let Running { mut model, session, calls: tools } = running;
        let action = match &run.hook {
            Hook::Action { id, .. } => Some(*id),
            _ => None,
        };
        let outcome = HookOutcome::Exited(i32::from(dispatched.is_err()));
        let ended = model.finish(run, session, outcome, NOW).map_err(|error| error.to_string());
        let said = model.take_log().into_iter().filter(|line| line.module.ends_with(".juju-log"));
        let lines = |(level, text): (String, String)| {
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.into_iter().map(move |line| (level.clone(), line))
        };
        let logs = said.map(|line| (line.level, line.message)).flat_map(lines).collect();
        let action = action.and_then(|id| model.action(id));
        let failed = action.filter(|action| action.status == ActionStatus::Failed);
        let failure = failed.map(|action| action.message.clone());
        let mut results = Bag::new();
        if let Some(action) = action {
            flatten("", &action.results, &mut results);
            results.remove("return-code");
        }
        self.model = model;
        Ran { result: dispatched.and(ended), world: self, tools, logs, results, failure }
    }
}

/// Nested results under dotted keys.
fn flatten(path: &str, value: &Value, flat: &mut Bag) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, flat);
            }
        }
        Value::String(text) => drop(flat.insert(path.to_owned(), text.clone())),
        other => drop(flat.insert(path.to_owned(), other.to_string())),
    }
}
