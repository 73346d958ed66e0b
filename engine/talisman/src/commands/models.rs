//! Verbs about models, and the version.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{down, say, show, tell, up};
use crate::api::Request;
use crate::args::{Down, Format};
use crate::args_juju::{AddModel, DestroyModel};
use crate::client::Client;
use crate::models::{self, FIRST};
use crate::paths::Paths;

/// `version`
pub(super) fn version(format: Format, all: bool) -> Result<()> {
    let text = format!("{}-ubuntu-{}", model::JUJU_VERSION, crate::pack::architecture());
    match format {
        Format::Plain | Format::Tabular | Format::Short if !all => say(&text),
        _ if !all => show(&json!(text), format),
        _ => {
            let program = env!("CARGO_PKG_VERSION");
            show(&json!({"version": text, "git-commit": "", "talisman": program}), format)
        }
    }
}

/// `add-model`
pub(super) async fn add(controller: &Paths, args: AddModel) -> Result<()> {
    for (key, _) in &args.config {
        super::model_config::default(key)?;
    }
    let instance = models::create(&controller.instance, &args.name)?;
    let paths = controller.other(&instance);
    let client = Client::new(&paths.socket());
    if let Err(error) = up::start_engine(&paths, &client).await {
        std::fs::remove_dir_all(&paths.state).ok();
        return Err(error);
    }
    if !args.config.is_empty() {
        super::model_config::change(&client, args.config.into_iter().collect()).await?;
    }
    if !args.no_switch {
        models::switch(&controller.instance, args.name.as_str())?;
    }
    tell(&format!("Added '{}' model", args.name));
    Ok(())
}

/// `destroy-model`
pub(super) async fn destroy(controller: &Paths, args: DestroyModel) -> Result<()> {
    let instance = models::instance(&controller.instance, Some(&args.name))?;
    let paths = controller.other(&instance);
    let client = Client::new(&paths.socket());
    let has_volumes = std::fs::read_dir(paths.state.join("volumes"))
        .is_ok_and(|mut volumes| volumes.next().is_some());
    if has_volumes && !args.destroy_storage {
        bail!(
            "cannot destroy model {:?}: it has volumes, which would be lost; add --destroy-storage",
            args.name
        );
    }
    if client.is_running().await && !args.force {
        remove_applications(&client, args.timeout).await?;
    }
    down::down(&paths, &client, Down { destroy_storage: true }).await
}

async fn remove_applications(client: &Client, bound: Duration) -> Result<()> {
    let deadline = Instant::now() + bound;
    let mut asked = false;
    loop {
        let status = client.ask(&Request::Status).await?;
        let left: Vec<String> = status["applications"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone())
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        if !asked {
            for app in &left {
                let request = Request::RemoveApplication { app: app.parse()?, force: false };
                client.ask(&request).await?;
            }
            asked = true;
        }
        if Instant::now() > deadline {
            bail!("timed out: {} did not leave; add --force to go on without", left.join(", "));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// `models`
pub(super) async fn list(controller: &Paths, format: Format) -> Result<()> {
    let current = models::current(&controller.instance);
    let mut all = vec![(FIRST.to_owned(), controller.instance.clone())];
    let added = models::all(&controller.instance);
    all.extend(added.into_iter().map(|model| (model.name.to_string(), model.instance)));
    let mut shown = Vec::new();
    for (name, instance) in all {
        let client = Client::new(&controller.other(&instance).socket());
        let state = if client.is_running().await { "available" } else { "stopped" };
        shown.push(json!({
            "name": format!("admin/{name}"),
            "short-name": name,
            "controller-name": "talisman",
            "model-type": "caas",
            "owner": "admin",
            "cloud": "localhost",
            "type": "kubernetes",
            "life": "alive",
            "status": {"current": state},
            "is-controller": false,
        }));
    }
    if !matches!(format, Format::Tabular | Format::Plain | Format::Short) {
        return show(&json!({"models": shown, "current-model": current}), format);
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    say("Model  Status")?;
    for model in &shown {
        let name = text(&model["short-name"]);
        let mark = if name == current { "*" } else { "" };
        say(&format!("{name}{mark}  {}", text(&model["status"]["current"])))?;
    }
    Ok(())
}

/// `show-model`
pub(super) async fn show_model(
    controller: &Paths,
    model: Option<&str>,
    format: Format,
) -> Result<()> {
    let instance = models::instance(&controller.instance, model)?;
    let client = Client::new(&controller.other(&instance).socket());
    let status = client.ask(&Request::Status).await?;
    let facts = &status["model"];
    let name = facts["name"].as_str().unwrap_or_default();
    let info = json!({
        "name": format!("admin/{name}"),
        "short-name": name,
        "model-uuid": facts["uuid"],
        "model-type": "caas",
        // An engine is its own controller: it has no identity besides its models'.
        "controller-uuid": facts["uuid"],
        "controller-name": "talisman",
        "is-controller": false,
        "owner": "admin",
        "cloud": "localhost",
        "type": "kubernetes",
        "life": "alive",
        "status": facts["model-status"],
        "users": {"admin": {"display-name": "admin", "access": "admin", "last-connection": "just now"}},
        "agent-version": facts["version"],
    });
    show(&json!({ name: info }), format)
}

/// `switch`
pub(super) fn switch(controller: &Paths, model: Option<&str>) -> Result<()> {
    let Some(model) = model else {
        return say(&format!("talisman:admin/{}", models::current(&controller.instance)));
    };
    let before = models::current(&controller.instance);
    models::instance(&controller.instance, Some(model))?;
    models::switch(&controller.instance, models::short(model))?;
    tell(&format!("talisman:admin/{before} -> talisman:admin/{}", models::short(model)));
    Ok(())
}
