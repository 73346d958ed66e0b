//! Whether PgBouncer runs, and with which configuration.

use charm_kit::certificates::ENDPOINT;
use juju_charm::{Event, RelationKind};
use pgbouncer::Ini;

use crate::databases::{DatabaseMap, DatabaseName};
use crate::facts::FullFacts;
use crate::names;
use crate::render::Shape;
use crate::render::ini::shared as render_shared;

use super::container::Wanted;
use super::{Next, Step, capacity};

/// Whether the event is one that starts processes in a new container.
pub(crate) fn starts(event: &Event) -> bool {
    // Where clients come with TLS only, nothing starts before the certificate is there.
    let issued = event.relation(ENDPOINT);
    issued.is_some_and(|relation| relation.kind == RelationKind::Changed)
        || matches!(event, Event::PebbleReady { .. } | Event::ConfigChanged | Event::UpdateStatus)
}

/// PgBouncer's services are in the plan, or this event is one that puts them there.
pub(crate) fn running(event: &Event, facts: &FullFacts) -> bool {
    let Some(workload) = &facts.workload else { return false };
    (starts(event) && facts.common.options.is_ok()) || workload.planned.contains(&names::service(0))
}

/// Renders what all units share and what this one's container holds.
pub(super) fn render(facts: &FullFacts, next: &mut Next) {
    match shared(facts, next) {
        Ok(shared) => next.shared = shared,
        Err(error) => next.unwritable = Some(error),
    }
    let here = facts.workload.is_some() && next.running;
    let (true, Some(shared), Ok(options)) = (here, &next.shared, &facts.common.options) else {
        return;
    };
    match Wanted::of(facts, next, options, shared) {
        Ok(wanted) => next.container = Some(wanted),
        Err(error) => next.unwritable = Some(error.to_string()),
    }
}

/// The configuration that all units share: the leader makes it, the others read it.
fn shared(facts: &FullFacts, next: &Next) -> Result<Option<Ini>, String> {
    let common = &facts.common;
    let Ok(options) = &common.options else { return Ok(None) };
    let published = facts.peers.as_ref().and_then(|peers| peers.app.cfg_file.as_ref());
    let published = published.map(|text| text.parse::<Ini>());
    match (&next.step, published) {
        (Step::Follower, Some(published)) => {
            return published.map(Some).map_err(|error| error.to_string());
        }
        // While PostgreSQL is away nothing changes: what was published still holds.
        (Step::NotReady | Step::NotRunning, Some(Ok(published))) if common.leader => {
            return Ok(Some(published));
        }
        (
            Step::Absent
            | Step::Follower
            | Step::NotReady
            | Step::NotRunning
            | Step::Initialise(_)
            | Step::Ready(_),
            _,
        ) => {}
    }
    let shape = Shape {
        version: facts.version(),
        share: capacity::share(facts, &next.map),
        readonly: &next.readonly,
    };
    let made = render_shared(common.unit.app(), options, next.login(), &next.map, &shape);
    made.map(Some).map_err(|error| error.to_string())
}

/// The databases beside those of clients, which a privileged client may read too.
pub(crate) fn readonly(facts: &FullFacts, map: &DatabaseMap) -> Vec<DatabaseName> {
    if map.wildcard.is_none() {
        return Vec::new();
    }
    let known = || facts.peers.as_ref().map(|peers| peers.readonly.clone());
    let found = facts.backend.as_ref().and_then(|backend| backend.databases.clone());
    let Some(mut names) = found else { return known().unwrap_or_default() };
    names.retain(|name| !map.uses(name) && *name.sql() != names::POSTGRES);
    names.sort();
    names
}
