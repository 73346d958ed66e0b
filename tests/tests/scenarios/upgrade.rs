//! A rolling upgrade: what clients notice, which pods go, and in which order.

use anyhow::{Context, Result, ensure};
use end_to_end::failover::{Cluster, Planned};
use serde_json::Value;

use crate::planned::turn;

const APP: &str = "postgresql-k8s";

/// What the leader's unit says of an upgrade that waits.
fn told(status: &Value) -> Option<String> {
    let units = status["applications"][APP]["units"].as_object()?;
    let mut texts = units.values().filter_map(|unit| unit["workload-status"]["message"].as_str());
    texts.find(|text| text.contains("upgrade")).map(str::to_owned)
}

/// The primary is first any unit, then the last one, whose pod a refresh would replace first.
#[test]
fn an_upgrade_takes_one_member_after_another_and_no_client_notices() -> Result<()> {
    let _turn = turn();
    let cluster = Cluster::up("e2eupg", 16611)?;
    for number in [0, 2] {
        let unit = format!("{APP}/{number}");
        let moves = ["run", &unit, "promote-to-primary", "scope=unit"];
        if cluster.primary()? != format!("{APP}-{number}") {
            cluster.engine.call(&moves)?;
        }
        let loads = cluster.planned(&[Planned::Refresh])?;
        for (name, outcome) in &loads {
            println!(
                "upgrade from {unit}, {name}: {} transactions, {} failed, {} clients dropped",
                outcome.transactions, outcome.failed, outcome.dropped
            );
        }
        for (name, outcome) in &loads {
            ensure!(outcome.failed == 0 && outcome.dropped == 0, "{name}: {}", outcome.said);
            ensure!(outcome.transactions > 0, "{name} did nothing");
        }
    }
    Ok(())
}

/// With the check before it an upgrade stops after its first unit, until the operator goes on.
#[test]
fn an_upgrade_that_was_prepared_stops_after_its_first_unit() -> Result<()> {
    let _turn = turn();
    let cluster = Cluster::up("e2estop", 16612)?;
    let engine = &cluster.engine;
    engine.call(&["model-config", "update-status-hook-interval=5s"])?;
    let status = engine.wait("a leader", 30, |_| true)?;
    let units = status["applications"][APP]["units"].as_object().context("no units")?;
    let leader = units.iter().find(|(_, unit)| unit["leader"] == true);
    let leader = leader.context("no leader")?.0.clone();
    engine.call(&["run", &leader, "pre-upgrade-check"])?;
    let charm = end_to_end::root().join(format!("dist/{APP}_ubuntu@22.04-amd64.charm"));
    engine.call(&["refresh", APP, "--path", &charm.display().to_string()])?;
    let stops = |status: &Value| told(status).is_some_and(|text| text.contains("is upgraded"));
    let status = engine.wait("a stop after the first unit", 120, stops)?;
    let text = told(&status).context("no status")?;
    let command = text.split_once("`juju ").context("no command")?.1.trim_end_matches('`');
    ensure!(text.starts_with(&format!("{APP}/2 is upgraded")), "{text}");
    engine.call(&command.split(' ').collect::<Vec<_>>())?;
    engine.wait("the others", 180, |status| told(status).is_none())?;
    engine.wait_active(90)?;
    cluster.await_well(std::time::Duration::from_secs(60))
}
