//! Effects on this unit's certificate and on what clients know of it.

use charm::{Applied, Changes, ExposeSecret as _, Hook, Level, Own, RelationId, UnitName};
use interfaces::tls_certificates;

use super::workload::{after_push, owned};
use crate::Error;
use crate::gather::{topology, workload};
use crate::tls::{self, Files, Request};
use crate::topology::Topology;

/// Makes a key, keeps it beside its request and asks for the certificate.
pub(super) async fn request(hook: &mut Hook, id: RelationId) -> Result<Applied, Error> {
    let Some(pebble) = workload(hook) else { return Ok(Applied::Done) };
    let unit = hook.unit().clone();
    // A common name has room for 64 characters, which the names may not fit.
    let request = match Request::make(&unit.pod(), names(&topology(hook), &unit)) {
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
    let bag = certificates::shared(hook, id, ca.as_deref(), in_secret)?;
    hook.set_bag(id, Own::App, Changes::from(bag))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_found_by_many_names() {
        let topology = Topology { app: "pg".parse().unwrap(), model: "db".to_owned() };
        insta::assert_snapshot!(names(&topology, &"pg/1".parse().unwrap()).join(" "), @"pg-1.pg-endpoints.db.svc.cluster.local pg-1.pg-endpoints pg-1 pg-primary.db.svc.cluster.local pg-replicas.db.svc.cluster.local pg-primary pg-replicas localhost");
    }
}
