//! Those who watch a model: a real Prometheus on what the databags say, and one who keeps logs.

mod keeper;
mod prometheus;

pub use keeper::{Keeper, Line};
pub use prometheus::Prometheus;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::Talisman;

/// The application of the test charm.
pub const WATCHER: &str = "watcher";

/// What the applications related to an endpoint of the watcher wrote: each application's databag
/// and those of its units by their names.
///
/// # Errors
/// When the unit is not there.
pub fn databags(engine: &Talisman, endpoint: &str) -> Result<Vec<Value>> {
    let unit = format!("{WATCHER}/0");
    let shown = engine.call(&["show-unit", &unit, "--format", "json"])?;
    let shown: Value = serde_json::from_str(&shown)?;
    let relations = shown[&unit]["relation-info"].as_array().context("no relations")?;
    Ok(relations.iter().filter(|relation| relation["endpoint"] == endpoint).cloned().collect())
}
