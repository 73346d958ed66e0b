//! Effects on this unit's certificate and on what clients know of it.

use charm_kit::certificates::{GivenKey, make_request};
use juju_charm::{
    Changes, Context, HookError, Own, RelationId, Revision, SecretContent, SecretOwner,
};
use juju_interfaces::{pgb_peers, tls_certificates};

use crate::tls;

/// Makes a key unless one is given, keeps it beside its request and asks for the certificate. What is served with
/// stays until the answer is there.
pub(super) fn request(
    hook: &mut Context,
    id: RelationId,
    key: Option<&GivenKey>,
) -> Result<(), HookError> {
    let (unit, model) = (hook.unit().clone(), hook.environment().model.clone());
    let names = tls::names(&unit, &model);
    let Some(request) = make_request(hook, names, key) else { return Ok(()) };
    let label = pgb_peers::unit_secret_label(hook.app());
    let known = hook.secret(label.as_str(), Revision::Refresh)?;
    let served = known.as_ref().and_then(|content| tls::read(content).files);
    keep(hook, &tls::content(&request, served.as_ref()))?;
    hook.set_bag(id, Own::Unit, Changes::from(tls_certificates::asked(&request.csr)))?;
    Ok(())
}

fn keep(hook: &mut Context, content: &SecretContent) -> Result<(), HookError> {
    let label = pgb_peers::unit_secret_label(hook.app());
    hook.put_secret(&label, content, SecretOwner::Unit).map(drop)
}
