//! The gate through which every effect of a hook goes: counted, and spoilt where asked.

/// What an effect is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
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

/// How many effects there were on each side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Effects([u32; 5]);

impl Effects {
    /// Those on one side.
    pub(crate) fn on(self, side: Side) -> u32 {
        self.0[side as usize]
    }
}

/// What can go wrong, by name. Each has a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "`Fault::about` says what each is")]
pub enum Fault {
    KillBefore,
    KillAfter,
    PebbleAway,
    PebbleFails,
    PebbleSlow,
    DiskFull,
    SqlAway,
    SqlFails,
    SqlCut,
    SqlSlow,
    Kube403,
    Kube409,
    Kube410,
    Kube500,
    KubeAway,
    LeaderLost,
    LeaderTurns,
    EmptyBag,
    SecretLate,
    PodChurn,
    ContainerRestart,
    AgentAway,
    ServerDown,
    ClockJump,
    NoUpdateStatus,
    HookTwice,
    PatroniAway,
    PatroniFails,
    PatroniSlow,
    VolumeLost,
    MemberCut,
    StaleBag,
    LostEvent,
    UpgradeDeferred,
    PeersLate,
    Shuffled,
    CheckLost,
    PodFrozen,
    StreamCut,
    EventsLate,
    TwoLeaders,
    WatchGone,
    ReloadRefused,
}

use Fault::*;

impl Fault {
    /// All of them.
    pub const ALL: [Self; 43] = [
        KillBefore,
        KillAfter,
        PebbleAway,
        PebbleFails,
        PebbleSlow,
        DiskFull,
        SqlAway,
        SqlFails,
        SqlCut,
        SqlSlow,
        Kube403,
        Kube409,
        Kube410,
        Kube500,
        KubeAway,
        LeaderLost,
        LeaderTurns,
        EmptyBag,
        SecretLate,
        PodChurn,
        ContainerRestart,
        AgentAway,
        ServerDown,
        ClockJump,
        NoUpdateStatus,
        HookTwice,
        PatroniAway,
        PatroniFails,
        PatroniSlow,
        VolumeLost,
        MemberCut,
        StaleBag,
        LostEvent,
        UpgradeDeferred,
        PeersLate,
        Shuffled,
        CheckLost,
        PodFrozen,
        StreamCut,
        EventsLate,
        TwoLeaders,
        WatchGone,
        ReloadRefused,
    ];

    /// The faults that strike one effect of a hook.
    pub const OF_EFFECTS: [Self; 25] = [
        KillBefore,
        KillAfter,
        PebbleAway,
        PebbleFails,
        PebbleSlow,
        DiskFull,
        SqlAway,
        SqlFails,
        SqlCut,
        SqlSlow,
        Kube403,
        Kube409,
        Kube410,
        Kube500,
        KubeAway,
        LeaderLost,
        EmptyBag,
        SecretLate,
        HookTwice,
        PatroniAway,
        PatroniFails,
        PatroniSlow,
        StaleBag,
        PeersLate,
        ReloadRefused,
    ];

    /// The name and what happens.
    pub fn about(self) -> (&'static str, &'static str) {
        match self {
            KillBefore => ("kill-before", "the hook dies before an effect"),
            KillAfter => ("kill-after", "the hook dies after an effect"),
            PebbleAway => ("pebble-away", "Pebble does not answer for the rest of the hook"),
            PebbleFails => ("pebble-fails", "Pebble refuses one request"),
            PebbleSlow => ("pebble-slow", "Pebble does what one request asks but answers too late"),
            DiskFull => ("disk-full", "a file is not written: no space is left"),
            SqlAway => ("sql-away", "PostgreSQL does not answer for the rest of the hook"),
            SqlFails => ("sql-fails", "PostgreSQL refuses one statement"),
            SqlCut => ("sql-cut", "PostgreSQL runs one statement but the answer is lost"),
            SqlSlow => ("sql-slow", "PostgreSQL takes too long to let the charm in"),
            Kube403 => ("kubernetes-403", "the API forbids one request"),
            Kube409 => ("kubernetes-409", "the API answers one request with a conflict"),
            Kube410 => ("kubernetes-410", "the API answers one request with gone"),
            Kube500 => ("kubernetes-500", "the API fails on one request"),
            KubeAway => ("kubernetes-away", "the API does not answer for the rest of the hook"),
            LeaderLost => ("leader-lost", "another unit is elected in the middle of a hook"),
            LeaderTurns => ("leader-turns", "another unit is elected between two hooks"),
            EmptyBag => ("empty-bag", "a remote bag is still empty at its first event"),
            SecretLate => {
                ("secret-late", "secrets of others are not visible for the rest of a hook")
            }
            PodChurn => ("pod-churn", "a pod is replaced"),
            ContainerRestart => ("container-restart", "the workload container starts anew"),
            AgentAway => ("agent-away", "a unit's agent is away until its lease has ended"),
            ServerDown => ("server-down", "PostgreSQL is down for several hooks"),
            ClockJump => ("clock-jump", "the clock jumps"),
            NoUpdateStatus => ("no-update-status", "update-status is not fired before the end"),
            PeersLate => ("peers-late", "a new unit's peer relation is not there yet in one hook"),
            Shuffled => ("shuffled", "hooks come in another order than Juju's usual one"),
            CheckLost => ("check-lost", "that PostgreSQL went or came back is not told"),
            PodFrozen => ("pod-frozen", "a pod stands still for several hooks, and nobody is told"),
            StreamCut => ("stream-cut", "a standby reaches the API but not the primary"),
            EventsLate => {
                ("events-late", "a unit's events wait for others' and are merged meanwhile")
            }
            TwoLeaders => ("two-leaders", "the lead goes to another unit and back at once"),
            WatchGone => ("watch-gone", "the API ends a Patroni's watch, which misses loops"),
            ReloadRefused => ("reload-refused", "PgBouncers do not take one reload"),
            HookTwice => ("hook-twice", "the hook succeeds, but Juju runs it again"),
            PatroniAway => ("patroni-away", "Patroni does not answer for the rest of the hook"),
            PatroniFails => ("patroni-fails", "Patroni refuses one request"),
            PatroniSlow => ("patroni-slow", "Patroni takes too long to answer one request"),
            VolumeLost => ("volume-lost", "a standby's pod is replaced and its volume is lost"),
            MemberCut => ("member-cut", "a Patroni does not reach the API for several hooks"),
            StaleBag => ("stale-bag", "remote bags are as they were before their last change"),
            LostEvent => ("lost-event", "a notice of a workload is lost"),
            UpgradeDeferred => ("upgrade-deferred", "the charm is refreshed while a hook is owed"),
        }
    }

    /// The fault of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.about().0 == name)
    }

    /// The side whose effects it strikes; none where any effect will do.
    pub fn side(self) -> Option<Side> {
        match self {
            PebbleAway | PebbleFails | PebbleSlow | DiskFull | ReloadRefused => Some(Side::Pebble),
            SqlAway | SqlFails | SqlCut | SqlSlow => Some(Side::Sql),
            Kube403 | Kube409 | Kube410 | Kube500 | KubeAway => Some(Side::Kubernetes),
            PatroniAway | PatroniFails | PatroniSlow => Some(Side::Patroni),
            LeaderLost | EmptyBag | SecretLate | StaleBag | PeersLate => Some(Side::Juju),
            _ => None,
        }
    }

    /// Whether it lasts until the hook ends.
    fn lasts(self) -> bool {
        matches!(
            self,
            PebbleAway
                | SqlAway
                | KubeAway
                | EmptyBag
                | SecretLate
                | PatroniAway
                | StaleBag
                | PeersLate
        )
    }
}

/// A fault for one hook: which, and at which of the effects that it can strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mischief {
    /// What happens.
    pub fault: Fault,
    /// The number of the effect, from 0, among those of the fault's side.
    pub at: u32,
}

/// The payload with which a killed hook unwinds.
pub(crate) struct Killed;

/// No password is as short as this, in bytes.
pub(crate) const SHORT: usize = 8;

/// Counts one hook's effects and strikes them.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    plan: Option<Mischief>,
    /// Effects so far, by side and in all.
    seen: Effects,
    all: u32,
    /// Whether the fault has struck.
    struck: bool,
    /// How many writes changed something outside.
    pub(crate) written: u32,
    /// What they were, where somebody wants to know.
    pub(crate) writes: Option<Vec<String>>,
    /// What stood in argument lists, a line each.
    pub(crate) shown: String,
    /// Kept for the trace.
    pub(crate) lines: Option<Vec<String>>,
}

impl Gate {
    /// The gate of a new hook.
    pub(crate) fn open(&mut self, plan: Option<Mischief>) {
        let fresh = |kept: &mut Option<Vec<String>>| kept.take().map(|_| Vec::new());
        let (lines, writes) = (fresh(&mut self.lines), fresh(&mut self.writes));
        *self = Self { plan, lines, writes, ..Self::default() };
    }

    /// The effects of the hook so far.
    pub(crate) fn effects(&self) -> u32 {
        self.all
    }

    /// The effects so far that a fault of this kind could have struck.
    pub(crate) fn seen(&self) -> Effects {
        self.seen
    }

    /// The fault that has struck.
    pub(crate) fn struck(&self) -> Option<Fault> {
        self.plan.filter(|_| self.struck).map(|plan| plan.fault)
    }

    /// Counts an effect; the fault that strikes it.
    pub(crate) fn pass(&mut self, side: Side, what: impl FnOnce() -> String) -> Option<Fault> {
        let own = &mut self.seen.0[side as usize];
        let (own_number, number) = (*own, self.all);
        *own += 1;
        self.all += 1;
        let strikes = self.plan.filter(|plan| match plan.fault.side() {
            Some(wanted) if wanted != side => false,
            Some(_) => plan.at == own_number || (plan.fault.lasts() && plan.at < own_number),
            None => plan.at == number,
        });
        self.struck |= strikes.is_some();
        if let Some(lines) = &mut self.lines {
            let struck =
                strikes.map_or(String::new(), |plan| format!(" !{}", plan.fault.about().0));
            lines.push(format!("{number:>3} {side:?}: {}{struck}", what()));
        }
        strikes.map(|plan| plan.fault)
    }

    /// Notes an argument list; what is too short for a password is left out.
    pub(crate) fn show(&mut self, args: &[&str]) {
        for arg in args.iter().filter(|arg| arg.len() > SHORT) {
            self.shown.push_str(arg);
            self.shown.push('\n');
        }
    }

    /// Notes a write that changed something.
    pub(crate) fn write(&mut self, what: impl FnOnce() -> String) {
        self.written += 1;
        if let Some(writes) = &mut self.writes {
            writes.push(what());
        }
    }
}
