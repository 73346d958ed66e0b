//! All writes, one effect at a time.

mod confirm;
mod container;
mod database;
mod service;
mod tls;

use charm::{Applied, Hook, Level, SecretOwner};
use interfaces::pgb_peers;

use crate::effect::Effect;
use crate::gather::workload::VERSION;
use crate::gather::{BARRIER, EFFECTIVE};
use crate::operator::{OperatorError, PgBouncer};

/// A client that went while it was served misses nothing, and the others go on.
fn unless_gone(
    hook: &mut Hook,
    served: Result<Applied, OperatorError>,
) -> Result<Applied, OperatorError> {
    match served {
        Err(OperatorError::Hook(error)) if error.is_not_found() => {
            hook.log(Level::Info, error.to_string());
            Ok(Applied::Done)
        }
        served => served,
    }
}

/// Makes one effect true.
pub(crate) async fn effect(
    charm: &mut PgBouncer,
    hook: &mut Hook,
    effect: Effect,
) -> Result<Applied, OperatorError> {
    match effect {
        Effect::Announce(status) => hook.set_status(&status)?,
        Effect::Warn(text) => hook.log(Level::Warning, text),
        Effect::Bag(id, own, changes) => drop(hook.set_bag(id, own, changes)?),
        Effect::PeerSecret(content) => {
            let label = pgb_peers::app_secret_label(hook.app());
            hook.put_secret(&label, &content, SecretOwner::App)?;
        }
        Effect::Confirm(confirm) => return confirm::confirm(charm, hook, &confirm).await,
        Effect::Remember(effective) => {
            hook.set_state(EFFECTIVE, Some(effective.to_text()))?;
        }
        Effect::RememberBarrier(digest, since) => {
            hook.set_state(BARRIER, Some(serde_json::json!([digest, since]).to_string()))?;
        }
        Effect::ForgetBarrier => drop(hook.set_state(BARRIER, None)?),
        Effect::TellVersion(version) => {
            hook.set_workload_version(&version.to_string())?;
            hook.set_state(VERSION, Some(version.to_string()))?;
        }
        Effect::RemoveRevision(id, revision) => hook.remove_secret(&id, Some(revision))?,
        Effect::Results(results) => {
            for (key, value) in results {
                hook.action_result(key, value.expose());
            }
        }
        Effect::FailAction(message) => hook.action_fail(&message)?,
        Effect::Initialise(init) => return Ok(database::initialise(charm, hook, &init).await),
        Effect::RemoveAuth(user, databases, clients) => {
            return Ok(database::remove_auth(charm, hook, &user, &databases, &clients).await);
        }
        Effect::Grant(grant) => {
            let granted = database::grant(charm, hook, *grant).await;
            return unless_gone(hook, granted);
        }
        Effect::Uris(uris) => database::uris(hook, &uris)?,
        Effect::LegacyGrant(grant) => {
            let granted = database::legacy(charm, hook, *grant).await;
            return unless_gone(hook, granted);
        }
        Effect::RemoveClient(id, user, database) => {
            let peers = hook.relations("pgb-peers")?.first().copied();
            return database::remove_client(charm, hook, (id, peers), &user, database).await;
        }
        Effect::RemoveStrays(users, auth_user, kept) => {
            return Ok(database::remove_strays(charm, hook, &users, &auth_user, &kept).await);
        }
        Effect::ForgetClient(id) => database::forget_client(hook, id)?,
        Effect::RequestCertificate(id) => tls::request(hook, id)?,
        Effect::KeepCertificate(content) => tls::keep(hook, &content)?,
        Effect::ForgetCertificate => tls::forget(hook)?,
        Effect::ShareTls { id, ca, in_secret } => tls::share(hook, id, ca.as_deref(), in_secret)?,
        Effect::ApplyService(spec) => return Ok(service::apply(charm, hook, &spec).await),
        container => return container::effect(hook, container).await,
    }
    Ok(Applied::Done)
}
