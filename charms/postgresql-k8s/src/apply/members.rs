//! The way to the members' REST API.

use std::time::Duration;

use juju_charm::{Applied, Context, HookError};
use patroni::{Cluster, Rest};

use crate::facts::Peer;
use crate::gather::{LOCAL, peer, topology, workload};
use crate::ports::Ports;
use crate::status::{self, Expected, Seen};
use crate::tls;

/// The own member's PostgreSQL, by the name that its certificate has for it.
const LOCALHOST: &str = "localhost";

/// The own member, on the pod's own loopback address. What goes there cannot be overheard, so it
/// does not matter whether it can be known how that member speaks.
pub(super) async fn own(ports: &dyn Ports, hook: &Context) -> Rest {
    let authority = authority(hook).await.ok().flatten();
    ports.patroni(LOCAL, authority.as_deref())
}

/// Any member, by its host.
///
/// # Errors
/// When it cannot be known whether it shall speak TLS.
pub(super) async fn at(
    ports: &dyn Ports,
    hook: &Context,
    host: &str,
) -> Result<Rest, pebble_client::Error> {
    let authority = authority(hook).await?;
    Ok(ports.patroni(host, authority.as_deref()))
}

/// The host of the member that leads, as the own one sees it or as any other does; none where none
/// is known.
///
/// It is not the service in front of it: until `start` has run, Kubernetes routes nothing to this
/// pod, and a hook that waited for that would wait for its own end.
///
/// # Errors
/// When the peers' databags cannot be read.
pub(super) async fn primary(
    ports: &dyn Ports,
    hook: &mut Context,
) -> Result<Option<String>, HookError> {
    let topology = topology(hook);
    let authority = authority(hook).await.ok().flatten();
    let leads = |cluster: &Cluster| cluster.leader().map(|member| member.name.clone());
    let local = ports.patroni(LOCAL, authority.as_deref()).cluster().await;
    let mut pod = local.ok().as_ref().and_then(leads);
    if pod.is_none() {
        let own = topology.member(hook.unit());
        let others = peer(hook)?.iter().flat_map(Peer::endpoints).collect::<Vec<_>>();
        let others = others.iter().filter(|host| **host != own);
        let at = |host: &String| ports.patroni(&topology.qualified(host), authority.as_deref());
        pod = patroni::any_cluster(others.map(at)).await.as_ref().and_then(leads);
    }
    Ok(pod.and_then(|pod| match pod == hook.unit().pod() {
        true => Some(LOCALHOST.to_owned()),
        false => topology.host_of_pod(&pod),
    }))
}

/// Shows the unit's status as the cluster is now, seen from the own member.
pub(super) async fn show(ports: &dyn Ports, hook: &Context, expected: Expected) -> Applied {
    let rest = own(ports, hook).await;
    let (cluster, health) = (rest.cluster().await.ok(), rest.health().await.ok());
    let strict = rest.config().await.is_ok_and(|it| it["synchronous_mode_strict"] == true);
    let pod = &hook.unit().pod();
    Applied::Status(status::status(
        Seen { pod, cluster: cluster.as_ref(), health: health.as_ref(), strict },
        expected,
    ))
}

/// The CA of the members, as this unit's files have it; none while it has no certificate.
pub(super) async fn authority(hook: &Context) -> Result<Option<String>, pebble_client::Error> {
    workload(hook).pull_text(tls::CA).await
}

/// How long two of Patroni's looks at the cluster take, by which it has seen what changed.
pub(super) async fn two_looks(rest: &Rest) -> Duration {
    let config = rest.config().await.ok();
    let seconds = config.and_then(|config| config["loop_wait"].as_u64()).unwrap_or(1);
    // More than any option allows would be an error.
    Duration::from_secs(2 * seconds.min(10)) + Duration::from_millis(500)
}
