//! The life of a cluster of three: other passwords, other sizes, TLS, and its end.

use std::time::Instant;

use anyhow::Result;
use end_to_end::failover::{Cluster, Fault};

#[test]
fn a_cluster_lives_through_what_its_owner_does() -> Result<()> {
    let begun = Instant::now();
    let step = |what: &str| eprintln!("{:>4} s {what}", begun.elapsed().as_secs());
    let cluster = Cluster::up("e2elife", 16605)?;
    step("up");
    cluster.has_its_objects()?;
    cluster.is_observed()?;
    cluster.lose_objects()?;
    step("objects lost");
    cluster.admits_new_roles()?;
    cluster.promote()?;
    step("another primary");
    cluster.rotate_passwords()?;
    step("other passwords");
    cluster.gain_tls()?;
    step("TLS");
    cluster.change_issuer()?;
    step("another issuer");
    cluster.lose_tls()?;
    step("no TLS");
    cluster.suffer(Fault::EveryoneKilled)?;
    step("all members killed");
    cluster.resize(&[2, 5, 3])?;
    step("two, five, three units");
    cluster.resize(&[1, 3])?;
    step("one and three units");
    cluster.resize(&[0, 3])?;
    step("none and three units");
    cluster.deploy_again()?;
    step("deployed again");
    cluster.gain_neighbour()?;
    step("a second cluster");
    cluster.confuse_volumes()?;
    step("volumes confused");
    Ok(())
}
