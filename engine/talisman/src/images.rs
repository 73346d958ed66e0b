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

/// Reads a definition file.
pub(crate) fn read(path: &Path) -> Result<ImageDefinition, ImagesError> {
    let text = crate::files::read_text(path)
        .map_err(|source| ImagesError::Read { path: path.to_owned(), source })?;
    parse(&text, path)
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
