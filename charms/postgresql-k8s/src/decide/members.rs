//! Who may be a member of the cluster: the leader's part.

use charm::{Changes, Decision, Own, RelationEvent, UnitName};
use patroni::{Cluster, State};

use crate::effect::Effect;
use crate::facts::{Container, Facts, Peer};
use crate::options::Settings;
use crate::passwords;
use crate::patroni_yml;
use crate::sync::{Members, Sync};

/// The stream of random values that new passwords come from.
const PASSWORDS: u64 = 0;

/// The chart "Leader Elected Hook".
pub(super) fn leader_elected(facts: &Facts) -> Decision<Effect> {
    // One that was deferred may find that another unit leads by now.
    if !facts.leader {
        return Decision::new();
    }
    if facts.peer.is_none() {
        return Decision::new().defer("the peer relation does not exist yet");
    }
    let mut led = lead(facts);
    // Few events tell that a service is gone: update-status looks, and so does this one.
    let at = led.effects.iter().take_while(|e| matches!(e, Effect::PutPasswords(_))).count();
    if facts.initialised() {
        led.effects.insert(at, Effect::ApplyServices);
        return led.effects(super::clients::forget(facts, None));
    }
    led
}

/// Passwords, services, the list of members and how many of them commits wait for.
///
/// Deferred when units wait to become members and the others are not all well.
pub(super) fn lead(facts: &Facts) -> Decision<Effect> {
    let Some(peer) = &facts.peer else { return Decision::new() };
    let mut decision = Decision::new();
    let completed = passwords::completed(&facts.passwords, &mut facts.seed.source(PASSWORDS));
    if completed != facts.passwords {
        decision = decision.effect(Effect::PutPasswords(completed));
    }
    if !peer.initialised() || facts.objects.is_some_and(|objects| !objects.services) {
        decision = decision.effect(Effect::ApplyServices);
    }
    if facts.objects.is_some_and(|objects| !objects.adopted) {
        decision = decision.effect(Effect::AdoptObjects);
    }
    let mut members = remaining(facts, peer);
    if !members.contains(&facts.host()) {
        members.push(facts.host());
    }
    let missing = missing(facts, peer, &members);
    let mut new = Vec::new();
    if peer.initialised() && !missing.is_empty() {
        if facts.cluster.as_ref().is_some_and(Cluster::is_ready) {
            new = missing;
            members.extend(new.iter().map(|unit| facts.topology.member(unit)));
        } else {
            decision = decision.defer("units wait to join until all members are well");
        }
    }
    if members != peer.endpoints() {
        let text = serde_json::json!(members).to_string();
        let changes = Changes::from([("endpoints", text)]);
        decision = decision.effect(Effect::SetBag(peer.id, Own::App, changes));
    }
    if !new.is_empty() {
        let pods = new.iter().map(UnitName::pod).collect();
        decision = decision.effect(Effect::LabelPods(pods));
    }
    decision.effects(commits(facts, &members))
}

/// The present members without those whose unit is gone.
fn remaining(facts: &Facts, peer: &Peer) -> Vec<String> {
    let hosts: Vec<String> = peer.units.iter().map(|unit| facts.topology.member(unit)).collect();
    peer.endpoints().into_iter().filter(|host| hosts.contains(host)).collect()
}

/// The units that are no members yet.
fn missing(facts: &Facts, peer: &Peer, members: &[String]) -> Vec<UnitName> {
    let is_missing = |unit: &&UnitName| !members.contains(&facts.topology.member(unit));
    peer.units.iter().filter(is_missing).cloned().collect()
}

/// How many standbys commits wait for, if that has to change.
fn commits(facts: &Facts, members: &[String]) -> Option<Effect> {
    let (Some(current), Some(settings)) = (&facts.dynamic, facts.usable()) else { return None };
    if !facts.initialised() {
        return None;
    }
    let sync = wanted_sync(facts, settings, members);
    let patch = patroni_yml::dynamic_patch(current, settings, sync)?;
    Some(Effect::PatchDynamic { patch, password: facts.passwords()?.patroni })
}

fn wanted_sync(facts: &Facts, settings: &Settings, members: &[String]) -> Sync {
    let streaming = |cluster: &Cluster| {
        cluster.members.iter().filter(|member| member.state == State::Streaming).count()
    };
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let members = Members {
        planned: facts.planned,
        allowed: number(members.len()),
        streaming: number(facts.cluster.as_ref().map_or(0, streaming)),
        strict_now: facts
            .dynamic
            .as_ref()
            .is_some_and(|dynamic| dynamic["synchronous_mode_strict"] == true),
    };
    Sync::wanted(settings.standbys, settings.strict, members)
}

/// A unit left: the leader strikes it off the list.
pub(super) fn departed(relation: &RelationEvent, facts: &Facts) -> Decision<Effect> {
    if !facts.leader || relation.departing_unit.as_ref() == Some(&facts.unit) {
        return Decision::new();
    }
    let led = lead(facts);
    let offers = super::clients::refresh(facts);
    led.effects(offers)
}

/// This unit's volume goes: another member shall lead before that.
pub(super) fn hand_over(facts: &Facts) -> Decision<Effect> {
    let (Some(cluster), Some(passwords)) = (&facts.cluster, facts.passwords()) else {
        return Decision::new();
    };
    if !leads(facts) || cluster.members.len() < 2 {
        return Decision::new();
    }
    Decision::new().effect(Effect::HandOver { password: passwords.patroni })
}

/// This member started or its role changed.
///
/// One that leads takes the primary's label from the others: a pod that is frozen or cut off
/// cannot do so itself, and clients would be sent to it. It tells the others, which may have
/// waited for a primary, and any other one tells the rest once it follows: statuses are right
/// again then.
pub(super) fn role_changed(facts: &Facts) -> Vec<Effect> {
    match facts.peer.as_ref().filter(|peer| peer.initialised()) {
        None => Vec::new(),
        Some(peer) if leads(facts) => {
            let others = (peer.units.len() > 1).then_some(Effect::TellTimeline(peer.id));
            let own = [Effect::TakePrimaryLabel, Effect::TellClients, Effect::AdoptObjects];
            own.into_iter().chain(others).collect()
        }
        Some(peer) => vec![Effect::TellTimeline(peer.id)],
    }
}

/// What a change of parameters leaves to do: members restart when all are well, so that
/// never two of them are away.
pub(super) fn restarts(facts: &Facts) -> Option<Effect> {
    let cluster = facts.cluster.as_ref().filter(|cluster| cluster.is_ready())?;
    let due = cluster.members.iter().any(|member| member.pending_restart);
    let all = cluster.members.len() >= facts.peer.as_ref().map_or(0, |peer| peer.units.len());
    (facts.leader && facts.initialised() && due && all)
        .then(|| facts.passwords())
        .flatten()
        .map(|passwords| Effect::RestartMembers { password: passwords.patroni })
}

pub(super) fn leads(facts: &Facts) -> bool {
    let leader = facts.cluster.as_ref().and_then(Cluster::leader);
    leader.is_some_and(|leader| leader.name == facts.unit.pod())
}

/// Whether this unit may run as a member.
pub(super) fn may_run(facts: &Facts, container: &Container) -> bool {
    let host = facts.host();
    let listed = facts.peer.as_ref().is_some_and(|peer| peer.endpoints().contains(&host));
    // The leader puts itself on the list in the same hook. A unit whose volume comes back
    // was a member before, perhaps the last primary, without which nobody may lead.
    listed || facts.leader || container.config.is_some()
}
