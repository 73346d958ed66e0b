//! Services: what runs, what a replan does, signals.

use pebble_client::{Layer, Service, ServiceStatus};

use super::{Failure, Far, disabled, enabled, refused};

/// Each service with what it does.
async fn states(far: &Far) -> Result<Vec<(String, ServiceStatus)>, Failure> {
    let found = far.client.services(&[]).await?;
    Ok(found.into_iter().map(|service| (service.name, service.current)).collect())
}

/// Since when a service is in its state.
async fn since(far: &Far, name: &str) -> Result<Option<String>, Failure> {
    let found = far.client.services(&[name]).await?;
    assert!(found.len() == 1 && found[0].name == name, "{found:?}");
    Ok(found[0].since.clone())
}

/// Services start, survive a replan without changes, and stop.
pub(crate) async fn services_run(far: &Far) -> Result<(), Failure> {
    let Far { client, .. } = far;
    assert_eq!(states(far).await?, []);
    far.ended(client.replan().await).await?;
    let layer = Layer::default()
        .service("web", enabled("sleep 100"))
        .service("idle", disabled("sleep 100"));
    client.add_layer("all", &layer, true).await?;
    let at = |idle, web| [("idle".to_owned(), idle), ("web".to_owned(), web)];
    use ServiceStatus::{Active, Inactive};
    assert_eq!(states(far).await?, at(Inactive, Inactive));
    assert!(far.ended(client.replan().await).await?.ready);
    assert_eq!(states(far).await?, at(Inactive, Active));
    let first = since(far, "web").await?;
    far.ended(client.replan().await).await?;
    far.ended(client.start(&["web"]).await).await?;
    assert_eq!(since(far, "web").await?, first, "it was started again");
    far.ended(client.restart(&["web"]).await).await?;
    assert_ne!(since(far, "web").await?, first, "it was not restarted");
    far.ended(client.stop(&["web"]).await).await?;
    far.ended(client.stop(&["web", "idle"]).await).await?;
    assert_eq!(states(far).await?, at(Inactive, Inactive));
    far.ended(client.restart(&["idle"]).await).await?;
    far.ended(client.replan().await).await?;
    assert_eq!(states(far).await?, at(Active, Active));
    assert_eq!(client.services(&["unknown", "web"]).await?.len(), 1);
    refused(client.start(&["unknown"]).await, 400, "\"unknown\" does not exist");
    refused(client.stop(&["web", "unknown"]).await, 400, "\"unknown\" does not exist");
    refused(client.restart(&["unknown"]).await, 400, "\"unknown\" does not exist");
    assert!(
        client
            .change(&pebble_client::ChangeId("999".to_owned()))
            .await
            .is_err_and(|e| e.is_not_found())
    );
    Ok(())
}

/// A replan starts anew whatever was started before and has changed, even if it was stopped
/// since and is disabled; the rest goes on.
pub(crate) async fn a_replan_restarts_what_changed(far: &Far) -> Result<(), Failure> {
    let Far { client, .. } = far;
    let layer = Layer::default()
        .service("changed", enabled("sleep 100"))
        .service("kept", enabled("sleep 100"))
        .service("never", disabled("sleep 100"))
        .service("stopped", disabled("sleep 100"));
    client.add_layer("all", &layer, true).await?;
    far.ended(client.replan().await).await?;
    far.ended(client.start(&["stopped"]).await).await?;
    far.ended(client.stop(&["stopped"]).await).await?;
    far.ended(client.replan().await).await?;
    let active = |service: &pebble_client::ServiceInfo| service.is_active();
    assert!(!client.services(&["stopped"]).await?.iter().any(active), "a replan started it");
    let before = (since(far, "changed").await?, since(far, "kept").await?);
    let environment = [("GREETING".to_owned(), "no".to_owned())];
    let changed = Service { environment: environment.into(), ..disabled("sleep 100") };
    let second = Layer::default()
        .service("changed", changed)
        .service("never", disabled("sleep 101"))
        .service("stopped", disabled("sleep 101"));
    client.add_layer("all", &second, true).await?;
    assert_eq!(since(far, "changed").await?, before.0, "a layer alone restarts nothing");
    far.ended(client.replan().await).await?;
    assert_ne!(since(far, "changed").await?, before.0);
    assert_eq!(since(far, "kept").await?, before.1);
    use ServiceStatus::{Active, Inactive};
    let expected =
        [("changed", Active), ("kept", Active), ("never", Inactive), ("stopped", Active)];
    assert_eq!(states(far).await?, expected.map(|(name, state)| (name.to_owned(), state)));
    Ok(())
}

/// A service that ends at once makes the change fail with its own words, after all others were
/// started; it is started again unless it is said not to be.
pub(crate) async fn failed_starts_are_told(far: &Far) -> Result<(), Failure> {
    let Far { client, .. } = far;
    let ignored = Service { on_success: Some("ignore".to_owned()), ..enabled("true") };
    // It would be up for a moment at each try.
    let bad = Service { backoff_delay: Some("1h".to_owned()), ..enabled("false") };
    let layer = Layer::default()
        .service("bad", bad)
        .service("done", ignored)
        .service("good", enabled("sleep 100"))
        .service("missing", disabled("no-such-program"));
    client.add_layer("bad", &layer, true).await?;
    let failed = far.ended(client.replan().await).await.err().ok_or("the start succeeded")?;
    let text = failed.to_string();
    assert!(text.starts_with("cannot complete the change"), "{text}");
    assert!(text.contains("exited quickly with code 1, will restart"), "{text}");
    assert!(text.contains("exited quickly with code 0, will ignore"), "{text}");
    let failed = far.ended(client.start(&["missing"]).await).await.err().ok_or("it started")?;
    assert!(failed.to_string().contains("executable file not found"), "{failed}");
    let found = states(far).await?;
    let state = |name: &str| found.iter().find(|(of, _)| of == name).map(|(_, state)| *state);
    assert!(matches!(state("bad"), Some(ServiceStatus::Backoff)), "{found:?}");
    assert_eq!(state("done"), Some(ServiceStatus::Inactive));
    assert_eq!(state("good"), Some(ServiceStatus::Active));
    assert_eq!(state("missing"), Some(ServiceStatus::Inactive));
    let mended = Layer::default().service("bad", enabled("sleep 100"));
    client.add_layer("bad", &mended, true).await?;
    // What ended for good is started again by each replan, for it is enabled.
    assert!(far.ended(client.replan().await).await.is_err());
    assert!(client.services(&["bad"]).await?.iter().all(pebble_client::ServiceInfo::is_active));
    Ok(())
}

/// Signals reach services that run; one that does not run is reported, and the others get theirs.
pub(crate) async fn signals_reach_services(far: &Far) -> Result<(), Failure> {
    let Far { client, .. } = far;
    let layer = Layer::default()
        .service("web", enabled("sleep 100"))
        .service("idle", disabled("sleep 100"));
    client.add_layer("all", &layer, true).await?;
    far.ended(client.replan().await).await?;
    client.signal("SIGCONT", &["web"]).await?;
    for absent in ["idle", "unknown"] {
        refused(client.signal("SIGCONT", &["web", absent]).await, 500, "service is not running");
    }
    Ok(())
}
