//! What is known about this unit's certificate.

use charm_kit::certificates::{ENDPOINT, Tls};
use juju_charm::{Event, HookError, Reader, RelationKind, Revision};
use juju_interfaces::pgb_peers;

use crate::facts::Peers;
use crate::tls;

/// Reads it; `now` is the time of day in seconds since 1970.
pub(super) fn tls(
    hook: &mut Reader,
    event: &Event,
    peers: Option<&Peers>,
    leader: bool,
    now: u64,
) -> Result<Tls, HookError> {
    let own = event.relation(ENDPOINT);
    let ended = own.is_some_and(|relation| relation.kind == RelationKind::Broken);
    // Without an issuer nothing is read, once what it issued is forgotten.
    if hook.cached_relations(ENDPOINT)?.is_empty() && !ended {
        return Ok(Tls::none());
    }
    let label = pgb_peers::unit_secret_label(hook.app());
    let content = hook.secret(label.as_str(), Revision::Refresh)?;
    let mut tls = content.as_ref().map_or_else(Tls::none, tls::read);
    tls.read_issuer(hook, event, now)?;
    if let (Some(peers), true) = (peers, leader) {
        let units = |juju: &mut Reader| juju.peer_units(peers.id);
        tls.read_others(hook, (peers.id, &peers.app_bag), units)?;
    }
    Ok(tls)
}
