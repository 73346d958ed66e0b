//! What members show of themselves and of each other.

use kubernetes_client::Resource;
use patroni::{Error, Role, State};
use serde_json::Value;

use super::{Failure, Far, is_well};

/// Every member shows the same cluster; its own health says what it is.
pub(crate) async fn the_cluster_is_shown(far: &Far<'_>) -> Result<(), Failure> {
    let (leader, _) = far.await_well().await?;
    for pod in far.pods() {
        let rest = far.members.rest(&pod);
        let cluster = rest.cluster().await?;
        let mut names: Vec<String> = cluster.members.iter().map(|m| m.name.clone()).collect();
        names.sort();
        assert_eq!(names, far.pods());
        let seen = cluster.leader().ok_or("no leader")?;
        assert!(seen.name == leader && seen.lag.is_none(), "{seen:?}");
        assert!(cluster.is_ready() && cluster.has_standby_in_sync(), "{cluster:?}");
        assert!(cluster.members.iter().all(|member| !member.pending_restart), "{cluster:?}");
        let health = rest.health().await?;
        let role = if pod == leader { Role::Leader } else { Role::Replica };
        assert_eq!((health.state, health.role), (State::Running, Some(role)));
        assert_eq!((health.timeline, health.pending_restart), (seen.timeline, false));
        let config = rest.config().await?;
        assert_eq!((&config["ttl"], &config["synchronous_mode"]), (&20.into(), &true.into()));
        assert!(config["postgresql"]["parameters"]["max_connections"].is_u64(), "{config}");
    }
    Ok(())
}

/// Who leads stands in the labels of pods and in the endpoints, with the cluster's name.
pub(crate) async fn the_objects_are_marked(far: &Far<'_>) -> Result<(), Failure> {
    let (leader, others) = far.await_well().await?;
    let scope = format!("patroni-{}", far.app);
    for pod in far.pods() {
        let labels = far.metadata(Resource::Pods, &pod, "labels").await?;
        let role = if pod == leader { "primary" } else { "replica" };
        assert_eq!(labels.get("role").map(String::as_str), Some(role), "{pod}");
        let annotations = far.metadata(Resource::Pods, &pod, "annotations").await?;
        let status: Value = serde_json::from_str(&annotations["status"])?;
        assert_eq!(status["state"], "running", "{status}");
        assert!(status["timeline"].is_u64() && status["xlog_location"].is_u64(), "{status}");
    }
    let selector = format!("application=patroni,cluster-name={scope}");
    let found = far.kubernetes.list(Resource::Endpoints, &selector).await?;
    let mut names: Vec<&str> =
        found.iter().filter_map(|object| object["metadata"]["name"].as_str()).collect();
    names.retain(|name| !name.ends_with("-failover"));
    names.sort_unstable();
    assert_eq!(names, [scope.clone(), format!("{scope}-config"), format!("{scope}-sync")]);
    let annotations =
        async |name: &str| far.metadata(Resource::Endpoints, name, "annotations").await;
    assert_eq!(annotations(&scope).await?["leader"], leader);
    let kept = annotations(&format!("{scope}-config")).await?;
    assert!(kept["initialize"].parse::<u64>().is_ok(), "{kept:?}");
    let dynamic: Value = serde_json::from_str(&kept["config"])?;
    assert_eq!(dynamic, far.members.rest(&leader).config().await?);
    let sync = annotations(&format!("{scope}-sync")).await?;
    assert_eq!(sync["leader"], leader);
    let mut standbys: Vec<&str> = sync["sync_standby"].split(',').collect();
    standbys.sort_unstable();
    assert_eq!(standbys, others);
    Ok(())
}

/// A member that stopped in order is shown as stopped, and comes back by itself; a leader that
/// stops is followed by another.
pub(crate) async fn members_that_stop_and_come_back(far: &Far<'_>) -> Result<(), Failure> {
    let (leader, others) = far.await_well().await?;
    far.pebble(&others[0], "stop").await?;
    let cluster = far
        .await_cluster("it is not shown as stopped", |cluster| {
            let stopped = State::Other("stopped".to_owned());
            cluster.member(&others[0]).is_some_and(|member| member.state == stopped)
                && cluster.has_standby_in_sync()
                && cluster.member(&others[0]).is_some_and(|member| member.role == Role::Replica)
        })
        .await?;
    assert_eq!(cluster.leader().map(|member| &member.name), Some(&leader));
    assert_eq!(cluster.member(&others[0]).ok_or("it is not shown")?.lag, None);
    let away = far.members.rest(&others[0]).health().await;
    assert!(matches!(away, Err(Error::Connect { .. })), "{away:?}");
    far.pebble(&others[0], "start").await?;
    let back = far.await_cluster("it does not come back", is_well).await?;
    let timeline = back.leader().and_then(|leader| leader.timeline).ok_or("no timeline")?;

    far.pebble(&leader, "stop").await?;
    // What others show of a new leader is as old as its last loop.
    far.await_cluster("nobody leads", |cluster| {
        let next = cluster.leader().filter(|seen| seen.name != leader && seen.state.is_ready());
        next.is_some_and(|next| next.timeline == Some(timeline + 1))
    })
    .await?;
    far.pebble(&leader, "start").await?;
    far.await_well().await?;
    Ok(())
}
