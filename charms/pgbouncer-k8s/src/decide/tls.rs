//! Whether and with which certificate this unit serves its clients.

use charm_kit::certificates::{Change, FLAG, Steps, Trust};
use juju_charm::{Changes, SecretOwner, Write};
use juju_interfaces::pgb_peers::unit_secret_label;

use crate::effect::Effect;
use crate::facts::{DatabaseRelation, FullFacts};
use crate::tls::content;

use super::Next;

/// The chart "certificates".
pub(super) fn certificates(facts: &FullFacts, steps: &Steps) -> Vec<Effect> {
    let label = || unit_secret_label(facts.common.unit.app());
    let effect = |change: &Change| match change {
        Change::AskAgain(id, bag) => Some(Write::unit_bag(*id, bag.clone()).into()),
        Change::Request(id, key) => Some(Effect::RequestCertificate(*id, key.clone())),
        Change::Serve(files) => {
            let request = facts.tls.request.as_ref()?;
            let content = content(request, Some(files));
            Some(Write::secret(label(), content, SecretOwner::Unit).into())
        }
        Change::Forget => Some(Write::RemoveSecret(label()).into()),
    };
    steps.changes.iter().filter_map(effect).collect()
}

/// What the unit's bag says of it.
pub(super) fn flag(next: &Next, changes: Changes) -> Changes {
    if next.valid.tls.serves.is_some() {
        changes.set(FLAG.0, FLAG.1)
    } else {
        changes.remove(FLAG.0)
    }
}

/// Publishes the CA of the poolers to clients that lack it; `granted` are those that get their
/// credentials in this hook.
pub(super) fn publish(facts: &FullFacts, next: &Next, granted: &[Effect]) -> Vec<Effect> {
    let Some(peers) = facts.peers.as_ref().filter(|_| facts.common.leader) else {
        return Vec::new();
    };
    let trust = Trust::new(&facts.tls, &next.valid.tls, &peers.app_bag);
    let comes = |client: &DatabaseRelation| {
        let grants =
            |effect: &Effect| matches!(effect, Effect::Grant(it) if it.relation == client.id);
        granted.iter().any(grants)
    };
    let in_secret = |client: &DatabaseRelation| {
        client.request.as_ref().is_ok_and(|asked| asked.wants_in_secret("tls"))
    };
    // Where there never was TLS there is nothing to withdraw.
    let behind = |client: &&DatabaseRelation| {
        trust.is_owed(&client.own, in_secret(client)).unwrap_or(trust.wanted.is_some())
    };
    let served = facts.clients.iter().filter(|client| client.granted() || comes(client));
    let share = |client: &DatabaseRelation| Effect::ShareTls {
        id: client.id,
        ca: trust.wanted.clone(),
        in_secret: in_secret(client),
    };
    let mut effects: Vec<Effect> = served.filter(behind).map(share).collect();
    effects.extend(trust.changes().map(|bag| Write::app_bag(peers.id, bag).into()));
    effects
}
