//! The way to the members' REST API.

use std::time::Duration;

use charm::Hook;
use patroni::Rest;

use crate::door::Door;
use crate::gather::{LOCAL, workload};
use crate::tls;

/// The own member, on the pod's own loopback address. What goes there, nobody else can read, so
/// it does not matter whether it can be known how that member speaks.
pub(super) async fn own(door: &dyn Door, hook: &Hook) -> Rest {
    let authority = authority(hook).await.ok().flatten();
    door.patroni(LOCAL, authority.as_deref())
}

/// Any member, by its host.
///
/// # Errors
/// When it cannot be known whether it shall speak TLS.
pub(super) async fn at(door: &dyn Door, hook: &Hook, host: &str) -> Result<Rest, pebble::Error> {
    let authority = authority(hook).await?;
    Ok(door.patroni(host, authority.as_deref()))
}

/// Who vouches for the members, as this unit's files say; nobody while it has no certificate.
pub(super) async fn authority(hook: &Hook) -> Result<Option<String>, pebble::Error> {
    match workload(hook) {
        Some(pebble) => pebble.pull_text(tls::CA).await,
        None => Ok(None),
    }
}

/// How long two of Patroni's looks at the cluster take, by which it has seen what changed.
pub(super) async fn two_looks(rest: &Rest) -> Duration {
    let config = rest.config().await.ok();
    let seconds = config.and_then(|config| config["loop_wait"].as_u64()).unwrap_or(1);
    // More than any option says would be somebody's error.
    Duration::from_secs(2 * seconds.min(10)) + Duration::from_millis(500)
}
