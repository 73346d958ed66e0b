//! What years write, in minutes: many switchovers, passwords and certificates, and a unit whose
//! number has two digits. `TALISMAN_TIMES` says how many of each; nothing may grow.

use std::time::Instant;

use anyhow::Result;
use end_to_end::failover::Cluster;

#[test]
fn nothing_grows_with_the_years() -> Result<()> {
    let times = std::env::var("TALISMAN_TIMES").ok().map(|text| text.parse()).transpose()?;
    let times: usize = times.unwrap_or(50);
    let begun = Instant::now();
    let cluster = Cluster::up("e2elong", 16608)?;
    let say = |what: &str| -> Result<()> {
        let growth = cluster.growth()?;
        eprintln!("{:>4} s {what}: {growth:?}", begun.elapsed().as_secs());
        Ok(())
    };
    say("up")?;
    cluster.rotate_often(times)?;
    say("passwords")?;
    cluster.switch_over(times + times / 5)?;
    say("switchovers")?;
    cluster.reissue(times)?;
    say("certificates")?;
    cluster.promote_a_high_number()?;
    say("unit 10 as primary")
}
