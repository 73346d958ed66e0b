//! What charms ask of Pebble as a pod ends fits into the time that a pod has to end.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use end_to_end::root;

/// What Pebble needs after it gave up on a service, and before it ends itself.
const PEBBLE: u64 = 5;

/// The texts of all sources below a folder.
fn sources(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            texts.extend(sources(&path)?);
        } else if path.extension().is_some_and(|end| end == "rs") {
            texts.push(std::fs::read_to_string(&path)?);
        }
    }
    Ok(texts)
}

/// The numbers that stand between two texts.
fn numbers(texts: &[String], before: &str, after: &str) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    for text in texts {
        for rest in text.split(before).skip(1) {
            let (number, _) = rest.split_once(after).context("the line goes on")?;
            found.push(number.parse().with_context(|| format!("{before}{number}"))?);
        }
    }
    Ok(found)
}

#[test]
fn no_service_may_take_longer_to_end_than_its_pod() -> Result<()> {
    let engine = sources(&root().join("engine"))?;
    let graces = numbers(&engine, "STOP_GRACE: Duration = Duration::from_secs(", ")")?;
    // Juju gives every pod these seconds.
    ensure!(graces == [30], "pods have {graces:?}");
    let named = engine.iter().flat_map(|text| text.lines());
    let named = named.filter(|line| line.contains("STOP_GRACE:")).count();
    ensure!(named == 1, "{named} constants say how long pods may take");

    let charms = sources(&root().join("charms"))?;
    let asked = charms.iter().map(|text| text.matches("kill_delay: Some(").count()).sum::<usize>();
    let delays = numbers(&charms, "KILL_DELAY: &str = \"", "s\"")?;
    ensure!(asked == delays.len() && asked > 0, "{asked} services ask for {delays:?}");
    for delay in delays {
        ensure!(delay + PEBBLE <= graces[0], "a service may take {delay} s, its pod {graces:?}");
    }
    Ok(())
}
