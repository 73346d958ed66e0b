//! Handing the lead over, and what is refused.

use patroni::NotInSync;

use super::{Failure, Far, is_well, status};

/// A standby that has every commit takes the lead: the one that was named, or any.
pub(crate) async fn the_lead_is_handed_over(far: &Far<'_>) -> Result<(), Failure> {
    for named in [true, false] {
        let (leader, others) = far.await_well().await?;
        let before = far.members.rest(&leader).health().await?.timeline;
        let candidate = named.then_some(others[1].as_str());
        // Any member takes the order.
        far.rest(&others[0]).switchover(&leader, candidate).await?;
        let cluster = far
            .await_cluster("the lead was not handed over", |cluster| {
                let next = cluster.leader().map(|member| member.name.as_str());
                is_well(cluster) && next != Some(leader.as_str())
            })
            .await?;
        let next = cluster.leader().ok_or("no leader")?;
        assert!(candidate.is_none_or(|name| name == next.name), "{next:?}");
        assert_eq!(next.timeline, before.map(|timeline| timeline + 1));
    }
    Ok(())
}

/// An order that no member can follow changes nothing and says why.
pub(crate) async fn impossible_orders_are_refused(far: &Far<'_>) -> Result<(), Failure> {
    let (leader, others) = far.await_well().await?;
    let rest = far.rest(&leader);
    let refused = rest.switchover(&others[0], Some(&others[1])).await;
    assert_eq!(status(&refused), Some(412));
    assert_eq!(refused.err().and_then(|error| error.not_in_sync()), None, "the wrong leader");
    let refused = rest.switchover(&leader, Some("nobody-7")).await;
    assert_eq!(status(&refused), Some(412));
    let why = refused.err().and_then(|error| error.not_in_sync());
    assert_eq!(why, Some(NotInSync::Candidate));
    assert_eq!(far.await_well().await?.0, leader);

    for pod in &others {
        far.pebble(pod, "stop").await?;
    }
    far.await_cluster("standbys that are away are in sync", |cluster| {
        cluster.leader().is_some_and(|seen| seen.name == leader)
            && !cluster.has_standby_in_sync()
            && cluster.members.iter().all(|member| !member.role.follows_in_sync())
    })
    .await?;
    let refused = rest.switchover(&leader, Some(&others[0])).await;
    let why = refused.err().and_then(|error| error.not_in_sync());
    assert_eq!(why, Some(NotInSync::Candidate), "who is away has not every commit");
    let refused = rest.switchover(&leader, None).await;
    assert_eq!(status(&refused), Some(412));
    let why = refused.err().and_then(|error| error.not_in_sync());
    assert_eq!(why, Some(NotInSync::Anybody));
    for pod in &others {
        far.pebble(pod, "start").await?;
    }
    assert_eq!(far.await_well().await?.0, leader);
    Ok(())
}
