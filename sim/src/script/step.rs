//! The steps of scripts.

use kube_api::Kind;

use crate::fault::Fault;
use crate::history::{DatabaseOp, Op};

/// What happens next; after it everything comes to rest.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// An operator's command.
    Op(Op),
    /// A command during which no served client is cut off.
    KeepServing(Op),
    /// A fault between two hooks.
    Strike(Fault, u32),
    /// A command whose events reach this pooler before the others; then it takes the lead.
    HearsFirst(u32, Op),
    /// A command in whose hooks no unit of either charm leads; then one of each does.
    Leaderless(Op),
    /// A command after which the units that go are gone at once, as removed by force.
    Forced(Op),
    /// PostgreSQL goes, or comes back.
    TurnServer,
    /// An operator has a process hold its clients, which its unit says until that ends.
    Pause(u32),
    /// A pooler's agent goes, or comes back.
    AgentGone(u32),
    AgentBack(u32),
    /// A command while a pooler is silent, for which clients wait, but not for ever.
    ClientsWait(Op),
    /// An older charm writes what this one would not, and is refreshed.
    OlderCharm,
    /// Every pooler's agent starts again, which changes nothing.
    RestartAgents,
    /// An operator asks for the console's credentials.
    Console,
    /// An action of PostgreSQL's charm, which succeeds and does what it says.
    Act(DatabaseOp),
    /// A fault that strikes PostgreSQL's unit of this number.
    Unit(Fault, u32),
    /// A fault that strikes the primary; what there is then is looked at while it lasts.
    Primary(Fault),
    /// These commands at once, without a rest between them and what comes next.
    AtOnce(Vec<Op>),
    /// Commands in turn, in whose hooks PostgreSQL's charm dies at one effect after the other.
    Die(Vec<DatabaseOp>),
    /// A command whose clients run after its events have reached all others.
    ClientsLast(Op),
    /// What a forced removal of an earlier deployment left in the API.
    LeaveObjects,
    /// A charm that finds another cluster's data says so; a person moves them away.
    SetAside,
    /// A client is related before its database is configured.
    NameLater(usize),
    /// Pods and networks are well again.
    Heal,
    /// A standby is cut off until nobody has the log that it needs next.
    LacksLog,
    /// The primary and the standbys that commits wait for lose their volumes at once.
    LoseQuorum,
    /// The operator deletes an object, which the next update-status makes up for.
    DeleteObject(Kind, &'static str),
    /// The operator drops the users of all clients, which the next update-status makes up for.
    DropUsers,
    /// A hook that died left a user on the server without a record of it.
    OrphanUser,
    /// A client whose user cannot be removed goes, and another comes, who is served though the
    /// charm says what is in the way; then that is out of the way.
    Undroppable(Op, Op),
    /// A client asks for other roles.
    AskRoles(usize, &'static str),
    /// The operator opens the template of new databases to all roles.
    OpenTemplate,
    /// An older charm granted what this one takes back with the next update-status.
    GrantAsOlder,
    /// A client makes the role of the next one, which is related then.
    ForeseeUser(usize),
    /// A person gives every server a certificate.
    Certify,
    /// From now on no event reports that PostgreSQL went or came back, as when that is quick.
    SuppressChecks,
    /// The second unit's pod is replaced while the charm is not trusted.
    Untrusted,
}
