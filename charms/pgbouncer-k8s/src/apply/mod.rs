//! All writes, one effect at a time.

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
        Effect::Grant(grant) => return database::grant(charm, hook, *grant).await,
        Effect::Uris(uris) => database::uris(hook, &uris)?,
        Effect::LegacyGrant(grant) => return database::legacy(charm, hook, *grant).await,
        Effect::RemoveClient(id, user, database) => {
            return database::remove_client(charm, hook, id, &user, database).await;
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
