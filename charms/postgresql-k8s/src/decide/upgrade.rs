//! The rolling upgrade: the leader lets Kubernetes replace one pod after another.
//!
//! At rest the partition of the stateful set keeps all pods but the last. A refresh then replaces
//! that one, and the leader lowers the partition when all members are well, whatever became of
//! earlier leaders: what there is to know, the stateful set and Patroni say.

use juju_charm::{Status, UnitName, Write};
use patroni::{Cluster, Member, State};

use crate::effect::{Effect, Roll};
use crate::topology::unit_of;
use crate::upgrade::Upgrade;
use crate::validate::Validated;
use crate::wording;

/// The key under which upstream keeps the units that are still to be upgraded. Here it says that
/// the operator has asked for a stop after the first.
pub(crate) const STACK: &str = "upgrade-stack";

/// How many bytes a standby may be behind for which no commit waits, and still count as well:
/// Patroni's own bound for one that may become the primary.
const LAG_MAX: u64 = 1 << 20;

/// What to do next about the pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing; a later event goes on.
    Keep,
    /// Let Kubernetes replace the pods from this number on, and no others.
    Hold(u32),
    /// Let it replace the pod of this number.
    Replace(u32),
    /// Have the second member lead instead of the first, whose pod is the next.
    SwitchOver(String, String),
    /// Delete the pod of this number, so that it is made as the others are.
    Recreate(u32),
}

/// What an upgrade waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Waits {
    /// The pod of this unit goes and comes, or is about to.
    Replacing(u32),
    /// This unit is not well.
    Away(u32),
    /// No member may lead instead of this unit.
    NoSuccessor(u32),
    /// No member leads.
    NoPrimary,
    /// The operator has asked for a stop after this unit.
    Paused(u32),
}

/// What is seen, to decide on.
pub(crate) struct Seen<'a> {
    pub(crate) upgrade: &'a Upgrade,
    pub(crate) cluster: Option<&'a Cluster>,
    /// Whether commits wait for standbys, so that only such a one may lead next.
    pub(crate) synchronous: bool,
}

impl<'a> Seen<'a> {
    /// What a hook has seen of an upgrade; none where it has not looked.
    pub(crate) fn of(facts: &'a Validated<'_>) -> Option<Self> {
        let upgrade = facts.facts().upgrade.as_ref()?;
        let dynamic = facts.facts().dynamic.as_ref();
        let mode = dynamic.map(|dynamic| &dynamic["synchronous_mode"]);
        let synchronous = mode.is_none_or(|mode| mode == true || mode == "quorum" || mode == "on");
        Some(Self { upgrade, cluster: facts.facts().cluster.as_ref(), synchronous })
    }

    /// The next step, and what it waits for.
    pub(crate) fn next(&self) -> (Step, Option<Waits>) {
        let upgrade = self.upgrade;
        if !upgrade.noticed {
            return (Step::Keep, None);
        }
        if !upgrade.is_under_way() {
            return (self.hold(self.rest()), None);
        }
        let away = self.away();
        let Some(next) = self.outdated() else {
            // Whatever comes next finds all but the last held.
            return (self.hold(self.rest()), away.first().map(|&unit| Waits::Away(unit)));
        };
        if self.is_headless() {
            return self.go_on(next);
        }
        if let Some(&unit) = away.iter().find(|&&unit| unit != next) {
            return (self.stop(unit), Some(Waits::Away(unit)));
        }
        if upgrade.stack.is_some_and(|(_, stops)| stops) && next < upgrade.last() {
            let last = upgrade.last();
            return (self.hold(last), Some(Waits::Paused(last)));
        }
        self.go_on(next)
    }

    /// The next step where the operator does not want to wait for units that are away.
    pub(crate) fn forced(&self) -> Option<(u32, Step, Option<Waits>)> {
        let next = self.outdated().filter(|_| self.upgrade.is_under_way())?;
        let (step, waits) = self.go_on(next);
        Some((next, step, waits))
    }

    /// The way to replace the pod of this number, which all that are well can spare.
    fn go_on(&self, next: u32) -> (Step, Option<Waits>) {
        let (partition, replacing) = (self.upgrade.partition, Some(Waits::Replacing(next)));
        let leaves = self.upgrade.pod(next).is_some_and(|pod| pod.leaving);
        let leads = self.leader() == Some(next) && self.upgrade.replicas > 1;
        if leaves {
            return (Step::Keep, replacing);
        }
        if leads {
            let successor = self.successor();
            return match successor {
                _ if partition <= next => (Step::Hold(next + 1), replacing),
                Some((leader, successor)) => (Step::SwitchOver(leader, successor), replacing),
                None => (Step::Keep, Some(Waits::NoSuccessor(next))),
            };
        }
        if self.is_headless() {
            let step = if partition <= next { Step::Hold(next + 1) } else { Step::Keep };
            return (step, Some(Waits::NoPrimary));
        }
        match partition.cmp(&next) {
            std::cmp::Ordering::Greater => (Step::Replace(next), replacing),
            std::cmp::Ordering::Equal => (Step::Keep, replacing),
            std::cmp::Ordering::Less => (Step::Hold(next), replacing),
        }
    }

    /// What keeps the others in place while a unit is away, whichever refresh comes meanwhile.
    fn stop(&self, away: u32) -> Step {
        let upgrade = self.upgrade;
        match upgrade.pod(away).filter(|pod| !pod.leaving) {
            // A pod that is about to be made would be made from another template.
            None => Step::Keep,
            // The refresh that is to be taken back has made it.
            Some(pod) if pod.revision != upgrade.newest && pod.revision != upgrade.current => {
                Step::Recreate(away)
            }
            Some(_) if away == upgrade.last() => self.hold(away),
            Some(_) => self.hold(upgrade.replicas),
        }
    }

    /// The partition of an application whose pods are all alike: the next refresh begins with the
    /// last one, unless that is the primary's, or it is unknown whose it is.
    fn rest(&self) -> u32 {
        let upgrade = self.upgrade;
        match self.leader() {
            _ if upgrade.replicas < 2 => 0,
            Some(leader) if leader == upgrade.last() => upgrade.replicas,
            Some(_) => upgrade.last(),
            None => upgrade.partition.max(upgrade.last()),
        }
    }

    fn hold(&self, partition: u32) -> Step {
        if self.upgrade.partition == partition { Step::Keep } else { Step::Hold(partition) }
    }

    /// The unit whose pod Kubernetes would replace next.
    fn outdated(&self) -> Option<u32> {
        let planned = self.upgrade.pods.iter().filter(|pod| pod.number < self.upgrade.replicas);
        let outdated = planned.filter(|pod| pod.revision != self.upgrade.newest);
        outdated.map(|pod| pod.number).max()
    }

    /// The units that are not well, the last one first.
    fn away(&self) -> Vec<u32> {
        (0..self.upgrade.replicas).rev().filter(|&number| !self.is_well(number)).collect()
    }

    /// Whether a unit's pod is ready, and its member leads or streams and lacks next to nothing.
    fn is_well(&self, number: u32) -> bool {
        let ready = self.upgrade.pod(number).is_some_and(|pod| pod.ready && !pod.leaving);
        ready && self.member(number).is_some_and(|member| self.follows(member))
    }

    fn follows(&self, member: &Member) -> bool {
        if member.role.leads() {
            return member.state.is_ready();
        }
        let timeline = self.cluster.and_then(Cluster::leader).and_then(|leader| leader.timeline);
        let near = member.lag.is_some_and(|lag| lag <= LAG_MAX);
        member.state == State::Streaming
            && member.timeline == timeline
            && (near || member.role.follows_in_sync())
    }

    fn member(&self, number: u32) -> Option<&Member> {
        self.cluster?.members.iter().find(|member| number_of(member) == Some(number))
    }

    /// Whether no member leads, or none answers, of several.
    fn is_headless(&self) -> bool {
        self.leader().is_none() && self.upgrade.replicas > 1
    }

    fn leader(&self) -> Option<u32> {
        number_of(self.cluster?.leader()?)
    }

    /// Who leads, and who shall lead instead: the first that is upgraded or, where there is none,
    /// the first of all, whose pod is replaced last.
    fn successor(&self) -> Option<(String, String)> {
        let leader = self.cluster?.leader()?;
        let may_lead = |member: &&Member| {
            let in_sync = member.role.follows_in_sync() || !self.synchronous;
            !member.role.leads() && in_sync && self.follows(member)
        };
        let place = |member: &&Member| {
            let number = number_of(member);
            (!number.is_some_and(|number| self.upgrade.is_upgraded(number)), number)
        };
        let successor = self.cluster?.members.iter().filter(may_lead).min_by_key(place)?;
        Some((leader.name.clone(), successor.name.clone()))
    }
}

fn number_of(member: &Member) -> Option<u32> {
    unit_of(&member.name).map(|unit| unit.number())
}

/// What the leader does about the pods, and says of an upgrade.
pub(super) fn roll(facts: &Validated<'_>) -> Vec<Effect> {
    let Some(seen) = Seen::of(facts).filter(|_| facts.leader && facts.initialised()) else {
        return Vec::new();
    };
    let (step, waits) = seen.next();
    let mut effects = take(facts, seen.upgrade, step, false);
    let Some(waits) = waits else { return effects };
    let status = status(facts, &waits);
    // What is about to follow brings no event of its own; what this unit's own member lacks, a
    // later hook of this unit brings.
    let started = facts.container.as_ref().is_some_and(crate::facts::Container::started);
    let soon = match waits {
        Waits::Away(unit) => seen.upgrade.is_upgraded(unit),
        Waits::NoSuccessor(_) | Waits::NoPrimary => true,
        Waits::Replacing(_) | Waits::Paused(_) => false,
    };
    effects.push(Roll::Show { status, soon: soon && started && effects.is_empty() }.into());
    effects
}

/// The effects of a step; one of an action fails with it.
pub(super) fn take(
    facts: &Validated<'_>,
    upgrade: &Upgrade,
    step: Step,
    of_action: bool,
) -> Vec<Effect> {
    let version = upgrade.version.clone();
    let set = |partition| -> Effect {
        Roll::SetPartition { partition, version: version.clone(), of_action }.into()
    };
    match step {
        Step::Keep => Vec::new(),
        Step::Hold(partition) | Step::Replace(partition) => vec![set(partition)],
        Step::SwitchOver(leader, candidate) => {
            let password = facts.passwords.as_ref().map(|all| all.patroni.clone());
            let switch = |password| -> Effect {
                Roll::SwitchOver { leader, candidate, password, of_action }.into()
            };
            password.map(switch).into_iter().collect()
        }
        Step::Recreate(number) => {
            let held = (upgrade.partition <= number).then(|| set(upgrade.replicas));
            let pod = unit(facts, number).pod();
            held.into_iter().chain([Roll::ReplacePod(pod).into()]).collect()
        }
    }
}

fn unit(facts: &Validated<'_>, number: u32) -> UnitName {
    UnitName::new(facts.topology.app.clone(), number)
}

/// What the leader's unit says of an upgrade.
fn status(facts: &Validated<'_>, waits: &Waits) -> Status {
    let unit = |number: u32| unit(facts, number);
    match *waits {
        Waits::Replacing(number) => wording::upgrading(&unit(number)),
        Waits::Away(number) => wording::upgrade_waits(&unit(number), &facts.unit),
        Waits::NoSuccessor(number) => wording::no_successor(&unit(number)),
        Waits::NoPrimary => wording::no_primary(),
        Waits::Paused(number) => wording::upgrade_paused(&unit(number), &facts.unit),
    }
}

/// The action by which the operator prepares an upgrade that stops after its first unit.
pub(super) fn check(facts: &Validated<'_>) -> Result<Vec<Effect>, String> {
    let (seen, relation) = asked(facts)?;
    if seen.upgrade.is_under_way() {
        return Err("Cannot run pre-upgrade checks, cluster already upgrading.".to_owned());
    }
    if let Some(number) = seen.away().first() {
        let unit = unit(facts, *number);
        let fault = format!("{unit} does not follow, or it is not ready");
        return Err(format!("Pre-upgrade check failed and cannot safely upgrade: {fault}"));
    }
    let last = seen.upgrade.last();
    let moves = seen.leader() == Some(last) && last > 0;
    let step = match seen.successor().filter(|_| moves) {
        Some((leader, successor)) => Step::SwitchOver(leader, successor),
        None if moves => {
            let fault = "no standby is in sync that could lead";
            return Err(format!("Pre-upgrade check failed and cannot safely upgrade: {fault}"));
        }
        None => Step::Keep,
    };
    let mut effects = take(facts, seen.upgrade, step, true);
    effects.extend(take(facts, seen.upgrade, seen.hold(last), true));
    let stack = serde_json::json!((0..seen.upgrade.replicas).collect::<Vec<_>>()).to_string();
    effects.push(Write::app_bag(relation, [(STACK, stack)]).into());
    Ok(effects)
}

/// The action by which the operator has an upgrade go on.
pub(super) fn resume(facts: &Validated<'_>) -> Result<Vec<Effect>, String> {
    let (seen, relation) = asked(facts)?;
    let nothing = || "Nothing to resume, upgrade stack unset.".to_owned();
    let (next, step, waits) = seen.forced().ok_or_else(nothing)?;
    if let Some(waits @ (Waits::NoSuccessor(_) | Waits::NoPrimary)) = &waits {
        let fault = status(facts, waits);
        return Err(format!("Cannot set rolling update partition. {}", fault.message()));
    }
    let mut effects = take(facts, seen.upgrade, step, true);
    if seen.upgrade.stack.is_some_and(|(_, stops)| stops) {
        effects.push(Write::app_bag(relation, [(STACK, "")]).into());
    }
    let message = format!("Upgrade will resume on unit {next}");
    effects.push(Write::result("message", message).into());
    Ok(effects)
}

/// What an action of upgrades rests on.
fn asked<'a>(facts: &'a Validated<'_>) -> Result<(Seen<'a>, juju_charm::RelationId), String> {
    if !facts.leader {
        return Err("Action must be ran on the Juju leader.".to_owned());
    }
    let seen = Seen::of(facts).ok_or_else(|| {
        let app = &facts.topology.app;
        format!("Kubernetes StatefulSet patch failed: try `juju trust {app} --scope=cluster`")
    })?;
    let (relation, _) = seen.upgrade.stack.ok_or("Could not find upgrade relation.")?;
    Ok((seen, relation))
}
