//! A charm as a folder or a `.charm` archive: reading its metadata, unpacking it.

mod assumes;
mod tree;
mod unpack;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use juju_model::{ActionsYaml, CharmMeta, ConfigYaml, MetadataYaml};

use crate::files;

pub(crate) use tree::{copy, copy_file, sync, sync_folder};

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
    /// The charm assumes what is not here.
    #[error("cannot use the charm {path}: it assumes {unmet}, and here are Juju {juju} and Kubernetes {kubernetes}", path = path.display(), kubernetes = KUBERNETES)]
    Assumes { path: PathBuf, unmet: String, juju: &'static str },
    /// An archive member would be written outside the folder.
    #[error("cannot unpack {path}: the member {member:?} leads outside", path = path.display())]
    Escapes { path: PathBuf, member: String },
    /// An archive member would be written where a symbolic link of the archive leads.
    #[error("cannot unpack {path}: the member {member:?} lies at or below a symbolic link of the same archive; pack the charm without one of them", path = path.display())]
    ThroughLink { path: PathBuf, member: String },
    /// The charm holds what no charm can hold, or too much.
    #[error("cannot use the charm {path}: {fault}", path = path.display())]
    Content { path: PathBuf, fault: tree::Fault },
    /// What starts the charm cannot be started.
    #[error("cannot use the charm {path}: its dispatch {fault}; pack the charm again", path = path.display())]
    Dispatch { path: PathBuf, fault: &'static str },
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

/// The version of Kubernetes whose API is played.
const KUBERNETES: &str = "1.32.0";

/// What a charm assumes of the Juju that runs it, as its metadata says.
#[derive(Default, serde::Deserialize)]
struct Assumptions {
    #[serde(default)]
    assumes: Vec<serde_json::Value>,
}

/// Refuses a charm that could not work in a model of this Juju, by what it says itself.
pub(crate) fn check_assumes(path: &Path, juju: juju_model::Juju) -> Result<(), CharmFileError> {
    let parts = parts(path)?;
    let (file, text) = metadata(path, &parts)?;
    let said: Assumptions = parse(path, file, text)?;
    let juju = juju.rules().version;
    let features = [("juju", juju), ("k8s-api", KUBERNETES)];
    let unmet = assumes::unmet(&said.assumes, &features).map_err(|reason| {
        let reason = format!("assumes: {reason}");
        CharmFileError::Malformed { path: path.to_owned(), file, reason }
    })?;
    if unmet.is_empty() {
        return Ok(());
    }
    Err(CharmFileError::Assumes { path: path.to_owned(), unmet: unmet.join(", "), juju })
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
    let machine = architecture();
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

/// The texts that the engine reads, by file.
type Parts = BTreeMap<&'static str, String>;

fn parts(path: &Path) -> Result<Parts, CharmFileError> {
    if path.is_dir() { folder_parts(path) } else { archive_parts(path) }
}

/// The file that has the metadata, and its text: a folder may say it all in the one file from
/// which charmcraft makes the others.
fn metadata<'a>(
    path: &Path,
    parts: &'a Parts,
) -> Result<(&'static str, &'a String), CharmFileError> {
    let whole = path.is_dir() && !parts.contains_key("metadata.yaml");
    let file = match whole && parts.contains_key("charmcraft.yaml") {
        true => "charmcraft.yaml",
        false => "metadata.yaml",
    };
    let text = parts.get(file).ok_or(CharmFileError::Missing { path: path.to_owned(), file })?;
    Ok((file, text))
}

/// Reads the metadata of a charm folder or archive.
pub(crate) fn read(path: &Path) -> Result<CharmMeta, CharmFileError> {
    let parts = parts(path)?;
    let (file, text) = metadata(path, &parts)?;
    let yaml: MetadataYaml = parse(path, file, text)?;
    if !path.is_dir() && !parts.contains_key("manifest.yaml") {
        return Err(CharmFileError::Missing { path: path.to_owned(), file: "manifest.yaml" });
    }
    check_architecture(path, &optional(path, "manifest.yaml", &parts)?.unwrap_or_default())?;
    let inner: Charmcraft = match file {
        "charmcraft.yaml" => parse(path, file, text)?,
        _ => Charmcraft::default(),
    };
    let config = optional(path, "config.yaml", &parts)?.or(inner.config);
    let actions = optional(path, "actions.yaml", &parts)?.or(inner.actions);
    CharmMeta::from_parts(yaml, config, actions).map_err(|source| {
        let reason = source.to_string();
        CharmFileError::Malformed { path: path.to_owned(), file: "metadata.yaml", reason }
    })
}

fn optional<T: serde::de::DeserializeOwned>(
    path: &Path,
    file: &'static str,
    parts: &Parts,
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

fn folder_parts(path: &Path) -> Result<Parts, CharmFileError> {
    let mut parts = BTreeMap::new();
    for file in PARTS {
        match files::read_text(&path.join(file)) {
            Ok(text) => drop(parts.insert(file, text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(CharmFileError::Read { path: path.join(file), source }),
        }
    }
    Ok(parts)
}

fn archive_parts(path: &Path) -> Result<Parts, CharmFileError> {
    let mut archive = unpack::open(path)?;
    let mut parts = BTreeMap::new();
    for file in PARTS {
        let Ok(member) = archive.by_name(file) else { continue };
        let text = files::text(member)
            .map_err(|source| CharmFileError::Read { path: path.join(file), source })?;
        parts.insert(file, text);
    }
    Ok(parts)
}

/// Copies a charm folder, or unpacks an archive, to `to`, which must not exist yet.
pub(crate) fn unpack(from: &Path, to: &Path) -> Result<(), CharmFileError> {
    if from.is_dir() {
        tree::copy_charm(from, to).map_err(content(from))?;
    } else {
        unpack::unpack(from, to)?;
    }
    match fault_of_dispatch(to) {
        Some(fault) => Err(CharmFileError::Dispatch { path: from.to_owned(), fault }),
        None => Ok(()),
    }
}

fn content(path: &Path) -> impl Fn(tree::Fault) -> CharmFileError {
    move |fault| CharmFileError::Content { path: path.to_owned(), fault }
}

/// Why the `dispatch` of an unpacked charm cannot be started; a charm without one is fine.
pub(crate) fn fault_of_dispatch(charm: &Path) -> Option<&'static str> {
    use std::os::unix::fs::PermissionsExt;
    let path = charm.join("dispatch");
    path.symlink_metadata().ok()?;
    let Ok(found) = path.metadata() else { return Some("is a link that leads nowhere") };
    let mode = found.permissions().mode();
    if !found.is_file() {
        return Some("is no file");
    }
    if found.len() == 0 {
        return Some("is empty");
    }
    if mode & 0o444 == 0 {
        return Some("may not be read");
    }
    if mode & 0o111 == 0 {
        return Some("may not be executed");
    }
    let mut start = Vec::new();
    let read = files::open(&path, false).and_then(|file| file.take(4).read_to_end(&mut start));
    match read {
        Err(_) => Some("cannot be read"),
        Ok(_) if start == b"\x7fELF" || start.starts_with(b"#!") => None,
        Ok(_) => Some("is neither a program nor a script that begins with #!"),
    }
}

/// Debian's name of this machine's architecture.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    /// Unpacks an archive of files and of links (`name -> target`); what is said of it.
    /// A file of another mode is `name mode`, in octal digits.
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
                    let (name, mode) = member.split_once(' ').unwrap_or((member, "644"));
                    let mode = u32::from_str_radix(mode, 8).unwrap();
                    archive.start_file(name, options.unix_permissions(mode)).unwrap();
                    archive.write_all(b"#!").unwrap();
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
        let own = architecture();
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
        check(&["src/charm.py", "lib -> src", "bin/python3 -> ../src/python3"], None);
        let through = |member: &str| {
            format!(
                "cannot unpack x.charm: the member \"{member}\" lies at or below a symbolic \
                 link of the same archive; pack the charm without one of them"
            )
        };
        check(&["lib -> src", "lib/a/b"], Some(&through("lib/a/b")));
        check(&["lib -> src", "lib/b -> x"], Some(&through("lib/b")));
        check(&["lib -> src", "lib/file"], Some(&through("lib/file")));
        check(
            &["../outside/file"],
            Some("cannot unpack x.charm: the member \"../outside/file\" leads outside"),
        );
    }

    #[test]
    fn a_member_is_what_a_charm_can_hold() {
        let said = "cannot use the charm x.charm: ";
        let absolute = "the symbolic link \"bin/python\" is absolute: \"/usr/bin/python3\"; make \
                        it relative, or let dispatch make it";
        check(&["bin/python -> /usr/bin/python3"], Some(&format!("{said}{absolute}")));
        let out = "the symbolic link \"lib\" leads out of the charm: \"../outside\"";
        check(&["lib -> ../outside"], Some(&format!("{said}{out}")));
        check(&["dispatch 6755", "src/x 000"], None);
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("x.charm"), folder.path().join("to"));
        let mut archive = zip::ZipWriter::new(fs::File::create(&from).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file("zeros", options.large_file(true)).unwrap();
        let zeros = vec![0; 1 << 20];
        for _ in 0..1025 {
            archive.write_all(&zeros).unwrap();
        }
        archive.finish().unwrap();
        let said = unpack(&from, &to).unwrap_err().to_string();
        assert!(said.contains("its files have more than 1073741824 bytes"), "{said}");
        assert!(!to.join("zeros").exists());
    }

    #[test]
    fn a_dispatch_that_cannot_start_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dispatch");
        let fault = |content: &str, mode| {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            fault_of_dispatch(folder.path())
        };
        assert_eq!(fault_of_dispatch(folder.path()), None);
        assert_eq!(fault("#!/bin/sh\n", 0o755), None);
        assert_eq!(fault("\x7fELF…", 0o711), None);
        assert_eq!(fault("", 0o755), Some("is empty"));
        assert_eq!(fault("#!/bin/sh\n", 0o644), Some("may not be executed"));
        assert_eq!(fault("#!/bin/sh\n", 0o111), Some("may not be read"));
        let no_program = Some("is neither a program nor a script that begins with #!");
        assert_eq!(fault("\0\0\0\0", 0o755), no_program);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(fault_of_dispatch(folder.path()), Some("is no file"));
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("gone", &path).unwrap();
        assert_eq!(fault_of_dispatch(folder.path()), Some("is a link that leads nowhere"));
    }
}
