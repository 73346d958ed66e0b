//! Who may be a member of the cluster: the leader's part.

use juju_charm::{Decision, RelationEvent, UnitName, Write};
use patroni::{Cluster, State};

use super::{refusals, refuse_options};
use crate::effect::Effect;
use crate::facts::{Container, Peer};
use crate::options::Settings;
use crate::passwords;
use crate::patroni_yml;
use crate::slots;
use crate::sync::{Members, Sync};
use crate::upgrade::Upgrade;
use crate::validate::Validated;

/// The chart "Leader Elected Hook".
pub(super) fn leader_elected(facts: &Validated<'_>) -> Decision<Effect> {
    // One that was deferred may find that another unit leads by now.
    if !facts.leader {
        return Decision::new();
    }
    if facts.peer.is_none() {
        return Decision::new().defer("the peer relation does not exist yet");
    }
    let mut led = lead(facts);
    // Few events report that a service is gone: update-status looks, and so does this one.
    let first = |effect: &&Effect| {
        matches!(effect, Effect::Refuse { .. } | Effect::Juju(Write::Secret { .. }))
    };
    let at = led.effects.iter().take_while(first).count();
    if facts.initialised() {
        led.effects.insert(at, Effect::ApplyServices);
        // A client that came or went before this unit led has no other event.
        return led.effects(super::clients::serve(facts, None));
    }
    led
}

/// Passwords, services, the list of members and how many of them commits wait for.
///
/// Deferred when units wait to become members and the others are not all well.
pub(super) fn lead(facts: &Validated<'_>) -> Decision<Effect> {
    let Some(peer) = &facts.peer else { return Decision::new() };
    let mut decision = Decision::new().effects(refusals(facts));
    let completed = passwords::completed(&facts.secret, &facts.seed);
    if completed != facts.secret {
        decision = decision.effect(passwords::write(&facts.topology, completed));
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
        decision = decision.effect(Write::app_bag(peer.id, [("endpoints", text)]));
    }
    if !new.is_empty() {
        let pods = new.iter().map(UnitName::pod).collect();
        decision = decision.effect(Effect::LabelPods(pods));
    }
    decision.effects(dynamic(facts, &members)).effects(super::upgrade::roll(facts))
}

/// The present members without those whose unit is gone.
fn remaining(facts: &Validated<'_>, peer: &Peer) -> Vec<String> {
    let hosts: Vec<String> = peer.units.iter().map(|unit| facts.topology.member(unit)).collect();
    peer.endpoints().into_iter().filter(|host| hosts.contains(host)).collect()
}

/// The units that are no members yet.
fn missing(facts: &Validated<'_>, peer: &Peer, members: &[String]) -> Vec<UnitName> {
    let is_missing = |unit: &&UnitName| !members.contains(&facts.topology.member(unit));
    peer.units.iter().filter(is_missing).cloned().collect()
}

/// What Patroni's dynamic configuration lacks, how many standbys commits wait for included.
fn dynamic(facts: &Validated<'_>, members: &[String]) -> Option<Effect> {
    let (Some(current), Some(settings)) = (&facts.dynamic, facts.settings) else { return None };
    if !facts.initialised() {
        return None;
    }
    let sync = wanted_sync(facts, settings, members);
    let slots = slots::wanted(&current["slots"], &facts.topology.app, members);
    match patroni_yml::dynamic_patch(current, settings, sync, slots) {
        Ok(None) => None,
        Ok(Some(patch)) => {
            let password = facts.passwords.as_ref()?.patroni.clone();
            Some(Effect::PatchDynamic { patch, password })
        }
        Err(error) => refuse_options(&[error.to_string()]).pop(),
    }
}

fn wanted_sync(facts: &Validated<'_>, settings: &Settings, members: &[String]) -> Sync {
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

/// The chart "peer-departed": the leader strikes the unit off the list.
pub(super) fn peer_departed(relation: &RelationEvent, facts: &Validated<'_>) -> Decision<Effect> {
    if !facts.leader || relation.departing_unit.as_ref() == Some(&facts.unit) {
        return Decision::new();
    }
    let led = lead(facts);
    let offers = super::clients::refresh(facts);
    led.effects(offers)
}

/// The chart "storage-detaching": another member shall lead before the volume goes, and the others
/// are notified.
pub(super) fn storage_detaching(facts: &Validated<'_>) -> Decision<Effect> {
    let others = facts.cluster.as_ref().is_some_and(|cluster| cluster.members.len() > 1);
    let passwords = facts.passwords.as_ref().filter(|_| others && leads(facts));
    let hand_over = passwords.map(|all| Effect::HandOver { password: all.patroni.clone() });
    Decision::new()
        .effects(hand_over)
        .effects(facts.peer.as_ref().map(super::clients::report_departure))
}

/// The chart "role-changed": this member started, or its role changed.
///
/// One that leads takes the primary's label from the others: a pod that is frozen or cut off cannot
/// do so itself, and clients would be sent to it. It notifies the others, which may have waited for
/// a primary, and any other one notifies the rest once it follows: statuses are right again then.
pub(super) fn role_changed(facts: &Validated<'_>) -> Vec<Effect> {
    match facts.peer.as_ref().filter(|peer| peer.initialised()) {
        None => Vec::new(),
        Some(peer) if leads(facts) => {
            let others = (peer.units.len() > 1).then_some(Effect::ReportTimeline(peer.id));
            let own = [Effect::TakePrimaryLabel, Effect::ReportToClients, Effect::AdoptObjects];
            own.into_iter().chain(others).collect()
        }
        Some(peer) => vec![Effect::ReportTimeline(peer.id)],
    }
}

/// What a change of parameters leaves to do: members restart when all are well, so that
/// never two of them are away.
pub(super) fn restarts(facts: &Validated<'_>) -> Option<Effect> {
    let cluster = facts.cluster.as_ref().filter(|cluster| cluster.all_follow())?;
    let due = cluster.members.iter().any(|member| member.pending_restart);
    // Whose pod goes is away as well.
    let upgrades = facts.facts().upgrade.as_ref().is_some_and(Upgrade::is_under_way);
    let all = !upgrades
        && cluster.members.len() >= facts.peer.as_ref().map_or(0, |peer| peer.units.len());
    (facts.leader && facts.initialised() && due && all)
        .then_some(facts.passwords.as_ref())
        .flatten()
        .map(|passwords| Effect::RestartMembers { password: passwords.patroni.clone() })
}

pub(super) fn leads(facts: &Validated<'_>) -> bool {
    let leader = facts.cluster.as_ref().and_then(Cluster::leader);
    leader.is_some_and(|leader| leader.name == facts.unit.pod())
}

/// Whether this unit may run as a member.
pub(super) fn may_run(facts: &Validated<'_>, container: &Container) -> bool {
    let host = facts.host();
    let listed = facts.peer.as_ref().is_some_and(|peer| peer.endpoints().contains(&host));
    // The leader puts itself on the list in the same hook. A unit whose volume comes back was a
    // member before, perhaps the last primary, without which no member may lead.
    listed || facts.leader || container.config.is_some()
}
