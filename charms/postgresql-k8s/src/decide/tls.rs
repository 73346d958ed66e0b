//! Whether and with which certificate this unit serves.

use certificates::Step;
use charm::{Changes, Own, Status, databag};

use crate::effect::Effect;
use crate::facts::{Client, Facts};
use crate::patroni_yml;
use crate::tls::{Issuer, TOLD};

/// What there is to do, and whether TLS is on once it is done.
pub(super) struct Steps {
    /// Before `patroni.yml` names the files.
    pub before: Vec<Effect>,
    /// Once it names them no more.
    pub after: Vec<Effect>,
    /// Whether the files change, which `patroni.yml` does not show.
    pub changed: bool,
    /// Who vouches for the server.
    pub ca: Option<String>,
}

/// The chart "certificates".
pub(super) fn steps(facts: &Facts) -> Steps {
    let now = facts.tls.files.as_ref();
    let mut steps = Steps {
        before: Vec::new(),
        after: Vec::new(),
        changed: false,
        ca: now.map(|files| files.ca.clone()),
    };
    match &facts.tls.issuer {
        Issuer::Unknown => {}
        // Files that nobody asked for were put there by a person.
        Issuer::None if facts.tls.request.is_none() => {}
        Issuer::None => {
            steps.after.push(Effect::RemoveTls);
            steps.changed = true;
            steps.ca = None;
        }
        Issuer::Related { id, asked, offered } => {
            let Some(request) = &facts.tls.request else {
                steps.before.push(Effect::RequestCertificate(*id));
                return steps;
            };
            let unwritten = request.unwritten(asked);
            steps.before.extend(unwritten.map(|bag| Effect::SetBag(*id, Own::Unit, bag)));
            match request.step(offered, now, facts.tls.aged) {
                Ok(Step::Serve(files)) => {
                    steps.changed = true;
                    steps.ca = Some(files.ca.clone());
                    steps.before.push(Effect::PushTls(Box::new(files)));
                }
                Ok(Step::Ask) => steps.before.push(Effect::RequestCertificate(*id)),
                Ok(Step::Stay) => {}
                Err(error) => steps.before.push(Effect::Refuse {
                    line: error.to_string(),
                    status: Status::blocked("the certificate cannot be used, the log says why"),
                }),
            }
        }
    }
    steps
}

/// What there is to say of files that cannot be used, and that nothing of this hook replaces. A
/// Patroni that reads such files answers nobody any more, and a PostgreSQL that starts with them
/// does not come up, so both go on with what they have read.
pub(super) fn refusal(facts: &Facts) -> Option<Effect> {
    let why = facts.tls.unusable.as_ref().filter(|_| !steps(facts).changed)?;
    let folder = patroni_yml::STORAGE;
    Some(Effect::Refuse {
        line: format!("cannot use the certificate in {folder}: {why}"),
        status: Status::blocked("the certificate cannot be used, the log says why"),
    })
}

/// Who vouches for the servers, as clients are to know it: first when all units serve with
/// TLS, no more when this one does not.
pub(super) fn for_clients(facts: &Facts) -> Option<String> {
    let told = told(facts).map(str::to_owned);
    let own = steps(facts).ca?;
    if facts.tls.others { Some(own) } else { told }
}

/// Who vouches for the servers, as clients were told.
pub(super) fn told(facts: &Facts) -> Option<&str> {
    databag::text(&facts.peer.as_ref()?.app, TOLD)
}

/// Whether clients are to be told of something else.
pub(crate) fn is_news(facts: &Facts) -> bool {
    facts.peer.is_some() && told(facts) != for_clients(facts).as_deref()
}

/// Tells clients who vouches for the servers, where that changed.
pub(super) fn tell<'a>(facts: &Facts, clients: impl Iterator<Item = &'a Client>) -> Vec<Effect> {
    let Some(peer) = facts.peer.as_ref().filter(|_| is_news(facts)) else { return Vec::new() };
    let wanted = for_clients(facts);
    let served = clients.filter(|client| databag::text(&client.offered, "tls").is_some());
    let share = |client: &Client| Effect::ShareTls {
        id: client.id,
        ca: wanted.clone(),
        in_secret: client.request.as_ref().is_ok_and(|request| request.wants_in_secret("tls")),
    };
    let mut effects: Vec<Effect> = served.map(share).collect();
    let told = Changes::new().set_or_remove(TOLD, wanted.clone());
    effects.push(Effect::SetBag(peer.id, Own::App, told));
    effects
}
