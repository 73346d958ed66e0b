//! What any Patroni, real or simulated, says and does where a charm relies on it.

// The exemption for tests does not reach functions outside #[test].
#![allow(clippy::unwrap_used)]

mod changes;
mod secured;
mod shown;
mod switchovers;

use std::collections::BTreeMap;
use std::time::Duration;

use kubernetes_client::Resource;
use patroni::{Cluster, Error, Rest, Role, State};
use serde_json::Value;
use tokio::time::{Instant, sleep};

pub(crate) use changes::{
    parameters_wait_for_a_restart, settings_are_merged, the_file_is_read_again,
};
pub(crate) use secured::the_api_speaks_tls_by_its_file;
pub(crate) use shown::{
    members_that_stop_and_come_back, the_cluster_is_shown, the_objects_are_marked,
};
pub(crate) use switchovers::{impossible_orders_are_refused, the_lead_is_handed_over};

/// How any step of the contract may fail.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Where members are; the cluster has three, and commits wait for all standbys.
pub(crate) trait Members: Send + Sync {
    /// The REST API of a pod's Patroni, without a login.
    fn rest(&self, pod: &str) -> Rest;
    /// The same with TLS, verified with this CA.
    fn trusting(&self, pod: &str, authority: &str) -> Rest;
    /// A new self-signed certificate for a pod, and its key.
    fn certificate(&self, pod: &str) -> Result<(String, String), Failure>;
    /// A pod's Pebble, whose service `postgresql` is Patroni.
    fn pebble(&self, pod: &str) -> pebble_client::Client;
}

/// A cluster that is well.
pub(crate) struct Far<'a> {
    pub(crate) members: &'a dyn Members,
    pub(crate) kubernetes: kubernetes_client::Client,
    /// The application, whose pods are numbered from 0.
    pub(crate) app: String,
    /// The password of the API's user, `patroni`.
    pub(crate) password: String,
}

/// How long something may take on a machine that has other things to do.
const BOUND: Duration = Duration::from_secs(120);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// The service that is Patroni.
const SERVICE: &str = "postgresql";

impl Far<'_> {
    fn pods(&self) -> Vec<String> {
        (0..3).map(|number| format!("{}-{number}", self.app)).collect()
    }

    /// The API of a pod's Patroni with the login that changes something.
    fn rest(&self, pod: &str) -> Rest {
        self.members.rest(pod).with_login("patroni", self.password.clone().into())
    }

    /// The cluster as a member that answers reports it.
    async fn cluster(&self) -> Option<Cluster> {
        patroni::any_cluster(self.pods().iter().map(|pod| self.members.rest(pod))).await
    }

    /// Waits until the cluster is as it shall be.
    async fn await_cluster(
        &self,
        what: &str,
        ready: impl Fn(&Cluster) -> bool,
    ) -> Result<Cluster, Failure> {
        let end = Instant::now() + BOUND;
        loop {
            let cluster = self.cluster().await;
            match cluster {
                Some(cluster) if ready(&cluster) => return Ok(cluster),
                _ if Instant::now() > end => return Err(format!("{what}: {cluster:?}").into()),
                _ => sleep(PAUSE).await,
            }
        }
    }

    /// Waits until one leads and the others follow in sync; who leads and the others.
    async fn await_well(&self) -> Result<(String, Vec<String>), Failure> {
        let cluster = self.await_cluster("the cluster is not well", is_well).await?;
        let leader = cluster.leader().ok_or("no leader")?.name.clone();
        let others = self.pods().into_iter().filter(|pod| *pod != leader).collect();
        Ok((leader, others))
    }

    async fn pebble(&self, pod: &str, verb: &str) -> Result<(), Failure> {
        let pebble = self.members.pebble(pod);
        let change = match verb {
            "stop" => pebble.stop(&[SERVICE]).await?,
            _ => pebble.start(&[SERVICE]).await?,
        };
        pebble.wait_change(&change, BOUND).await?;
        Ok(())
    }

    /// What an object's metadata say under a key.
    async fn metadata(
        &self,
        resource: Resource,
        name: &str,
        key: &str,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let object = self.kubernetes.get(resource, name).await?;
        let object = object.ok_or_else(|| format!("{name} is missing"))?;
        let all = object["metadata"][key].as_object().cloned().unwrap_or_default();
        let text = |value: Value| value.as_str().map(str::to_owned);
        Ok(all.into_iter().filter_map(|(key, value)| Some((key, text(value)?))).collect())
    }
}

/// Whether one leads and all others stream and have every commit, of the same timeline.
fn is_well(cluster: &Cluster) -> bool {
    let Some(leader) = cluster.leader() else { return false };
    let mut others = cluster.members.iter().filter(|member| member.name != leader.name);
    let in_sync = |member: &patroni::Member| {
        member.role == Role::SyncStandby
            && member.state == State::Streaming
            && member.timeline == leader.timeline
            && member.lag == Some(0)
    };
    cluster.members.len() == 3 && leader.state == State::Running && others.all(in_sync)
}

/// The status with which an order is refused.
fn status(answer: &Result<(), Error>) -> Option<u16> {
    match answer {
        Err(Error::Refused { status, .. }) => Some(status.as_u16()),
        _ => None,
    }
}
