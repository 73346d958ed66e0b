//! Images: root file systems that `mmdebstrap` builds from a distribution's packages.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::fs::FlockOperation;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::command::{CommandError, find, run};
use crate::image_definition::{DirectoryDefinition, ImageDefinition};
use crate::image_store::{self, Build, Prune, TreeName};
use crate::mounts;
use crate::packages::{self, PackageChange};

/// The longest name of an image.
const NAME_MAX: usize = 64;

/// A built image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The definition's name.
    pub name: String,
    /// The folder with its root file system.
    pub root: PathBuf,
}

/// An image that could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The name would not make a good folder name.
    #[error("cannot name an image {0:?}: use lower-case letters, digits and hyphens")]
    Name(String),
    /// The folder of images cannot be used.
    #[error("cannot keep images in {folder}: {source}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A program that is needed cannot be run.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The packages could not be installed.
    #[error(
        "cannot build the image {name} from {suite}: {complaint}; \
         see whether this machine reaches its package mirror and has disk space left"
    )]
    Build {
        /// The image's name.
        name: String,
        /// The distribution's release.
        suite: String,
        /// The builder's own errors.
        complaint: String,
    },
}

/// What a refreshed image was and is.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// The newest build before; none when there was none.
    pub before: Option<Build>,
    /// The newest build now.
    pub after: Build,
}

impl Refreshed {
    /// The packages that differ.
    pub fn changes(&self) -> Vec<PackageChange> {
        let none = packages::Packages::new();
        let before = self.before.as_ref().map_or(&none, |before| &before.packages);
        packages::changes(before, &self.after.packages)
    }
}

/// Returns the newest build of the image, building it in `folder` if there is none. `progress`
/// gets a line per step. A build that was stopped leaves nothing that the next one would take
/// for an image; two processes that want the same image build it once.
pub async fn build_image(
    folder: &Path,
    definition: &ImageDefinition,
    progress: impl Fn(&str),
) -> Result<Image, ImageError> {
    let refused = |source| ImageError::Folder { folder: folder.to_path_buf(), source };
    prepared(folder, definition).map_err(refused)??;
    let image = |tree: TreeName| Image {
        name: definition.name.clone(),
        root: folder.join(tree.to_string()),
    };
    if let Some(tree) = image_store::newest(folder, definition).map_err(refused)? {
        return Ok(image(tree));
    }
    let lock = builders_lock(folder, &definition.name).await.map_err(refused)?;
    if let Some(tree) = image_store::newest(folder, definition).map_err(refused)? {
        return Ok(image(tree));
    }
    let tree = image_store::next(definition, None);
    make(folder, definition, &lock, &tree, &progress).await?;
    Ok(image(tree))
}

/// Builds the image from today's packages, beside the builds that are there. Of several at once
/// one builds, and the others take what it built.
pub async fn refresh_image(
    folder: &Path,
    definition: &ImageDefinition,
    progress: impl Fn(&str),
) -> Result<Refreshed, ImageError> {
    let refused = |source| ImageError::Folder { folder: folder.to_path_buf(), source };
    let read = |tree: &TreeName| image_store::build(folder, tree).map_err(refused);
    prepared(folder, definition).map_err(refused)??;
    let last = image_store::newest(folder, definition).map_err(refused)?;
    let before = last.as_ref().map(read).transpose()?;
    let lock = builders_lock(folder, &definition.name).await.map_err(refused)?;
    let now = image_store::newest(folder, definition).map_err(refused)?;
    if let Some(tree) = now.filter(|now| Some(now) > last.as_ref()) {
        return Ok(Refreshed { before, after: read(&tree)? });
    }
    let tree = image_store::next(definition, last.as_ref());
    let after = make(folder, definition, &lock, &tree, &progress).await?;
    Ok(Refreshed { before, after })
}

/// Checks the name and makes the folder ready.
fn prepared(folder: &Path, definition: &ImageDefinition) -> io::Result<Result<(), ImageError>> {
    let name = &definition.name;
    let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(valid) {
        return Ok(Err(ImageError::Name(name.clone())));
    }
    image_store::private_folder(folder)?;
    Ok(Ok(()))
}

/// Waits for another build of that image.
async fn builders_lock(folder: &Path, name: &str) -> io::Result<File> {
    let lock = File::create(folder.join(format!(".{name}.lock")))?;
    let locked = tokio::task::spawn_blocking(move || {
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).map(|()| lock)
    });
    Ok(locked.await.map_err(io::Error::other)??)
}

/// Builds a tree and takes it into the folder, for who holds the builders' lock.
async fn make(
    folder: &Path,
    definition: &ImageDefinition,
    lock: &File,
    tree: &TreeName,
    progress: &impl Fn(&str),
) -> Result<Build, ImageError> {
    let refused = |source| ImageError::Folder { folder: folder.to_path_buf(), source };
    let building = folder.join(format!(".{}.building", definition.name));
    aside(&building, mounts::remove_tree).await.map_err(refused)?;
    progress(&format!("building the image {}", definition.name));
    if let Err(error) = build(definition, lock, &building, progress).await {
        let _ = aside(&building, mounts::remove_tree).await;
        return Err(error);
    }
    let (tree, made) = (tree.clone(), definition.clone());
    let settled = aside(folder, move |folder| {
        let built = image_store::settle(folder, &building, &tree, &made)?;
        image_store::prune(folder, Some(&made.name), Prune::Outdated)?;
        Ok(built)
    });
    settled.await.map_err(refused)
}

/// Works on files beside the threads that answer others.
async fn aside<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let path = path.to_path_buf();
    tokio::task::spawn_blocking(move || work(&path)).await.map_err(io::Error::other)?
}

/// The builder's arguments: nothing recommended, no manuals, no package lists kept.
fn arguments(definition: &ImageDefinition, files: &Path, target: &Path) -> Vec<String> {
    let mut arguments = vec![
        "--mode=root".to_owned(),
        "--variant=minbase".to_owned(),
        "--dpkgopt=path-exclude=/usr/share/man/*".to_owned(),
        "--dpkgopt=path-exclude=/usr/share/doc/*".to_owned(),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright".to_owned(),
    ];
    if !definition.packages.is_empty() {
        arguments.push(format!("--include={}", definition.packages.join(",")));
    }
    if !definition.files.is_empty() {
        let files = files.display().to_string().replace('\'', "'\\''");
        arguments.push(format!("--essential-hook=cp -r '{files}/.' \"$1/\""));
    }
    arguments.push(definition.suite.clone());
    arguments.push(target.display().to_string());
    arguments
}

async fn build(
    definition: &ImageDefinition,
    lock: &File,
    target: &Path,
    progress: &impl Fn(&str),
) -> Result<(), ImageError> {
    let refused = |source| ImageError::Folder { folder: target.to_path_buf(), source };
    let files = target.with_extension("files");
    mounts::remove_tree(&files).map_err(refused)?;
    for file in &definition.files {
        let path = files.join(file.path.trim_start_matches('/'));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(refused)?;
        }
        std::fs::write(path, &file.content).map_err(refused)?;
    }
    let result = bootstrap(definition, lock, &files, target, progress).await;
    mounts::remove_tree(&files).map_err(refused)?;
    result?;
    let chroot = find("chroot")?;
    let root = target.to_string_lossy();
    for directory in &definition.directories {
        let DirectoryDefinition { path, owner, mode } = directory;
        let (user, group) = owner.split_once(':').unwrap_or((owner, owner));
        let install = [&root, "install", "-d", "-o", user, "-g", group, "-m", mode, path];
        run(&chroot, &install, None).await?;
    }
    for step in &definition.steps {
        run(&chroot, &[&root, "sh", "-ec", step], None).await?;
    }
    Ok(())
}

/// Runs the builder in a process group of its own, so that giving up ends all of it. The lock is
/// its standard input, so that no other build begins while any of it still runs.
async fn bootstrap(
    definition: &ImageDefinition,
    lock: &File,
    files: &Path,
    target: &Path,
    progress: &impl Fn(&str),
) -> Result<(), ImageError> {
    let start = |source| CommandError::Start { program: "mmdebstrap".to_owned(), source };
    let mut child = Command::new(find("mmdebstrap")?)
        .args(arguments(definition, files, target))
        .env("LC_ALL", "C.UTF-8")
        .stdin(lock.try_clone().map_err(start)?)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(start)?;
    let mut group = Group(child.id());
    let mut errors = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(step) = line.strip_prefix("I: ") {
                progress(&format!("{}: {step}", definition.name));
            }
            if let Some(error) = line.strip_prefix("E: ") {
                errors.push(error.to_owned());
            }
        }
    }
    let status = child.wait().await.map_err(start)?;
    group.0 = None;
    if status.success() {
        return Ok(());
    }
    Err(ImageError::Build {
        name: definition.name.clone(),
        suite: definition.suite.clone(),
        complaint: errors.join("; "),
    })
}

/// Asks the builder and its children to end when the build is dropped half way.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let pid =
            self.0.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::TERM);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_one_argument() {
        let built = arguments(
            &ImageDefinition::with_packages(&["a", "b"]),
            Path::new("/f"),
            Path::new("/t"),
        );
        assert!(built.contains(&"--include=a,b".to_owned()));
        assert_eq!(&built[built.len() - 2..], ["trixie", "/t"]);
    }
}
