//! A history on its way: its steps, and what is looked at after each hook.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use juju_model::{HookRun, Next};
use juju_names::{AppName, UnitName};
use pgbouncer::Version;

use super::apps::{self, Apps};
use super::operate::operate;
use crate::World;
use crate::check;
use crate::fault::{Effects, Fault, Injection, Port};
use crate::history::{Client, History, Op, Step, Which};
use crate::juju::hook::{self, Ran};
use crate::world::{State, inject, restart, turn_pause};

/// The PgBouncer of an old image.
const OLD: Version = Version { minor: 18, patch: 0 };

/// The longest that a hook may wait before `start` has run, while nothing is spoilt: as long as a
/// member looks for a primary that another unit has to bring back, and not as long as it may take
/// to start.
const LATE_MAX: Duration = Duration::from_secs(14);

/// What two looks of a unit's Patroni at the cluster take longer than they do by default: a leader
/// waits for them before it restarts members.
fn two_looks(state: &State, unit: &UnitName) -> Duration {
    let config = state.model.application(unit.app()).map(|app| app.effective_config());
    let wait = config.and_then(|config| config.get("loop_wait").cloned().flatten()?.as_u64());
    Duration::from_secs(2 * wait.unwrap_or(1).saturating_sub(1))
}

/// The most that is said to be wrong in one history.
const WRONG_MAX: usize = 40;

/// What playing a history gave.
#[derive(Debug, Clone, Default)]
pub struct Played {
    /// Hooks that ran.
    pub hooks: u64,
    /// Faults that struck, by name.
    pub faults: BTreeMap<Fault, u64>,
    /// What is wrong; nothing in a good history.
    pub wrong: Vec<String>,
    /// What happened, if the trace was asked for.
    pub trace: Vec<String>,
    /// The effects of each hook, and those on each port.
    pub(crate) effects: Vec<(u32, Effects)>,
    /// How many hooks ran before peace came.
    pub(crate) before_peace: u64,
    /// The name of each hook.
    pub(crate) names: Vec<String>,
    /// The steps of operators that Juju took.
    pub(crate) taken: Vec<Op>,
    /// What can be seen of the world at its end.
    pub(crate) view: Vec<String>,
}

/// A history on its way.
pub(crate) struct Run {
    pub(crate) world: Arc<World>,
    pub(crate) apps: Apps,
    slow: bool,
    tracing: bool,
    /// A fault for the hook of this number.
    pub(crate) strike: Option<(u64, Injection)>,
    pub(super) watch: check::Watch,
    /// Whether nothing is spoilt, so that no hook has a reason to fail.
    pub(crate) calm: bool,
    /// Whether no fault strikes, so that no hook has a reason to keep `start` waiting.
    pub(crate) unspoilt: bool,
    /// Processes, with the boots of their containers, at which no client may be cut off now.
    pub(crate) served: Vec<(UnitName, String, u64)>,
    pub(crate) played: Played,
}

/// What a unit does next.
pub(super) enum Due {
    /// A hook.
    Hook(Box<HookRun>),
    /// Its pod is replaced.
    Replacement,
}

/// What is due on a unit; one that is gone goes.
fn due(state: &mut State, unit: &UnitName) -> Option<Due> {
    let now = state.now();
    // An application may have waited for the hook of another.
    apps::forget(state);
    match state.model.next(unit, now) {
        Next::Hook(run) => return Some(Due::Hook(Box::new(run))),
        Next::Gone => {
            state.drop_unit(unit);
            apps::forget(state);
        }
        Next::Restart => restart(state, unit),
        Next::Idle { .. } => return state.may_replace(unit).then_some(Due::Replacement),
    }
    None
}

impl Run {
    /// Deploys everything; nothing is related yet.
    pub(crate) fn begin(history: &History, tracing: bool) -> Option<Self> {
        let world = World::new(history.seed)?;
        let mut run = Self {
            world,
            apps: Apps {
                clients: history.clients.clone(),
                units: history.units,
                databases: history.databases,
            },
            slow: history.slow,
            tracing,
            strike: None,
            watch: check::Watch::default(),
            calm: false,
            unspoilt: false,
            served: Vec::new(),
            played: Played::default(),
        };
        if history.shuffled {
            run.world.change(|state| state.model.shuffle(Some(history.seed)));
        }
        if history.old_image {
            run.world.change(|state| state.far.version = OLD);
        }
        if tracing {
            run.world.change(|state| state.gate.lines = Some(Vec::new()));
        }
        let stale = |step: &Step| {
            matches!(step, Step::Hook(_, Some(Injection { fault: Fault::StaleBag, .. })))
        };
        if history.steps.iter().any(stale) {
            run.world.change(|state| state.read = Some(BTreeMap::new()));
        }
        let clients = (0..history.clients.len()).map(Which::Client);
        for which in [Which::Server, Which::Pooler].into_iter().chain(clients) {
            let alone = which == Which::Pooler && history.units == 0 && history.databases > 0;
            if !alone && !run.world.change(|state| run.apps.deploy(state, which)) {
                run.played.wrong.push(format!("cannot deploy {which:?}"));
            }
        }
        Some(run)
    }

    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.tracing {
            self.played.trace.push(line());
        }
    }

    /// Takes one step of the history.
    pub(super) fn step(&mut self, step: &Step) {
        if !matches!(step, Step::Hook(..)) {
            self.tell(|| step.to_string());
        }
        match step {
            Step::Op(op) => {
                if self.operate(op) {
                    self.played.taken.push(op.clone());
                } else {
                    self.tell(|| "  refused".to_owned());
                }
            }
            Step::Hook(pick, injection) => self.hook(*pick, *injection),
            Step::Strike(fault, pick) => {
                *self.played.faults.entry(*fault).or_default() += 1;
                self.world.change(|state| inject(state, *fault, *pick));
            }
            Step::Pause(pick) => self.world.change(|state| turn_pause(state, *pick)),
        }
        self.world.change(|state| state.tend());
    }

    /// Does what an operator asks; whether Juju takes it.
    pub(crate) fn operate(&mut self, op: &Op) -> bool {
        self.world.change(|state| operate(state, &self.apps, op))
    }

    /// The units that have something due, with it.
    pub(super) fn due(&mut self) -> Vec<(UnitName, Due)> {
        self.world.change(|state| {
            let units = state.units().into_iter();
            units.filter_map(|unit| due(state, &unit).map(|due| (unit, due))).collect()
        })
    }

    /// The first of them, with what is due on it.
    pub(super) fn first_due(&mut self) -> Option<(UnitName, Due)> {
        self.first_due_besides(&mut BTreeSet::new())
    }

    /// As [`Self::first_due`], without another look at units that were idle; whichever is idle
    /// now is added to them.
    pub(super) fn first_due_besides(
        &mut self,
        idle: &mut BTreeSet<UnitName>,
    ) -> Option<(UnitName, Due)> {
        self.world.change(|state| {
            for unit in state.units() {
                if idle.contains(&unit) {
                    continue;
                }
                match due(state, &unit) {
                    Some(due) => return Some((unit, due)),
                    None => drop(idle.insert(unit)),
                }
            }
            None
        })
    }

    /// Runs one hook of one unit, where one is due.
    fn hook(&mut self, pick: u32, injection: Option<Injection>) {
        let mut due = self.due();
        self.world.change(|state| {
            state.delayed.retain(|_, left| {
                *left = left.saturating_sub(1);
                *left > 0
            });
            due.retain(|(unit, _)| !state.delayed.contains_key(unit));
            state.count_leaderless();
        });
        if due.is_empty() {
            return;
        }
        let (unit, due) = due.swap_remove(pick as usize % due.len());
        if !self.slow {
            self.world.change(|state| {
                state.pass(SignedDuration::from_secs(20));
                state.run_patroni();
            });
        }
        self.run_due(&unit, due, injection);
    }

    /// Runs what is due on a unit, or replaces its pod.
    pub(super) fn run_due(
        &mut self,
        unit: &UnitName,
        due: Due,
        injection: Option<Injection>,
    ) -> Option<Ran> {
        let run = match due {
            Due::Hook(run) => *run,
            Due::Replacement => {
                if self.unspoilt {
                    self.look(|state, _| check::replaced(state, unit));
                }
                self.world.change(|state| {
                    state.replace_pod(unit);
                    state.tend();
                });
                return None;
            }
        };
        let number = self.played.hooks;
        let planned = self.strike.filter(|(hook, _)| *hook == number).map(|(_, planned)| planned);
        let before = planned.map(|_| self.granted());
        let ran = hook::run(&self.world, run, injection.or(planned));
        self.note(&ran, unit);
        if let (Some(before), Some(fault)) = (before, ran.struck)
            && fault.port() == Some(Port::Sql)
        {
            self.look(|state, clients| check::unopened(state, clients, &before));
        }
        Some(ran)
    }

    fn granted(&self) -> Vec<AppName> {
        self.world.look(|state| check::granted(state, &self.apps.clients))
    }

    fn note(&mut self, ran: &Ran, unit: &UnitName) {
        self.played.hooks += 1;
        self.played.effects.push((ran.effects, ran.by_port));
        self.played.names.push(ran.name.clone());
        if let Some(fault) = ran.struck {
            *self.played.faults.entry(fault).or_default() += 1;
        }
        if ran.panicked {
            self.played.wrong.push(format!("{}: the charm's code panicked", ran.name));
        }
        if let Some(error) = ran.error.as_ref().filter(|_| self.calm) {
            self.played.wrong.push(format!("{} failed without a cause: {error}", ran.name));
        }
        if let (Some(Fault::PeersLate), Some(error)) = (ran.struck, &ran.error) {
            self.played.wrong.push(format!("{} fails without its peers: {error}", ran.name));
        }
        // A Patroni without rights does not come up, and only its operator can help it.
        let trusted =
            |state: &State| state.model.application(unit.app()).is_some_and(|app| app.trust);
        let unspoilt = self.unspoilt && self.world.look(trusted);
        let most = LATE_MAX + self.world.look(|state| two_looks(state, unit));
        if let Some(late) = ran.late.filter(|late| unspoilt && *late > most) {
            let text = format!("{} waits {} s, and start with it", ran.name, late.as_secs());
            self.played.wrong.push(text);
        }
        if self.calm {
            self.look(|state, _| check::failed_changes(state));
            if ran.name.ends_with(" set-password") {
                self.look(|state, _| check::unknown_passwords(state));
            }
        }
        self.tell(|| {
            let error = ran.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
            let writes = ran.written;
            format!("  {} ({} effects, {writes} writes){error}", ran.name, ran.effects)
        });
        if self.tracing {
            let lines = ran.lines.iter().map(|line| format!("      {line}"));
            self.played.trace.extend(lines);
        }
        let wrong = self.world.look(|state| check::always(state, &mut self.watch, Some(unit)));
        self.blame(wrong);
        if let (Some(_), Some(fault)) = (self.strike, ran.struck) {
            let unit = unit.clone();
            self.look(|state, clients| check::lies(state, clients, &unit, fault));
        }
        if ran.struck.is_none() && ran.error.is_none() && ran.name.ends_with("update-status") {
            let unit = unit.clone();
            self.look(|state, _| check::claims(state, &unit));
        }
        if !self.served.is_empty() {
            let served = std::mem::take(&mut self.served);
            self.look(|state, clients| check::cut_off(state, clients, &served));
            self.served = served;
        }
    }

    /// Records what a check finds wrong with the world.
    pub(crate) fn look(&mut self, find: impl Fn(&State, &[Client]) -> Vec<String>) {
        let found = self.world.look(|state| find(state, &self.apps.clients));
        self.blame(found);
    }

    /// Notes what is wrong, each once.
    pub(crate) fn blame(&mut self, wrong: Vec<String>) {
        for text in wrong {
            if !self.played.wrong.contains(&text) && self.played.wrong.len() < WRONG_MAX {
                self.tell(|| format!("    WRONG: {text}"));
                self.played.wrong.push(text);
            }
        }
    }
}
