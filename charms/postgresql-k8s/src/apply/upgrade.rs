//! Effects of a rolling upgrade: the partition of the stateful set, the lead, a single pod.

use std::time::Duration;

use juju_charm::{Applied, Context, Error, Level, SecretString, Status};
use kubernetes_client::Resource;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::cluster::switch_over as hand_to;
use super::members::{own, two_looks};
use crate::effect::Roll;
use crate::gather::topology;
use crate::ports::Ports;
use crate::wording::{SWITCHOVER_FAILED, untrusted};

const POLL: Duration = Duration::from_millis(250);
/// How long a hook waits until all members follow, besides two of Patroni's looks.
const WAIT_BOUND: Duration = Duration::from_secs(10);

/// The words in which upstream's actions fail.
const NOT_SET: &str = "Cannot set rolling update partition.";

/// Takes one step.
pub(super) async fn apply(
    ports: &dyn Ports,
    hook: &mut Context,
    roll: Roll,
) -> Result<Applied, Error> {
    match roll {
        Roll::SetPartition { partition, version, of_action } => {
            set_partition(ports, hook, partition, &version, of_action).await
        }
        Roll::SwitchOver { leader, candidate, password, of_action } => {
            switch_over(ports, hook, (&leader, &candidate), password, of_action).await
        }
        Roll::ReplacePod(pod) => Ok(replace_pod(ports, hook, &pod).await),
        Roll::Show { status, soon } => Ok(show(ports, hook, status, soon).await),
    }
}

/// Writes the partition, unless the stateful set has changed since it was looked at: with another
/// template in it more pods might go than was decided.
async fn set_partition(
    ports: &dyn Ports,
    hook: &mut Context,
    partition: u32,
    version: &str,
    of_action: bool,
) -> Result<Applied, Error> {
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": partition}});
    let patch = json!({
        "metadata": {"resourceVersion": version}, "spec": {"updateStrategy": strategy},
    });
    let client = match ports.kubernetes() {
        Ok(client) => client,
        Err(error) => return failed(hook, &error.to_string(), true, of_action),
    };
    let app = hook.app().to_string();
    match client.patch_merge(Resource::StatefulSets, &app, &patch).await {
        Ok(_) => Ok(Applied::Done),
        Err(error) if error.is_conflict() && !of_action => {
            hook.log(Level::Info, error.to_string());
            Ok(Applied::Rerun)
        }
        Err(error) => failed(hook, &error.to_string(), error.is_forbidden(), of_action),
    }
}

fn failed(
    hook: &mut Context,
    error: &str,
    forbidden: bool,
    of_action: bool,
) -> Result<Applied, Error> {
    hook.log(Level::Warning, format!("cannot say which pods may be replaced: {error}"));
    if of_action {
        hook.action_fail(&format!("{NOT_SET} {error}"))?;
        return Ok(Applied::defer("the partition was not set"));
    }
    // What the API refuses for a moment, the next look tries again.
    let status = forbidden.then(|| untrusted(&topology(hook)));
    Ok(status.map_or(Applied::Done, Applied::Status))
}

/// Has another member lead; what Patroni refuses, a later hook tries again.
async fn switch_over(
    ports: &dyn Ports,
    hook: &mut Context,
    (leader, candidate): (&str, &str),
    password: SecretString,
    of_action: bool,
) -> Result<Applied, Error> {
    let rest = own(ports, hook).await.with_login("patroni", password);
    let Err(error) = hand_to(&rest, leader, Some(candidate)).await else {
        return Ok(Applied::Done);
    };
    hook.log(Level::Warning, error.to_string());
    if of_action {
        hook.action_fail(SWITCHOVER_FAILED)?;
        return Ok(Applied::defer("the primary stays where it is"));
    }
    Ok(Applied::Done)
}

/// Deletes a pod.
async fn replace_pod(ports: &dyn Ports, hook: &mut Context, pod: &str) -> Applied {
    let deleted = async {
        match ports.kubernetes() {
            Ok(client) => {
                client.delete(Resource::Pods, pod).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        }
    };
    if let Err(error) = deleted.await {
        hook.log(Level::Warning, format!("cannot have {pod} made anew: {error}"));
    }
    Applied::Done
}

/// Says what an upgrade waits for and, where that is `soon` over, looks again once it is.
async fn show(ports: &dyn Ports, hook: &Context, status: Status, soon: bool) -> Applied {
    if !soon {
        return Applied::Status(status);
    }
    let rest = own(ports, hook).await;
    let end = Instant::now() + WAIT_BOUND + two_looks(&rest).await;
    while Instant::now() < end {
        sleep(2 * POLL).await;
        if let Ok(cluster) = rest.cluster().await
            && cluster.all_follow()
            && (cluster.members.len() < 2 || cluster.has_standby_in_sync())
        {
            return Applied::Rerun;
        }
    }
    Applied::Status(status)
}
