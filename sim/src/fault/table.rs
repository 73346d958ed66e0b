//! Every fault that there is, each declared in one row.

/// What an effect of a hook is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// A hook tool.
    Juju,
    /// A request to Pebble.
    Pebble,
    /// A statement or a login.
    Sql,
    /// A request to the Kubernetes API.
    Kubernetes,
    /// A request to Patroni.
    Patroni,
}

/// When a fault occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occurs {
    /// At one effect of a hook, whatever it is done to.
    AtAny,
    /// At one effect of a hook on this port.
    At(Port),
    /// From one effect of a hook on this port until the hook ends.
    From(Port),
    /// Between two hooks.
    Between,
    /// From the begin of a history to its end.
    Throughout,
}

/// What is declared of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultSpec {
    /// The fault.
    pub fault: Fault,
    /// Its name on the command line and in traces.
    pub name: &'static str,
    /// When it occurs.
    pub occurs: Occurs,
    /// What happens.
    pub about: &'static str,
}

macro_rules! faults {
    ($($fault:ident, $name:literal, $occurs:expr, $about:literal;)*) => {
        /// What can go wrong, by name. Each has a switch.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $(#[doc = $about] $fault,)*
        }

        /// All of them. Histories are drawn in this order, so a new row goes to the end: then
        /// what a seed gives without the new fault stays what it was.
        pub const FAULTS: &[FaultSpec] = &[
            $(FaultSpec { fault: Fault::$fault, name: $name, occurs: $occurs, about: $about },)*
        ];
    };
}

use Occurs::{At, AtAny, Between, From, Throughout};
use Port::{Juju, Kubernetes, Patroni, Pebble, Sql};

faults! {
    KillBefore, "kill-before", AtAny, "the hook dies before an effect";
    KillAfter, "kill-after", AtAny, "the hook dies after an effect";
    PebbleAway, "pebble-away", From(Pebble), "Pebble does not answer for the rest of the hook";
    PebbleFails, "pebble-fails", At(Pebble), "Pebble refuses one request";
    PebbleSlow, "pebble-slow", At(Pebble), "Pebble does what one request asks but answers too late";
    DiskFull, "disk-full", At(Pebble), "a file is not written: no space is left";
    SqlAway, "sql-away", From(Sql), "PostgreSQL does not answer for the rest of the hook";
    SqlFails, "sql-fails", At(Sql), "PostgreSQL refuses one statement";
    SqlCut, "sql-cut", At(Sql), "PostgreSQL runs one statement but the answer is lost";
    SqlSlow, "sql-slow", At(Sql), "PostgreSQL takes too long to let the charm in";
    Kube403, "kubernetes-403", At(Kubernetes), "the API forbids one request";
    Kube409, "kubernetes-409", At(Kubernetes), "the API answers one request with a conflict";
    Kube410, "kubernetes-410", At(Kubernetes), "the API answers one request with gone";
    Kube500, "kubernetes-500", At(Kubernetes), "the API fails on one request";
    KubeAway, "kubernetes-away", From(Kubernetes), "the API does not answer for the rest of the hook";
    LeaderLost, "leader-lost", At(Juju), "another unit is elected in the middle of a hook";
    LeaderTurns, "leader-turns", Between, "another unit is elected between two hooks";
    EmptyBag, "empty-bag", From(Juju), "a remote bag is still empty at its first event";
    SecretLate, "secret-late", From(Juju), "secrets of others are not visible for the rest of a hook";
    PodChurn, "pod-churn", Between, "a pod is replaced";
    ContainerRestart, "container-restart", Between, "the workload container starts anew";
    AgentAway, "agent-away", Between, "a unit's agent is away until its lease has ended";
    ServerDown, "server-down", Between, "PostgreSQL is down for several hooks";
    ClockJump, "clock-jump", Between, "the clock jumps";
    NoUpdateStatus, "no-update-status", Throughout, "update-status is not fired before the end";
    HookTwice, "hook-twice", AtAny, "the hook succeeds, but Juju runs it again";
    PatroniAway, "patroni-away", From(Patroni), "Patroni does not answer for the rest of the hook";
    PatroniFails, "patroni-fails", At(Patroni), "Patroni refuses one request";
    PatroniSlow, "patroni-slow", At(Patroni), "Patroni takes too long to answer one request";
    VolumeLost, "volume-lost", Between, "a standby's pod is replaced and its volume is lost";
    MemberCut, "member-cut", Between, "a Patroni does not reach the API for several hooks";
    StaleBag, "stale-bag", From(Juju), "remote bags are as they were before their last change";
    LostEvent, "lost-event", Between, "a notice of a workload is lost";
    UpgradeDeferred, "upgrade-deferred", Between, "the charm is refreshed while a hook is owed";
    PeersLate, "peers-late", From(Juju), "a new unit's peer relation is not there yet in one hook";
    Shuffled, "shuffled", Throughout, "hooks come in another order than Juju's usual one";
    CheckLost, "check-lost", Between, "that PostgreSQL went or came back is not reported";
    PodFrozen, "pod-frozen", Between, "a pod stands still for several hooks, and no charm is notified";
    StreamCut, "stream-cut", Between, "a standby reaches the API but not the primary";
    EventsLate, "events-late", Between, "a unit's events wait for others' and are merged meanwhile";
    TwoLeaders, "two-leaders", Between, "the lead goes to another unit and back at once";
    WatchGone, "watch-gone", Between, "the API ends a Patroni's watch, which misses loops";
    ConfigEdited, "config-edited", Between, "a person changes a key of Patroni's dynamic configuration";
    ReloadRefused, "reload-refused", At(Pebble), "PgBouncers do not take one reload";
    Ghosts, "ghosts", Between, "from now on it is not reported that a peer went, and it stays listed";
    Echoes, "echoes", Between, "from now on units get events for what they wrote themselves, too";
    ReloadMissed, "reload-missed", Between, "PostgreSQL misses the next reload, which is not reported";
    LogRemoved, "log-removed", Between, "the primary removes all log that no standby streams now";
    NoLeader, "no-leader", Between, "a lease ends, and no unit takes it for several hooks";
}

impl Fault {
    /// What is declared of it.
    pub fn spec(self) -> &'static FaultSpec {
        &FAULTS[self as usize]
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The fault of this name.
    pub fn named(name: &str) -> Option<Self> {
        FAULTS.iter().find(|spec| spec.name == name).map(|spec| spec.fault)
    }

    /// The port whose effects it strikes; none where any effect will do.
    pub fn port(self) -> Option<Port> {
        match self.spec().occurs {
            At(port) | From(port) => Some(port),
            AtAny | Between | Throughout => None,
        }
    }

    /// The faults that strike an effect of a hook.
    pub fn of_effects() -> impl Iterator<Item = Self> {
        Self::all().filter(|fault| matches!(fault.spec().occurs, AtAny | At(_) | From(_)))
    }

    /// The faults that happen between two hooks.
    pub fn between_hooks() -> impl Iterator<Item = Self> {
        Self::all().filter(|fault| fault.spec().occurs == Between)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        FAULTS.iter().map(|spec| spec.fault)
    }
}
