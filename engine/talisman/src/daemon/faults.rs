//! A switch for tests: the daemon kills itself at its n-th effect.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The variable that names the effect at which the daemon dies, counted from 1.
const SWITCH: &str = "TALISMAN_DIE_AT";

static AT: LazyLock<Option<u64>> =
    LazyLock::new(|| std::env::var(SWITCH).ok().and_then(|number| number.parse().ok()));
static PASSED: AtomicU64 = AtomicU64::new(0);

/// A moment just before or after an effect that outlives the daemon.
pub(crate) fn point() {
    let Some(at) = *AT else { return };
    if PASSED.fetch_add(1, Ordering::SeqCst) + 1 == at {
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
            .ok();
    }
}
