//! Waiting until something holds.

use std::time::{Duration, Instant};

use anyhow::Result;

/// Waits until something holds, with a bound.
///
/// # Errors
/// What did not hold within it, with the last reason.
pub fn eventually(what: &str, mut holds: impl FnMut() -> Result<()>) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        match holds() {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > end => return Err(error.context(what.to_owned())),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}
