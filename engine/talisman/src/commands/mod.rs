//! What each verb of the command line does.

mod down;
mod log;
mod run;
mod up;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::api::{self, Request};
use crate::args::{Cli, Command, Config, Deploy, Format};
use crate::bundle::{Bundle, BundleApplication};
use crate::client::Client;
use crate::paths::Paths;

/// Carries out one command line.
pub(crate) async fn perform(cli: Cli) -> Result<()> {
    let paths = Paths::new(&cli.instance, cli.cache, cli.lib);
    let client = Client::new(&paths.socket());
    match cli.command {
        Command::Up(args) => up::up(&paths, &client, args).await,
        Command::Down(args) => down::down(&paths, &client, args).await,
        Command::Daemon => crate::daemon::run(paths).await,
        Command::Deploy(args) => deploy(&paths, &client, args).await,
        Command::Refresh { app, path, resource } => refresh(&paths, &client, app, &path, resource).await,
        Command::Images { definitions } => up::images(&paths, &definitions).await,
        Command::Pack { folder, dispatch, out } => {
            let packed = match dispatch {
                Some(dispatch) => crate::pack::pack(&folder, &dispatch, &out)?,
                None => crate::pack_python::pack(&folder, &out)?,
            };
            say(&packed.display().to_string())
        }
        Command::Completion { shell } => {
            let mut command = <Cli as clap::CommandFactory>::command();
            clap_complete::generate(shell, &mut command, "talisman", &mut std::io::stdout());
            Ok(())
        }
        Command::Config(args) => config(&client, args).await,
        Command::Status(args) => {
            let status = client.ask(&Request::Status).await?;
            match args.format {
                Format::Tabular | Format::Plain => {
                    say(crate::status::table(&status, args.relations).trim_end())
                }
                format => show(&status, format),
            }
        }
        Command::ShowUnit(args) => {
            show(&client.ask(&Request::ShowUnit { unit: args.unit }).await?, args.format)
        }
        Command::Run(args) => run::run(&client, args).await,
        Command::DebugLog(args) => log::debug_log(&client, args).await,
        Command::Measurements => show(&client.ask(&Request::Measurements).await?, Format::Json),
        Command::RemoveApplication { apps } => {
            for app in apps {
                client.ask(&Request::RemoveApplication { app }).await?;
            }
            Ok(())
        }
        command => client.ask(&simple(command)?).await.map(drop),
    }
}

/// The verbs that are one request and print nothing.
fn simple(command: Command) -> Result<Request> {
    Ok(match command {
        Command::Integrate { a, b } => Request::Integrate { a, b },
        Command::RemoveRelation { a, b } => Request::RemoveRelation { a, b },
        Command::DeletePod { unit } => Request::DeletePod { unit },
        Command::ScaleApplication { app, units } => Request::Scale { app, units },
        Command::Trust(args) => Request::Trust { app: args.app, trusted: !args.remove },
        Command::Resolve { unit, no_retry } => Request::Resolve { unit, retry: !no_retry },
        Command::Forward { port, target } => {
            Request::Forward { port, service: target.service, target: target.port }
        }
        Command::ModelConfig { setting } => {
            let value =
                setting.strip_prefix("update-status-hook-interval=").with_context(|| {
                    format!("cannot set {setting:?}: write update-status-hook-interval=<seconds>s")
                })?;
            let seconds = value.trim_end_matches('s').parse().with_context(|| {
                format!("cannot read {value:?} as a number of seconds; write, for instance, 10s")
            })?;
            Request::UpdateStatusInterval { seconds }
        }
        other => bail!("cannot do {other:?} here"),
    })
}

async fn deploy(paths: &Paths, client: &Client, args: Deploy) -> Result<()> {
    let is_bundle = args.charm.extension().is_some_and(|end| end == "yaml" || end == "yml");
    if is_bundle {
        return deploy_bundle(paths, client, &Bundle::read(&args.charm)?).await;
    }
    let resources = resources(paths, &args.charm, args.resource).await?;
    let charm = std::path::absolute(&args.charm)?;
    let request = api::Deploy {
        charm,
        app: args.app,
        units: args.num_units,
        config: args.config.into_iter().collect(),
        resources,
        trust: args.trust,
    };
    client.ask(&Request::Deploy(request)).await.map(drop)
}

/// The files of resources; images among them are built now.
async fn resources(
    paths: &Paths,
    charm: &Path,
    typed: Vec<(String, String)>,
) -> Result<BTreeMap<String, std::path::PathBuf>> {
    let meta = crate::charm_file::read(charm)?;
    let mut files = BTreeMap::new();
    for (name, file) in typed {
        files.insert(name, std::path::absolute(&file)?);
    }
    let is_image = |name: &String| {
        meta.resources.get(name).is_some_and(|resource| resource.kind == "oci-image")
    };
    let images = files.iter().filter(|(name, _)| is_image(name)).map(|(_, file)| file);
    up::ensure_images(paths, images).await?;
    Ok(files)
}

async fn refresh(
    paths: &Paths,
    client: &Client,
    app: names::AppName,
    path: &Path,
    typed: Vec<(String, String)>,
) -> Result<()> {
    let resources = resources(paths, path, typed).await?;
    let charm = std::path::absolute(path)?;
    client.ask(&Request::Refresh(api::Refresh { app, charm, resources })).await.map(drop)
}

/// Deploys what a bundle names and the model lacks.
async fn deploy_bundle(paths: &Paths, client: &Client, bundle: &Bundle) -> Result<()> {
    up::ensure_images(paths, bundle.resource_files().iter()).await?;
    let status = client.ask(&Request::Status).await?;
    for (name, application) in &bundle.applications {
        if status["applications"].get(name.as_str()).is_none() {
            tell(&format!("deploying {name}"));
            client.ask(&Request::Deploy(from_bundle(name, application))).await?;
        }
    }
    for (a, b) in &bundle.relations {
        match client.ask(&Request::Integrate { a: a.clone(), b: b.clone() }).await {
            Ok(_) => tell(&format!("integrated {a} with {b}")),
            Err(error) if error.to_string().contains("already") => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn from_bundle(name: &names::AppName, application: &BundleApplication) -> api::Deploy {
    let option = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    api::Deploy {
        charm: application.charm.clone().into(),
        app: Some(name.clone()),
        units: application.scale.unwrap_or(1),
        config: application.options.iter().map(|(k, v)| (k.clone(), option(v))).collect(),
        resources: application.resources.iter().map(|(k, v)| (k.clone(), v.into())).collect(),
        trust: application.trust,
    }
}

async fn config(client: &Client, args: Config) -> Result<()> {
    let mut set = BTreeMap::new();
    let mut read = Vec::new();
    for setting in args.settings {
        match setting.split_once('=') {
            Some((key, value)) => drop(set.insert(key.to_owned(), value.to_owned())),
            None => read.push(setting),
        }
    }
    if !set.is_empty() || !args.reset.is_empty() {
        if let Some(key) = read.first() {
            bail!("cannot read {key} and change options in one command; use two");
        }
        let request = Request::SetConfig { app: args.app, set, reset: args.reset };
        return client.ask(&request).await.map(drop);
    }
    let options = client.ask(&Request::GetConfig { app: args.app.clone() }).await?;
    match read.as_slice() {
        [] => show(&options, args.format),
        [key] => match options["settings"].get(key) {
            Some(option) => match &option["value"] {
                Value::String(text) => say(text),
                Value::Null => say(""),
                value => say(&value.to_string()),
            },
            None => bail!("cannot show {key}: {} has no such option", args.app),
        },
        _ => bail!("cannot show more than one option at a time; name one, or none for all"),
    }
}

/// Prints a value as JSON or YAML.
fn show(value: &Value, format: Format) -> Result<()> {
    match format {
        Format::Json => say(&serde_json::to_string(value)?),
        _ => say(yaml(value)?.trim_end()),
    }
}

/// YAML with every value on its own line, however long, as Juju prints it.
fn yaml<T: serde::Serialize>(value: &T) -> Result<String> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    Ok(serde_saphyr::to_string_with_options(value, options)?)
}

/// Prints a line of the command's result; a closed pipe ends the command quietly.
fn say(line: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// Tells a person what happens; goes beside the result, and is lost when nobody listens.
fn tell(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}

/// Whether a path is there, for messages about bundles and charms.
fn must_exist(path: &Path, what: &str) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    bail!("cannot find the {what} {}", path.display())
}
