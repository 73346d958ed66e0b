//! Pure decisions: facts in, effects and a status out. One file per concern.

pub(crate) mod actions;
pub(crate) mod backend;
mod capacity;
mod clients;
mod leaving;
mod legacy;
pub(crate) mod lookup;
mod metrics;
mod names;
mod peers;
mod service;
pub(crate) mod start;
pub(crate) mod status;
mod tls;
mod workload;

#[cfg(test)]
mod edges;
#[cfg(test)]
mod edges_backend;
#[cfg(test)]
mod edges_client;
#[cfg(test)]
mod edges_legacy;
#[cfg(test)]
mod edges_more;
#[cfg(test)]
mod edges_tls;
#[cfg(test)]
mod edges_upgrade;

use certificates::Files;
use charm::{Decision, Event, SecretContent};
use interfaces::pgb_peers::DatabaseMap;
use pgbouncer::Ini;

use crate::effect::Effect;
use crate::facts::{Facts, FullFacts, Login};

pub(crate) use backend::Step;
pub(crate) use clients::is_wide;
pub(crate) use tls::steps;
pub(crate) use workload::{running, starts};

/// What to do for an event.
pub(crate) fn decide(event: &Event, facts: &Facts) -> Decision<Effect> {
    match (event, facts) {
        (_, Facts::Console(facts)) => actions::console(facts),
        (Event::Action { name, .. }, _) => actions::unknown(name),
        (Event::SecretRemove { id, label: Some(_), revision }, Facts::None) => {
            Decision::new().effect(Effect::RemoveRevision(id.clone(), *revision))
        }
        (_, Facts::Start(facts)) => start::decide(facts),
        (_, Facts::Metrics(facts)) => Decision::new().effects(metrics::effects(&facts.0, &facts.1)),
        (_, Facts::Full(facts)) => reconcile(event, facts),
        (_, Facts::None) => Decision::new(),
    }
}

/// What will be true once the effects of this hook are applied.
pub(crate) struct Next<'a> {
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
    /// Further databases that clients with wide rights may read on replicas.
    pub(crate) readonly: Vec<String>,
    /// What clients are served with; none without TLS.
    pub(crate) tls: Option<Files>,
    /// Why an issued certificate cannot be used.
    pub(crate) certificate: Option<String>,
    /// The configuration that all units share, if this unit knows it.
    pub(crate) shared: Option<Ini>,
}

impl Next<'_> {
    /// Passwords can be looked up on the backend.
    pub(crate) fn ready(&self) -> bool {
        self.login().is_some()
    }

    /// Where the backend is, if it is initialised.
    pub(crate) fn login(&self) -> Option<&Login> {
        match &self.step {
            Step::Initialise(init) => Some(init.login),
            Step::Ready(login) => Some(login),
            _ => None,
        }
    }
}

/// One reconciliation: whatever the event was, derive what is missing and add it.
fn reconcile(event: &Event, facts: &FullFacts) -> Decision<Effect> {
    if let Some(decision) = leaving::decide(event, facts) {
        return decision;
    }
    let running = workload::running(event, facts);
    let step = backend::step(facts, running);
    let (map, removals) = clients::map(facts, &step);
    let secret = legacy::secret(facts, &map, &step, backend::secret(facts, &step));
    let secret = leaving::secret(event, facts, secret);
    let readonly = workload::readonly(facts, &map);
    let digest = map.digest();
    let certificate = tls::steps(&facts.tls);
    let mut next = Next {
        running,
        secret,
        step,
        map,
        digest,
        readonly,
        tls: certificate.serves,
        certificate: certificate.problem,
        shared: None,
    };
    let (shared, warning) = workload::shared(facts, &next);
    next.shared = shared;
    let status = status::decide(event, facts, &next);
    let clients = clients::effects(facts, &next);
    let trust = tls::tell(facts, &next, &clients);
    Decision::new()
        .effects(warning)
        .effects(status::warnings(facts))
        .effects(next.certificate.clone().map(Effect::Warn))
        .effects(peers::claim(facts))
        .effects(leaving::cleanup(event, facts))
        .effects(certificate.effects)
        .effects(backend::effects(facts, &next))
        .effects(workload::effects(facts, &next))
        .effects(service::effects(facts, &status))
        .effects(removals)
        .effects(clients::strays(facts, &next))
        .effects(clients::barrier(facts, &next))
        .effects(clients)
        .effects(trust)
        .effects(legacy::effects(facts, &next))
        .effects(backend::keep(facts, &next))
        .effects(peers::effects(event, facts, &next))
        .effects(metrics::effects(&facts.common, &facts.metrics))
        .status(status)
}
