//! Effects on this unit's certificate and on what clients know of it.

use certificates::Request;
use charm::{
    Changes, Hook, HookError, Level, Own, RelationId, Revision, SecretContent, SecretOwner,
};
use interfaces::{pgb_peers, tls_certificates};

use crate::gather::ISSUER;
use crate::tls::{self, Tls};

/// Makes a key, keeps it beside its request and asks for the certificate. What is served with
/// stays until the answer is there.
pub(super) fn request(hook: &mut Hook, id: RelationId) -> Result<(), HookError> {
    let (unit, model) = (hook.unit().clone(), hook.environment().model.clone());
    // A common name has room for 64 characters, which the names may not fit.
    let request = match Request::make(&unit.pod(), tls::names(&unit, &model)) {
        Ok(request) => request,
        Err(error) => {
            hook.log(Level::Error, format!("cannot make a request for a certificate: {error}"));
            return Ok(());
        }
    };
    let label = pgb_peers::unit_secret_label(hook.app());
    let known = hook.secret(label.as_str(), Revision::Refresh)?;
    let served = known.as_ref().and_then(|content| Tls::read(content).files);
    keep(hook, &tls::content(&request, served.as_ref()))?;
    hook.set_bag(id, Own::Unit, Changes::from(tls_certificates::asked(&request.csr)))?;
    Ok(())
}

pub(super) fn keep(hook: &mut Hook, content: &SecretContent) -> Result<(), HookError> {
    let label = pgb_peers::unit_secret_label(hook.app());
    hook.put_secret(&label, content, SecretOwner::Unit).map(drop)
}

pub(super) fn forget(hook: &mut Hook) -> Result<(), HookError> {
    let label = pgb_peers::unit_secret_label(hook.app());
    if let Some(info) = hook.secret_info(&label)? {
        hook.remove_secret(&info.id, None)?;
    }
    hook.set_state(ISSUER, None).map(drop)
}

/// Tells a client that has its credentials.
pub(super) fn share(
    hook: &mut Hook,
    id: RelationId,
    ca: Option<&str>,
    in_secret: bool,
) -> Result<(), HookError> {
    let bag = certificates::shared(hook, id, ca, in_secret)?;
    hook.set_bag(id, Own::App, Changes::from(bag)).map(drop)
}
