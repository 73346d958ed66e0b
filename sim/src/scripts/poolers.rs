//! Scripts of poolers with a made-up server.

use super::{Beat, Script};
use crate::gate::Fault;
use crate::history::{Client, DatabaseOp, Op};
use crate::sql::PERSON;

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
    use Beat::{
        Back, Console, First, Keep, Older, Roles, Server, Silent, Strike, Stuck, Unseen, Waits,
    };
    use Op::{Backend, NoBackend, Part, Refresh, Relate, Rotate, Scale};
    let script =
        |units, beats: Vec<Beat>| Script { units, clients: clients(), ..Script::of(beats) };
    let op = Beat::Op;
    let config = |key, value| op(Op::Config(key, value));
    let switchover = |unit| Beat::Act(DatabaseOp::Act("switchover", unit));
    let two = || vec![op(Backend), op(Relate(0)), op(Relate(2))];
    let all = || (0..4).map(|client| op(Relate(client))).chain([op(Backend)]).collect::<Vec<_>>();
    let then = |mut beats: Vec<Beat>, more: Vec<Beat>| {
        beats.extend(more);
        beats
    };
    let names = vec![op(Relate(7)), op(Part(0)), op(Relate(0)), op(Part(7)), op(Relate(8))];
    let taken = vec![op(Part(2)), op(Relate(2)), op(Part(8))];
    let roles = vec![Roles(1, "admin"), Roles(1, ""), Roles(1, "createdb")];
    let gone = vec![Keep(Part(1)), Keep(Part(3)), op(Part(0)), op(Part(2))];
    vec![
        script(1, then(two(), vec![Console, Keep(Relate(1)), Keep(Relate(4)), Keep(Part(0))])),
        script(1, then(two(), vec![op(NoBackend), op(Part(0)), op(Part(2))])),
        script(1, vec![op(Backend), op(Relate(1)), op(Relate(5)), Keep(Part(1)), op(Part(5))]),
        script(2, then(all(), vec![Beat::Dropped, op(Part(0)), op(Part(2))])),
        script(1, then(two(), vec![Beat::Stray])),
        script(1, then(two(), then(names, taken))),
        script(1, then(two(), then(vec![op(Relate(1))], roles))),
        script(1, then(two(), vec![op(Relate(9)), op(Relate(6)), op(Part(9))])),
        script(2, then(all(), vec![Stuck(Part(0), Relate(6)), Stuck(Part(1), Relate(0))])),
        Script { databases: 2, ..script(2, then(two(), vec![Unseen, switchover(1)])) },
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
