//! Plays a history: steps, then peace, then the checks.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use model::{Deploy, Next};
use names::{AppName, UnitName};
use pgbouncer::Version;

use super::{Client, History, Op, POOLER, SERVER, Step, database};
use crate::apps::{Kind, ROTATE};
use crate::gate::{Fault, Mischief};
use crate::hook::{self, Ran};
use crate::sql::Cluster;
use crate::world::State;
use crate::{World, check, kube, patroni};

/// Rounds of update-status after the faults have stopped.
const ROUNDS: u32 = 4;

/// The PgBouncer of an old image.
const OLD: Version = Version { minor: 18, patch: 0 };
/// The most looks at what runs by itself.
const REST: u32 = 60;

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
    /// The effects of each hook.
    pub(crate) effects: Vec<u32>,
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
    clients: Vec<Client>,
    slow: bool,
    tracing: bool,
    /// A fault for the hook of this number.
    pub(crate) strike: Option<(u64, Mischief)>,
    watch: check::Watch,
    pub(crate) played: Played,
}

/// Plays a history and, without faults, what its operators did; both must end alike.
pub fn play(history: &History, tracing: bool) -> Played {
    let Some(mut run) = Run::begin(history, tracing) else { return Played::default() };
    for step in &history.steps {
        run.step(step);
    }
    run.end();
    let mut played = run.played;
    if played.wrong.is_empty() {
        compare(history, &mut played, tracing);
    }
    played
}

/// Plays what the operators did once more, each time until nothing is due.
fn compare(history: &History, played: &mut Played, tracing: bool) {
    let Some(mut clean) = Run::begin(history, tracing) else { return };
    for op in &played.taken {
        clean.settle();
        clean.tell(|| format!("operator: {op:?}"));
        clean.operate(op);
    }
    clean.promptly();
    clean.end();
    clean.played.trace.insert(0, "the same without faults".to_owned());
    if tracing {
        played.trace.append(&mut clean.played.trace);
    }
    played.hooks += clean.played.hooks;
    let wrong = clean.played.wrong.iter().map(|text| format!("without faults: {text}"));
    played.wrong.extend(wrong);
    // Who led last, and so who may lead when fewer units come back, is a matter of chance.
    let headless = |view: &[String]| view == [check::HEADLESS];
    if headless(&clean.played.view) || headless(&played.view) {
        return;
    }
    if clean.played.view == played.view {
        return;
    }
    let lines = |view: &[String], other: &[String], sign: char| {
        let only = view.iter().filter(|line| !other.contains(line));
        only.map(|line| format!("{sign} {line}")).collect::<Vec<_>>()
    };
    let mut text = vec!["the world differs from the one without faults".to_owned()];
    text.extend(lines(&clean.played.view, &played.view, '-'));
    text.extend(lines(&played.view, &clean.played.view, '+'));
    played.wrong.push(text.join("\n    "));
}

fn app(name: &str) -> Option<AppName> {
    name.parse().ok()
}

/// Whether a unit has a hook to run or a pod to replace; one that is gone goes.
fn is_due(state: &mut State, unit: &UnitName) -> bool {
    let now = state.now();
    match state.model.next(unit, now) {
        Next::Hook(_) => true,
        Next::Gone => {
            state.replace_pod(unit);
            state.model.unit_gone(unit);
            state.model.lease_tick(now);
            false
        }
        Next::Restart => {
            super::strike::restart(state, unit);
            false
        }
        Next::Idle { .. } => state.may_replace(unit),
    }
}

impl Run {
    /// Deploys everything; nothing is related yet.
    pub(crate) fn begin(history: &History, tracing: bool) -> Option<Self> {
        let world = World::new(history.seed)?;
        let mut run = Self {
            world,
            clients: history.clients.clone(),
            slow: history.slow,
            tracing,
            strike: None,
            watch: check::Watch::default(),
            played: Played::default(),
        };
        if history.old_image {
            run.world.change(|state| state.version = OLD);
        }
        if tracing {
            run.world.change(|state| state.gate.lines = Some(Vec::new()));
        }
        let stale = |step: &Step| {
            matches!(step, Step::Hook(_, Some(Mischief { fault: Fault::StaleBag, .. })))
        };
        if history.steps.iter().any(stale) {
            run.world.change(|state| state.read = Some(BTreeMap::new()));
        }
        match history.databases {
            0 => run.deploy(SERVER, Kind::Server, 1, &[]),
            units => run.deploy(SERVER, Kind::Database, units, &[]),
        }
        if history.units > 0 || history.databases == 0 {
            run.deploy(POOLER, Kind::Pooler, history.units, &[]);
        }
        for (index, client) in history.clients.iter().enumerate() {
            let kind = if client.old { Kind::OldClient } else { Kind::Client };
            let options = [
                ("database-name", client.database.as_str()),
                ("extra-user-roles", client.roles.as_str()),
            ];
            let options = if client.old { &[][..] } else { &options[..] };
            run.deploy(&client.app(index), kind, 1, options);
        }
        Some(run)
    }

    fn deploy(&mut self, name: &str, kind: Kind, units: u32, options: &[(&str, &str)]) {
        let (Some(app), Ok(charm)) = (app(name), kind.charm()) else {
            return self.played.wrong.push(format!("cannot deploy {name}"));
        };
        let config = options.iter().filter(|(_, value)| !value.is_empty());
        let config = config.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let deploy = Deploy {
            app: app.clone(),
            charm,
            charm_ref: name.to_owned(),
            units,
            config: config.collect(),
            trust: true,
        };
        self.world.change(|state| {
            kube::put_application(&state.kube, &app);
            match kind {
                Kind::Server => drop(state.clusters.insert(app, Cluster::new())),
                Kind::Database => {
                    let now = state.now().as_second();
                    let seed = state.entropy.draw();
                    state.patroni.insert(app.clone(), patroni::Cluster::new(now, seed));
                    state.clusters.insert(app, Cluster::of_initdb(BTreeMap::new()));
                }
                _ => {}
            }
            let now = state.now();
            drop(state.model.deploy(now, deploy));
            state.tend();
        });
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.tracing {
            self.played.trace.push(line());
        }
    }

    fn step(&mut self, step: &Step) {
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
            Step::Hook(pick, mischief) => self.hook(*pick, *mischief),
            Step::Strike(fault, pick) => {
                *self.played.faults.entry(*fault).or_default() += 1;
                self.world.change(|state| crate::history::strike(state, *fault, *pick));
            }
        }
        self.world.change(|state| state.tend());
    }

    /// Does what an operator asks; whether Juju takes it.
    pub(crate) fn operate(&mut self, op: &Op) -> bool {
        let name = |index: usize| self.clients.get(index).map(|client| client.app(index));
        let endpoint = |index: usize| {
            let client = self.clients.get(index);
            format!("{POOLER}:{}", client.map_or("database", Client::endpoint))
        };
        let Some(pooler) = app(POOLER) else { return false };
        self.world.change(|state| {
            let now = state.now();
            let server = format!("{SERVER}:database");
            let backend = format!("{POOLER}:backend-database");
            let model = &mut state.model;
            let taken = match op {
                Op::Relate(index) => {
                    let Some(name) = name(*index) else { return false };
                    model.integrate(now, &endpoint(*index), &name).is_ok()
                }
                Op::Part(index) => {
                    let Some(name) = name(*index) else { return false };
                    model.remove_relation(now, &endpoint(*index), &name).is_ok()
                }
                Op::Backend => model.integrate(now, &backend, &server).is_ok(),
                Op::NoBackend => model.remove_relation(now, &backend, &server).is_ok(),
                Op::Config(key, value) => {
                    let set = BTreeMap::from([((*key).to_owned(), (*value).to_owned())]);
                    model.set_config(now, &pooler, set).is_ok()
                }
                Op::Scale(units) => model.scale(now, &pooler, *units).is_ok(),
                Op::Refresh => {
                    let charm = model.application(&pooler).map(|app| app.charm.clone());
                    let Some(charm) = charm else { return false };
                    model.refresh(now, &pooler, charm, POOLER.to_owned()).is_ok()
                }
                Op::Action => {
                    let unit = model.units(&pooler).next().map(|unit| unit.name.clone());
                    let Some(unit) = unit else { return false };
                    let action = "get-console-credentials";
                    model.enqueue_action(now, &unit, action, Default::default()).is_ok()
                }
                Op::Rotate if state.patroni.is_empty() => {
                    let leader =
                        app(SERVER).and_then(|app| model.application(&app)?.leader.clone());
                    let Some(leader) = leader else { return false };
                    model.enqueue_exec(&leader, ROTATE).is_ok()
                }
                Op::Rotate => false,
                Op::Trust(trusted) => model.set_trust(&pooler, *trusted).is_ok(),
                Op::Direct(index) => {
                    let Some(name) = name(*index) else { return false };
                    model.integrate(now, &server, &name).is_ok()
                }
                Op::PartDirect(index) => {
                    let Some(name) = name(*index) else { return false };
                    model.remove_relation(now, &server, &name).is_ok()
                }
                Op::Database(op) => database::operate(state, op),
            };
            state.tend();
            taken
        })
    }

    /// The units that have a hook due, with it.
    fn due(&mut self) -> Vec<UnitName> {
        self.world.change(|state| {
            let mut units = state.units();
            units.retain(|unit| is_due(state, unit));
            units
        })
    }

    /// The first of them.
    fn first_due(&mut self) -> Option<UnitName> {
        self.world.change(|state| state.units().into_iter().find(|unit| is_due(state, unit)))
    }

    /// Runs one hook of one unit, where one is due.
    fn hook(&mut self, pick: u32, mischief: Option<Mischief>) {
        let due = self.due();
        let Some(unit) = due.get(pick as usize % due.len().max(1)) else { return };
        if !self.slow {
            self.world.change(|state| {
                state.pass(SignedDuration::from_secs(20));
                patroni::run(state);
            });
        }
        self.run_one(unit, mischief);
    }

    /// Runs what is due on a unit, or replaces its pod.
    fn run_one(&mut self, unit: &UnitName, mischief: Option<Mischief>) -> Option<Ran> {
        let next = self.world.change(|state| {
            let now = state.now();
            let next = state.model.next(unit, now);
            if let Next::Idle { .. } = next
                && state.may_replace(unit)
            {
                state.replace_pod(unit);
                state.tend();
            }
            next
        });
        let Next::Hook(run) = next else { return None };
        let number = self.played.hooks;
        let planned = self.strike.filter(|(hook, _)| *hook == number).map(|(_, planned)| planned);
        let ran = hook::run(&self.world, run, mischief.or(planned));
        self.note(&ran, unit);
        Some(ran)
    }

    fn note(&mut self, ran: &Ran, unit: &UnitName) {
        self.played.hooks += 1;
        self.played.effects.push(ran.effects);
        self.played.names.push(ran.name.clone());
        if let Some(fault) = ran.struck {
            *self.played.faults.entry(fault).or_default() += 1;
        }
        if ran.panicked {
            self.played.wrong.push(format!("{}: the charm's code panicked", ran.name));
        }
        self.tell(|| {
            let error = ran.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
            let writes = ran.writes.len();
            format!("  {} ({} effects, {writes} writes){error}", ran.name, ran.effects)
        });
        if self.tracing {
            let lines = ran.lines.iter().map(|line| format!("      {line}"));
            self.played.trace.extend(lines);
        }
        let wrong = self.world.look(|state| check::always(state, &mut self.watch, Some(unit)));
        self.blame(wrong);
    }

    /// Notes what is wrong, each once.
    fn blame(&mut self, wrong: Vec<String>) {
        for text in wrong {
            if !self.played.wrong.contains(&text) && self.played.wrong.len() < WRONG_MAX {
                self.tell(|| format!("    WRONG: {text}"));
                self.played.wrong.push(text);
            }
        }
    }

    /// Runs hooks without faults until nothing is due; whether that came within a bound.
    pub(crate) fn settle(&mut self) -> bool {
        let bound = 100 + 80 * self.world.look(|state| state.units().len());
        for _ in 0..bound {
            self.world.change(|state| {
                state.tend();
                state.retry_failed();
            });
            let Some(unit) = self.first_due().or_else(|| self.await_due()) else { return true };
            self.run_one(&unit, None);
        }
        false
    }

    /// Lets what runs by itself come to rest; a unit that has a hook due then.
    fn await_due(&mut self) -> Option<UnitName> {
        for _ in 0..REST {
            if self.world.change(patroni::rests) {
                return None;
            }
            if let Some(unit) = self.first_due() {
                return Some(unit);
            }
        }
        None
    }

    /// Makes update-status due and runs it everywhere; what was written.
    fn round(&mut self) -> Vec<String> {
        let interval = self.world.look(|state| state.model.update_status_interval());
        let seconds = i64::try_from(interval).unwrap_or(300) + 1;
        self.world.change(|state| {
            kube::balance(&state.kube);
            state.pass(SignedDuration::from_secs(seconds));
            patroni::run(state);
        });
        let mut written = Vec::new();
        let bound = 100 + 80 * self.world.look(|state| state.units().len());
        for _ in 0..bound {
            self.world.change(|state| state.retry_failed());
            let Some(unit) = self.first_due() else { break };
            if let Some(ran) = self.run_one(&unit, None) {
                written.extend(ran.writes.iter().map(|line| format!("{}: {line}", ran.name)));
            }
        }
        written
    }

    /// Without faults nothing waits for update-status.
    fn promptly(&mut self) {
        self.settle();
        let clients = self.clients.clone();
        let found = self.world.look(|state| check::promptly(state, &clients));
        let found = found.into_iter().map(|text| format!("before update-status: {text}"));
        self.played.wrong.extend(found);
    }

    /// Peace: everything comes back, everything converges, and then nothing is written.
    pub(crate) fn end(&mut self) {
        self.tell(|| "peace".to_owned());
        self.world.change(|state| {
            for (app, cluster) in &mut state.clusters {
                cluster.up |= !state.patroni.contains_key(app);
            }
            for cluster in state.patroni.values_mut() {
                cluster.cut.clear();
            }
            state.watch_backends();
            state.tend();
        });
        let mut settled = self.settle();
        for _ in 0..ROUNDS {
            let written = self.round();
            settled &= self.settle();
            if written.is_empty() {
                break;
            }
        }
        if !settled {
            self.played.wrong.push("hooks do not come to an end".to_owned());
        }
        let written = self.round();
        // Whoever cannot serve tries again.
        let able = self.world.look(check::able);
        if !written.is_empty() && able {
            let lines = written.join("\n    ");
            self.played.wrong.push(format!("written although nothing changed:\n    {lines}"));
        }
        let wrong = self.world.look(|state| check::always(state, &mut self.watch, None));
        self.blame(wrong);
        let clients = self.clients.clone();
        let found = self.world.look(|state| check::at_peace(state, &clients));
        self.played.wrong.extend(found);
        self.played.view = self.world.look(check::view);
    }
}
