//! The stateful set and, while an upgrade is under way, its pods.

use juju_charm::{Error, Event, HookError, Reader, RelationId, databag};
use kubernetes_client::{Resource, label_selector};

use crate::decide::{self, STACK};
use crate::endpoint::Endpoint;
use crate::facts::Facts;
use crate::ports::Ports;
use crate::upgrade::{Pod, Upgrade};

/// Looks at the stateful set, on the leader of a cluster that is set up; none where the event does
/// not go on with an upgrade, or the API does not answer.
///
/// At rest that is one request.
pub(super) async fn upgrade(
    ports: &dyn Ports,
    hook: &mut Reader,
    facts: &Facts,
    event: &Event,
) -> Result<Option<Upgrade>, Error> {
    let (looks, acts) = (decide::looks_at_pods(event), decide::is_upgrade_action(event));
    if !facts.leader || !facts.initialised() || !(looks || acts) {
        return Ok(None);
    }
    let Some(mut upgrade) = look(ports, facts, acts).await else { return Ok(None) };
    if acts || upgrade.is_under_way() {
        upgrade.stack = stack(hook)?;
    }
    Ok(Some(upgrade))
}

async fn look(ports: &dyn Ports, facts: &Facts, acts: bool) -> Option<Upgrade> {
    let client = ports.kubernetes().ok()?;
    let app = facts.topology.app.as_str();
    let set = client.get(Resource::StatefulSets, app).await.ok()??;
    let mut upgrade = Upgrade::read(&set);
    if acts || upgrade.is_under_way() {
        let selector = label_selector(&[("app.kubernetes.io/name", app)]);
        let pods = client.list(Resource::Pods, &selector).await.ok()?;
        upgrade.pods = pods.iter().filter_map(Pod::read).collect();
    }
    Some(upgrade)
}

/// The relation by which units speak of upgrades, and whether the operator has prepared one.
fn stack(hook: &mut Reader) -> Result<Option<(RelationId, bool)>, HookError> {
    let Some(&id) = hook.relations(Endpoint::Upgrade)?.first() else { return Ok(None) };
    let app = hook.app().clone();
    let bag = hook.bag(id, &app.into())?;
    Ok(Some((id, databag::text(&bag, STACK).is_some())))
}
