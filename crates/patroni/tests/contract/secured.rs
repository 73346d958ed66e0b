//! The REST API with TLS.

use patroni::Rest;
use pebble_client::Ownership;
use tokio::time::{Instant, sleep};

use super::{BOUND, Failure, Far, PAUSE, SERVICE, is_well};

const PATH: &str = "/var/lib/postgresql/data/patroni.yml";
const CERTIFICATE: &str = "/var/lib/postgresql/data/contract.pem";
const KEY: &str = "/var/lib/postgresql/data/contract.key";

/// Waits until a member answers in this way.
async fn await_answer(what: &str, rest: &Rest) -> Result<(), Failure> {
    let end = Instant::now() + BOUND;
    while let Err(error) = rest.health().await {
        if Instant::now() > end {
            return Err(format!("{what}: {error}").into());
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

/// A member whose file names a certificate speaks TLS once it has read it, and nothing else; it
/// takes another certificate of the same name on a reload, and speaks in clear again without one.
/// It shows how it is spoken to, and its PostgreSQL goes on.
pub(crate) async fn the_api_speaks_tls_by_its_file(far: &Far<'_>) -> Result<(), Failure> {
    let (leader, _) = far.await_well().await?;
    let timeline = far.members.rest(&leader).health().await?.timeline;
    let pebble = far.members.pebble(&leader);
    let owner = Ownership::default().mode(0o600).owner("postgres", "postgres");
    let before = pebble.pull_text(PATH).await?.ok_or("it has no file")?;
    let named = format!("restapi:\n  certfile: {CERTIFICATE}\n  keyfile: {KEY}\n");
    let after = before.replacen("restapi:\n", &named, 1);
    assert_ne!(before, after);
    let (first, second) = (far.members.certificate(&leader)?, far.members.certificate(&leader)?);
    let (clear, trusting) =
        (far.members.rest(&leader), |authority: &str| far.members.trusting(&leader, authority));
    assert!(trusting(&first.0).health().await.is_err(), "TLS without a certificate");

    for (certificate, key) in [&first, &second] {
        pebble.push(CERTIFICATE, certificate, &owner).await?;
        pebble.push(KEY, key, &owner).await?;
        pebble.push(PATH, &after, &owner).await?;
        pebble.signal("SIGHUP", &[SERVICE]).await?;
        await_answer("it does not speak TLS", &trusting(certificate)).await?;
        assert!(clear.health().await.is_err(), "it speaks in clear as well");
    }
    assert!(trusting(&first.0).health().await.is_err(), "it shows the certificate from before");
    let shown = |encrypted: bool| {
        let leader = &leader;
        async move {
            let what = "it does not show how it is spoken to";
            far.await_cluster(what, |cluster| {
                is_well(cluster)
                    && cluster.member(leader).is_some_and(|m| m.speaks_tls() == encrypted)
            })
            .await
        }
    };
    shown(true).await?;

    pebble.push(PATH, &before, &owner).await?;
    pebble.signal("SIGHUP", &[SERVICE]).await?;
    await_answer("it does not speak in clear again", &clear).await?;
    assert!(trusting(&second.0).health().await.is_err(), "it speaks TLS as well");
    shown(false).await?;
    assert_eq!(far.await_well().await?.0, leader);
    assert_eq!(clear.health().await?.timeline, timeline);
    for path in [CERTIFICATE, KEY] {
        pebble.remove_path(path, false).await?;
    }
    Ok(())
}
