//! All writes, one effect at a time.

mod confirm;
mod container;
mod kubernetes;
mod sql;
mod tls;

use charm_kit::certificates;
use juju_charm::{Applied, Context, Error, Level};

use crate::connections::Connections;
use crate::effect::Effect;
use crate::endpoint::Endpoint;

/// A client that went while it was served misses nothing, and the others go on.
fn unless_gone(hook: &mut Context, served: Result<Applied, Error>) -> Result<Applied, Error> {
    match served {
        Err(Error::Context(error)) if error.is_not_found() => {
            hook.log(Level::Info, error.to_string());
            Ok(Applied::Done)
        }
        served => served,
    }
}

/// Makes one effect true.
pub(crate) async fn effect(
    connections: &mut Connections,
    hook: &mut Context,
    effect: Effect,
) -> Result<Applied, Error> {
    match effect {
        Effect::Juju(write) => return write.apply(hook).await,
        Effect::Confirm(confirm) => return confirm::confirm(connections, hook, &confirm).await,
        Effect::Initialise(init) => return Ok(sql::initialise(connections, hook, &init).await),
        Effect::InstallLookup(lookup) => {
            return Ok(sql::install_lookup(connections, hook, &lookup).await);
        }
        Effect::RemoveAuth { user, databases, clients } => {
            return Ok(sql::remove_auth(connections, hook, &user, &databases, &clients).await);
        }
        Effect::Grant(grant) => {
            let granted = sql::grant(connections, hook, *grant).await;
            return unless_gone(hook, granted);
        }
        Effect::UpdateUris(uris) => sql::uris(hook, &uris)?,
        Effect::GrantLegacy(grant) => {
            let granted = sql::legacy(connections, hook, *grant).await;
            return unless_gone(hook, granted);
        }
        Effect::RemoveClient { relation, user, lookup } => {
            let peers = hook.relations(Endpoint::Peers)?.first().copied();
            return sql::remove_client(connections, hook, (relation, peers), &user, lookup).await;
        }
        Effect::RemoveOrphanedUsers { users, auth_user, kept } => {
            return Ok(
                sql::remove_orphaned_users(connections, hook, &users, &auth_user, &kept).await
            );
        }
        Effect::RequestCertificate(id, key) => tls::request(hook, id, key.as_ref())?,
        Effect::ShareTls { id, ca, in_secret } => {
            certificates::share(hook, id, ca.as_deref(), in_secret)?
        }
        Effect::ApplyService(spec) => return Ok(kubernetes::apply(connections, hook, &spec).await),
        Effect::Container(effect) => return container::effect(connections, hook, effect).await,
    }
    Ok(Applied::Done)
}
