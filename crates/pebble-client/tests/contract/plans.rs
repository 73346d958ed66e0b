//! Layers and the plan.

use std::collections::BTreeMap;

use pebble_client::{Check, ExecCheck, HttpCheck, Layer, LogTarget, Service, Startup, TcpCheck};

use super::{Failure, Far, disabled, enabled, refused};

fn exec() -> Check {
    let exec = Some(ExecCheck { command: "true".to_owned(), ..ExecCheck::default() });
    Check { exec, ..Check::default() }
}

/// A layer differs until it was added; an unchanged one does not.
pub(crate) async fn plans_are_compared(far: &Far) -> Result<(), Failure> {
    let Far { client, .. } = far;
    let before = client.system_info().await?;
    assert!(!before.version.is_empty() && !before.boot_id.is_empty());
    assert_eq!(client.plan().await?, Layer::default());
    let layer = Layer::default().service("web", enabled("sleep 100")).check("up", exec());
    assert!(layer.differs_from(&client.plan().await?));
    client.add_layer("web", &layer, true).await?;
    assert!(!layer.differs_from(&client.plan().await?));
    let other = Layer::default().service("web", enabled("sleep 101"));
    assert!(other.differs_from(&client.plan().await?));
    refused(client.add_layer("web", &other, false).await, 400, "already exists");
    assert!(!layer.differs_from(&client.plan().await?));
    assert_eq!(client.system_info().await?, before);
    Ok(())
}

/// What a layer names takes the place of what was there; the rest stays. Checks run unless they
/// are said not to.
pub(crate) async fn layers_are_laid(far: &Far) -> Result<(), Failure> {
    let Far { client, .. } = far;
    let http = HttpCheck { url: "http://127.0.0.1:1/health".to_owned(), ..HttpCheck::default() };
    let tcp = TcpCheck { port: 1, host: Some("localhost".to_owned()) };
    let level = Some("ready".to_owned());
    let idle = Check { tcp: Some(tcp), startup: Some(Startup::Disabled), ..Check::default() };
    let first = Layer::default()
        .service("kept", enabled("sleep 100"))
        .service("web", enabled("sleep 100"))
        .check("health", Check { http: Some(http), level, ..Check::default() })
        .check("idle", idle);
    client.add_layer("web", &first, true).await?;
    let bare = Service { environment: Default::default(), ..disabled("sleep 101") };
    let second = Layer::default().service("web", bare.clone()).check("idle", exec());
    client.add_layer("web", &second, true).await?;
    client.add_layer("more", &Layer::default().service("more", enabled("sleep 1")), true).await?;
    let plan = client.plan().await?;
    assert_eq!(plan.services.keys().collect::<Vec<_>>(), ["kept", "more", "web"]);
    assert!(!Layer::default().service("kept", enabled("sleep 100")).differs_from(&plan));
    assert!(!second.differs_from(&plan));
    assert!(plan.services["web"].environment.is_empty(), "it was laid over, not replaced");
    assert!(plan.checks["idle"].tcp.is_none());
    let checks = client.checks(&[]).await?;
    let states: Vec<_> = checks.iter().map(|c| (c.name.as_str(), c.startup)).collect();
    assert_eq!(states, [("health", Startup::Enabled), ("idle", Startup::Enabled)]);
    assert_eq!(client.checks(&["idle"]).await?.len(), 1);
    Ok(())
}

/// A layer that is none changes nothing.
pub(crate) async fn layers_are_refused(far: &Far) -> Result<(), Failure> {
    let Far { client, .. } = far;
    let idle = Layer::default().service("web", Service::default());
    refused(client.add_layer("web", &idle, true).await, 400, "must define \"command\"");
    let blind = Layer::default().check("up", Check::default());
    refused(client.add_layer("web", &blind, true).await, 400, "must specify one of");
    assert_eq!(client.plan().await?, Layer::default());
    Ok(())
}

/// A layer with one target of logs.
fn sends(target: LogTarget) -> Layer {
    Layer { log_targets: [("loki/0".to_owned(), target)].into(), ..Layer::default() }
}

fn loki() -> LogTarget {
    let labels = BTreeMap::from([("juju_unit".to_owned(), "a/0".to_owned())]);
    LogTarget::loki("http://127.0.0.1:1/loki/api/v1/push", labels)
}

/// Targets of logs come and end beside what other layers say, and no service starts for it.
pub(crate) async fn logs_are_sent(far: &Far) -> Result<(), Failure> {
    let Far { client, .. } = far;
    client.add_layer("web", &Layer::default().service("web", enabled("sleep 100")), true).await?;
    let targets = sends(loki()).log_targets;
    let plan = client.plan().await?;
    let layer = Layer::sending_logs_to(&targets, &plan);
    assert_eq!(layer, sends(loki()));
    client.add_layer("logs", &layer, true).await?;
    let plan = client.plan().await?;
    assert_eq!(Layer::sending_logs_to(&targets, &plan), Layer::default());
    assert!(!layer.differs_from(&plan));
    // What starts, runs and reads the plan finds the services as before.
    assert_eq!(plan.services.keys().collect::<Vec<_>>(), ["web"]);
    assert!(client.services(&[]).await?.iter().all(|service| !service.is_active()));
    let none = BTreeMap::new();
    let ended = Layer::sending_logs_to(&none, &plan);
    assert_eq!(ended.log_targets["loki/0"].services, ["-all"]);
    client.add_layer("logs", &ended, true).await?;
    let plan = client.plan().await?;
    assert_eq!(plan.log_targets.len(), 1);
    assert_eq!(Layer::sending_logs_to(&none, &plan), Layer::default());
    client.add_layer("logs", &Layer::sending_logs_to(&targets, &plan), true).await?;
    let plan = client.plan().await?;
    assert_eq!(Layer::sending_logs_to(&targets, &plan), Layer::default());
    Ok(())
}

/// A target that is none is refused, and the plan stays.
pub(crate) async fn log_targets_are_refused(far: &Far) -> Result<(), Failure> {
    let Far { client, .. } = far;
    let add = async |target: LogTarget| client.add_layer("logs", &sends(target), true).await;
    let wrong = LogTarget { kind: Some("carrier".to_owned()), ..loki() };
    refused(add(wrong).await, 400, "has unsupported type \"carrier\"");
    refused(add(LogTarget { kind: None, ..loki() }).await, 400, "must define \"type\"");
    refused(add(LogTarget { location: None, ..loki() }).await, 400, "must define \"location\"");
    let unknown = LogTarget { services: vec!["-web".to_owned()], ..loki() };
    refused(add(unknown).await, 400, "specifies unknown service \"web\"");
    let labels = BTreeMap::from([("pebble_service".to_owned(), "x".to_owned())]);
    refused(add(LogTarget { labels, ..loki() }).await, 400, "uses reserved prefix \"pebble_\"");
    assert_eq!(client.plan().await?, Layer::default());
    Ok(())
}
