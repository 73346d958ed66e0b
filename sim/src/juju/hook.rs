//! One hook of one unit: the charm's code, to its end or its death.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use juju_charm::{Charm, Environment, Vars};
use juju_model::{Hook, HookOutcome, HookRun};

use crate::World;
use crate::fault::{Effects, Fault, Injection, Killed};
use crate::juju::apps::{self, Kind, OLDER};
use crate::juju::echo::Seen;
use crate::juju::tools::InProcess;
use crate::mutant::{self, Planted};
use crate::ports::Simulated;

/// How a hook ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ran {
    /// The unit and the hook.
    pub(crate) name: String,
    /// How much it changed outside.
    pub(crate) written: u32,
    /// What that was, one line each, where a trace is wanted.
    pub(crate) writes: Vec<String>,
    /// How many effects it had.
    pub(crate) effects: u32,
    /// How many of them on each port.
    pub(crate) by_port: Effects,
    /// The fault that struck it.
    pub(crate) struck: Option<Fault>,
    /// Why it failed.
    pub(crate) error: Option<String>,
    /// Whether the charm's code panicked.
    pub(crate) panicked: bool,
    /// How long it waited, where `start` waits for its end.
    pub(crate) late: Option<Duration>,
    /// What it did, for the trace.
    pub(crate) lines: Vec<String>,
}

/// How long what runs by itself waits between two looks.
const TICK: Duration = Duration::from_secs(1);

thread_local! {
    static RUNTIME: RefCell<Option<tokio::runtime::Runtime>> = const { RefCell::new(None) };
}

/// Runs a future on a clock that jumps to the next timer whenever everything waits.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> Option<T> {
    RUNTIME.with(|slot| {
        let mut slot = slot.borrow_mut();
        if slot.is_none() {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            *slot = builder.enable_time().start_paused(true).build().ok();
        }
        Some(slot.as_ref()?.block_on(future))
    })
}

/// Lets what runs by itself go on while a hook waits.
pub(crate) async fn alongside<T>(world: &Arc<World>, hook: impl Future<Output = T>) -> T {
    if world.look(|state| state.far.patroni.is_empty()) {
        return hook.await;
    }
    tokio::select! {
        biased;
        ended = hook => ended,
        never = ticks(world) => match never {},
    }
}

async fn ticks(world: &Arc<World>) -> Infallible {
    loop {
        tokio::time::sleep(TICK).await;
        world.change(|state| {
            state.pass(SignedDuration::from_secs(1));
            state.run_patroni();
        });
    }
}

/// Dispatches the event to a charm of the framework.
fn dispatch<C: Charm>(world: &Arc<World>, mut charm: C, vars: &Vars) -> Result<(), String> {
    let mut environment = Environment::parse(vars).map_err(|error| error.to_string())?;
    let containers = world.look(|state| {
        let app = state.model.application(environment.unit.app());
        let names = app.map(|app| app.charm.containers.keys().cloned().collect::<Vec<_>>());
        names.unwrap_or_default()
    });
    let sockets = containers.into_iter().map(|name| (name, "/socket".into()));
    environment.sockets = Some(sockets.collect());
    let tools = InProcess { world: world.clone(), unit: environment.unit.clone() };
    // In a box, for it is large and handed on several times.
    let run = Box::pin(juju_charm::dispatch(&mut charm, environment, vars, Box::new(tools)));
    let timed = async {
        let begun = tokio::time::Instant::now();
        let ended = alongside(world, run).await;
        world.change(|state| state.waited = begun.elapsed());
        ended
    };
    let ended = block_on(timed).ok_or("cannot start the runtime")?;
    ended.map_err(|error| error.to_string())
}

/// Runs the charm's code for a hook.
fn code(world: &Arc<World>, run: &HookRun) -> Result<(), String> {
    let (mut vars, charm) = world.look(|state| {
        let app = state.model.application(run.unit.app());
        (state.model.environment(run), app.map(|app| app.charm.name.clone()))
    });
    if world.change(|state| state.misses(run)) {
        return Ok(());
    }
    mutant::enter(run.unit.app().as_str());
    if mutant::is_planted() && mutant::ignores(&run.hook.name()) {
        return Ok(());
    }
    if let Some(name) = mutant::unset() {
        vars.remove(name);
    }
    // As Juju does where the agent has started since the relation was made.
    if matches!(run.hook, Hook::RelationBroken { .. })
        && world.look(|state| state.restarted_agents.contains(&run.unit))
    {
        vars.insert("JUJU_REMOTE_APP".into(), String::new());
    }
    let ports = Simulated { world: world.clone(), unit: run.unit.clone() };
    match Kind::of(charm.as_deref().unwrap_or_default()) {
        Kind::Pooler if matches!(&run.hook, Hook::Exec { command, .. } if command == OLDER) => {
            world.change(apps::older)
        }
        Kind::Pooler => {
            let charm = pgbouncer_k8s::PgBouncer::new(Box::new(ports));
            if mutant::is_planted() {
                return dispatch(world, Planted(charm), &vars);
            }
            dispatch(world, charm, &vars)
        }
        Kind::Client => dispatch(world, data_integrator::DataIntegrator, &vars),
        Kind::Database => {
            let charm = postgresql_k8s::Postgresql::new(Box::new(ports));
            if mutant::is_planted() {
                return dispatch(world, Planted(charm), &vars);
            }
            dispatch(world, charm, &vars)
        }
        Kind::Server => world.change(|state| apps::server(state, run)),
        Kind::OldClient => world.change(|state| apps::old_client(state, run)),
    }
}

/// Runs a hook with this injection, and commits or drops what it wrote. An agent that dies
/// before it has noted the end of a hook runs it again.
pub(crate) fn run(world: &Arc<World>, run: HookRun, plan: Option<Injection>) -> Ran {
    let twice = plan.is_some_and(|plan| plan.fault == Fault::HookTwice);
    let copy = if twice && !run.hook.is_operation() { Some(run.clone()) } else { None };
    let before = world.look(|state| state.echoes.then(|| Seen::of(state, &run)));
    let mut ran = once(world, run, plan);
    let before = before.filter(|_| ran.error.is_none());
    for echo in before.map(|before| before.echoes(world)).unwrap_or_default() {
        let heard = once(world, echo, None);
        ran.written += heard.written;
        ran.writes.extend(heard.writes);
        ran.error = heard.error;
    }
    let Some(copy) = copy.filter(|_| ran.struck == Some(Fault::HookTwice) && ran.error.is_none())
    else {
        return ran;
    };
    let again = once(world, copy, None);
    world.change(|state| state.gate.written += 1);
    Ran { struck: ran.struck, effects: ran.effects, ..again }
}

fn once(world: &Arc<World>, run: HookRun, plan: Option<Injection>) -> Ran {
    world.change(|state| {
        state.pass(SignedDuration::from_secs(1));
        state.run_patroni();
        state.gate.open(plan);
        state.dead = false;
        state.waited = Duration::ZERO;
        let now = state.now();
        state.session = Some(state.model.begin(&run, now));
    });
    let mut ran = Ran { name: name(&run), ..Ran::default() };
    let ended = catch_unwind(AssertUnwindSafe(|| code(world, &run)));
    let outcome = match ended {
        // A death in a task of the hook's is the hook's.
        Ok(_) if world.look(|state| state.dead) => {
            ran.error = Some("killed".to_owned());
            HookOutcome::Killed
        }
        Ok(Ok(())) => HookOutcome::Exited(0),
        Ok(Err(error)) => {
            ran.error = Some(error);
            HookOutcome::Exited(1)
        }
        Err(payload) if payload.is::<Killed>() => {
            ran.error = Some("killed".to_owned());
            HookOutcome::Killed
        }
        Err(_) => {
            ran.panicked = true;
            ran.error = Some("the charm's code panicked".to_owned());
            HookOutcome::Killed
        }
    };
    world.change(|state| {
        let now = state.now();
        ran.late = state.far.starting.contains(&run.unit).then_some(state.waited);
        if run.hook == Hook::Start && matches!(outcome, HookOutcome::Exited(0)) {
            state.far.starting.remove(&run.unit);
        }
        if let Some(session) = state.session.take()
            && let Err(error) = state.model.finish(run, session, outcome, now)
        {
            ran.error.get_or_insert(error.to_string());
        }
        ran.written = state.gate.written;
        ran.writes = state.gate.writes.clone().unwrap_or_default();
        ran.effects = state.gate.effects();
        ran.by_port = state.gate.seen();
        ran.struck = state.gate.struck();
        ran.lines = state.gate.lines.clone().unwrap_or_default();
        drop(state.model.take_log());
        state.watch_backends();
    });
    ran
}

/// What most names of hooks fit into.
const NAME_BYTES: usize = 96;

fn name(run: &HookRun) -> String {
    let mut text = String::with_capacity(NAME_BYTES);
    // A text takes everything.
    write!(text, "{} {}", run.unit, run.hook.name()).ok();
    match &run.hook {
        Hook::SecretChanged { label, .. } => write!(text, " {label}").ok(),
        Hook::SecretRemove { label, revision, .. } => write!(text, " {label}/{revision}").ok(),
        _ => None,
    };
    if let Some(event) = run.hook.relation() {
        write!(text, " #{}", event.id).ok();
    }
    if let Some(unit) = run.hook.remote_unit() {
        write!(text, " {unit}").ok();
    }
    text
}
