//! Image definitions: files that say from which packages an image is built.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use node::ImageDefinition;

use crate::paths::Paths;

/// Why an image cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImagesError {
    /// The definition cannot be read.
    #[error("cannot read the image definition {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// The definition is malformed.
    #[error("cannot use the image definition {path}: {reason}", path = path.display())]
    Malformed { path: PathBuf, reason: String },
    /// A resource names an image that is not built here.
    #[error(
        "cannot get the image {reference}: the engine builds images and pulls none; name a definition, or build one called {name:?} first with `talisman images <definition>`"
    )]
    NotBuilt { reference: String, name: String },
    /// The folder of images cannot be read.
    #[error("cannot read what is built in {folder}: {source}", folder = folder.display())]
    Folder { folder: PathBuf, source: std::io::Error },
    /// The build failed.
    #[error("cannot build the image {name}: {source}")]
    Build { name: String, source: node::ImageError },
}

/// The name of the image of every charm container.
pub(crate) const CHARM_BASE: &str = "charm-base";

/// Its definition, as the repository has it.
const CHARM_BASE_TEXT: &str = include_str!("../../../images/charm-base.yaml");

/// The image of every charm container.
pub(crate) fn charm_base() -> Result<ImageDefinition, ImagesError> {
    parse(CHARM_BASE_TEXT, Path::new("charm-base.yaml"))
}

/// A resource as Juju's file of an image has it: where it is to be had, and nothing of what is
/// in it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    registrypath: String,
    #[serde(default, rename = "username")]
    _username: serde::de::IgnoredAny,
    #[serde(default, rename = "password")]
    _password: serde::de::IgnoredAny,
}

/// Reads a definition file, or finds in `cache` the newest build of the image that a file of
/// Juju's names: one of the same name, wherever it is to be had.
pub(crate) fn read(cache: &Path, path: &Path) -> Result<ImageDefinition, ImagesError> {
    let text = crate::files::read_text(path)
        .map_err(|source| ImagesError::Read { path: path.to_owned(), source })?;
    match serde_saphyr::from_str::<Reference>(&text) {
        Ok(Reference { registrypath, .. }) => built(cache, &registrypath),
        Err(_) => parse(&text, path),
    }
}

fn built(cache: &Path, reference: &str) -> Result<ImageDefinition, ImagesError> {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    let name = last.split([':', '@']).next().unwrap_or(last);
    let builds = node::builds(cache)
        .map_err(|source| ImagesError::Folder { folder: cache.to_owned(), source })?;
    let own = builds.into_iter().filter(|build| build.name == name);
    let newest = own.max_by_key(|build| build.built).and_then(|build| build.definition);
    newest.ok_or_else(|| ImagesError::NotBuilt {
        reference: reference.to_owned(),
        name: name.to_owned(),
    })
}

fn parse(text: &str, path: &Path) -> Result<ImageDefinition, ImagesError> {
    serde_saphyr::from_str(text).map_err(|error| ImagesError::Malformed {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// Builds what is not built yet, and shows how it goes.
pub(crate) async fn ensure(
    paths: &Paths,
    definitions: &[ImageDefinition],
) -> Result<(), ImagesError> {
    for definition in definitions {
        let bar = progress();
        let built = node::build_image(&paths.cache, definition, |line: &str| {
            bar.set_message(line.to_owned());
        })
        .await;
        bar.finish_and_clear();
        built.map_err(|source| ImagesError::Build { name: definition.name.clone(), source })?;
    }
    Ok(())
}

/// Builds an image again, from today's packages, and shows how it goes.
pub(crate) async fn refresh(
    paths: &Paths,
    definition: &ImageDefinition,
) -> Result<node::Refreshed, ImagesError> {
    let bar = progress();
    let built = node::refresh_image(&paths.cache, definition, |line: &str| {
        bar.set_message(line.to_owned());
    })
    .await;
    bar.finish_and_clear();
    built.map_err(|source| ImagesError::Build { name: definition.name.clone(), source })
}

fn progress() -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner());
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of the image that a file names, or why there is none.
    #[track_caller]
    fn check(text: &str, want: Result<&str, &str>) {
        let folder = tempfile::tempdir().unwrap();
        let (cache, file) = (folder.path().join("cache"), folder.path().join("image.yaml"));
        let tree = cache.join("db-0123456789ab");
        std::fs::create_dir_all(&tree).unwrap();
        let record = r#"{"tree": "db-0123456789ab", "name": "db", "digest": "0123456789ab",
            "built": 5, "packages": {}, "definition": {"name": "db", "suite": "trixie"}}"#;
        std::fs::write(tree.with_extension("json"), record).unwrap();
        std::fs::write(&file, text).unwrap();
        let found = read(&cache, &file).map_err(|error| error.to_string());
        match (found, want) {
            (Ok(found), Ok(want)) => assert_eq!(found.name, want),
            (Err(found), Err(want)) => assert!(found.contains(want), "{found}"),
            (found, want) => panic!("{found:?} is not {want:?}"),
        }
    }

    #[test]
    fn an_image_is_defined_or_named_as_juju_names_it() {
        check("name: web\nsuite: trixie\nregistrypath: registry.example/web:2", Ok("web"));
        check("registrypath: localhost/db:1", Ok("db"));
        check("registrypath: registry.example:5000/some/db@sha256:0123", Ok("db"));
        check("registrypath: db\nusername: a\npassword: b", Ok("db"));
        check("registrypath: localhost/web:1", Err("cannot get the image localhost/web:1"));
        check("name: web", Err("cannot use the image definition"));
        check("registrypath: db\nsuit: trixie", Err("cannot use the image definition"));
    }
}
