//! Makes effects true.

mod clients;
mod cluster;
mod confirm;
mod extensions;
mod members;
mod objects;
mod restarts;
mod tls;
mod workload;

#[cfg(test)]
pub(crate) use cluster::{after_member, after_primary};
#[cfg(test)]
pub(crate) use objects::refused;
#[cfg(test)]
pub(crate) use workload::after_push;

use charm::{Applied, ExposeSecret as _, Hook, Level, Port, SecretContent, SecretOwner};

use crate::Error;
use crate::door::Door;
use crate::effect::{Effect, started_status};
use crate::gather::topology;
use crate::topology::{PATRONI_PORT, POSTGRESQL_PORT};

/// How one effect went.
type Outcome = Result<Applied, Error>;

/// Makes one effect true.
pub(crate) async fn apply(door: &dyn Door, hook: &mut Hook, effect: Effect) -> Outcome {
    match effect {
        Effect::Log(level, line) => hook.log(level, line),
        Effect::Refuse { line, status } => {
            hook.log(Level::Error, line);
            return Ok(Applied::Status(status));
        }
        Effect::SetBag(id, own, changes) => drop(hook.set_bag(id, own, changes)?),
        Effect::PutPasswords(content) => put_passwords(hook, &content)?,
        Effect::RemoveRevision(id, revision) => hook.remove_secret(&id, Some(revision))?,
        Effect::ApplyServices => return Ok(objects::apply_services(door, hook).await),
        Effect::LabelPods(pods) => return Ok(objects::label_pods(door, hook, &pods).await),
        Effect::RemoveLeftovers => return Ok(objects::remove_leftovers(door, hook).await),
        Effect::PrepareStorage => return workload::prepare_storage(hook).await,
        Effect::RequestCertificate(id) => return tls::request(hook, id).await,
        Effect::PushTls(files) => return tls::push(hook, &files).await,
        Effect::RemoveTls => return tls::remove(hook).await,
        Effect::ShareTls { id, ca, in_secret } => tls::share(hook, id, ca, in_secret)?,
        Effect::PushConfig(text) => return workload::push_config(hook, &text).await,
        Effect::Reload => return workload::reload(hook).await,
        Effect::RefreshPassfile(password) => {
            return workload::refresh_passfile(hook, &password).await;
        }
        Effect::StartWorkload(layer) => return workload::start(hook, &layer).await,
        Effect::CopyAnew { password } => cluster::copy_anew(door, hook, password).await,
        Effect::AwaitMember => return Ok(cluster::await_member(door, hook).await),
        Effect::AwaitPrimary => return cluster::await_primary(door, hook).await,
        Effect::SetUpCluster { passwords, salts, ca } => {
            return Ok(cluster::set_up(door, hook, &passwords, salts, ca).await);
        }
        Effect::PatchDynamic { patch, password } => {
            return cluster::patch_dynamic(door, hook, &patch, password).await;
        }
        Effect::SwitchExtensions(change) => return extensions::switch(door, hook, &change).await,
        Effect::ServeClient(client) => return clients::serve(door, hook, *client).await,
        Effect::RemoveClient { peer, id, user, operator } => {
            return clients::remove(door, hook, (peer, id), &user, &operator).await;
        }
        Effect::GuardServer { operator } => {
            return Ok(clients::guard(door, hook, &operator).await);
        }
        Effect::SetPassword { user, password, salt, operator } => {
            return cluster::set_password(door, hook, &user, &password, &salt, &operator).await;
        }
        Effect::ConfirmPasswords(kept) => return confirm::passwords(door, hook, *kept).await,
        Effect::Switchover { leader, candidate, password } => {
            return cluster::switchover(door, hook, &leader, candidate.as_deref(), password).await;
        }
        Effect::FailOver { password } => return cluster::fail_over(door, hook, password).await,
        Effect::HandOver { password } => cluster::hand_over(door, hook, password).await,
        Effect::TellTimeline(id) => cluster::tell_timeline(door, hook, id).await?,
        Effect::TellClients => cluster::tell_clients(door, hook).await?,
        Effect::RestartMembers { password } => {
            return restarts::restart_members(door, hook, password).await;
        }
        Effect::TellPendingRestart { id, alone } => {
            return restarts::tell_pending(door, hook, id, alone).await;
        }
        Effect::AdoptObjects => objects::adopt(door, hook).await,
        Effect::TakePrimaryLabel => return Ok(objects::take_primary_label(door, hook).await),
        Effect::Restart { password } => return cluster::restart(door, hook, password).await,
        Effect::ActionResult(key, value) => hook.action_result(key, value),
        Effect::ActionSecret(key, value) => hook.action_result(key, value.expose_secret()),
        Effect::ActionFail(message) => hook.action_fail(&message)?,
        Effect::Announce => return announce(hook).await,
        Effect::ShowStatus { planned } => return Ok(show_status(door, hook, planned).await),
    }
    Ok(Applied::Done)
}

fn put_passwords(hook: &mut Hook, content: &SecretContent) -> Result<(), Error> {
    let label = topology(hook).passwords_label();
    hook.put_secret(&label, content, SecretOwner::App)?;
    Ok(())
}

async fn show_status(door: &dyn Door, hook: &Hook, planned: u32) -> Applied {
    let cluster = members::own(door, hook).await.cluster().await.ok();
    Applied::Status(started_status(&hook.unit().pod(), cluster.as_ref(), planned))
}

/// Ports and version are for people: a Juju that knows them not stops nothing.
async fn announce(hook: &mut Hook) -> Result<Applied, Error> {
    for port in [POSTGRESQL_PORT, PATRONI_PORT] {
        if let Err(error) = hook.open_port(&Port::tcp(port)) {
            hook.log(Level::Info, error.to_string());
        }
    }
    if let Some(version) = workload::version(hook).await {
        hook.set_workload_version(&version)?;
    }
    Ok(Applied::Done)
}
