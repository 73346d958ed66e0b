//! `images`: what is built and how old it is, built anew, and what is left over removed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use node::{Build, ImageDefinition, Prune};
use serde_json::{Value, json};

use super::engine::preflight;
use super::invocation::Invocation;
use super::output::{say, show, tell};
use super::values::Format;
use crate::images;
use crate::oci;
use crate::paths::Paths;
use crate::table::Table;

/// Lists the images that are built, with their age; with definitions, builds those that are
/// not.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  talisman images
  talisman images images/*.yaml
  talisman images --refresh
  talisman images images/*.yaml --oci dist
  talisman images --prune

Running units keep the build that they were made from until their application is refreshed:
  talisman refresh my-app --path ./my-app.charm")]
pub(crate) struct Images {
    /// Definition files. With --refresh, none stands for every image that is built.
    definitions: Vec<PathBuf>,
    /// Builds again, from today's packages, and says which packages changed.
    #[arg(long)]
    refresh: bool,
    /// Writes what the definitions describe as OCI archives: a file for one definition, a folder
    /// for several.
    #[arg(long, conflicts_with_all = ["refresh", "prune"], requires = "definitions")]
    oci: Option<PathBuf>,
    /// Removes builds that no model uses.
    #[arg(long, conflicts_with_all = ["refresh", "definitions"])]
    prune: bool,
    #[arg(long, value_enum, default_value_t = Format::Tabular)]
    format: Format,
}

impl Images {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (paths, args) = (&at.controller, self);
        let folder = || format!("cannot use the images in {}", paths.cache.display());
        if args.prune {
            node::private_folder(&paths.cache).with_context(folder)?;
            let removed = node::prune(&paths.cache, None, Prune::Unused).with_context(folder)?;
            return say(&format!("Removed {} builds that no model uses.", removed.len()));
        }
        if !args.refresh && args.definitions.is_empty() {
            return list(paths, args.format);
        }
        preflight(paths)?;
        let named = args.definitions.iter().map(|file| images::read(&paths.cache, file));
        let named = named.collect::<Result<Vec<_>, _>>()?;
        if !args.refresh {
            images::ensure(paths, &named).await?;
            return args.oci.map_or(Ok(()), |place| archives(paths, &named, &place));
        }
        let wanted = if named.is_empty() { known(paths)? } else { named };
        refresh(paths, &wanted, args.format).await
    }
}

/// From this age on an image is called old: security fixes come more often.
const OLD_DAYS: u64 = 30;

/// The newest definition of each image that is built.
fn known(paths: &Paths) -> Result<Vec<ImageDefinition>> {
    let builds = node::builds(&paths.cache).context("cannot read what is built")?;
    let mut newest: Vec<Build> = Vec::new();
    for build in builds {
        match newest.iter_mut().find(|other| other.name == build.name) {
            Some(other) if other.built >= build.built => {}
            Some(other) => *other = build,
            None => newest.push(build),
        }
    }
    let nameless: Vec<&str> = newest
        .iter()
        .filter(|build| build.definition.is_none() && build.name != images::CHARM_BASE)
        .map(|build| build.name.as_str())
        .collect();
    if !nameless.is_empty() {
        bail!(
            "cannot tell from what {} was built; name the definition: talisman images --refresh <file>",
            nameless.join(", ")
        );
    }
    // The charm container's definition is this program's own.
    let base = images::charm_base()?;
    let others = newest.into_iter().filter(|build| build.name != base.name);
    Ok(others.filter_map(|build| build.definition).chain([base.clone()]).collect())
}

async fn refresh(paths: &Paths, wanted: &[ImageDefinition], format: Format) -> Result<()> {
    let mut shown = Vec::new();
    for definition in wanted {
        let refreshed = images::refresh(paths, definition).await?;
        let changes = refreshed.changes();
        let before = refreshed.before.as_ref().map(|before| &before.tree);
        shown.push(json!({
            "name": definition.name,
            "tree": refreshed.after.tree,
            "before": before,
            "changes": changes,
        }));
        if matches!(format, Format::Json | Format::Yaml) {
            continue;
        }
        let age = match &refreshed.before {
            None => "built for the first time".to_owned(),
            Some(_) if changes.is_empty() => "no package has changed".to_owned(),
            Some(before) => format!("{} packages since {}", changes.len(), date(before.built)),
        };
        say(&format!("{}: {age}", definition.name))?;
        if refreshed.before.is_some() {
            changes.iter().try_for_each(|change| say(&format!("  {change}")))?;
        }
    }
    match format {
        Format::Json | Format::Yaml => show(&Value::Array(shown), format)?,
        _ => tell("units keep the builds that they have until their application is refreshed"),
    }
    Ok(())
}

/// Writes images as archives, and says under which names they are in there.
fn archives(paths: &Paths, definitions: &[ImageDefinition], place: &Path) -> Result<()> {
    let is_folder = definitions.len() > 1 || place.is_dir();
    if is_folder {
        std::fs::create_dir_all(place)
            .with_context(|| format!("cannot make the folder {}", place.display()))?;
    }
    for definition in definitions {
        let build = node::newest_build(&paths.cache, definition)
            .with_context(|| format!("cannot read what is built of {}", definition.name))?;
        let build = build.with_context(|| format!("cannot find a build of {}", definition.name))?;
        let file = match is_folder {
            true => place.join(format!("{}.oci.tar", definition.name)),
            false => place.to_owned(),
        };
        let (tree, name) = (paths.cache.join(&build.tree), definition.reference());
        let architecture = crate::package::charm_file::architecture();
        let image = oci::Image { tree: &tree, name: &name, built: build.built, architecture };
        oci::write(&image, &file)?;
        say(&format!("{name} {}", file.display()))?;
    }
    Ok(())
}

fn list(paths: &Paths, format: Format) -> Result<()> {
    let builds = node::builds(&paths.cache).context("cannot read what is built")?;
    let uses = node::uses(&paths.cache).context("cannot read which images are in use")?;
    let users = |build: &Build| -> Vec<&str> {
        let using = uses.iter().filter(|(_, uses)| uses.trees.contains(&build.tree));
        using.map(|(instance, _)| instance.as_str()).collect()
    };
    if matches!(format, Format::Json | Format::Yaml) {
        let one = |build: &Build| {
            json!({
                "name": build.name,
                "digest": build.digest,
                "tree": build.tree,
                "path": paths.cache.join(&build.tree),
                "built": instant(build.built),
                "age-days": build.age_days(),
                "used-by": users(build),
                "packages": build.packages,
            })
        };
        return show(&Value::Array(builds.iter().map(one).collect()), format);
    }
    let mut table = Table::new(&["Image", "Digest", "Built", "Age", "Packages", "Used by"]);
    for build in &builds {
        table.row(vec![
            build.name.clone(),
            build.digest.clone(),
            date(build.built),
            age(build),
            build.packages.len().to_string(),
            users(build).join(","),
        ]);
    }
    say(table.to_string().trim_end())
}

/// Says on standard error which images of the model are old. Whatever cannot be read is for
/// `images` to complain about.
pub(super) fn warn_of_old(paths: &Paths) {
    let builds = node::builds(&paths.cache).unwrap_or_default();
    let uses = node::uses(&paths.cache).unwrap_or_default();
    let Some(own) = uses.get(&paths.instance) else { return };
    for build in builds.iter().filter(|build| own.trees.contains(&build.tree)) {
        if let Some(words) = complaint(build) {
            tell(&words);
        }
    }
}

/// What is said of an image that is old.
fn complaint(build: &Build) -> Option<String> {
    (build.age_days() >= OLD_DAYS).then(|| {
        format!(
            "the image {} is {} old; `talisman images --refresh` builds it from today's packages, \
             and `talisman refresh` gives it to an application",
            build.name,
            age(build)
        )
    })
}

fn age(build: &Build) -> String {
    match build.age_days() {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

fn instant(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    time.map_or_else(|| "unknown".to_owned(), |time| time.to_string())
}

fn date(seconds: u64) -> String {
    instant(seconds).split('T').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(days_ago: u64, expected: Option<&str>) {
        let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap();
        let build = Build {
            tree: "db-0123456789ab".to_owned(),
            name: "db".to_owned(),
            digest: "0123456789ab".to_owned(),
            built: now - days_ago * 24 * 60 * 60,
            packages: node::Packages::new(),
            definition: None,
        };
        let words = complaint(&build);
        assert_eq!(words.is_some(), expected.is_some());
        assert!(words.unwrap_or_default().contains(expected.unwrap_or_default()));
    }

    #[test]
    fn an_image_of_a_month_is_old() {
        check(0, None);
        check(29, None);
        check(30, Some("the image db is 30 days old"));
    }

    #[test]
    fn days_are_written_as_dates() {
        assert_eq!(date(1_790_000_000), "2026-09-21");
    }
}
