//! Whether and with which certificate this unit serves.

use charm_kit::certificates::{Change, PUBLISHED_CA};
use juju_charm::{Write, databag};

use crate::effect::Effect;
use crate::facts::DatabaseRelation;
use crate::patroni_yml;
use crate::validate::Validated;
use crate::wording;

/// What changes before `patroni.yml` names the files, and what once it names them no more.
pub(super) fn effects(facts: &Validated<'_>) -> (Vec<Effect>, Vec<Effect>) {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for change in facts.certificate.changes.iter().cloned() {
        match change {
            Change::AskAgain(id, bag) => before.push(Write::unit_bag(id, bag).into()),
            Change::Request(id, key) => before.push(Effect::RequestCertificate(id, key)),
            Change::Serve(files) => before.push(Effect::PushTls(Box::new(files))),
            Change::Forget => after.push(Effect::RemoveTls),
        }
    }
    let problem = facts.certificate.problem.as_ref();
    before.extend(problem.map(|error| refuse(error.to_string())));
    (before, after)
}

fn refuse(line: String) -> Effect {
    Effect::Refuse { line, status: wording::bad_certificate() }
}

/// What there is to say of files that cannot be used, and that nothing of this hook replaces. A
/// Patroni that reads such files no longer answers, and a PostgreSQL that starts with them does not
/// come up, so both go on with what they have read.
pub(super) fn refusal(facts: &Validated<'_>) -> Option<Effect> {
    let why = facts.tls.unusable.as_ref().filter(|_| !facts.certificate.replaces())?;
    let folder = patroni_yml::STORAGE;
    Some(refuse(format!("cannot use the certificate in {folder}: {why}")))
}

/// The CA of the servers' certificates, as clients are to know it.
pub(super) fn for_clients(facts: &Validated<'_>) -> Option<String> {
    facts.trust.as_ref()?.wanted.clone()
}

/// The CA of the servers' certificates, as published to clients.
pub(super) fn published_ca<'a>(facts: &'a Validated<'_>) -> Option<&'a str> {
    databag::text(&facts.peer.as_ref()?.app, PUBLISHED_CA)
}

/// Publishes the CA of the servers' certificates to clients, where that changed.
pub(super) fn publish(facts: &Validated<'_>) -> Vec<Effect> {
    let Some((peer, trust)) = facts.peer.as_ref().zip(facts.trust.as_ref()) else {
        return Vec::new();
    };
    let in_secret = |client: &DatabaseRelation| {
        client.request.as_ref().is_ok_and(|asked| asked.wants_in_secret("tls"))
    };
    // A client to which nothing was published yet gets it with its credentials.
    let behind = |client: &&DatabaseRelation| {
        client.legacy.is_none()
            && trust.is_owed(&client.offered, in_secret(client)).unwrap_or(false)
    };
    let share = |client: &DatabaseRelation| Effect::ShareTls {
        id: client.id,
        ca: trust.wanted.clone(),
        in_secret: in_secret(client),
    };
    let mut effects: Vec<Effect> = facts.clients.iter().filter(behind).map(share).collect();
    effects.extend(trust.changes().map(|published| Write::app_bag(peer.id, published).into()));
    effects
}
