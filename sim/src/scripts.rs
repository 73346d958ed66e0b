//! Scripts: operators and faults in a fixed order. Whenever the world has come to rest it is
//! looked at, before update-status could mend anything.

use names::UnitName;

use crate::apps::OLDER;
use crate::gate::Fault;
use crate::history::{Client, History, Op, POOLER, Run, strike};
use crate::{check, world::State};

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
}

/// A script.
pub(crate) struct Script {
    units: u32,
    old_image: bool,
    /// Whether the server removes its own user only, and not what is tied to it.
    plain: bool,
    beats: Vec<Beat>,
}

/// A database's name that leaves no room for what older charms put behind it.
const LONG: &str = "a_name_that_leaves_no_room_for_what_is_put_behind_it_in_the_ini";

fn clients() -> Vec<Client> {
    let client = |old, database: &str, roles: &str| Client {
        old,
        database: database.to_owned(),
        roles: roles.to_owned(),
    };
    vec![
        client(false, "waltz", ""),
        client(false, "tango", "superuser"),
        client(true, "", ""),
        client(true, "", "superuser"),
        client(false, LONG, ""),
        client(false, "waltz", "admin"),
        client(false, "samba", "createdb"),
    ]
}

/// All of them, the shortest first.
pub(crate) fn scripts() -> Vec<Script> {
    use Beat::{Back, Console, First, Keep, Older, Server, Silent, Strike, Waits};
    use Op::{Backend, NoBackend, Part, Refresh, Relate, Rotate, Scale};
    let script = |units, beats: Vec<Beat>| Script { units, old_image: false, plain: false, beats };
    let op = Beat::Op;
    let config = |key, value| op(Op::Config(key, value));
    let two = || vec![op(Backend), op(Relate(0)), op(Relate(2))];
    let all = || (0..4).map(|client| op(Relate(client))).chain([op(Backend)]).collect::<Vec<_>>();
    let then = |mut beats: Vec<Beat>, more: Vec<Beat>| {
        beats.extend(more);
        beats
    };
    let gone = vec![Keep(Part(1)), Keep(Part(3)), op(Part(0)), op(Part(2))];
    vec![
        script(1, then(two(), vec![Console, Keep(Relate(1)), Keep(Relate(4)), Keep(Part(0))])),
        script(1, then(two(), vec![op(NoBackend), op(Part(0)), op(Part(2))])),
        script(1, vec![op(Backend), op(Relate(1)), op(Relate(5)), Keep(Part(1)), op(Part(5))]),
        script(1, vec![op(Backend), op(Relate(6)), op(Relate(3)), op(Part(6)), op(Relate(1))]),
        script(1, then(two(), vec![op(Scale(0)), op(NoBackend)])),
        script(1, then(two(), vec![Beat::Restart, config("expose-external", "nodeport")])),
        script(1, then(two(), vec![Server, Server, Strike(Fault::ContainerRestart, 0), Console])),
        script(1, then(two(), vec![Older, Keep(Rotate), op(Refresh)])),
        Script { plain: true, ..script(1, then(two(), vec![op(NoBackend)])) },
        Script { plain: true, ..script(2, then(all(), vec![op(NoBackend), op(Backend)])) },
        script(2, vec![op(Backend), First(1, Relate(0)), First(0, Relate(2)), Keep(Relate(1))]),
        script(2, vec![op(Backend), Silent(1), Waits(Relate(0)), Waits(Relate(2)), Back(1)]),
        script(2, then(all(), vec![Strike(Fault::LeaderTurns, 0), Keep(Scale(1)), Keep(Scale(3))])),
        script(3, then(all(), vec![Keep(Scale(1)), op(Scale(0)), op(Scale(2)), Console])),
        script(2, then(all(), gone)),
        script(2, then(two(), vec![config("listen_port", "6433"), Strike(Fault::PodChurn, 1)])),
        script(
            2,
            then(
                two(),
                vec![
                    Keep(Op::Config("pool_mode", "transaction")),
                    config("max_prepared_statements", "0"),
                    config("expose-external", "nodeport"),
                    config("expose-external", "loadbalancer"),
                ],
            ),
        ),
        script(1, then(two(), vec![config("listen_port", "0"), op(Relate(1)), op(NoBackend)])),
        Script {
            old_image: true,
            ..script(2, then(all(), vec![op(Part(0)), op(Part(1)), op(Part(2)), op(NoBackend)]))
        },
    ]
}

impl Script {
    /// Plays it; what is wrong.
    pub(crate) fn play(&self) -> Vec<String> {
        let (seed, units, databases, slow) = (1, self.units, 0, true);
        let (old_image, shuffled) = (self.old_image, false);
        let (clients, steps) = (clients(), Vec::new());
        let history = History { seed, units, databases, clients, slow, old_image, shuffled, steps };
        let Some(mut run) = Run::begin(&history, false) else { return Vec::new() };
        run.world.change(|state| state.plain = self.plain);
        run.calm = true;
        run.promptly();
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
            Beat::Older => {
                run.world
                    .change(|state| pooler(0).map(|unit| state.model.enqueue_exec(&unit, OLDER)));
                run.settle();
                run.operate(&Op::Refresh);
            }
            Beat::Restart => {
                run.world.change(|state| {
                    let poolers = state.units().into_iter().filter(|u| u.app().as_str() == POOLER);
                    poolers.for_each(|unit| crate::history::restart(state, &unit));
                });
                let written = run.settle_noting();
                run.blame(written);
            }
            Beat::Console => {
                run.operate(&Op::Action);
                run.settle();
                run.look(|state, _| check::console(state));
            }
        }
        run.promptly();
    }
}

fn pooler(number: u32) -> Option<UnitName> {
    Some(UnitName::new(POOLER.parse().ok()?, number))
}

fn is_down(state: &State) -> bool {
    state.clusters.values().any(|cluster| !cluster.up)
}
