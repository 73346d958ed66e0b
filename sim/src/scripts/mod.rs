//! Scripts: operators and faults in a fixed order. Whenever the world has come to rest it is
//! looked at, before update-status could mend anything.

mod beats;
mod databases;
mod poolers;

use kube_api::Kind;
use names::UnitName;

use crate::apps::OLDER;
use crate::check;
use crate::gate::Fault;
use crate::history::{Client, DatabaseOp, History, Op, POOLER, Run, strike};
use crate::world::State;

pub(crate) use databases::scripts as database_scripts;
pub(crate) use poolers::scripts;

/// What happens next; after it everything comes to rest.
#[derive(Debug, Clone)]
enum Beat {
    /// An operator's command.
    Op(Op),
    /// A command during which nobody who is served is cut off.
    Keep(Op),
    /// A fault between two hooks.
    Strike(Fault, u32),
    /// A command that this pooler hears of before the others do; then it takes the lead.
    First(u32, Op),
    /// PostgreSQL goes, or comes back.
    Server,
    /// A pooler's agent goes, or comes back.
    Silent(u32),
    Back(u32),
    /// A command while a pooler is silent, for which clients wait, but not for ever.
    Waits(Op),
    /// An older charm writes what this one would not, and is refreshed.
    Older,
    /// Every pooler's agent starts again, which changes nothing.
    Restart,
    /// An operator asks for the console's credentials.
    Console,
    /// An action of PostgreSQL's charm, which succeeds and does what it says.
    Act(DatabaseOp),
    /// A fault that strikes PostgreSQL's unit of this number.
    Unit(Fault, u32),
    /// A fault that strikes the primary; what there is then is looked at while it lasts.
    Primary(Fault),
    /// These commands at once, without a rest between them and what comes next.
    Rush(Vec<Op>),
    /// Commands in turn, in whose hooks PostgreSQL's charm dies at one effect after the other.
    Dies(Vec<DatabaseOp>),
    /// A command whose clients have their say after all others have heard of it.
    Early(Op),
    /// What a forced removal of an earlier deployment left in the API.
    Litter,
    /// A charm that finds another cluster's data says so; a person moves them away.
    Aside,
    /// A client is related before anybody has said which database it wants.
    Late(usize),
    /// Pods and networks are well again.
    Heal,
    /// The primary and the standbys that commits wait for lose their volumes at once.
    Doom,
    /// Somebody deletes an object, which the next update-status makes up for.
    Deleted(Kind, &'static str),
    /// Somebody drops the users of all clients, which the next update-status makes up for.
    Dropped,
    /// A hook that died left a user on the server of whom nobody knows any more.
    Stray,
    /// A client whose user cannot be removed goes, and another comes, who is served though the
    /// charm says what is in the way; then that is out of the way.
    Stuck(Op, Op),
    /// A client asks for other roles.
    Roles(usize, &'static str),
    /// Somebody opens the template of new databases to everybody.
    Opened,
    /// From now on nobody is told that PostgreSQL went or came back, as when that is quick.
    Unseen,
    /// The second unit's pod is replaced while the charm is not trusted.
    Distrusted,
}

/// A script.
pub(crate) struct Script {
    units: u32,
    /// Units of the real PostgreSQL charm.
    databases: u32,
    clients: Vec<Client>,
    old_image: bool,
    /// Whether the server removes its own user only, and not what is tied to it.
    plain: bool,
    beats: Vec<Beat>,
}

impl Script {
    /// Of nothing but these beats.
    fn of(beats: Vec<Beat>) -> Self {
        let clients = Vec::new();
        Self { units: 0, databases: 0, clients, old_image: false, plain: false, beats }
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
        run.world.change(|state| state.plain = self.plain);
        run.calm = true;
        // What is there before the first hook comes before it.
        if !matches!(self.beats.first(), Some(Beat::Litter | Beat::Distrusted)) {
            run.promptly();
        }
        for beat in &self.beats {
            self.beat(&mut run, beat);
            if !run.played.wrong.is_empty() {
                let wrong = run.played.wrong.iter();
                return wrong.map(|text| format!("{beat:?}: {text}")).collect();
            }
        }
        run.end();
        run.played.wrong
    }

    fn beat(&self, run: &mut Run, beat: &Beat) {
        match beat {
            Beat::Op(op) => drop(run.operate(op)),
            Beat::Keep(op) => {
                run.served = run.world.look(check::processes_by_boot);
                run.operate(op);
                run.promptly();
                run.served.clear();
            }
            Beat::Strike(fault, pick) => run.world.change(|state| {
                strike(state, *fault, *pick);
                state.tend();
            }),
            Beat::First(number, op) => {
                run.operate(op);
                if let Some(unit) = pooler(*number) {
                    run.settle_without(|other| other.app() == unit.app() && *other != unit);
                    run.world.change(|state| state.model.lease_passes(&unit));
                }
            }
            Beat::Server => {
                run.world.change(|state| strike(state, Fault::ServerDown, 0));
                if run.world.look(is_down) {
                    run.settle();
                    return run.look(check::statuses);
                }
            }
            Beat::Silent(number) => {
                run.world.change(|state| {
                    let now = state.now();
                    pooler(*number).map(|unit| state.model.agent_stopped(&unit, now))
                });
                return;
            }
            Beat::Back(number) => run.world.change(|state| {
                if let Some(unit) = pooler(*number) {
                    crate::history::restart(state, &unit);
                }
            }),
            Beat::Waits(op) => {
                run.operate(op);
                run.settle();
                for _ in 0..3 {
                    run.round();
                }
                return run.look(check::waiting);
            }
            Beat::Older => older(run),
            Beat::Restart => restart(run),
            Beat::Console => {
                run.operate(&Op::Action("get-console-credentials"));
                run.settle();
                run.look(|state, _| check::console(state));
            }
            other if !beats::play(run, other) => return,
            _ => {}
        }
        run.promptly();
        if let Beat::Op(Op::Direct(index) | Op::Relate(index)) = beat {
            run.look(|state, clients| check::owned(state, clients, *index));
        }
    }
}

fn pooler(number: u32) -> Option<UnitName> {
    Some(UnitName::new(POOLER.parse().ok()?, number))
}

/// An older charm writes what it would, and is refreshed.
fn older(run: &mut Run) {
    run.world.change(|state| pooler(0).map(|unit| state.model.enqueue_exec(&unit, OLDER)));
    run.settle();
    run.operate(&Op::Refresh);
}

/// Every pooler's agent starts again; what it writes then is wrong.
fn restart(run: &mut Run) {
    run.world.change(|state| {
        let poolers = state.units().into_iter().filter(|unit| unit.app().as_str() == POOLER);
        poolers.for_each(|unit| crate::history::restart(state, &unit));
    });
    let written = run.settle_noting();
    run.blame(written);
}

fn is_down(state: &State) -> bool {
    state.clusters.values().any(|cluster| !cluster.up)
}
