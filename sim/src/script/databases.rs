//! Scripts of the real PostgreSQL charm.

use kube_api::Kind;

use super::play::Script;
use super::step::Step::{
    self, Act, AskRoles, AtOnce, Certify, ClientsLast, DeleteObject, Die, Forced, ForeseeUser,
    GrantAsOlder, Heal, LacksLog, Leaderless, LeaveObjects, LoseQuorum, NameLater, OpenTemplate,
    Primary, SetAside, Strike, Undroppable, Unit, Untrusted,
};
use crate::far::postgresql::PERSON;
use crate::fault::Fault;
use crate::history::DatabaseOp::{Config, Refresh, Scale, SetPassword};
use crate::history::{Client, DatabaseOp, FORCE, Op, Which};

fn clients() -> Vec<Client> {
    let client = |database: &str, roles: &str| Client {
        old: false,
        database: database.to_owned(),
        roles: roles.to_owned(),
    };
    vec![
        client("waltz", ""),
        client("tango", "superuser"),
        client("waltz", "admin"),
        client("samba", "createdb"),
        client("postgres", ""),
        client("waltz", "nosuchrole"),
        client("pgbouncer", ""),
        client("polka", PERSON),
        Client { old: true, ..client("", "") },
        Client { old: true, ..client("", "superuser") },
    ]
}

fn script(databases: u32, steps: Vec<Step>) -> Script {
    Script { databases, clients: clients(), ..Script::of(steps) }
}

fn direct(client: usize) -> Step {
    Step::Op(Op::Direct(client))
}

fn part(client: usize) -> Step {
    Step::Op(Op::UnrelateDirect(client))
}

fn database(op: DatabaseOp) -> Step {
    Step::Op(Op::Database(op))
}

fn act(name: &'static str, unit: u32) -> Step {
    Act(DatabaseOp::Act(name, unit))
}

fn then<const N: usize>(mut steps: Vec<Step>, more: [Step; N]) -> Vec<Step> {
    steps.extend(more);
    steps
}

/// Every client, one after the other.
fn all() -> Vec<Step> {
    (0..4).map(direct).collect()
}

/// A new password for each of the charm's own users.
fn renewed() -> Vec<Step> {
    let users = ["operator", "replication", "rewind", "monitoring", "backup"];
    users.map(|user| Act(SetPassword(user))).into()
}

/// Options of every kind, one of them invalid for a while.
fn options() -> Vec<Step> {
    let options = [
        ("memory_max_prepared_transactions", "100"),
        ("memory_max_prepared_transactions", "0"),
        ("connection_statement_timeout", "5000"),
        ("profile", "holiday"),
        ("profile", "production"),
        ("durability_maximum_lag_on_failover", "0"),
        ("ttl", "30"),
    ];
    options.map(|(key, value)| database(Config(key, value))).into()
}

/// All of them, the shortest first.
pub(crate) fn scripts() -> Vec<Script> {
    alone().into_iter().chain(several()).chain(again()).collect()
}

/// Of one unit at the beginning.
fn alone() -> Vec<Script> {
    let gone = |name| script(1, vec![direct(0), DeleteObject(Kind::Service, name)]);
    let unrelated = [part(0), part(1), part(3), part(2), direct(0)];
    let scale = |units| database(Scale(units));
    let rush = AtOnce(vec![Op::Database(Scale(2)), Op::UnrelateDirect(0)]);
    vec![
        script(1, then(all(), unrelated)),
        script(1, vec![ClientsLast(Op::Direct(0)), NameLater(1)]),
        script(1, vec![direct(4), part(4), direct(5), part(5), direct(0)]),
        script(1, vec![direct(6), direct(0), part(6), direct(7), direct(3), part(7)]),
        script(1, vec![direct(0), OpenTemplate, direct(1), part(0)]),
        script(1, then(all(), [GrantAsOlder, part(0)])),
        script(1, vec![direct(0), ForeseeUser(1), ForeseeUser(3), part(0)]),
        script(1, vec![direct(2), AskRoles(2, ""), AskRoles(2, "createdb"), part(2)]),
        script(
            1,
            vec![
                direct(0),
                direct(1),
                Undroppable(Op::UnrelateDirect(0), Op::Direct(3)),
                Undroppable(Op::UnrelateDirect(1), Op::Direct(0)),
            ],
        ),
        script(1, then(renewed(), [direct(0), act("get-password", 0)])),
        script(1, then(options(), [act("restart", 0), act("get-primary", 0)])),
        script(1, vec![direct(0), database(Refresh), Unit(Fault::ContainerRestart, 0)]),
        gone("postgresql-k8s-primary"),
        gone("postgresql-k8s-endpoints"),
        script(1, vec![Untrusted, direct(0)]),
        script(1, vec![direct(0), scale(2), scale(1), scale(3)]),
        script(1, vec![Unit(Fault::LostEvent, 0), scale(2), scale(3)]),
        script(1, vec![direct(0), rush, Strike(Fault::LeaderTurns, 1)]),
    ]
}

/// Of several units.
fn several() -> Vec<Script> {
    let promote = |unit| act("promote-to-primary", unit);
    let few = || database(Config("synchronous_node_count", "1"));
    let citext = database(Config("plugin_citext_enable", "true"));
    let scale = |units| database(Scale(units));
    vec![
        script(2, vec![direct(0), Untrusted]),
        script(3, vec![direct(0), Forced(Op::Database(Scale(2))), Forced(Op::Database(Scale(1)))]),
        script(2, vec![direct(8), direct(9), scale(1), Strike(Fault::LeaderTurns, 1), part(8)]),
        script(1, vec![direct(9), scale(3), Strike(Fault::LeaderTurns, 2), part(9), direct(8)]),
        script(2, vec![direct(0), Leaderless(Op::Direct(1)), Leaderless(Op::UnrelateDirect(0))]),
        script(2, vec![Certify, few(), act("restart", 1), act("switchover", 1), direct(0)]),
        script(2, then(renewed(), [direct(1), Unit(Fault::PodChurn, 1)])),
        script(2, vec![direct(0), LacksLog, direct(1)]),
        script(2, vec![direct(0), act("switchover", 1), promote(0), promote(1), direct(1)]),
        script(2, vec![direct(0), Primary(Fault::PodFrozen), Heal, direct(1)]),
        script(3, then(options(), [few(), citext, direct(0)])),
        script(3, then(all(), [Strike(Fault::LeaderTurns, 1), part(0), scale(1)])),
        script(3, vec![direct(0), scale(0), scale(3), part(0)]),
        script(3, vec![Unit(Fault::VolumeLost, 2), Unit(Fault::PodChurn, 0), direct(0)]),
        script(3, vec![few(), direct(0), LoseQuorum, act(FORCE, 2), direct(1)]),
    ]
}

/// Of what an earlier deployment, or a hook that died, left behind.
fn again() -> Vec<Script> {
    let again = |keeps| [Op::Remove(Which::Server, keeps), Op::Deploy(Which::Server)].map(Step::Op);
    let dies = |user| Die(vec![SetPassword(user)]);
    let timeout = |value| Config("connection_statement_timeout", value);
    vec![
        script(2, vec![LeaveObjects, direct(0)]),
        script(2, then(then(vec![direct(0)], again(false)), [direct(0)])),
        script(2, then(then(vec![direct(0)], again(true)), [SetAside, direct(0)])),
        script(2, vec![dies("operator"), dies("backup")]),
        script(1, vec![Die(vec![timeout("5000"), timeout("0")])]),
        script(1, vec![Unit(Fault::ReloadMissed, 0), database(timeout("5000"))]),
    ]
}
