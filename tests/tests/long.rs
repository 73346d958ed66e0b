//! What years write, in minutes: many switchovers, passwords and certificates, units whose numbers
//! have two digits, and relations whose numbers have three. `TALISMAN_TIMES` says how many of each;
//! nothing may grow.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use end_to_end::failover::{Cluster, eventually};
use end_to_end::pooled::{Pooled, client_url, connect, value};
use serde_json::Value;

/// How often each is done.
fn times() -> Result<usize> {
    let times = std::env::var("TALISMAN_TIMES").ok().map(|text| text.parse()).transpose()?;
    Ok(times.unwrap_or(50))
}

#[test]
fn nothing_grows_with_the_years() -> Result<()> {
    let times = times()?;
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

const POOLER: &str = "pgbouncer-k8s";
const CLIENT: &str = "data-integrator";

/// What clients leave behind on the server and in Juju, were it anything.
fn left(world: &Pooled) -> Result<[usize; 2]> {
    let roles = "runuser -u postgres -- psql -U backup -h /var/run/postgresql -d postgres -Atc \
                 'SELECT rolname FROM pg_roles'";
    let roles =
        world.engine.call(&["ssh", "--container", "postgresql", "postgresql-k8s/0", roles])?;
    let secrets: Value =
        serde_json::from_str(&world.engine.call(&["secrets", "--format", "json"])?)?;
    Ok([roles.lines().count(), secrets.as_object().map_or(0, serde_json::Map::len)])
}

/// The number of the client's relation.
fn relation(world: &Pooled) -> Result<u64> {
    let unit = format!("{CLIENT}/0");
    let shown: Value =
        serde_json::from_str(&world.engine.call(&["show-unit", &unit, "--format", "json"])?)?;
    let all = shown[&unit]["relation-info"].as_array().context("no relations")?;
    let ours = all.iter().find(|one| one["endpoint"] == "postgresql").context("no relation")?;
    ours["relation-id"].as_u64().context("no number")
}

#[test]
fn numbers_may_have_many_digits() -> Result<()> {
    let begun = Instant::now();
    let world = Pooled::up("e2edigit", 16609)?;
    let before = left(&world)?;
    for _ in 0..2 * times()? {
        world.engine.call(&["remove-relation", CLIENT, POOLER])?;
        eventually("the client is related again", || {
            let database = format!("{POOLER}:database");
            world.engine.call(&["integrate", CLIENT, &database]).map(drop)
        })?;
        world.engine.wait_active(60)?;
    }
    let number = relation(&world)?;
    eventually("nothing is left of earlier relations", || {
        let after = left(&world)?;
        ensure!(after == before, "roles and secrets were {before:?} and are {after:?}");
        Ok(())
    })?;
    let seconds = begun.elapsed().as_secs();
    eprintln!("{seconds:>4} s relation {number}: roles and secrets {before:?} as before");
    world.engine.call(&["scale-application", POOLER, "11"])?;
    world.engine.wait("eleven poolers", 240, |status| {
        let units = status["applications"][POOLER]["units"].as_object();
        units.map_or(0, serde_json::Map::len) == 11
    })?;
    world.engine.wait_active(240)?;
    let url = client_url(&world.engine, CLIENT, world.port())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Connections go to any of them.
    let answers = runtime.block_on(async {
        for _ in 0..50 {
            let session = connect(&url).await?;
            ensure!(value(&session, "SELECT 42").await? == "42", "another answer");
        }
        Ok(())
    });
    answers?;
    eprintln!("{:>4} s eleven poolers serve", begun.elapsed().as_secs());
    Ok(())
}
