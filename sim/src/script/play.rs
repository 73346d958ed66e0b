//! Plays a script, step by step.

use juju_names::{AppName, UnitName};

use crate::check;
use crate::fault::Fault;
use crate::history::{Client, History, Op};
use crate::juju::apps::OLDER;
use crate::names::{POOLER, SERVER};
use crate::play::Run;
use crate::world::{State, inject, restart, turn_pause};

use super::step::Step;
use super::steps_of_databases;

/// A script.
pub(crate) struct Script {
    pub(super) units: u32,
    /// Units of the real PostgreSQL charm.
    pub(super) databases: u32,
    pub(super) clients: Vec<Client>,
    pub(super) old_image: bool,
    /// Whether the server removes its own user only, and not what it holds.
    pub(super) keeps_held: bool,
    pub(super) steps: Vec<Step>,
}

impl Script {
    /// Of nothing but these steps.
    pub(super) fn of(steps: Vec<Step>) -> Self {
        let clients = Vec::new();
        Self { units: 0, databases: 0, clients, old_image: false, keeps_held: false, steps }
    }

    /// Plays it; what is wrong.
    pub(crate) fn play(&self) -> Vec<String> {
        let (seed, units, databases, slow) = (1, self.units, self.databases, true);
        let (old_image, shuffled) = (self.old_image, false);
        let (clients, steps) = (self.clients.clone(), Vec::new());
        let history = History { seed, units, databases, clients, slow, old_image, shuffled, steps };
        let Some(mut run) = Run::begin(&history, false) else {
            return Vec::new();
        };
        run.world.change(|state| state.keeps_held = self.keeps_held);
        run.calm = true;
        // What is there before the first hook comes before it.
        if !matches!(self.steps.first(), Some(Step::LeaveObjects | Step::Untrusted)) {
            run.promptly();
        }
        for step in &self.steps {
            self.step(&mut run, step);
            if !run.played.wrong.is_empty() {
                let wrong = run.played.wrong.iter();
                return wrong.map(|text| format!("{step:?}: {text}")).collect();
            }
        }
        run.end();
        run.played.wrong
    }

    fn step(&self, run: &mut Run, step: &Step) {
        match step {
            Step::Op(op) => drop(run.operate(op)),
            Step::KeepServing(op) => {
                run.served = run.world.look(check::processes_by_boot);
                run.operate(op);
                run.promptly();
                run.served.clear();
            }
            Step::Strike(fault, pick) => run.world.change(|state| {
                inject(state, *fault, *pick);
                state.tend();
            }),
            Step::HearsFirst(number, op) => {
                run.operate(op);
                if let Some(unit) = pooler(*number) {
                    run.settle_without(|other| other.app() == unit.app() && *other != unit);
                    run.world.change(|state| state.model.lease_passes(&unit));
                }
            }
            Step::TurnServer => {
                run.world.change(|state| inject(state, Fault::ServerDown, 0));
                if run.world.look(is_down) {
                    run.settle();
                    return run.look(check::statuses);
                }
            }
            Step::Pause(pick) => return pause(run, *pick),
            Step::AgentGone(number) => {
                run.world.change(|state| {
                    let now = state.now();
                    pooler(*number).map(|unit| state.model.agent_stopped(&unit, now))
                });
                return;
            }
            Step::AgentBack(number) => run.world.change(|state| {
                if let Some(unit) = pooler(*number) {
                    restart(state, &unit);
                }
            }),
            Step::ClientsWait(op) => {
                run.operate(op);
                run.settle();
                for _ in 0..3 {
                    run.round();
                }
                return run.look(check::waiting);
            }
            Step::Leaderless(op) => leaderless(run, op),
            Step::Forced(op) => {
                run.operate(op);
                run.world.change(State::drop_dying);
            }
            Step::OlderCharm => older(run),
            Step::RestartAgents => restart_agents(run),
            Step::Console => {
                run.operate(&Op::Action("get-console-credentials"));
                run.settle();
                run.look(|state, _| check::console(state));
            }
            other if !steps_of_databases::play(run, other) => return,
            _ => {}
        }
        run.promptly();
        if let Step::Op(Op::Direct(index) | Op::Relate(index)) = step {
            run.look(|state, clients| check::owned(state, clients, *index));
        }
    }
}

fn pooler(number: u32) -> Option<UnitName> {
    Some(UnitName::new(POOLER.parse().ok()?, number))
}

/// A command while no unit of either charm leads.
fn leaderless(run: &mut Run, op: &Op) {
    run.world.change(|state| {
        let charms = [POOLER, SERVER].into_iter().filter_map(|name| name.parse().ok());
        charms.for_each(|app: AppName| state.lead_nobody(&app, u32::MAX));
    });
    run.operate(op);
    run.settle();
    run.world.change(|state| {
        state.leaderless.clear();
        state.tick_leases();
    });
}

/// An operator has a process hold its clients and, some hooks later, lets them go on.
fn pause(run: &mut Run, pick: u32) {
    run.world.change(|state| turn_pause(state, pick));
    run.round();
    // Hooks of other kinds look as well then.
    run.operate(&Op::Config("max_prepared_statements", "7"));
    run.settle();
    run.look(|state, _| check::holds(state));
    run.world.change(|state| turn_pause(state, pick));
    run.round();
    run.look(check::statuses);
}

/// An older charm writes what it would, and is refreshed.
fn older(run: &mut Run) {
    run.world.change(|state| pooler(0).map(|unit| state.model.enqueue_exec(&unit, OLDER)));
    run.settle();
    run.operate(&Op::Refresh);
}

/// Every pooler's agent starts again; what it writes then is wrong.
fn restart_agents(run: &mut Run) {
    run.world.change(|state| {
        let poolers = state.units().into_iter().filter(|unit| unit.app().as_str() == POOLER);
        poolers.for_each(|unit| restart(state, &unit));
    });
    let written = run.settle_noting();
    run.blame(written);
}

fn is_down(state: &State) -> bool {
    state.far.clusters.values().any(|cluster| !cluster.up)
}
