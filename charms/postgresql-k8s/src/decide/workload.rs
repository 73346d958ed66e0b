//! Patroni and PostgreSQL on this unit.

use charm_kit::certificates::FLAG;
use juju_charm::{Changes, Decision, ExposeSecret, SecretString, Status, Write, databag};

use super::{clients, members, plugins, refuse_options, tls};
use crate::effect::{Confirmation, CopyAnew, Effect};
use crate::facts::{Container, NotStreaming, Peer};
use crate::layer;
use crate::passwords::Passwords;
use crate::patroni_yml;
use crate::status::of_stopped;
use crate::validate::Validated;
use crate::wording;

/// The key of the unit's databag that reports to the leader that a restart is due.
pub(crate) const PENDING: &str = "pending-restart";

/// The chart "PostgreSQL Pebble Ready Hook".
pub(super) fn pebble_ready(facts: &Validated<'_>) -> Decision<Effect> {
    let Some(container) = &facts.container else {
        return Decision::new().defer("the container does not answer yet");
    };
    if !may_start(facts) {
        let decision = Decision::new().effects(storage(container));
        return decision.defer("the leader has not set up the cluster yet");
    }
    let start = start(facts);
    let effects = super::opening(facts).into_iter().chain(start.effects).collect();
    Decision { effects, ..start }
}

/// Whether this unit's member is to run: the leader's sets the cluster up, the others wait for it.
pub(super) fn may_start(facts: &Validated<'_>) -> bool {
    facts.leader || facts.initialised() || has_begun(facts)
}

/// The box "Create data directory"; a volume may also be from another deployment.
fn storage(container: &Container) -> Option<Effect> {
    (!container.prepared).then_some(Effect::PrepareStorage)
}

/// Brings this member up and, on the leader, sets up the cluster. Safe in every state.
///
/// Options that cannot be used are said, and leave what was in force: a pod that is new runs a
/// member all the same, and certificates, passwords and clients are followed meanwhile.
pub(super) fn start(facts: &Validated<'_>) -> Decision<Effect> {
    let (Some(container), Some(peer)) = (&facts.container, &facts.peer) else {
        return Decision::new().defer("the peer relation does not exist yet");
    };
    let Some(passwords) = &facts.passwords else {
        return Decision::new().defer("the leader has not made the passwords yet");
    };
    let decision = Decision::new();
    let Some(settings) = facts.settings else { return decision };
    if let Some(refusal) = tls::refusal(facts) {
        return decision.effect(refusal);
    }
    if let Some(system) = foreign(facts, container, passwords) {
        return decision.status(wording::foreign_data(&facts.unit, system));
    }
    // Other hooks than pebble-ready may find the container first.
    let decision = decision.effects(storage(container));
    if !members::may_run(facts, container) {
        return decision
            .defer("the leader has not let this unit join yet")
            .status(wording::joins());
    }
    let encrypted = facts.is_encrypted();
    match patroni_yml::render(&facts.topology, &facts.unit, settings, passwords, encrypted) {
        Ok(config) => {
            let member = Member { facts, container, peer, passwords, config };
            member.bring_up(decision)
        }
        Err(error) => decision.effects(refuse_options(&[error.to_string()])),
    }
}

/// A member that may run, and the `patroni.yml` that it shall have.
struct Member<'a> {
    facts: &'a Validated<'a>,
    container: &'a Container,
    peer: &'a Peer,
    passwords: &'a Passwords,
    config: SecretString,
}

impl Member<'_> {
    /// The effects in the order in which each finds what it needs.
    fn bring_up(&self, decision: Decision<Effect>) -> Decision<Effect> {
        let facts = self.facts;
        let update = self.update_service();
        let moves = |e: &Effect| matches!(e, Effect::PushConfig(_) | Effect::StartWorkload(_));
        let not_streaming = matches!(
            facts.not_streaming,
            Some(NotStreaming::Unknown | NotStreaming::Diverged { .. })
        );
        let waits = update.iter().any(moves) || !self.container.started() || not_streaming;
        let reloaded = update.iter().any(|effect| matches!(effect, Effect::Reload));
        let sets_up = facts.leader && !facts.initialised();
        decision
            // Patroni looks for its own pod by the labels as it starts.
            .effects(self.label())
            // It would believe the objects of an earlier deployment.
            .effects(self.remove_orphaned_objects(sets_up))
            // The files come before the process that reads them.
            .effects(update)
            // A copy that has begun gets the room.
            .effects(self.remove_aside())
            // Patroni has to run before it is asked to copy.
            .effects(self.copied_anew())
            // All that follows asks the member, or needs its SQL.
            .effects(waits.then(|| Effect::AwaitMember(self.otherwise())))
            // Before anything else is written: where it is the replication's password that standbys
            // do not have, no statement comes to its end.
            .effects(self.confirmation())
            // Clients' users rest on what the cluster begins with.
            .effects(sets_up.then(|| self.set_up()).into_iter().flatten())
            // The parameters of plugins are in force with the other options.
            .effects(
                facts.facts().settings.is_ok().then(|| plugins::switch(facts, sets_up)).flatten(),
            )
            // Patroni has read by now what changed.
            .effects(self.report_pending(reloaded))
            // By now it has made of them what it makes of them.
            .effects(unlike(facts).then_some(Effect::CompareAgain))
            // It writes the file anew when it reloads, so this comes after.
            .effects(passfile(facts, self.passwords, reloaded))
            // It makes the leader look: by now there is something to see.
            .effects(self.report_to_leader(sets_up))
            // After all that is this unit's own: clients wait for a server that is away.
            .effects(
                (facts.leader && !sets_up)
                    .then(|| clients::serve(facts, None))
                    .into_iter()
                    .flatten(),
            )
            // The status is that of what the other effects came to.
            .effects((waits || sets_up).then(|| self.report()).into_iter().flatten())
    }

    /// Without an answer of the API a member that runs is left alone.
    fn label(&self) -> Option<Effect> {
        let labelled = self.facts.labelled.unwrap_or_else(|| self.container.started());
        (!labelled).then(|| Effect::LabelPods(vec![self.facts.unit.pod()]))
    }

    fn remove_orphaned_objects(&self, sets_up: bool) -> Option<Effect> {
        let begins = self.container.system.is_none() && !self.container.running;
        (sets_up && begins).then_some(Effect::RemoveOrphanedObjects)
    }

    /// What a copy needs that was broken off, for instance with its pod, or that was away for
    /// longer than WAL was kept for it: Patroni leaves what is there and waits to be asked.
    fn copied_anew(&self) -> Option<Effect> {
        let leader = self.facts.cluster.as_ref().and_then(patroni::Cluster::leader)?;
        let lacks = match self.facts.not_streaming {
            Some(NotStreaming::LacksWal { databases }) => Some(databases),
            _ => None,
        };
        let broken = self.container.unfinished || lacks.is_some();
        let copies = broken && leader.name != self.facts.unit.pod();
        let login = self.facts.superuser().filter(|_| copies)?;
        let room = self.facts.volume.zip(lacks.flatten());
        // What lies aside already is whole, and what would follow it need not be.
        let keeps = !self.container.aside
            && room.is_some_and(|(volume, databases)| volume.has_room_for_copy(databases));
        let password = self.passwords.patroni.clone();
        Some(Effect::CopyAnew(CopyAnew { password, login, keeps }))
    }

    /// What lay aside until the copy was whole: nobody needs it once this member follows or leads,
    /// nor when the copy has too little room beside it.
    fn remove_aside(&self) -> Option<Effect> {
        let whole = self.container.started() && self.facts.not_streaming.is_none();
        let goes = self.container.aside && (whole || self.facts.full_volume().is_some());
        goes.then_some(Effect::RemoveAside)
    }

    /// What follows a change of passwords that may not have been stored.
    fn confirmation(&self) -> Vec<Effect> {
        let confirm = confirm(self.facts, self.passwords, false);
        let known = || Effect::PushConfig(self.config.clone());
        confirm.map_or_else(Vec::new, |confirm| vec![confirm, known()])
    }

    /// The leader's way from a running member to an initialised cluster.
    fn set_up(&self) -> Vec<Effect> {
        assert!(self.facts.leader, "only the leader sets the cluster up");
        vec![
            Effect::SetUpCluster {
                passwords: self.passwords.clone(),
                salts: ["backup", "monitoring"].map(|user| self.facts.seed.salt(user)),
                ca: self.facts.ca(),
            },
            Effect::AdoptObjects,
            // The other units start by this mark, so it is the last.
            Write::app_bag(self.peer.id, [("cluster_initialised", "True")]).into(),
        ]
    }

    fn report_pending(&self, reloaded: bool) -> Option<Effect> {
        let health = self.container.health.as_ref();
        let pending = health.is_some_and(|health| health.pending_restart);
        let reported = databag::text(&self.peer.own, PENDING).is_some();
        (reloaded || pending != reported).then(|| report_pending(self.peer))
    }

    /// That this member has started, which the leader's own need not report, and that it speaks
    /// TLS, which the leader has to know before it publishes that to clients.
    fn report_to_leader(&self, sets_up: bool) -> Option<Write> {
        let (flag, enabled) = FLAG;
        let word = if self.facts.is_encrypted() { enabled } else { "" };
        let reported = databag::text(&self.peer.own, flag).unwrap_or_default();
        let started = (!sets_up).then_some(("member", "started"));
        let flag = (reported != word).then_some((flag, word));
        let changes: Changes = started.into_iter().chain(flag).collect();
        (!changes.is_empty()).then(|| Write::unit_bag(self.peer.id, changes))
    }

    fn report(&self) -> [Effect; 2] {
        [Effect::ReportVersionAndPorts, Effect::ShowStatus(super::expected(self.facts))]
    }

    /// The status of a member that does not come up.
    fn otherwise(&self) -> Status {
        let (pod, cluster) = (self.facts.unit.pod(), self.facts.cluster.as_ref());
        let health = self.container.health.as_ref();
        let failed = health.and_then(|health| of_stopped(&pod, cluster, &health.state));
        super::no_space(self.facts).or(failed).unwrap_or_else(wording::member_waits)
    }

    /// The box "Have pebble services changed?" and what follows from it.
    fn update_service(&self) -> Vec<Effect> {
        let (container, certificate) = (self.container, &self.facts.certificate);
        let encrypted = self.facts.is_encrypted();
        let current = container.config.as_ref().map(ExposeSecret::expose_secret);
        let stale = current != Some(self.config.expose_secret());
        let layer = layer::layer(&self.facts.topology, &self.facts.unit, encrypted);
        let starts = !container.running || layer.restarts(&container.plan);
        let laid = layer.differs_from(&container.plan);
        let reloads = !starts && (stale || certificate.replaces() || container.marks.unread);
        // Patroni looks for another certificate of the same name only where nothing else of its
        // file changed, so it reloads once more.
        let was_encrypted = current.is_some_and(patroni_yml::is_encrypted);
        let twice = encrypted && stale && certificate.replaces() && was_encrypted;
        let kept = match container.marks.unconfirmed {
            true => patroni_yml::unconfirmed(&self.config),
            false => self.config.clone(),
        };
        // It says so until Patroni has reloaded, in whichever hook.
        let unread = || Effect::PushConfig(patroni_yml::unread(&kept));
        let program = &self.facts.program;
        let pushed = container.before_stop.as_ref() == Some(program);
        // Patroni finds the program by the time that it reads its name.
        let mut effects: Vec<Effect> =
            (!pushed).then(|| Effect::PushBeforeStop(program.clone())).into_iter().collect();
        effects.extend((reloads && !stale).then(unread));
        let (before, after) = tls::effects(self.facts);
        effects.extend(before);
        if stale {
            effects.push(if reloads { unread() } else { Effect::PushConfig(kept.clone()) });
        }
        effects.extend(after);
        if reloads {
            effects.push(Effect::Reload);
            effects.extend((!twice).then(|| Effect::PushConfig(kept)));
        }
        // A hook that dies before leaves it to the next update-status, which compares again.
        effects.extend((!starts && !reloads && unlike(self.facts)).then_some(Effect::Reload));
        if starts || laid {
            effects.push(Effect::StartWorkload(Box::new(layer)));
        }
        effects
    }
}

/// Whether the server has a parameter otherwise than asked, and no restart is due that brings it.
fn unlike(facts: &Validated<'_>) -> bool {
    facts.unlike.iter().any(|one| !one.restarts)
}

/// The comparison of the server's passwords with those that are kept, where it is due.
pub(super) fn confirm(
    facts: &Validated<'_>,
    passwords: &Passwords,
    of_action: bool,
) -> Option<Effect> {
    let due = facts.container.as_ref().is_some_and(|container| container.marks.unconfirmed);
    (due && facts.initialised()).then(|| {
        Effect::ConfirmPasswords(Box::new(Confirmation {
            passwords: passwords.clone(),
            salts: passwords.users().map(|(user, _)| facts.seed.salt(user.as_str())),
            ca: facts.ca(),
            of_action,
        }))
    })
}

/// The identifier of the data on the volume, if they are another cluster's. A volume that an
/// earlier application had, or that a person copied something to, is one that PostgreSQL would
/// not start on, or that would bring users with other passwords.
fn foreign(facts: &Validated<'_>, container: &Container, passwords: &Passwords) -> Option<u64> {
    let own = container.system?;
    let is_foreign = if facts.initialised() {
        facts.system.is_some_and(|system| system != own)
    } else {
        // Whatever this deployment began with has its passwords beside it.
        let password = passwords.operator.expose_secret();
        let config = container.config.as_ref();
        !config.is_some_and(|text| text.expose_secret().contains(password))
    };
    is_foreign.then_some(own)
}

/// Whether this unit has the data that this deployment's cluster began with: its leader lost
/// the lead before it could say so, and the next one waits for it.
fn has_begun(facts: &Validated<'_>) -> bool {
    let data = facts.container.as_ref().filter(|container| container.system.is_some());
    data.zip(facts.passwords.as_ref())
        .is_some_and(|(container, passwords)| foreign(facts, container, passwords).is_none())
}

/// Lets the leader know of a restart that is due here.
pub(super) fn report_pending(peer: &Peer) -> Effect {
    Effect::ReportPendingRestart { id: peer.id, alone: peer.units.len() == 1 }
}

/// What a standby needs whose password file is not as it should be. A primary has none to read.
pub(super) fn passfile(
    facts: &Validated<'_>,
    passwords: &Passwords,
    reloaded: bool,
) -> Option<Effect> {
    let container = facts.container.as_ref().filter(|container| container.started())?;
    let known = container.passfile.as_ref()?.expose_secret();
    let wanted = patroni_yml::with_password(known, &passwords.replication);
    let stale = reloaded || wanted.expose_secret() != known;
    (stale && !members::leads(facts))
        .then(|| Effect::RefreshPassfile(passwords.replication.clone()))
}
