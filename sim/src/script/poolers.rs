//! Scripts of poolers with a made-up server.

use super::play::Script;
use super::step::Step;
use crate::far::postgresql::PERSON;
use crate::fault::Fault;
use crate::history::{Client, DatabaseOp, Op};

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
        client(false, "waltz_readonly", ""),
        client(false, "db_old_c_standby", ""),
        client(false, "polka", PERSON),
    ]
}

/// All of them, the shortest first.
pub(crate) fn scripts() -> Vec<Script> {
    use Op::{Backend, NoBackend, Refresh, Relate, Rotate, Scale, Unrelate};
    use Step::{
        AgentBack, AgentGone, AskRoles, ClientsWait, Console, HearsFirst, Leaderless, OlderCharm,
        Strike, SuppressChecks, TurnServer, Undroppable,
    };
    let script =
        |units, steps: Vec<Step>| Script { units, clients: clients(), ..Script::of(steps) };
    let (op, keep) = (Step::Op, Step::KeepServing);
    let (come, go) = (|client| op(Relate(client)), |client| op(Unrelate(client)));
    let config = |key, value| op(Op::Config(key, value));
    let switchover = |unit| Step::Act(DatabaseOp::Act("switchover", unit));
    let two = || vec![op(Backend), come(0), come(2)];
    let all = || (0..4).map(come).chain([op(Backend)]).collect::<Vec<_>>();
    let then = |mut steps: Vec<Step>, more: Vec<Step>| {
        steps.extend(more);
        steps
    };
    let names = vec![come(7), go(0), come(0), go(7), come(8)];
    let taken = vec![go(2), come(2), go(8)];
    let roles = vec![AskRoles(1, "admin"), AskRoles(1, ""), AskRoles(1, "createdb")];
    let gone = vec![keep(Unrelate(1)), keep(Unrelate(3)), go(0), go(2)];
    let stuck = vec![Undroppable(Unrelate(0), Relate(6)), Undroppable(Unrelate(1), Relate(0))];
    let turned = vec![TurnServer, TurnServer, Strike(Fault::ContainerRestart, 0), Console];
    let all_gone = vec![go(0), go(1), go(2), op(NoBackend)];
    let away = vec![AgentGone(1), ClientsWait(Relate(0)), ClientsWait(Relate(2)), AgentBack(1)];
    let options = vec![
        keep(Op::Config("pool_mode", "transaction")),
        config("max_prepared_statements", "0"),
        config("expose-external", "nodeport"),
        config("expose-external", "loadbalancer"),
    ];
    vec![
        script(1, then(two(), vec![Console, keep(Relate(1)), keep(Relate(4)), keep(Unrelate(0))])),
        script(1, then(two(), vec![op(NoBackend), go(0), go(2)])),
        script(1, vec![op(Backend), come(1), come(5), keep(Unrelate(1)), go(5)]),
        script(2, then(all(), vec![Step::DropUsers, go(0), go(2)])),
        script(1, then(two(), vec![Step::OrphanUser])),
        script(1, then(two(), then(names, taken))),
        script(1, then(two(), then(vec![come(1)], roles))),
        script(1, then(two(), vec![come(9), come(6), go(9)])),
        script(2, then(all(), stuck)),
        Script { databases: 2, ..script(2, then(two(), vec![SuppressChecks, switchover(1)])) },
        Script {
            databases: 1,
            ..script(1, vec![op(Backend), come(0), op(Op::Database(DatabaseOp::Scale(2)))])
        },
        script(1, vec![op(Backend), come(6), come(3), go(6), come(1)]),
        script(1, then(two(), vec![op(Scale(0)), op(NoBackend)])),
        script(1, then(two(), vec![Step::RestartAgents, config("expose-external", "nodeport")])),
        script(1, then(two(), turned)),
        script(1, then(two(), vec![OlderCharm, keep(Rotate), op(Refresh)])),
        Script { keeps_held: true, ..script(1, then(two(), vec![op(NoBackend)])) },
        Script { keeps_held: true, ..script(2, then(all(), vec![op(NoBackend), op(Backend)])) },
        script(
            2,
            vec![op(Backend), HearsFirst(1, Relate(0)), HearsFirst(0, Relate(2)), keep(Relate(1))],
        ),
        script(2, vec![op(Backend), Leaderless(Relate(0)), Leaderless(Relate(1))]),
        script(2, then(vec![op(Backend)], away)),
        script(2, then(all(), vec![Strike(Fault::LeaderTurns, 0), keep(Scale(1)), keep(Scale(3))])),
        script(3, then(all(), vec![keep(Scale(1)), op(Scale(0)), op(Scale(2)), Console])),
        script(2, then(all(), gone)),
        script(2, then(two(), vec![Step::Pause(1)])),
        script(2, then(two(), vec![config("listen_port", "6433"), Strike(Fault::PodChurn, 1)])),
        script(2, then(two(), options)),
        script(1, then(two(), vec![config("listen_port", "0"), come(1), op(NoBackend)])),
        Script { old_image: true, ..script(2, then(all(), all_gone)) },
    ]
}
