//! Makes every hook of the pooler run, so that the table has them all, and reads how long each
//! waited.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use end_to_end::{Talisman, root};
use serde_json::Value;

const POOLER: &str = "pgbouncer-k8s";

/// The pooler's hooks; the endpoints `db` and `db-admin` have the same four.
const HOOKS: [&str; 24] = [
    "start",
    "pgbouncer-pebble-ready",
    "config-changed",
    "update-status",
    "leader-elected",
    "secret-changed",
    "secret-remove",
    "upgrade-charm",
    "stop",
    "pgb-peers-relation-created",
    "pgb-peers-relation-joined",
    "pgb-peers-relation-changed",
    "pgb-peers-relation-departed",
    "backend-database-relation-created",
    "backend-database-relation-changed",
    "backend-database-relation-departed",
    "backend-database-relation-broken",
    "database-relation-changed",
    "database-relation-departed",
    "database-relation-broken",
    "db-relation-joined",
    "db-relation-changed",
    "db-relation-departed",
    "db-relation-broken",
];

/// Legacy clients, a second unit, a refresh, and the end of every relation.
pub(crate) fn run(engine: &Talisman) -> Result<()> {
    let charm = root().join("tests/charms/legacy-client").display().to_string();
    engine.call(&["scale-application", POOLER, "2"])?;
    for (app, endpoint) in [("old", "db"), ("admin", "db-admin")] {
        engine.call(&["deploy", &charm, app, "--config", &format!("database={app}")])?;
        engine.call(&["integrate", &format!("{app}:db"), &format!("{POOLER}:{endpoint}")])?;
    }
    engine.wait_active(120)?;
    let packed = root().join(format!("dist/{POOLER}_ubuntu@22.04-amd64.charm"));
    engine.call(&["refresh", POOLER, "--path", &packed.display().to_string()])?;
    engine.wait_active(120)?;
    engine.call(&["scale-application", POOLER, "1"])?;
    engine.wait_active(120)?;
    for app in ["old", "admin", "data-integrator", "postgresql-k8s"] {
        engine.call(&["remove-relation", app, POOLER])?;
    }
    let blocked = |status: &Value| {
        let unit = &status["applications"][POOLER]["units"][format!("{POOLER}/0")];
        unit["workload-status"]["current"] == "blocked" && unit["juju-status"]["current"] == "idle"
    };
    engine.wait("the pooler alone", 120, blocked).map(drop)
}

/// Fails where a hook is not among those that ran.
pub(crate) fn complete(table: &[Value]) -> Result<()> {
    let ran = |hook: &str| table.iter().any(|line| line["charm"] == POOLER && line["hook"] == hook);
    let admin = HOOKS.iter().filter_map(|hook| {
        hook.strip_prefix("db-relation").map(|kind| format!("db-admin-relation{kind}"))
    });
    let all = HOOKS.iter().map(|hook| (*hook).to_owned()).chain(admin);
    let missing: Vec<String> = all.filter(|hook| !ran(hook)).collect();
    ensure!(missing.is_empty(), "hooks of {POOLER} that did not run: {missing:?}");
    Ok(())
}

/// The longest that each hook of each application waited for Pebble and servers, in
/// milliseconds, as the traced charms say.
pub(crate) fn waits(engine: &Talisman) -> Result<BTreeMap<(String, String), u64>> {
    let log = ["debug-log", "--no-tail", "--level", "DEBUG", "--limit", "100000"];
    let mut waits = BTreeMap::new();
    for line in engine.call(&log)?.lines() {
        let Some((logger, said)) = line.split_once(" Hook tools: ") else { continue };
        let logger = logger.rsplit(' ').next().and_then(|word| word.strip_prefix("unit."));
        let unit_and_hook = logger.and_then(|logger| logger.split_once('.'));
        let waited = said.split_once("waited ").and_then(|(_, rest)| rest.split_once(" ms"));
        let waited = waited.and_then(|(number, _)| number.parse::<u64>().ok());
        if let (Some((unit, hook)), Some(waited)) = (unit_and_hook, waited) {
            let app = unit.split('/').next().unwrap_or_default();
            let longest = waits.entry((app.to_owned(), hook.to_owned())).or_default();
            *longest = waited.max(*longest);
        }
    }
    Ok(waits)
}
