//! What is known about this unit's certificate.

pub(crate) use certificates::{ENDPOINT, FLAG};
use charm::{Event, Hook, Own, RelationKind, SecretString, databag};
use postgres::Validity;

use super::workload;
use crate::Error;
use crate::door::Door;
use crate::facts::Facts;
use crate::tls::{self, Files, Issuer, Request, Tls};

pub(super) async fn tls(
    door: &dyn Door,
    hook: &mut Hook,
    facts: &Facts,
    event: &Event,
) -> Result<Tls, Error> {
    let mut tls = Tls::none();
    let pebble = facts.container.as_ref().and_then(|_| workload(hook));
    let Some(pebble) = pebble else {
        tls.issuer = issuer(hook, event, false)?;
        return Ok(tls);
    };
    let paths = [tls::CERTIFICATE, tls::KEY, tls::CA, tls::REQUEST];
    let mut texts = pebble.pull_texts(&paths).await?.into_iter();
    let mut text = || texts.next().flatten();
    let (certificate, key, ca) = (text(), text().map(SecretString::from), text());
    tls.request = text().map(SecretString::from).as_ref().and_then(Request::parse);
    if let (Some(certificate), Some(key), Some(ca)) = (certificate, key, ca) {
        tls.files = Some(Files { key, certificate, ca });
    }
    let checked = tls.files.as_ref().map(Files::check);
    tls.unusable = checked.and_then(Result::err).map(|error| error.to_string());
    // An answer that is old already must not be asked for again at once, so an issuer's own
    // events do not look at its age.
    let looks = !matches!(event, Event::Relation(_));
    let validity = tls.files.as_ref().and_then(|files| Validity::of(&files.certificate));
    tls.aged = looks && validity.is_some_and(|validity| validity.is_aged(door.now()));
    tls.issuer = issuer(hook, event, tls.aged)?;
    tls.others = others(hook, facts, &tls)?;
    Ok(tls)
}

/// The relation is read where it may have news, where the files may be gone, and where a new
/// certificate is due.
fn issuer(hook: &mut Hook, event: &Event, aged: bool) -> Result<Issuer, Error> {
    match event {
        Event::Relation(relation) if relation.endpoint.as_str() == ENDPOINT => {
            if relation.kind == RelationKind::Broken {
                return Ok(Issuer::None);
            }
        }
        Event::PebbleReady { .. } | Event::ConfigChanged | Event::UpgradeCharm => {}
        _ if aged => {}
        _ => return Ok(Issuer::Unknown),
    }
    let Some(&id) = hook.relations(ENDPOINT)?.first() else { return Ok(Issuer::None) };
    let (asked, offered) = (hook.own_bag(id, Own::Unit)?, hook.remote_app_bag(id)?);
    Ok(Issuer::Related { id, asked, offered })
}

/// Whether clients may be told of TLS as far as the other units are concerned.
fn others(hook: &mut Hook, facts: &Facts, tls: &Tls) -> Result<bool, Error> {
    let (Some(peer), true) = (&facts.peer, facts.leader) else { return Ok(false) };
    let soon = matches!(tls.issuer, Issuer::Related { .. });
    let told = databag::text(&peer.app, tls::TOLD);
    let news = tls.files.as_ref().is_some_and(|files| told != Some(files.ca.as_str()));
    if !(soon || news) {
        return Ok(false);
    }
    for unit in peer.units.iter().filter(|unit| **unit != facts.unit) {
        let bag = hook.bag(peer.id, &unit.clone().into())?;
        if databag::text(&bag, FLAG.0) != Some(FLAG.1) {
            return Ok(false);
        }
    }
    Ok(true)
}
