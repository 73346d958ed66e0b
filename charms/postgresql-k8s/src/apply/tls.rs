//! Effects on this unit's certificate and on what clients know of it.

use charm_kit::certificates::{Files, GivenKey, make_request};
use juju_charm::{Applied, Changes, Context, Error, ExposeSecret as _, Own, RelationId, UnitName};
use juju_interfaces::tls_certificates;

use super::workload::{after_push, owned};
use crate::gather::{topology, workload};
use crate::tls;
use crate::topology::Topology;

/// Makes a key unless one is given, keeps it beside its request and asks for the certificate.
pub(super) async fn request(
    hook: &mut Context,
    id: RelationId,
    key: Option<GivenKey>,
) -> Result<Applied, Error> {
    let pebble = workload(hook);
    let names = names(&topology(hook), hook.unit());
    let Some(request) = make_request(hook, names, key.as_ref()) else { return Ok(Applied::Done) };
    let text = request.text();
    let pushed = pebble.push(tls::REQUEST, text.expose_secret(), &owned(0o600)).await;
    let applied = after_push(pushed)?;
    if applied != Applied::Done {
        return Ok(applied);
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
pub(super) async fn push(hook: &Context, files: &Files) -> Result<Applied, Error> {
    let pebble = workload(hook);
    let write = async {
        pebble.push(tls::CA, &files.ca, &owned(0o600)).await?;
        pebble.push(tls::CERTIFICATE, &files.certificate, &owned(0o600)).await?;
        pebble.push(tls::KEY, files.key.expose_secret(), &owned(0o600)).await
    };
    after_push(write.await)
}

/// Removes the request last: it shows that the files are the charm's.
pub(super) async fn remove(hook: &Context) -> Result<Applied, Error> {
    let pebble = workload(hook);
    let removal = async {
        for path in [tls::KEY, tls::CERTIFICATE, tls::CA, tls::REQUEST] {
            let removed = pebble.remove_path(path, false).await;
            removed.or_else(|error| if error.is_not_found() { Ok(()) } else { Err(error) })?;
        }
        Ok(())
    };
    after_push(removal.await)
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
