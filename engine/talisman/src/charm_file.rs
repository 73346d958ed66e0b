//! A charm as a folder or a `.charm` archive: reading its metadata, unpacking it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use model::{ActionsYaml, CharmMeta, ConfigYaml, MetadataYaml};

/// Why a charm cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CharmFileError {
    /// There is nothing at the path, or it cannot be read.
    #[error("cannot read the charm {path}: {source}; name a charm folder or a .charm file", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// The file is not a zip archive.
    #[error("cannot open {path} as a .charm archive: {source}", path = path.display())]
    Archive { path: PathBuf, source: zip::result::ZipError },
    /// A file that every charm has is missing.
    #[error("cannot use the charm {path}: it has no {file}", path = path.display())]
    Missing { path: PathBuf, file: &'static str },
    /// A YAML file of the charm is malformed.
    #[error("cannot read {file} of the charm {path}: {reason}", path = path.display())]
    Malformed { path: PathBuf, file: &'static str, reason: String },
    /// The charm's manifest leaves this machine out.
    #[error("cannot use the charm {path}: it is built for {built}, and this machine is {machine}; name the file for {machine}", path = path.display())]
    Architecture { path: PathBuf, built: String, machine: &'static str },
    /// An archive member would be written outside the folder.
    #[error("cannot unpack {path}: the member {member:?} leads outside", path = path.display())]
    Escapes { path: PathBuf, member: String },
    /// An archive member would be written where a symbolic link of the archive leads.
    #[error("cannot unpack {path}: the member {member:?} lies at or below a symbolic link of the same archive; pack the charm without one of them", path = path.display())]
    ThroughLink { path: PathBuf, member: String },
    /// The folder for the unpacked charm cannot be written.
    #[error("cannot unpack the charm to {path}: {source}", path = path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

/// The YAML files that the engine reads, by name.
const PARTS: [&str; 5] =
    ["metadata.yaml", "config.yaml", "actions.yaml", "manifest.yaml", "charmcraft.yaml"];

/// The sections of `charmcraft.yaml` that stand for files of their own.
#[derive(Default, serde::Deserialize)]
struct Charmcraft {
    #[serde(default)]
    config: Option<ConfigYaml>,
    #[serde(default)]
    actions: Option<ActionsYaml>,
}

/// What a charm is built for.
#[derive(Default, serde::Deserialize)]
struct Manifest {
    bases: Option<Vec<Base>>,
}

#[derive(serde::Deserialize)]
struct Base {
    architectures: Option<Vec<String>>,
}

/// Refuses a charm whose manifest names architectures and not this machine's: its program could
/// not even start to say so.
fn check_architecture(path: &Path, manifest: &Manifest) -> Result<(), CharmFileError> {
    let machine = crate::pack::architecture();
    let bases = manifest.bases.iter().flatten();
    let named: Vec<&str> = bases
        .filter_map(|base| base.architectures.as_ref())
        .flatten()
        .map(String::as_str)
        .collect();
    if named.is_empty() || named.iter().any(|name| [machine, "all"].contains(name)) {
        return Ok(());
    }
    Err(CharmFileError::Architecture { path: path.to_owned(), built: named.join(", "), machine })
}

/// Reads the metadata of a charm folder or archive.
pub(crate) fn read(path: &Path) -> Result<CharmMeta, CharmFileError> {
    let parts = if path.is_dir() { folder_parts(path)? } else { archive_parts(path)? };
    let need = |file: &'static str| {
        parts.get(file).ok_or(CharmFileError::Missing { path: path.to_owned(), file })
    };
    // A folder may say it all in the one file from which charmcraft makes the others.
    let whole = path.is_dir() && !parts.contains_key("metadata.yaml");
    let source = if whole && parts.contains_key("charmcraft.yaml") {
        "charmcraft.yaml"
    } else {
        "metadata.yaml"
    };
    let metadata: MetadataYaml = parse(path, source, need(source)?)?;
    if !path.is_dir() {
        need("manifest.yaml")?;
    }
    check_architecture(path, &optional(path, "manifest.yaml", &parts)?.unwrap_or_default())?;
    let inner: Charmcraft =
        if whole { parse(path, source, need(source)?)? } else { Charmcraft::default() };
    let config = optional(path, "config.yaml", &parts)?.or(inner.config);
    let actions = optional(path, "actions.yaml", &parts)?.or(inner.actions);
    CharmMeta::from_parts(metadata, config, actions).map_err(|source| {
        let reason = source.to_string();
        CharmFileError::Malformed { path: path.to_owned(), file: "metadata.yaml", reason }
    })
}

fn optional<T: serde::de::DeserializeOwned>(
    path: &Path,
    file: &'static str,
    parts: &BTreeMap<&'static str, String>,
) -> Result<Option<T>, CharmFileError> {
    match parts.get(file) {
        Some(text) if !text.trim().is_empty() => parse(path, file, text).map(Some),
        _ => Ok(None),
    }
}

fn parse<T: serde::de::DeserializeOwned>(
    path: &Path,
    file: &'static str,
    text: &str,
) -> Result<T, CharmFileError> {
    serde_saphyr::from_str(text).map_err(|error| {
        let reason = error.to_string();
        CharmFileError::Malformed { path: path.to_owned(), file, reason }
    })
}

fn folder_parts(path: &Path) -> Result<BTreeMap<&'static str, String>, CharmFileError> {
    let mut parts = BTreeMap::new();
    for file in PARTS {
        match fs::read_to_string(path.join(file)) {
            Ok(text) => drop(parts.insert(file, text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(CharmFileError::Read { path: path.join(file), source }),
        }
    }
    Ok(parts)
}

fn archive_parts(path: &Path) -> Result<BTreeMap<&'static str, String>, CharmFileError> {
    let mut archive = open(path)?;
    let mut parts = BTreeMap::new();
    for file in PARTS {
        let Ok(mut member) = archive.by_name(file) else { continue };
        let mut text = String::new();
        member
            .read_to_string(&mut text)
            .map_err(|source| CharmFileError::Read { path: path.to_owned(), source })?;
        parts.insert(file, text);
    }
    Ok(parts)
}

fn open(path: &Path) -> Result<zip::ZipArchive<fs::File>, CharmFileError> {
    let file = fs::File::open(path)
        .map_err(|source| CharmFileError::Read { path: path.to_owned(), source })?;
    zip::ZipArchive::new(file)
        .map_err(|source| CharmFileError::Archive { path: path.to_owned(), source })
}

/// Copies a charm folder, or unpacks an archive, to `to`, which must not exist yet.
pub(crate) fn unpack(from: &Path, to: &Path) -> Result<(), CharmFileError> {
    if from.is_dir() {
        return copy_tree(from, to)
            .map_err(|source| CharmFileError::Write { path: to.to_owned(), source });
    }
    let mut archive = open(from)?;
    for index in 0..archive.len() {
        let mut member = archive
            .by_index(index)
            .map_err(|source| CharmFileError::Archive { path: from.to_owned(), source })?;
        let called = member.name().unwrap_or_default().into_owned();
        let name = member.enclosed_name().ok_or_else(|| CharmFileError::Escapes {
            path: from.to_owned(),
            member: called.clone(),
        })?;
        if through_link(to, &name) {
            let path = from.to_owned();
            return Err(CharmFileError::ThroughLink { path, member: called });
        }
        unpack_member(&mut member, &to.join(name))
            .map_err(|source| CharmFileError::Write { path: to.to_owned(), source })?;
    }
    Ok(())
}

/// Whether a part of `name` below `folder` is a symbolic link already.
fn through_link(folder: &Path, name: &Path) -> bool {
    let mut at = folder.to_owned();
    name.components().any(|part| {
        at.push(part);
        at.is_symlink()
    })
}

fn unpack_member<R: Read>(
    member: &mut zip::read::ZipFile<'_, R>,
    target: &Path,
) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if member.is_dir() {
        return fs::create_dir_all(target);
    }
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    if member.is_symlink() {
        let mut link = String::new();
        member.read_to_string(&mut link)?;
        return std::os::unix::fs::symlink(link, target);
    }
    let mut file = fs::File::create(target)?;
    std::io::copy(member, &mut file)?;
    let mode = member.unix_mode().unwrap_or(0o644) & 0o777;
    fs::set_permissions(target, fs::Permissions::from_mode(mode))
}

/// Copies a tree with its modes and symbolic links.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Unpacks an archive of files and of links (`name -> target`); what is said of it.
    #[track_caller]
    fn check(members: &[&str], want: Option<&str>) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        let from = folder.path().join("x.charm");
        let mut archive = zip::ZipWriter::new(fs::File::create(&from).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        for member in members {
            match member.split_once(" -> ") {
                Some((name, target)) => archive.add_symlink(name, target, options).unwrap(),
                None => {
                    archive.start_file(*member, options).unwrap();
                    archive.write_all(b"x").unwrap();
                }
            }
        }
        archive.finish().unwrap();
        let said = unpack(&from, &folder.path().join("to")).err().map(|error| error.to_string());
        let said = said.map(|text| text.replace(&from.display().to_string(), "x.charm"));
        assert_eq!(said.as_deref(), want, "{members:?}");
        let written = fs::read_dir(folder.path().join("outside")).unwrap().count();
        assert_eq!(written, 0, "{members:?} reached outside");
    }

    #[test]
    fn a_charm_for_other_machines_is_refused() {
        let own = crate::pack::architecture();
        let said = |architectures: &str| {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("metadata.yaml"), "name: x").unwrap();
            let manifest = format!("bases: [{{name: ubuntu, architectures: [{architectures}]}}]");
            fs::write(folder.path().join("manifest.yaml"), manifest).unwrap();
            let error = read(folder.path()).err().map(|error| error.to_string());
            error.map(|text| text.replace(&folder.path().display().to_string(), "x"))
        };
        for fits in [own, "all", &format!("riscv64, {own}"), ""] {
            assert_eq!(said(fits), None, "{fits}");
        }
        let refused = format!(
            "cannot use the charm x: it is built for riscv64, s390x, and this machine is {own}; \
             name the file for {own}"
        );
        assert_eq!(said("riscv64, s390x"), Some(refused));
    }

    #[test]
    fn no_member_is_written_through_a_link() {
        check(&["src/charm.py", "lib -> src", "bin/python3 -> /usr/bin/python3"], None);
        let through = |member: &str| {
            format!(
                "cannot unpack x.charm: the member \"{member}\" lies at or below a symbolic \
                 link of the same archive; pack the charm without one of them"
            )
        };
        check(&["lib -> ../outside", "lib/file"], Some(&through("lib/file")));
        check(&["lib -> ../outside", "lib/a/b"], Some(&through("lib/a/b")));
        check(&["lib -> ../outside", "lib/b -> x"], Some(&through("lib/b")));
        check(&["lib -> src", "lib/file"], Some(&through("lib/file")));
        check(
            &["../outside/file"],
            Some("cannot unpack x.charm: the member \"../outside/file\" leads outside"),
        );
    }
}
