//! `deploy`: charms, bundles, and the images that they need.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use juju_names::AppName;

use super::config;
use super::invocation::Invocation;
use super::output::tell;
use super::store::Store;
use super::values::{key_value, option_text};
use crate::api::{self, Change, Read, Refusal, RefusalKind, Task};
use crate::bundle::{Bundle, BundleApplication, constraints};
use crate::client::Client;
use crate::images;
use crate::paths::Paths;

/// Deploys a charm folder, a .charm file or a bundle.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  talisman deploy ./my-charm.charm --resource my-image=./image.yaml --trust
  talisman deploy ./bundle.yaml")]
pub(crate) struct Deploy {
    /// The charm or bundle.
    charm: PathBuf,
    /// The application's name, the charm's name where absent.
    app: Option<AppName>,
    #[arg(short = 'n', long, default_value_t = 1)]
    num_units: u32,
    /// `<option>=<value>`, or a YAML file of options.
    #[arg(long)]
    config: Vec<String>,
    /// `<resource>=<image definition>`
    #[arg(long, value_parser = key_value)]
    resource: Vec<(String, String)>,
    /// Give the charm access to the Kubernetes API.
    #[arg(long)]
    trust: bool,
    /// A file that changes the bundle; the later one wins.
    #[arg(long)]
    overlay: Vec<PathBuf>,
    #[command(flatten)]
    store: Store,
}

impl Deploy {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (paths, client, args) = (&at.paths()?, &at.client()?, self);
        let is_bundle = args.charm.extension().is_some_and(|end| end == "yaml" || end == "yml");
        if is_bundle {
            return deploy_bundle(paths, client, &Bundle::read_with(&args.charm, &args.overlay)?)
                .await;
        }
        let (constraints, idle) = constraints::parse(&args.store.constraints)?;
        args.store.tell_without_effect(&idle);
        let meta = crate::package::charm_file::read(&args.charm)?;
        let name = args.app.as_ref().map_or(meta.name.as_str(), AppName::as_str);
        let config = config::typed(&args.config, name)?;
        tell(&format!("Located local charm {:?}, revision 0", meta.name));
        tell(&format!(
            "Deploying {name:?} from local charm {:?}, revision 0 on ubuntu@22.04/stable",
            meta.name
        ));
        let resources = resources(paths, &meta, args.resource).await?;
        let charm = std::path::absolute(&args.charm)?;
        let request = api::Deploy {
            charm,
            app: args.app,
            units: args.num_units,
            config,
            resources,
            trust: args.trust,
            constraints,
        };
        client.ask(Task::Deploy(request)).await.map(drop)
    }
}

/// The files of resources; images among them are built now.
pub(super) async fn resources(
    paths: &Paths,
    meta: &juju_model::CharmMeta,
    typed: Vec<(String, String)>,
) -> Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    for (name, file) in typed {
        files.insert(name, std::path::absolute(&file)?);
    }
    let is_image = |name: &String| {
        meta.resources.get(name).is_some_and(|resource| resource.kind == "oci-image")
    };
    let images = files.iter().filter(|(name, _)| is_image(name)).map(|(_, file)| file);
    ensure_images(paths, images).await?;
    Ok(files)
}

/// Deploys what a bundle names and the model lacks.
pub(super) async fn deploy_bundle(paths: &Paths, client: &Client, bundle: &Bundle) -> Result<()> {
    ensure_images(paths, images_of(bundle)?.iter()).await?;
    let status = client.ask(Read::Status).await?;
    for (name, application) in &bundle.applications {
        if status["applications"].get(name.as_str()).is_none() {
            tell(&format!("deploying {name}"));
            client.ask(Task::Deploy(from_bundle(name, application)?)).await?;
        }
    }
    for (a, b) in &bundle.relations {
        match client.ask(Change::Integrate { a: a.clone(), b: b.clone() }).await {
            Ok(_) => tell(&format!("integrated {a} with {b}")),
            Err(error) if exists(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether a request was refused because what it would make is there.
fn exists(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.kind == RefusalKind::Exists)
}

fn from_bundle(name: &AppName, application: &BundleApplication) -> Result<api::Deploy> {
    let (constraints, _) = constraints::parse(std::slice::from_ref(&application.constraints))?;
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

/// Whether a path is there, for messages about bundles and charms.
pub(super) fn must_exist(path: &Path, what: &str) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    bail!("cannot find the {what} {}", path.display())
}

/// The image definitions that a bundle's charms need; its other resources are files.
pub(super) fn images_of(bundle: &Bundle) -> Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    for application in bundle.applications.values() {
        let charm = Path::new(&application.charm);
        must_exist(charm, "charm")?;
        let meta = crate::package::charm_file::read(charm)?;
        for (name, file) in &application.resources {
            must_exist(Path::new(file), "resource")?;
            if meta.resources.get(name).is_some_and(|resource| resource.kind == "oci-image") {
                images.push(file.into());
            }
        }
    }
    Ok(images)
}

/// Builds the images of these definition files that are not built yet.
pub(super) async fn ensure_images(
    paths: &Paths,
    files: impl Iterator<Item = &PathBuf>,
) -> Result<()> {
    let definitions = files
        .map(|file| images::read(&paths.cache, file))
        .collect::<Result<Vec<_>, images::ImagesError>>()?;
    Ok(images::ensure(paths, &definitions).await?)
}
