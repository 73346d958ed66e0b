//! Makes effects true.

mod clients;
mod cluster;
mod confirm;
mod copy;
mod extensions;
mod members;
mod objects;
mod restarts;
mod tls;
mod upgrade;
mod workload;

pub(crate) use cluster::MEMBER_BOUND;
#[cfg(test)]
pub(crate) use cluster::{after_member, after_set_up};
#[cfg(test)]
pub(crate) use objects::refused;
#[cfg(test)]
pub(crate) use workload::after_push;

use std::time::Duration;

use charm_kit::certificates;
use juju_charm::{Applied, Context, Error, Level, Port, Status};

use crate::effect::Effect;
use crate::ports::Ports;
use crate::topology::{PATRONI_PORT, POSTGRESQL_PORT};

/// How one effect went.
type Outcome = Result<Applied, Error>;

/// Makes one effect true; what waits for the own member waits for as long as `patience` lasts.
pub(crate) async fn apply(
    ports: &dyn Ports,
    hook: &mut Context,
    effect: Effect,
    patience: &mut Duration,
) -> Outcome {
    match effect {
        Effect::Juju(write) => return write.apply(hook).await,
        Effect::Refuse { line, status } => return Ok(refuse(hook, line, status)),
        Effect::ApplyServices => return Ok(objects::apply_services(ports, hook).await),
        Effect::LabelPods(pods) => return Ok(objects::label_pods(ports, hook, &pods).await),
        Effect::RemoveOrphanedObjects => return Ok(objects::remove_orphaned(ports, hook).await),
        Effect::PrepareStorage => return workload::prepare_storage(hook).await,
        Effect::RequestCertificate(id, key) => return tls::request(hook, id, key).await,
        Effect::PushTls(files) => return tls::push(hook, &files).await,
        Effect::RemoveTls => return tls::remove(hook).await,
        Effect::ShareTls { id, ca, in_secret } => {
            certificates::share(hook, id, ca.as_deref(), in_secret)?
        }
        Effect::PushBeforeStop(it) => return workload::push_before_stop(ports, hook, &it).await,
        Effect::PushConfig(text) => return workload::push_config(hook, &text).await,
        Effect::Reload => return workload::reload(hook).await,
        Effect::RefreshPassfile(word) => return workload::refresh_passfile(hook, &word).await,
        Effect::StartWorkload(layer) => return workload::start(hook, &layer).await,
        Effect::CopyAnew(how) => return copy::copy_anew(ports, hook, how).await,
        Effect::RemoveAside => return copy::remove_aside(hook).await,
        Effect::AwaitMember(otherwise) => {
            return Ok(cluster::await_member(ports, hook, &otherwise, patience).await);
        }
        Effect::SetUpCluster { passwords, salts, ca } => {
            return Ok(cluster::set_up(ports, hook, &passwords, salts, ca).await);
        }
        Effect::PatchDynamic { patch, password } => {
            return cluster::patch_dynamic(ports, hook, &patch, password).await;
        }
        Effect::SwitchExtensions(change) => return extensions::switch(ports, hook, &change).await,
        Effect::MoveReaders { id, host } => clients::move_readers(hook, id, &host)?,
        Effect::ServeClient(client) => return clients::serve(ports, hook, *client).await,
        Effect::RemoveClient { peer, id, user, login } => {
            return clients::remove(ports, hook, (peer, id), &user, &login).await;
        }
        Effect::GuardServer { login } => return Ok(clients::guard(ports, hook, &login).await),
        Effect::SetPassword { user, password, salt, login } => {
            return cluster::set_password(ports, hook, &user, &password, &salt, &login).await;
        }
        Effect::ConfirmPasswords(kept) => return confirm::passwords(ports, hook, *kept).await,
        Effect::ShowOpenTransactions { login } => {
            cluster::show_open_transactions(ports, hook, &login).await?
        }
        Effect::HandOver { password } => cluster::hand_over(ports, hook, password).await,
        Effect::ReportTimeline(id) => cluster::report_timeline(ports, hook, id).await?,
        Effect::ReportToClients => cluster::report_to_clients(ports, hook).await?,
        Effect::RestartMembers { password } => {
            return restarts::restart_members(ports, hook, password).await;
        }
        Effect::ReportPendingRestart { id, alone } => {
            return restarts::report_pending(ports, hook, id, alone).await;
        }
        Effect::CompareAgain => return Ok(Applied::Rerun),
        Effect::Upgrade(roll) => return upgrade::apply(ports, hook, roll).await,
        Effect::AdoptObjects => objects::adopt(ports, hook).await,
        Effect::TakePrimaryLabel => return Ok(objects::take_primary_label(ports, hook).await),
        Effect::ReportVersionAndPorts => return report_version_and_ports(hook).await,
        Effect::ShowStatus(expected) => return Ok(members::show(ports, hook, expected).await),
        Effect::RunPatroniCommand { command, password } => {
            cluster::run_command(ports, hook, command, password).await?
        }
    }
    Ok(Applied::Done)
}

fn refuse(hook: &mut Context, line: String, status: Status) -> Applied {
    hook.log(Level::Error, line);
    Applied::Status(status)
}

/// Ports and version are for people: a Juju that knows them not stops nothing.
async fn report_version_and_ports(hook: &mut Context) -> Result<Applied, Error> {
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
