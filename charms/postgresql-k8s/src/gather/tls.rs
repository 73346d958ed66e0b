//! What is known about this unit's certificate.

use charm_kit::certificates::{Files, Request, Tls};
use juju_charm::{Error, Event, Reader, SecretString};

use super::workload;
use crate::facts::Facts;
use crate::ports::Ports;
use crate::tls;

pub(super) async fn tls(
    ports: &dyn Ports,
    hook: &mut Reader,
    facts: &Facts,
    event: &Event,
) -> Result<Tls, Error> {
    let mut tls = Tls::none();
    let pebble = facts.container.as_ref().map(|_| workload(hook));
    let Some(pebble) = pebble else {
        tls.read_issuer(hook, event, ports.now())?;
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
    tls.read_issuer(hook, event, ports.now())?;
    if let (Some(peer), true) = (&facts.peer, facts.leader) {
        let units = peer.units.iter().filter(|unit| **unit != facts.unit).cloned();
        tls.read_others(hook, (peer.id, &peer.app), |_| Ok(units.collect()))?;
    }
    Ok(tls)
}
