//! Whether and with which certificate this unit serves its clients.

use certificates::{FLAG, Files, Issuer, Step, TOLD};
use charm::{Changes, Own, databag};

use crate::effect::Effect;
use crate::facts::{Client, FullFacts};
use crate::tls::{Tls, content};

use super::Next;

/// What there is to do, and what this unit serves with once it is done.
#[derive(Default)]
pub(crate) struct Steps {
    pub(crate) effects: Vec<Effect>,
    pub(crate) serves: Option<Files>,
    /// Why the issuer's answer cannot be used.
    pub(crate) problem: Option<String>,
}

/// The chart "certificates".
pub(crate) fn steps(tls: &Tls) -> Steps {
    let now = tls.files.as_ref();
    let mut steps = Steps { serves: now.cloned(), ..Steps::default() };
    match &tls.issuer {
        Issuer::Unknown => {}
        Issuer::None => {
            steps.effects.push(Effect::ForgetCertificate);
            steps.serves = None;
        }
        Issuer::Related { id, asked, offered } => {
            let Some(request) = &tls.request else {
                steps.effects.push(Effect::RequestCertificate(*id));
                return steps;
            };
            let unwritten = request.unwritten(asked);
            steps.effects.extend(unwritten.map(|bag| Effect::Bag(*id, Own::Unit, bag)));
            match request.step(offered, now, tls.aged) {
                Ok(Step::Serve(files)) => {
                    let content = content(request, Some(&files));
                    steps.effects.push(Effect::KeepCertificate(content));
                    steps.serves = Some(files);
                }
                Ok(Step::Ask) => steps.effects.push(Effect::RequestCertificate(*id)),
                Ok(Step::Stay) => {}
                Err(error) => steps.problem = Some(format!("the certificate: {error}")),
            }
        }
    }
    steps
}

/// What the unit's bag says of it.
pub(super) fn flag(next: &Next, changes: Changes) -> Changes {
    if next.tls.is_some() { changes.set(FLAG.0, FLAG.1) } else { changes.remove(FLAG.0) }
}

/// Who vouches for the poolers, as clients are to know it: first when all units serve with TLS,
/// no more when this one does not.
fn for_clients(facts: &FullFacts, next: &Next) -> Option<String> {
    let peers = facts.peers.as_ref()?;
    let own = next.tls.as_ref()?.ca.clone();
    if facts.tls.others {
        Some(own)
    } else {
        databag::text(&peers.app_bag, TOLD).map(str::to_owned)
    }
}

/// Tells clients who vouches for the poolers, where they do not know it; `granted` are those
/// that get their credentials in this hook.
pub(super) fn tell(facts: &FullFacts, next: &Next, granted: &[Effect]) -> Vec<Effect> {
    let Some(peers) = facts.peers.as_ref().filter(|_| facts.common.leader) else {
        return Vec::new();
    };
    let wanted = for_clients(facts, next);
    let told = databag::text(&peers.app_bag, TOLD);
    let changed = told != wanted.as_deref();
    let word = if wanted.is_some() { "True" } else { "False" };
    let comes = |client: &Client| {
        granted.iter().any(|effect| match effect {
            Effect::Grant(grant) => grant.relation == client.id,
            _ => false,
        })
    };
    // Where there never was TLS nobody has to hear of it.
    let behind = |client: &&Client| match databag::text(&client.own, "tls") {
        Some(known) => changed || known != word,
        None => wanted.is_some(),
    };
    let served = facts.clients.iter().filter(|client| client.granted() || comes(client));
    let share = |client: &Client| Effect::ShareTls {
        id: client.id,
        ca: wanted.clone(),
        in_secret: client.request.as_ref().is_ok_and(|request| request.wants_in_secret("tls")),
    };
    let mut effects: Vec<Effect> = served.filter(behind).map(share).collect();
    if changed {
        let told = Changes::new().set_or_remove(TOLD, wanted);
        effects.push(Effect::Bag(peers.id, Own::App, told));
    }
    effects
}
