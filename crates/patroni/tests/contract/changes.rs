//! Settings, restarts, and the file of one member.

use patroni::Cluster;
use pebble_client::Ownership;
use serde_json::{Value, json};

use tokio::time::{Instant, sleep};

use super::{BOUND, Failure, Far, PAUSE, SERVICE, status};

/// A patch changes what it names; null takes it away. Who has no login changes nothing.
pub(crate) async fn settings_are_merged(far: &Far<'_>) -> Result<(), Failure> {
    let (leader, others) = far.await_well().await?;
    let before = far.members.rest(&leader).config().await?;
    let patch = json!({"maximum_lag_on_failover": 2_000_000,
        "postgresql": {"parameters": {"wal_keep_size": 4097}}});
    let open = far.members.rest(&leader);
    let wrong = open.clone().with_login("patroni", "wrong".to_owned().into());
    for stranger in [open, wrong] {
        assert_eq!(status(&stranger.patch_config(&patch).await), Some(401));
        assert_eq!(status(&stranger.restart().await), Some(401));
        assert_eq!(status(&stranger.switchover(&leader, None).await), Some(401));
    }
    assert_eq!(far.members.rest(&leader).config().await?, before);
    far.rest(&others[0]).patch_config(&patch).await?;
    let mut expected = before.clone();
    expected["maximum_lag_on_failover"] = 2_000_000.into();
    expected["postgresql"]["parameters"]["wal_keep_size"] = 4097.into();
    await_config(far, &expected).await?;
    let gone = json!({"maximum_lag_on_failover": null});
    far.rest(&leader).patch_config(&gone).await?;
    if let Some(map) = expected.as_object_mut() {
        map.remove("maximum_lag_on_failover");
    }
    await_config(far, &expected).await?;
    let back = json!({"maximum_lag_on_failover": before["maximum_lag_on_failover"],
        "postgresql": {"parameters": {
            "wal_keep_size": before["postgresql"]["parameters"]["wal_keep_size"]}}});
    far.rest(&leader).patch_config(&back).await?;
    await_config(far, &before).await
}

/// Waits until every member shows this configuration: each shows what it saw in its last loop.
async fn await_config(far: &Far<'_>, expected: &Value) -> Result<(), Failure> {
    let end = Instant::now() + BOUND;
    for pod in far.pods() {
        loop {
            let found = far.members.rest(&pod).config().await?;
            if found == *expected {
                break;
            }
            if Instant::now() > end {
                return Err(format!("{pod} shows {found} in place of {expected}").into());
            }
            sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// The members that wait for a restart.
fn waiting(cluster: &Cluster) -> Vec<String> {
    let waits = cluster.members.iter().filter(|member| member.pending_restart);
    let mut names: Vec<String> = waits.map(|member| member.name.clone()).collect();
    names.sort();
    names
}

/// A parameter that needs a restart is shown by each member until it had one. A smaller value
/// reaches a standby only after the primary.
pub(crate) async fn parameters_wait_for_a_restart(far: &Far<'_>) -> Result<(), Failure> {
    let (leader, others) = far.await_well().await?;
    let timeline = far.members.rest(&leader).health().await?.timeline;
    let before = far.members.rest(&leader).config().await?;
    let set =
        |value: Value| json!({"postgresql": {"parameters": {"max_locks_per_transaction": value}}});
    let expect = async |names: Vec<String>| {
        let what = format!("{names:?} do not wait");
        far.await_cluster(&what, |cluster| waiting(cluster) == names).await
    };
    let pair = |one: &String, other: &String| {
        let mut pair = vec![one.clone(), other.clone()];
        pair.sort();
        pair
    };
    far.rest(&leader).patch_config(&set(72.into())).await?;
    expect(far.pods()).await?;
    assert!(far.members.rest(&leader).health().await?.pending_restart);
    far.rest(&others[0]).restart().await?;
    expect(pair(&leader, &others[1])).await?;
    assert!(!far.members.rest(&others[0]).health().await?.pending_restart);
    far.rest(&others[1]).restart().await?;
    far.rest(&leader).restart().await?;
    expect(Vec::new()).await?;
    assert_eq!(far.await_well().await?.0, leader, "a restart keeps the lead");

    let lower = before["postgresql"]["parameters"]["max_locks_per_transaction"].clone();
    far.rest(&leader).patch_config(&set(lower)).await?;
    expect(far.pods()).await?;
    far.rest(&others[0]).restart().await?;
    far.await_well().await?;
    expect(far.pods()).await?;
    far.rest(&leader).restart().await?;
    expect(others.clone()).await?;
    far.await_well().await?;
    for pod in &others {
        far.rest(pod).restart().await?;
        far.await_well().await?;
    }
    expect(Vec::new()).await?;
    assert_eq!(far.members.rest(&leader).health().await?.timeline, timeline);
    Ok(())
}

/// A signal has a member read its file again, and nothing of the cluster changes.
pub(crate) async fn the_file_is_read_again(far: &Far<'_>) -> Result<(), Failure> {
    const PATH: &str = "/var/lib/postgresql/data/patroni.yml";
    let (leader, _) = far.await_well().await?;
    let pebble = far.members.pebble(&leader);
    let owner = Ownership::default().mode(0o600).owner("postgres", "postgres");
    let before = pebble.pull_text(PATH).await?.ok_or("it has no file")?;
    assert!(before.contains(&far.password));
    let change = before.replace(&far.password, "another");
    let nothing = json!({"ttl": 20});
    let other = far.members.rest(&leader).with_login("patroni", "another".to_owned().into());
    for (text, good, bad) in
        [(&change, &other, &far.rest(&leader)), (&before, &far.rest(&leader), &other)]
    {
        assert!(bad.patch_config(&nothing).await.is_ok());
        pebble.push(PATH, text, &owner).await?;
        assert!(bad.patch_config(&nothing).await.is_ok(), "nobody told it");
        pebble.signal("SIGHUP", &[SERVICE]).await?;
        let end = Instant::now() + BOUND;
        while good.patch_config(&nothing).await.is_err() {
            assert!(Instant::now() < end, "it has not read its file");
            sleep(PAUSE).await;
        }
        assert_eq!(status(&bad.patch_config(&nothing).await), Some(401));
    }
    assert_eq!(far.await_well().await?.0, leader);
    Ok(())
}
