//! What is known about this unit's certificate.

use certificates::{ENDPOINT, FLAG, Issuer, TOLD};
use charm::{Event, Hook, HookError, Own, RelationId, RelationKind, Revision, databag};
use interfaces::pgb_peers;
use postgres::Validity;

use crate::facts::Peers;
use crate::tls::Tls;

/// The controller-state key of the relation to an issuer: without one nothing is read.
pub(crate) const ISSUER: &str = "certificates";

/// Reads it; `now` is the time of day in seconds since 1970.
pub(super) fn tls(
    hook: &mut Hook,
    event: &Event,
    peers: Option<&Peers>,
    leader: bool,
    now: u64,
) -> Result<Tls, HookError> {
    let own = event.relation(ENDPOINT);
    let ended = own.is_some_and(|relation| relation.kind == RelationKind::Broken);
    if let Some(relation) = own.filter(|_| !ended) {
        hook.set_state(ISSUER, Some(relation.id.to_string()))?;
    }
    let id = hook.state(ISSUER)?.and_then(|text| text.parse::<RelationId>().ok());
    let Some(id) = id else { return Ok(Tls::none()) };
    let label = pgb_peers::unit_secret_label(hook.app());
    let content = hook.secret(label.as_str(), Revision::Refresh)?;
    let mut tls = content.as_ref().map_or_else(Tls::none, Tls::read);
    if ended {
        tls.issuer = Issuer::None;
        return Ok(tls);
    }
    // An answer that is old already must not be asked for again at once, so an issuer's own
    // events do not look at its age.
    let looks = !matches!(event, Event::Relation(_));
    let validity = tls.files.as_ref().and_then(|files| Validity::of(&files.certificate));
    tls.aged = looks && validity.is_some_and(|validity| validity.is_aged(now));
    let renews =
        matches!(event, Event::PebbleReady { .. } | Event::ConfigChanged | Event::UpgradeCharm);
    if own.is_some() || renews || tls.aged {
        let asked = hook.own_bag(id, Own::Unit)?;
        tls.issuer = Issuer::Related { id, asked, offered: hook.remote_app_bag(id)? };
    }
    if let (Some(peers), true) = (peers, leader) {
        tls.others = others(hook, peers, &tls)?;
    }
    Ok(tls)
}

/// Whether clients may be told of TLS as far as the other units are concerned.
fn others(hook: &mut Hook, peers: &Peers, tls: &Tls) -> Result<bool, HookError> {
    let soon = matches!(tls.issuer, Issuer::Related { .. });
    let told = databag::text(&peers.app_bag, TOLD);
    let news = tls.files.as_ref().is_some_and(|files| told != Some(files.ca.as_str()));
    if !(soon || news) {
        return Ok(false);
    }
    for unit in hook.remote_units(peers.id)? {
        let bag = hook.bag(peers.id, &unit.into())?;
        if databag::text(&bag, FLAG.0) != Some(FLAG.1) {
            return Ok(false);
        }
    }
    Ok(true)
}
