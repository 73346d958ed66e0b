//! Effects on this unit's certificate and on what clients know of it.

use charm::{
    Applied, Bag, Changes, ExposeSecret as _, Hook, Level, Own, RelationId, SecretContent,
    SecretOwner, UnitName,
};
use interfaces::postgresql_client::secret_label;
use interfaces::tls_certificates;

use super::workload::{after_push, owned};
use crate::Error;
use crate::gather::{topology, workload};
use crate::tls::{self, Files, Request};
use crate::topology::Topology;

/// Makes a key, keeps it beside its request and asks for the certificate.
pub(super) async fn request(hook: &mut Hook, id: RelationId) -> Result<Applied, Error> {
    let Some(pebble) = workload(hook) else { return Ok(Applied::Done) };
    let request = match make(&topology(hook), hook.unit()) {
        Ok(request) => request,
        Err(error) => {
            hook.log(Level::Error, format!("cannot make a request for a certificate: {error}"));
            return Ok(Applied::Done);
        }
    };
    let text = request.text();
    match after_push(pebble.push(tls::REQUEST, text.expose_secret(), &owned(0o600)).await)? {
        Applied::Done => {}
        away => return Ok(away),
    }
    hook.set_bag(id, Own::Unit, Changes::from(tls_certificates::asked(&request.csr)))?;
    Ok(Applied::Done)
}

/// The names by which this unit is found, the member's and those of the services.
fn names(topology: &Topology, unit: &UnitName) -> Vec<String> {
    let member = topology.member(unit);
    vec![
        topology.qualified(&member),
        member,
        unit.pod(),
        topology.primary_host(),
        topology.replicas_host(),
        topology.primary_service(),
        topology.replicas_service(),
        "localhost".to_owned(),
    ]
}

fn make(topology: &Topology, unit: &UnitName) -> Result<Request, rcgen::Error> {
    let key = rcgen::KeyPair::generate()?;
    let mut wanted = rcgen::CertificateParams::new(names(topology, unit))?;
    wanted.distinguished_name = rcgen::DistinguishedName::new();
    // A common name has room for 64 characters, which the names above may not fit.
    wanted.distinguished_name.push(rcgen::DnType::CommonName, unit.pod());
    let csr = wanted.serialize_request(&key)?.pem()?;
    Ok(Request { key: key.serialize_pem().into(), csr })
}

/// Writes the key last: until then the server goes on with what it has read.
pub(super) async fn push(hook: &Hook, files: &Files) -> Result<Applied, Error> {
    let Some(pebble) = workload(hook) else { return Ok(Applied::Done) };
    let write = async {
        pebble.push(tls::CA, &files.ca, &owned(0o600)).await?;
        pebble.push(tls::CERTIFICATE, &files.certificate, &owned(0o600)).await?;
        pebble.push(tls::KEY, files.key.expose_secret(), &owned(0o600)).await
    };
    after_push(write.await)
}

/// Removes the request last: it tells that the files are the charm's.
pub(super) async fn remove(hook: &Hook) -> Result<Applied, Error> {
    let Some(pebble) = workload(hook) else { return Ok(Applied::Done) };
    let removal = async {
        for path in [tls::KEY, tls::CERTIFICATE, tls::CA, tls::REQUEST] {
            match pebble.remove_path(path, false).await {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    };
    after_push(removal.await)
}

/// Tells a client that was served before.
pub(super) fn share(
    hook: &mut Hook,
    id: RelationId,
    ca: Option<String>,
    in_secret: bool,
) -> Result<(), Error> {
    let bag = shared(hook, id, ca.as_deref(), in_secret)?;
    hook.set_bag(id, Own::App, Changes::from(bag))?;
    Ok(())
}

/// What a client's databag says about TLS.
pub(super) fn shared(
    hook: &mut Hook,
    id: RelationId,
    ca: Option<&str>,
    in_secret: bool,
) -> Result<Bag, Error> {
    let word = if ca.is_some() { "True" } else { "False" };
    let mut bag = Bag::from([("tls".to_owned(), word.to_owned())]);
    if in_secret {
        let label = secret_label(super::clients::ENDPOINT, id, "tls");
        if ca.is_none() && hook.secret_info(&label)?.is_none() {
            return Ok(bag);
        }
        let mut content = SecretContent::new().with("tls", word.to_owned());
        if let Some(ca) = ca {
            content = content.with("tls-ca", ca.to_owned());
        }
        let secret = hook.put_secret(&label, &content, SecretOwner::App)?;
        hook.grant_secret(&secret, id)?;
        bag.insert("secret-tls".to_owned(), secret.to_string());
    } else {
        bag.insert("tls-ca".to_owned(), ca.unwrap_or_default().to_owned());
    }
    Ok(bag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_fits_its_key() {
        let topology = Topology { app: "pg".parse().unwrap(), model: "db".to_owned() };
        let request = make(&topology, &"pg/1".parse().unwrap()).unwrap();
        assert!(Request::parse(&request.text()).is_some());
        insta::assert_snapshot!(names(&topology, &"pg/1".parse().unwrap()).join(" "), @"pg-1.pg-endpoints.db.svc.cluster.local pg-1.pg-endpoints pg-1 pg-primary.db.svc.cluster.local pg-replicas.db.svc.cluster.local pg-primary pg-replicas localhost");
    }
}
