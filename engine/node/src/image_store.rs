//! The folder of images: builds with what is in them, who uses which, and which may go.
//!
//! A build is a tree `<name>-<digest of the definition>[-<number>]` with a record beside it. A
//! later build of the same definition has a larger number. What each instance uses stands in
//! `.uses`, so that a tree stays as long as a pod may be made from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::image_definition::ImageDefinition;
use crate::mounts;
use crate::options::NodeOptions;
use crate::packages::{self, Packages};

/// The folder in which each instance says which trees it uses.
const USES: &str = ".uses";

/// A tree on its way out.
const REMOVING: &str = ".removing-";

/// Builds of another definition stay for so long, for who works on several at once.
const OTHERS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The name of a tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TreeName {
    name: String,
    digest: String,
    /// 0 for the first build.
    number: u64,
}

impl TreeName {
    pub(crate) fn parse(text: &str) -> Option<TreeName> {
        let is_digest =
            |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (rest, last) = text.rsplit_once('-')?;
        let (name, digest, number) = if is_digest(last) {
            (rest, last, 0)
        } else {
            let (name, digest) = rest.rsplit_once('-').filter(|(_, digest)| is_digest(digest))?;
            (name, digest, last.parse().ok()?)
        };
        let whole = !name.is_empty() && !name.starts_with('.');
        whole.then(|| TreeName { name: name.to_owned(), digest: digest.to_owned(), number })
    }

    fn is_of(&self, definition: &ImageDefinition) -> bool {
        self.name == definition.name && self.digest == digest(definition)
    }
}

impl std::fmt::Display for TreeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.name, self.digest)?;
        if self.number > 0 { write!(f, "-{}", self.number) } else { Ok(()) }
    }
}

/// The first digits of a definition's digest.
fn digest(definition: &ImageDefinition) -> String {
    let text = serde_json::to_vec(definition).unwrap_or_default();
    Sha256::digest(&text)[..6].iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// What is known of a build besides its tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The tree's name in the folder of images.
    pub tree: String,
    /// The definition's name.
    pub name: String,
    /// The first digits of the definition's digest.
    pub digest: String,
    /// When it was built, in seconds since 1970.
    pub built: u64,
    /// Versions by package.
    pub packages: Packages,
    /// What it was built from; unknown for builds of before this was kept.
    pub definition: Option<ImageDefinition>,
}

impl Build {
    /// Whole days since it was built.
    pub fn age_days(&self) -> u64 {
        seconds(SystemTime::now()).saturating_sub(self.built) / (24 * 60 * 60)
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}

/// Makes the folder if it is missing, and the owner's alone if it is not: images hold programs that
/// run with their owner's rights, whichever user starts them.
///
/// # Errors
/// When the folder is another user's, or no folder.
pub fn private_folder(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let found = std::fs::symlink_metadata(folder)?;
    let refuse = |why: String| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    if !found.is_dir() {
        return refuse("it is a link or a file; name the folder itself".to_owned());
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return refuse(format!("it belongs to user {}; name another folder", found.uid()));
    }
    if found.permissions().mode() & 0o7777 != 0o700 {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// The names of all trees in the folder.
fn trees(folder: &Path) -> io::Result<Vec<TreeName>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_str().and_then(TreeName::parse);
        if let Some(name) = name.filter(|_| entry.path().is_dir()) {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// The newest build of a definition.
pub(crate) fn newest(folder: &Path, definition: &ImageDefinition) -> io::Result<Option<TreeName>> {
    Ok(trees(folder)?.into_iter().rfind(|tree| tree.is_of(definition)))
}

/// What is known of the newest build of a definition.
pub fn newest_build(folder: &Path, definition: &ImageDefinition) -> io::Result<Option<Build>> {
    newest(folder, definition)?.map(|tree| build(folder, &tree)).transpose()
}

/// The name of a build that is about to be made, after `last`.
pub(crate) fn next(definition: &ImageDefinition, last: Option<&TreeName>) -> TreeName {
    let number = last.map_or(0, |last| seconds(SystemTime::now()).max(last.number + 1));
    TreeName { name: definition.name.clone(), digest: digest(definition), number }
}

fn record(folder: &Path, tree: &str) -> PathBuf {
    folder.join(format!("{tree}.json"))
}

/// Writes a file that is there as a whole or not at all, and stays after a loss of power.
fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = File::create(&part)?;
    io::Write::write_all(&mut file, text)?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    sync(path.parent().unwrap_or(path))
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Takes a tree that is complete into the folder: what is in it is on disk before it has an image's
/// name.
pub(crate) fn settle(
    folder: &Path,
    building: &Path,
    tree: &TreeName,
    definition: &ImageDefinition,
) -> io::Result<Build> {
    let build = Build {
        tree: tree.to_string(),
        name: tree.name.clone(),
        digest: tree.digest.clone(),
        built: seconds(SystemTime::now()),
        packages: packages::installed(building)?,
        definition: Some(definition.clone()),
    };
    write(&record(folder, &build.tree), &serde_json::to_vec_pretty(&build)?)?;
    rustix::fs::syncfs(File::open(building)?)?;
    std::fs::rename(building, folder.join(&build.tree))?;
    sync(folder)?;
    Ok(build)
}

/// What is known of a tree. One of before there were records is as old as its packages.
pub(crate) fn build(folder: &Path, tree: &TreeName) -> io::Result<Build> {
    let name = tree.to_string();
    match std::fs::read(record(folder, &name)) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let root = folder.join(&name);
            let built = std::fs::metadata(root.join(packages::LIST))?.modified()?;
            Ok(Build {
                tree: name,
                name: tree.name.clone(),
                digest: tree.digest.clone(),
                built: seconds(built),
                packages: packages::installed(&root)?,
                definition: None,
            })
        }
        Err(error) => Err(error),
    }
}

/// All builds in the folder, by name and age; none when there is no folder.
pub fn builds(folder: &Path) -> io::Result<Vec<Build>> {
    match trees(folder) {
        Ok(trees) => trees.iter().map(|tree| build(folder, tree)).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// What an instance uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uses {
    /// The folder without which there is no such instance.
    state: PathBuf,
    /// The trees.
    pub trees: BTreeSet<String>,
}

/// What each instance uses. One whose folder is gone uses nothing.
pub fn uses(folder: &Path) -> io::Result<BTreeMap<String, Uses>> {
    let entries = match std::fs::read_dir(folder.join(USES)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let uses: Uses = serde_json::from_slice(&std::fs::read(&path)?)?;
        if uses.state.try_exists()? {
            let instance = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            found.insert(instance, uses);
        }
    }
    Ok(found)
}

/// Notes that an instance uses a tree; `false`: the tree is not there any more.
pub(crate) fn claim(options: &NodeOptions, tree: &str) -> io::Result<bool> {
    let folder = &options.images_dir;
    let _lock = lock(folder)?;
    if TreeName::parse(tree).is_none() || !folder.join(tree).is_dir() {
        return Ok(false);
    }
    let own = uses(folder)?.remove(&options.instance);
    let mut trees = own.map(|own| own.trees).unwrap_or_default();
    if trees.insert(tree.to_owned()) {
        write_uses(options, trees)?;
    }
    Ok(true)
}

/// Says which trees an instance uses from now on; none when it is gone.
pub fn set_uses(options: &NodeOptions, trees: &BTreeSet<String>) -> io::Result<()> {
    if !options.images_dir.is_dir() {
        return Ok(());
    }
    let _lock = lock(&options.images_dir)?;
    if !trees.is_empty() {
        return write_uses(options, trees.clone());
    }
    match std::fs::remove_file(uses_of(options)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn uses_of(options: &NodeOptions) -> PathBuf {
    options.images_dir.join(USES).join(format!("{}.json", options.instance))
}

fn write_uses(options: &NodeOptions, trees: BTreeSet<String>) -> io::Result<()> {
    std::fs::create_dir_all(options.images_dir.join(USES))?;
    let uses = Uses { state: options.state_dir.clone(), trees };
    write(&uses_of(options), &serde_json::to_vec(&uses)?)
}

/// Held while a tree is claimed or taken away; never while one is built.
fn lock(folder: &Path) -> io::Result<File> {
    let file = File::create(folder.join(".lock"))?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

/// Which builds may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prune {
    /// Earlier builds of the same definitions, and old ones of others.
    Outdated,
    /// Every build that is not in use.
    Unused,
}

/// Removes builds that no container and no instance uses; the answer names them. `name` limits
/// it to one image.
pub fn prune(folder: &Path, name: Option<&str>, which: Prune) -> io::Result<Vec<String>> {
    let mut removed = Vec::new();
    {
        let _lock = lock(folder)?;
        let used: BTreeSet<String> =
            uses(folder)?.into_values().flat_map(|uses| uses.trees).collect();
        let all = trees(folder)?;
        for tree in all.iter().filter(|tree| name.is_none_or(|name| name == tree.name)) {
            let (text, path) = (tree.to_string(), folder.join(tree.to_string()));
            let later = |other: &TreeName| {
                (&other.name, &other.digest) == (&tree.name, &tree.digest)
                    && other.number > tree.number
            };
            let newer = |other: &TreeName| other.name == tree.name && other != tree;
            let goes = match which {
                Prune::Unused => true,
                Prune::Outdated if all.iter().any(later) => true,
                Prune::Outdated => all.iter().any(newer) && is_old(folder, tree)?,
            };
            if goes && !used.contains(&text) && !mounts::in_use(&path)? {
                std::fs::rename(&path, folder.join(format!("{REMOVING}{text}")))?;
                removed.push(text);
            }
        }
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(REMOVING) {
            mounts::remove_tree(&entry.path())?;
        }
    }
    for tree in &removed {
        std::fs::remove_file(record(folder, tree)).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
    }
    Ok(removed)
}

/// Whether a build was made so long ago that it cannot be in progress.
fn is_old(folder: &Path, tree: &TreeName) -> io::Result<bool> {
    let built = UNIX_EPOCH + Duration::from_secs(build(folder, tree)?.built);
    Ok(built.elapsed().is_ok_and(|age| age > OTHERS_KEPT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, &str, u64)>) {
        let found = TreeName::parse(text);
        let brief =
            found.as_ref().map(|tree| (tree.name.as_str(), tree.digest.as_str(), tree.number));
        assert_eq!(brief, expected);
        assert!(found.is_none_or(|tree| tree.to_string() == text));
    }

    #[test]
    fn trees_are_named_after_definition_and_number() {
        check("db-0123456789ab", Some(("db", "0123456789ab", 0)));
        check("db-base-ffffffffffff-1790000000", Some(("db-base", "ffffffffffff", 1_790_000_000)));
        check("db-0123456789ab.json", None);
        check(".db.building", None);
        check(".removing-db-0123456789ab", None);
        check("db", None);
        check("../x-0123456789ab/..", None);
        let (one, other) =
            (ImageDefinition::with_packages(&["a"]), ImageDefinition::with_packages(&["b"]));
        assert_ne!(digest(&one), digest(&other));
        let first = next(&one, None);
        let second = next(&one, Some(&first));
        assert!(first.is_of(&one) && second.is_of(&one) && !first.is_of(&other) && first < second);
    }

    /// Makes a tree as a builder would leave it, and takes it in.
    fn made(folder: &Path, definition: &ImageDefinition, version: &str) -> Build {
        let building = folder.join(".db.building");
        std::fs::create_dir_all(building.join("var/lib/dpkg")).unwrap();
        let status = format!("Package: a\nStatus: install ok installed\nVersion: {version}\n");
        std::fs::write(building.join(packages::LIST), status).unwrap();
        let tree = next(definition, newest(folder, definition).unwrap().as_ref());
        settle(folder, &building, &tree, definition).unwrap()
    }

    #[test]
    fn the_newest_build_is_taken_and_used_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let definition = ImageDefinition::with_packages(&["a"]);
        let first = made(folder, &definition, "1");
        let second = made(folder, &definition, "2");
        assert_eq!(newest(folder, &definition).unwrap().unwrap().to_string(), second.tree);
        assert_eq!(builds(folder).unwrap(), [first.clone(), second.clone()]);
        let state = tempfile::tempdir().unwrap();
        let blue = NodeOptions {
            instance: "blue".to_owned(),
            state_dir: state.path().to_owned(),
            run_dir: "/r".into(),
            images_dir: folder.to_owned(),
            agent: "/agent".into(),
        };
        assert!(claim(&blue, &first.tree).unwrap());
        assert_eq!(prune(folder, None, Prune::Outdated).unwrap(), [] as [&str; 0]);
        let third = made(folder, &definition, "3");
        assert_eq!(prune(folder, None, Prune::Outdated).unwrap(), [second.tree.as_str()]);
        assert!(!claim(&blue, &second.tree).unwrap(), "it has gone");
        assert_eq!(uses(folder).unwrap()["blue"].trees, [first.tree.clone()].into());
        // An instance that was removed by hand uses nothing.
        drop(state);
        assert_eq!(uses(folder).unwrap(), BTreeMap::new());
        assert_eq!(prune(folder, None, Prune::Unused).unwrap(), [first.tree, third.tree]);
        assert_eq!(builds(folder).unwrap(), []);
        assert!(!folder.join(format!("{}.json", second.tree)).exists());
    }

    #[test]
    fn a_build_without_a_record_tells_its_packages() {
        let folder = tempfile::tempdir().unwrap();
        let whole = made(folder.path(), &ImageDefinition::with_packages(&["a"]), "7");
        std::fs::remove_file(record(folder.path(), &whole.tree)).unwrap();
        let found = builds(folder.path()).unwrap().remove(0);
        assert_eq!((found.packages, found.definition), (whole.packages, None));
        assert!(found.built.abs_diff(whole.built) < 60);
    }

    #[test]
    fn a_build_that_was_stopped_is_no_image() {
        let folder = tempfile::tempdir().unwrap();
        let definition = ImageDefinition::with_packages(&["a"]);
        std::fs::create_dir_all(folder.path().join(".db.building/etc")).unwrap();
        let tree = next(&definition, None);
        std::fs::write(record(folder.path(), &tree.to_string()), "{}").unwrap();
        assert_eq!(newest(folder.path(), &definition).unwrap(), None);
        assert_eq!(builds(folder.path()).unwrap(), []);
    }

    #[test]
    fn the_folder_is_the_owners_alone() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("images");
        let mode = || std::fs::metadata(&folder).unwrap().permissions().mode() & 0o7777;
        private_folder(&folder).unwrap();
        assert_eq!(mode(), 0o700);
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        private_folder(&folder).unwrap();
        assert_eq!(mode(), 0o700, "one that was there before");
        let link = parent.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert!(private_folder(&link).unwrap_err().to_string().contains("it is a link"));
    }
}
