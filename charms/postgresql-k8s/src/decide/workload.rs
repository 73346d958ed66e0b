//! Patroni and PostgreSQL on this unit.

use charm::{Changes, Decision, ExposeSecret, Own, Status, UnitName, databag};

use super::{clients, members, plugins, refuse_options, tls};
use crate::effect::{Confirmation, Effect};
use crate::facts::{Container, Facts, Peer};
use crate::gather::tls::FLAG;
use crate::layer;
use crate::options::Settings;
use crate::passwords::Passwords;
use crate::patroni_yml::{self, PGDATA};

/// The key of the unit's databag that tells the leader that a restart is due.
pub(crate) const PENDING: &str = "pending-restart";

/// The stream of random values that the system users' salts come from.
const SALTS: u64 = 1;

/// The stream of random values that salts of confirmed passwords come from.
const CONFIRMED: u64 = 3;

/// The chart "PostgreSQL Pebble Ready Hook".
pub(super) fn pebble_ready(facts: &Facts) -> Decision<Effect> {
    let Some(container) = &facts.container else {
        return Decision::new().defer("the container does not answer yet");
    };
    if !facts.leader && !facts.initialised() && !has_begun(facts) {
        let decision = Decision::new().effects(storage(container));
        return decision.defer("the leader has not set up the cluster yet");
    }
    start(facts)
}

/// The box "Create data directory".
fn storage(container: &Container) -> Option<Effect> {
    (!container.pgdata).then_some(Effect::PrepareStorage)
}

/// Brings this member up and, on the leader, sets up the cluster. Safe in every state.
///
/// Options that cannot be used are said, and leave what was in force: a pod that is new runs a
/// member all the same, and certificates, passwords and clients are followed meanwhile.
pub(super) fn start(facts: &Facts) -> Decision<Effect> {
    let (Some(container), Some(peer)) = (&facts.container, &facts.peer) else {
        return Decision::new().defer("the peer relation does not exist yet");
    };
    let Some(passwords) = facts.passwords() else {
        return Decision::new().defer("the leader has not made the passwords yet");
    };
    let problems = facts.settings.as_ref().err();
    let decision =
        Decision::new().effects(problems.into_iter().flat_map(|all| refuse_options(all)));
    let Some(settings) = facts.usable() else { return decision };
    if let Some(refusal) = tls::refusal(facts) {
        return decision.effect(refusal);
    }
    if let Some(system) = foreign(facts, container, &passwords) {
        return decision.status(set_aside(&facts.unit, system));
    }
    // Other hooks than pebble-ready may find the container first.
    let mut decision = decision.effects(storage(container));
    if !members::may_run(facts, container) {
        return decision.defer("the leader has not let this unit join yet").status(joins());
    }
    // Without an answer of the API a member that runs is left alone.
    if !facts.labelled.unwrap_or_else(|| container.started()) {
        decision = decision.effect(Effect::LabelPods(vec![facts.unit.pod()]));
    }
    let begins = container.system.is_none() && !container.running;
    if facts.leader && !facts.initialised() && begins {
        decision = decision.effect(Effect::RemoveLeftovers);
    }
    match update_service(facts, container, settings, &passwords) {
        Ok(update) => bring_up(decision, facts, (container, peer), (settings, &passwords), update),
        Err(error) => Decision::new().effects(refuse_options(&[error.to_string()])),
    }
}

/// What is done besides the effects that make the member as it should be.
fn bring_up(
    mut decision: Decision<Effect>,
    facts: &Facts,
    (container, peer): (&Container, &Peer),
    (settings, passwords): (&Settings, &Passwords),
    update: Vec<Effect>,
) -> Decision<Effect> {
    let moves = |e: &Effect| matches!(e, Effect::PushConfig(_) | Effect::StartWorkload(_));
    let changed = update.iter().any(moves);
    let reloaded = update.iter().any(|effect| matches!(effect, Effect::Reload));
    decision = decision.effects(update);
    let waits = changed || !container.started();
    decision = decision.effects(copied_anew(facts, container, passwords));
    if waits {
        decision = decision.effect(Effect::AwaitMember);
    }
    // Before anything else is written: where it is the replication's password that standbys do not
    // have, no statement comes to its end.
    decision = decision.effects(confirmation(facts, settings, passwords));
    let sets_up = facts.leader && !facts.initialised();
    if sets_up {
        decision = decision.effects(set_up(facts, passwords));
    }
    // Their parameters are in force with the other options.
    let plugins = facts.settings.is_ok().then(|| plugins::switch(facts, sets_up));
    decision = decision.effects(plugins.flatten());
    let pending = container.health.as_ref().is_some_and(|health| health.pending_restart);
    if reloaded || pending != databag::text(&peer.own, PENDING).is_some() {
        decision = decision.effect(tell_pending(peer));
    }
    // By then Patroni has read what changed.
    decision = decision.effects(passfile(facts, passwords, reloaded));
    // It makes the leader look, which one that is the leader needs not.
    let started = (!sets_up).then_some(("member", "started"));
    let changes: Changes = started.into_iter().chain(tls_flag(facts, peer)).collect();
    if !changes.is_empty() {
        decision = decision.effect(Effect::SetBag(peer.id, Own::Unit, changes));
    }
    // After all that is this unit's own: clients wait for a server that is away.
    if facts.leader && !sets_up {
        decision = decision.effects(clients::serve(facts, None));
    }
    if waits || sets_up {
        decision =
            decision.effect(Effect::Announce).effect(Effect::ShowStatus { planned: facts.planned });
    }
    decision
}

/// What a copy needs that was broken off, for instance with its pod: Patroni leaves what is there
/// and waits for somebody to ask.
fn copied_anew(facts: &Facts, container: &Container, passwords: &Passwords) -> Option<Effect> {
    let leader = facts.cluster.as_ref().and_then(patroni::Cluster::leader)?;
    let broken = container.unfinished && leader.name != facts.unit.pod();
    broken.then(|| Effect::CopyAnew { password: passwords.patroni.clone() })
}

/// What follows a change of passwords of which nobody knows whether it is kept.
fn confirmation(facts: &Facts, settings: &Settings, passwords: &Passwords) -> Vec<Effect> {
    let Some(confirm) = confirm(facts, passwords, false) else { return Vec::new() };
    let encrypted = tls::steps(facts).ca.is_some();
    let text = patroni_yml::render(&facts.topology, &facts.unit, settings, passwords, encrypted);
    text.map_or_else(|_| Vec::new(), |text| vec![confirm, Effect::PushConfig(text)])
}

/// The comparison of the server's passwords with those that are kept, where it is due.
pub(super) fn confirm(facts: &Facts, passwords: &Passwords, of_action: bool) -> Option<Effect> {
    let due = facts.container.as_ref().is_some_and(|container| container.marks.unconfirmed);
    let mut source = facts.seed.source(CONFIRMED);
    (due && facts.initialised()).then(|| {
        Effect::ConfirmPasswords(Box::new(Confirmation {
            passwords: passwords.clone(),
            salts: std::array::from_fn(|_| source.salt()),
            ca: tls::steps(facts).ca,
            of_action,
        }))
    })
}

/// The identifier of the data on the volume, if they are another cluster's. A volume that an
/// earlier application had, or that a person copied something to, is one that PostgreSQL would
/// not start on, or that would bring users with other passwords.
fn foreign(facts: &Facts, container: &Container, passwords: &Passwords) -> Option<u64> {
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
pub(super) fn has_begun(facts: &Facts) -> bool {
    let data = facts.container.as_ref().filter(|container| container.system.is_some());
    data.zip(facts.passwords())
        .is_some_and(|(container, passwords)| foreign(facts, container, &passwords).is_none())
}

/// Blocked until somebody decides about data that are not this cluster's.
fn set_aside(unit: &UnitName, system: u64) -> Status {
    Status::blocked(format!(
        "the volume has the data of another cluster. To set them aside: \
         `juju ssh --container {} {unit} mv {PGDATA} {PGDATA}-{system}`",
        layer::NAME
    ))
}

/// Lets the leader know of a restart that is due here.
pub(super) fn tell_pending(peer: &Peer) -> Effect {
    Effect::TellPendingRestart { id: peer.id, alone: peer.units.len() == 1 }
}

/// What a standby needs whose password file is not as it should be. A primary has none to read.
pub(super) fn passfile(facts: &Facts, passwords: &Passwords, reloaded: bool) -> Option<Effect> {
    let container = facts.container.as_ref().filter(|container| container.started())?;
    let known = container.passfile.as_ref()?.expose_secret();
    let wanted = patroni_yml::with_password(known, &passwords.replication);
    let stale = reloaded || wanted.expose_secret() != known;
    (stale && !members::leads(facts))
        .then(|| Effect::RefreshPassfile(passwords.replication.clone()))
}

/// What the leader has to know before it tells clients of TLS, where that changed.
fn tls_flag(facts: &Facts, peer: &Peer) -> Option<(&'static str, &'static str)> {
    let (flag, enabled) = FLAG;
    let word = if tls::steps(facts).ca.is_some() { enabled } else { "" };
    let told = databag::text(&peer.own, flag).unwrap_or_default();
    (told != word).then_some((flag, word))
}

/// The box "Have pebble services changed?" and what follows from it.
fn update_service(
    facts: &Facts,
    container: &Container,
    settings: &Settings,
    passwords: &Passwords,
) -> Result<Vec<Effect>, patroni::config::RenderError> {
    let tls = tls::steps(facts);
    let encrypted = tls.ca.is_some();
    let text = patroni_yml::render(&facts.topology, &facts.unit, settings, passwords, encrypted)?;
    let current = container.config.as_ref().map(ExposeSecret::expose_secret);
    let stale = current != Some(text.expose_secret());
    let layer = layer::layer(&facts.topology, &facts.unit, encrypted);
    let starts = !container.running || layer.restarts(&container.plan);
    let laid = layer.differs_from(&container.plan);
    let reloads = !starts && (stale || tls.changed || container.marks.unread);
    // Patroni looks for another certificate of the same name only where nothing else of its
    // file changed, so it is told once more.
    let twice = encrypted && stale && tls.changed && current.is_some_and(patroni_yml::is_encrypted);
    let kept = if container.marks.unconfirmed { patroni_yml::unconfirmed(&text) } else { text };
    // It says so until Patroni has been told, in whichever hook.
    let unread = || Effect::PushConfig(patroni_yml::unread(&kept));
    let mut effects: Vec<Effect> = (reloads && !stale).then(unread).into_iter().collect();
    effects.extend(tls.before);
    if stale {
        effects.push(if reloads { unread() } else { Effect::PushConfig(kept.clone()) });
    }
    effects.extend(tls.after);
    if reloads {
        effects.push(Effect::Reload);
        effects.extend((!twice).then(|| Effect::PushConfig(kept)));
    }
    if starts || laid {
        effects.push(Effect::StartWorkload(Box::new(layer)));
    }
    Ok(effects)
}

/// The leader's way from a running member to an initialised cluster.
fn set_up(facts: &Facts, passwords: &Passwords) -> Vec<Effect> {
    let mut source = facts.seed.source(SALTS);
    let mark = Changes::from([("cluster_initialised", "True")]);
    let mut effects = vec![
        Effect::AwaitPrimary,
        Effect::SetUpCluster {
            passwords: passwords.clone(),
            salts: [source.salt(), source.salt()],
            ca: tls::steps(facts).ca,
        },
    ];
    effects.push(Effect::AdoptObjects);
    effects.extend(facts.peer.as_ref().map(|peer| Effect::SetBag(peer.id, Own::App, mark)));
    effects
}

/// The status of a member that did not come up within the bound.
pub(crate) fn member_waits() -> Status {
    Status::waiting("awaiting for cluster to start")
}

/// The status of a unit that is no member yet.
fn joins() -> Status {
    Status::waiting("awaiting for member to start")
}

/// The status while the service in front of the primary leads nowhere.
pub(crate) fn primary_waits() -> Status {
    Status::waiting("awaiting for primary endpoint to be ready")
}
