//! Pure decisions: facts in, effects and a status out. One file per concern.

mod account;
pub(crate) mod actions;
pub(crate) mod backend;
mod capacity;
mod clients;
mod container;
mod database_map;
mod leaving;
mod legacy;
mod lookup;
mod peers;
mod rollout;
mod service;
pub(crate) mod start;
mod status;
pub(crate) mod tls;
mod watch;
mod workload;

#[cfg(test)]
mod tests;

use juju_charm::{Decision, Event, SecretContent, Write};
use pgbouncer::Ini;

use crate::databases::{DatabaseMap, DatabaseName};
use crate::effect::Effect;
use crate::facts::{Facts, FullFacts, Login};
use crate::validate::{Validated, validate};

pub(crate) use backend::Step;
pub(crate) use workload::{running, starts};

/// What to do for an event.
pub(crate) fn decide(event: &Event, facts: &Facts) -> Decision<Effect> {
    match (event, facts) {
        (_, Facts::Console(facts)) => actions::console(facts),
        (_, Facts::LastPause(shown)) => actions::last_pause(shown),
        (_, Facts::Key(asked)) => actions::set_key(asked),
        (Event::Action { name, .. }, _) => actions::unknown(name),
        (Event::SecretRemove { id, label: Some(_), revision }, Facts::None) => {
            Decision::new().effect(Write::RemoveRevision(id.clone(), *revision))
        }
        (_, Facts::Start(facts)) => start::start(facts),
        (_, Facts::Watchers(facts)) => Decision::new().effects(watch::writes(&facts.0, &facts.1)),
        (_, Facts::Full(facts)) => reconcile(event, facts),
        (_, Facts::None) => Decision::new(),
    }
}

/// What will be true once the effects of this hook are applied.
pub(crate) struct Next<'a> {
    /// What clients want, and with which certificate they are served.
    pub(crate) valid: Validated<'a>,
    /// PgBouncer's services run, or are started now.
    pub(crate) running: bool,
    /// How far the backend is.
    pub(crate) step: Step<'a>,
    /// The application's secret.
    pub(crate) secret: Option<SecretContent>,
    /// Which client relation uses which database.
    pub(crate) map: DatabaseMap,
    /// The map's digest.
    pub(crate) digest: String,
    /// Further databases that privileged clients may read on replicas.
    pub(crate) readonly: Vec<DatabaseName>,
    /// The configuration that all units share, if this unit knows it.
    pub(crate) shared: Option<Ini>,
    /// The container as it shall be; `None` where nothing runs yet.
    pub(crate) container: Option<container::Wanted>,
    /// Why the configuration cannot be written. The processes go on with the one they have.
    pub(crate) unwritable: Option<String>,
}

impl<'a> Next<'a> {
    /// Passwords can be looked up on the backend.
    pub(crate) fn ready(&self) -> bool {
        self.login().is_some()
    }

    /// Where the backend is, if it is initialised.
    pub(crate) fn login(&self) -> Option<&Login> {
        self.step.login()
    }
}

/// One reconciliation: whatever the event was, derive what is missing and add it.
///
/// Each chart of `docs/reference/hooks.md` is answered here, by the parts that bear its name or
/// stand beside it:
///
/// | chart | box | part |
/// | --- | --- | --- |
/// | start | all | [`start::start`] |
/// | pebble-ready | are the options valid, start | [`workload::running`], [`container::effects`] |
/// | config-changed | is it valid, is it taken | [`status::update_status`], [`container::effects`] |
/// | config-changed | Service, port | [`service::effects`], [`clients::database_requested`] |
/// | update-status | all | [`status::update_status`] |
/// | leader-elected | who leads | [`peers::leader_elected`] |
/// | secret-changed | is it the same list | [`container::effects`] |
/// | secret-remove, stop | all | [`decide`] |
/// | upgrade-charm | is the list an older charm's | [`backend::backend_changed`] |
/// | peer created, peer changed, peer departed | secret | [`backend::keep`] |
/// | peer created, peer changed, peer departed | bags, configuration | [`peers::peer_changed`], [`container::effects`] |
/// | backend created | all | [`backend::backend_created`] |
/// | backend changed | all | [`backend::backend_changed`] |
/// | primary changed | all | [`workload::render`], [`container::effects`] |
/// | backend departed, backend broken | does this unit leave | [`leaving::decide`] |
/// | backend departed, backend broken | what goes | [`leaving::backend_departed`], [`database_map::next`] |
/// | database requested, database changed | problem | [`validate`] |
/// | database requested, database changed | map, all units | [`database_map::next`], [`rollout::is_done`] |
/// | database requested, database changed | credentials | [`clients::database_requested`] |
/// | database departed, database broken | does this unit leave | [`leaving::decide`] |
/// | database broken, db broken | what goes | [`database_map::database_broken`] |
/// | db joined, db changed | all | [`legacy::db_changed`] |
/// | db departed, db broken | does this unit leave | [`leaving::decide`] |
/// | certificates | all | [`tls::certificates`], [`tls::publish`] |
/// | metrics joined, dashboard joined, logging changed | all | [`watch::writes`] |
fn reconcile(event: &Event, facts: &FullFacts) -> Decision<Effect> {
    if let Some(decision) = leaving::decide(event, facts) {
        return decision;
    }
    let valid = validate(facts);
    let running = workload::running(event, facts);
    let step = backend::backend_changed(facts, running);
    let (map, removals) = database_map::next(facts, &valid, &step);
    let secret = legacy::secret(facts, &valid, &map, &step, backend::secret(facts, &step));
    let secret = leaving::secret(event, facts, secret);
    let (digest, readonly) = (map.digest(), workload::readonly(facts, &map));
    let (shared, container, unwritable) = (None, None, None);
    let mut next =
        Next { valid, running, step, secret, map, digest, readonly, shared, container, unwritable };
    workload::render(facts, &mut next);
    let granted = clients::database_requested(facts, &next);
    let trust = tls::publish(facts, &next, &granted);
    Decision::new()
        .status(status::update_status(event, facts, &next))
        // The log says first why, whatever follows.
        .effects(status::warnings(facts, &next))
        // Another unit that led finds this one's name, and reads anew what it remembers.
        .effects(peers::leader_elected(facts))
        // PostgreSQL lets a unit in only until the relation is broken.
        .effects(leaving::cleanup(event, facts))
        // The unit's secret has the key before the container gets it.
        .effects(tls::certificates(facts, &next.valid.tls))
        // The user who looks passwords up is there before a process logs in as that user.
        .effects(backend::effects(facts, &next))
        // No login is possible until passwords can be looked up again.
        .effects(backend::heal_lookup(facts, &next))
        // Processes serve a database before it is published to its client.
        .effects(container::effects(facts, &next))
        // Applying the Service gathers anew: what is published below depends on its address.
        .effects(service::effects(facts))
        // An entry is gone from the configuration before its user and lookup go.
        .effects(removals)
        .effects(database_map::orphaned_users(facts, &next))
        .effects(rollout::barrier(facts, &next))
        .effects(status::remember_pause(facts))
        .effects(granted)
        // The CA is written beside credentials that are there.
        .effects(trust)
        .effects(legacy::db_changed(facts, &next))
        // The secret says that all of this is done: where it failed the next hook tries again.
        .effects(backend::keep(facts, &next))
        // Peers that read the map and the configuration find the secret that goes with them.
        .effects(peers::peer_changed(event, facts, &next))
        // No client waits for these.
        .effects(watch::writes(&facts.common, &facts.watchers))
}
