//! What the console says of settings.

use std::collections::BTreeMap;

use pgbouncer::{KEYS, Key, Version};
use tokio::time::{Instant, sleep};

use super::{BOUND, Failure, Far, PORT, ini};

/// Waits until the console shows these settings; everything that it shows then.
pub(super) async fn await_shown(
    far: &Far<'_>,
    expected: &[(&str, &str)],
) -> Result<BTreeMap<String, String>, Failure> {
    let end = Instant::now() + BOUND;
    loop {
        let shown = far.pooler.shows(PORT).await;
        let agrees = |(name, value): &(&str, &str)| {
            let key = Key::find(name).ok().zip(shown.get(*name));
            key.is_some_and(|(key, shown)| key.agrees(value, shown))
        };
        if expected.iter().all(agrees) {
            return Ok(shown);
        }
        if Instant::now() > end {
            return Err(format!("the console shows {shown:?}, not {expected:?}").into());
        }
        sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// The console shows what is in force, and every setting of the version by its name.
pub(crate) async fn the_console_shows_what_is_in_force(far: &Far<'_>) -> Result<(), Failure> {
    far.populate("suite_shop", &["suite_app"]).await?;
    let shop = far.entries(&["suite_shop"]);
    far.begin(&shop, "").await?;
    let shown =
        await_shown(far, &[("query_wait_timeout", "5"), ("server_lifetime", "3600")]).await?;
    for key in KEYS.iter().filter(|key| key.known_to(Version::TRIXIE)) {
        assert!(shown.contains_key(key.name), "{} is not shown", key.name);
    }
    for name in shown.keys() {
        assert!(Key::find(name).is_ok(), "{name} is not known");
    }
    let more = "query_wait_timeout = 0.5\nserver_lifetime = 1234567\npkt_buf = 8192\n\
                unix_socket_mode = 0700\n";
    far.reload(&shop, more).await?;
    let reloaded = [("query_wait_timeout", "0.5"), ("server_lifetime", "1234567")];
    await_shown(far, &reloaded).await?;
    await_shown(far, &[("pkt_buf", "4096"), ("unix_socket_mode", "0777")]).await?;
    assert!(far.starts("suite", &ini()).await?);
    await_shown(far, &[("pkt_buf", "8192"), ("unix_socket_mode", "0700")]).await?;
    far.stop("suite").await
}

/// Of a configuration that it refuses, a running process takes what comes before the bad line;
/// TLS that it cannot take leaves it as it was, whatever the console shows. It would not start.
pub(crate) async fn a_refused_reload_takes_a_part(far: &Far<'_>) -> Result<(), Failure> {
    far.populate("suite_shop", &["suite_app"]).await?;
    let shop = far.entries(&["suite_shop"]);
    let enters = [("suite_app", "suite_app", "suite_shop", true)];
    for (bad, shown) in [
        ("no_such_setting = 1\n", "3600"),
        ("query_wait_notify = 1\n", "3600"),
        ("default_pool_size = many\n", "3600"),
        ("some words\n", "3600"),
        ("client_tls_sslmode = require\n", "60"),
        ("server_tls_ciphers = nonsense\n", "60"),
    ] {
        far.begin(&shop, "server_lifetime = 120\n").await?;
        far.reload(&shop, &format!("query_wait_timeout = 9\n{bad}server_lifetime = 60\n")).await?;
        await_shown(far, &[("query_wait_timeout", "9"), ("server_lifetime", shown)]).await?;
        far.await_knocks(PORT, &enters).await?;
        far.stop("suite").await?;
        let service = format!("suite_{}", bad.split(' ').next().unwrap_or_default());
        assert!(!far.starts(&service, &ini()).await?, "it starts with {bad}");
        far.stop(&service).await?;
    }
    // The console alone does not show the mode of TLS.
    far.begin(&shop, "").await?;
    far.reload(&shop, "client_tls_sslmode = require\n").await?;
    await_shown(far, &[("client_tls_sslmode", "require")]).await?;
    far.await_knocks(PORT, &enters).await?;
    far.stop("suite").await
}
