//! Packing a charm folder and its binary into a `.charm` archive.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use zip::write::SimpleFileOptions;

/// Files of a charm folder that belong in the archive besides `dispatch`.
const FILES: [&str; 9] = [
    "metadata.yaml",
    "config.yaml",
    "actions.yaml",
    "manifest.yaml",
    "icon.svg",
    "README.md",
    "LICENSE",
    "version",
    "lxd-profile.yaml",
];

/// Writes `<out>/<name>_ubuntu@22.04-<architecture>.charm` and returns its path.
///
/// The archive's bytes depend on nothing but the files, so that packing twice gives the same file.
pub(crate) fn pack(folder: &Path, dispatch: &Path, out: &Path) -> Result<PathBuf> {
    let meta = crate::charm_file::read(folder)?;
    let binary = fs::read(dispatch)
        .with_context(|| format!("cannot read the charm's program {}", dispatch.display()))?;
    if !binary.starts_with(b"\x7fELF") && !binary.starts_with(b"#!") {
        bail!("cannot pack {}: it is neither a program nor a script", dispatch.display());
    }
    fs::create_dir_all(out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    let path = out.join(format!("{}_ubuntu@22.04-{}.charm", meta.name, architecture()));
    let mut file = tempfile::NamedTempFile::new_in(out)
        .with_context(|| format!("cannot write in {}", out.display()))?;
    write_archive(file.as_file_mut(), folder, &binary)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.persist(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn write_archive(file: &mut fs::File, folder: &Path, dispatch: &[u8]) -> Result<()> {
    let mut archive = zip::ZipWriter::new(file);
    let options = SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default());
    for name in FILES {
        let path = folder.join(name);
        if path.is_file() {
            archive.start_file(name, options.unix_permissions(0o644))?;
            archive.write_all(&fs::read(path)?)?;
        }
    }
    archive.start_file("dispatch", options.unix_permissions(0o755))?;
    archive.write_all(dispatch)?;
    archive.finish()?;
    Ok(())
}

/// Debian's name of this machine's architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
