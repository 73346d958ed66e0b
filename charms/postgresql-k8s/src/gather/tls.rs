//! What is known about this unit's certificate.

use charm::{Event, Hook, Own, RelationKind, SecretString, databag};

use super::workload;
use crate::Error;
use crate::facts::Facts;
use crate::tls::{self, Files, Issuer, Request, Tls};

/// The endpoint at which certificates are asked for.
pub(crate) const ENDPOINT: &str = "certificates";
/// The key in which a unit tells the others that it serves with TLS, and its value.
pub(crate) const FLAG: (&str, &str) = ("tls", "enabled");

pub(super) async fn tls(hook: &mut Hook, facts: &Facts, event: &Event) -> Result<Tls, Error> {
    let mut tls = Tls { issuer: issuer(hook, event)?, ..Tls::none() };
    if facts.container.is_none() {
        return Ok(tls);
    }
    let pull = async |path| -> Result<Option<String>, Error> {
        let Some(pebble) = workload(hook) else { return Ok(None) };
        Ok(pebble.pull_text(path).await?)
    };
    if !matches!(tls.issuer, Issuer::Unknown) {
        let text = pull(tls::REQUEST).await?.map(SecretString::from);
        tls.request = text.as_ref().and_then(Request::parse);
    }
    if let Some(certificate) = pull(tls::CERTIFICATE).await? {
        let (key, ca) = (pull(tls::KEY).await?, pull(tls::CA).await?);
        tls.files = key.zip(ca).map(|(key, ca)| Files { key: key.into(), certificate, ca });
    }
    tls.others = others(hook, facts, &tls)?;
    Ok(tls)
}

/// The relation is read where it may have news, and where the files may be gone.
fn issuer(hook: &mut Hook, event: &Event) -> Result<Issuer, Error> {
    match event {
        Event::Relation(relation) if relation.endpoint.as_str() == ENDPOINT => {
            if relation.kind == RelationKind::Broken {
                return Ok(Issuer::None);
            }
        }
        Event::PebbleReady { .. } | Event::ConfigChanged | Event::UpgradeCharm => {}
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
