//! What each verb of the command line does.

mod down;
mod enter;
mod images;
mod juju;
mod log;
mod model_config;
mod models;
mod operations;
mod run;
mod secrets;
mod unpack;
mod up;
mod wait_for;

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
    let controller = Paths::new(&cli.instance, cli.cache, cli.lib);
    if let Command::Juju(verb) = &cli.command
        && verb.is_of_models()
    {
        let Command::Juju(verb) = cli.command else { return Ok(()) };
        let client = Client::new(&controller.socket());
        return juju::perform(&controller, &client, verb).await;
    }
    if let Command::Down(args) = cli.command {
        return down::down_with_models(&controller, args).await;
    }
    let paths = match (&cli.command, &cli.model) {
        (Command::Daemon, _) | (Command::Up(_), None) => controller.clone(),
        _ => controller.other(&crate::models::instance(&cli.instance, cli.model.as_deref())?),
    };
    let client = Client::new(&paths.socket());
    match cli.command {
        Command::Up(args) => up::up(&paths, &client, args).await,
        Command::Juju(verb) => juju::perform(&controller, &client, verb).await,
        Command::Daemon => crate::daemon::run(paths).await,
        Command::Deploy(args) => deploy(&paths, &client, args).await,
        Command::Refresh { app, path, resource, force_units, store, .. } => {
            store.tell_without_effect(&[]);
            let forced = force_units || store.force;
            refresh(&paths, &client, app, &path, resource, forced).await
        }
        Command::Images(args) => images::images(&controller, args).await,
        Command::Pack { folder, dispatch, requirements, out } => {
            let packed = match dispatch {
                Some(dispatch) => crate::pack::pack(&folder, &dispatch, &out)?,
                None => crate::pack_python::pack(&folder, requirements.as_deref(), &out)?,
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
            images::warn_of_old(&paths);
            status(&client, args).await
        }
        Command::ShowUnit(args) => {
            show(&client.ask(&Request::ShowUnit { unit: args.unit }).await?, args.format)
        }
        Command::Run(args) => run::run(&client, args).await,
        Command::DebugLog(args) => log::debug_log(&client, args).await,
        Command::Page { port } => {
            let url = client.ask(&Request::Page { port }).await?;
            say(url.as_str().unwrap_or_default())
        }
        Command::Measurements => show(&client.ask(&Request::Measurements).await?, Format::Json),
        Command::ModelConfig { settings, reset, format } => {
            model_config::model_config(&client, &settings, &reset, format).await
        }
        Command::RemoveApplication { apps, removal } => {
            for app in apps {
                let request = Request::RemoveApplication { app, force: removal.force };
                client.ask(&request).await?;
            }
            Ok(())
        }
        command => client.ask(&simple(command)?).await.map(drop),
    }
}

/// `status`, once or again and again.
async fn status(client: &Client, args: crate::args::Status) -> Result<()> {
    let mut last = None;
    loop {
        let status = client.ask(&Request::Status).await?;
        let text = match args.format {
            Format::Tabular | Format::Plain => crate::status::table(&status, args.relations),
            Format::Short => crate::status::short(&status),
            Format::Json => serde_json::to_string(&status)?,
            Format::Yaml => yaml(&status)?,
        };
        let Some(pause) = args.watch else { return say(text.trim_end()) };
        if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
            // Home, the lines, and nothing below them.
            say(&format!("\x1b[H\x1b[2J{}", text.trim_end()))?;
        } else if last.as_ref() != Some(&text) {
            say(text.trim_end())?;
        }
        last = Some(text);
        tokio::time::sleep(pause).await;
    }
}

/// The verbs that are one request and print nothing.
fn simple(command: Command) -> Result<Request> {
    Ok(match command {
        Command::Integrate { a, b } => Request::Integrate { a, b },
        Command::RemoveRelation { a, b, .. } => Request::RemoveRelation { a, b },
        Command::DeletePod { unit } => Request::DeletePod { unit },
        Command::ScaleApplication { app, units } => Request::Scale { app, units },
        Command::Trust(args) => Request::Trust { app: args.app, trusted: !args.remove },
        Command::Resolve { unit, no_retry } => Request::Resolve { unit, retry: !no_retry },
        Command::Forward { port, target } => {
            Request::Forward { port, service: target.service, target: target.port }
        }
        other => bail!("cannot do {other:?} here"),
    })
}

/// Ends the program with a code of its own, and without a word.
#[derive(Debug)]
pub(crate) struct Exit(pub(crate) u8);

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {}", self.0)
    }
}

impl std::error::Error for Exit {}

async fn deploy(paths: &Paths, client: &Client, args: Deploy) -> Result<()> {
    let is_bundle = args.charm.extension().is_some_and(|end| end == "yaml" || end == "yml");
    if is_bundle {
        return deploy_bundle(paths, client, &Bundle::read_with(&args.charm, &args.overlay)?).await;
    }
    let (constraints, idle) = crate::constraints::parse(&args.store.constraints)?;
    args.store.tell_without_effect(&idle);
    let resources = resources(paths, &args.charm, args.resource).await?;
    let charm = std::path::absolute(&args.charm)?;
    let request = api::Deploy {
        charm,
        app: args.app,
        units: args.num_units,
        config: args.config.into_iter().collect(),
        resources,
        trust: args.trust,
        constraints,
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
    forced: bool,
) -> Result<()> {
    let resources = resources(paths, path, typed).await?;
    let charm = std::path::absolute(path)?;
    let request = api::Refresh { app, charm, resources, forced };
    let held = client.ask(&Request::Refresh(request)).await?;
    for unit in held.as_array().into_iter().flatten().filter_map(Value::as_str) {
        tell(&format!(
            "{unit} keeps its charm while its hook has failed; resolve it, or refresh with --force-units"
        ));
    }
    Ok(())
}

/// Deploys what a bundle names and the model lacks.
async fn deploy_bundle(paths: &Paths, client: &Client, bundle: &Bundle) -> Result<()> {
    up::ensure_images(paths, up::images_of(bundle)?.iter()).await?;
    let status = client.ask(&Request::Status).await?;
    for (name, application) in &bundle.applications {
        if status["applications"].get(name.as_str()).is_none() {
            tell(&format!("deploying {name}"));
            client.ask(&Request::Deploy(from_bundle(name, application)?)).await?;
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

fn from_bundle(name: &names::AppName, application: &BundleApplication) -> Result<api::Deploy> {
    let (constraints, _) =
        crate::constraints::parse(std::slice::from_ref(&application.constraints))?;
    Ok(api::Deploy {
        charm: application.charm.clone().into(),
        app: Some(name.clone()),
        units: application.scale.unwrap_or(1),
        config: application.options.iter().map(|(k, v)| (k.clone(), option_text(v))).collect(),
        resources: application.resources.iter().map(|(k, v)| (k.clone(), v.into())).collect(),
        trust: application.trust,
        constraints,
    })
}

async fn config(client: &Client, args: Config) -> Result<()> {
    let mut set = match &args.file {
        Some(file) => options_in(file, args.app.as_str())?,
        None => BTreeMap::new(),
    };
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

/// The options in a file, with or without the application's name above them.
fn options_in(file: &Path, app: &str) -> Result<BTreeMap<String, String>> {
    let text = crate::files::read_given(file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let whole: serde_json::Map<String, Value> = serde_saphyr::from_str(&text)
        .with_context(|| format!("cannot read {} as options and values", file.display()))?;
    let options = match whole.get(app) {
        Some(Value::Object(inner)) => inner.clone(),
        _ => whole,
    };
    Ok(options.iter().map(|(key, value)| (key.clone(), option_text(value))).collect())
}

/// An option's value as it would be typed.
fn option_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
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
pub(crate) fn tell(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}

/// Whether a path is there, for messages about bundles and charms.
fn must_exist(path: &Path, what: &str) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    bail!("cannot find the {what} {}", path.display())
}
