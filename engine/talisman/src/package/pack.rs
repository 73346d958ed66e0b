//! Packing a charm folder and its binary into a `.charm` archive.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

/// Files of a charm folder that belong in the archive besides `dispatch`.
pub(crate) const FILES: [&str; 9] = [
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
    let meta = crate::package::charm_file::read(folder)?;
    let binary = crate::files::read_program(dispatch)
        .with_context(|| format!("cannot read the charm's program {}", dispatch.display()))?;
    if !binary.starts_with(b"\x7fELF") && !binary.starts_with(b"#!") {
        bail!("cannot pack {}: it is neither a program nor a script", dispatch.display());
    }
    archive(out, &meta.name, |archive| {
        for name in FILES.iter().filter(|name| folder.join(name).is_file()) {
            let content = fs::read(folder.join(name))?;
            let content = match machine(&binary).filter(|_| *name == "manifest.yaml") {
                Some(machine) => built_for(&content, machine)?,
                None => content,
            };
            archive.add(name, 0o644, &content)?;
        }
        archive.add("dispatch", 0o755, &binary)
    })
}

/// The architecture that a program is for; none of a script, or where it has no name here.
fn machine(binary: &[u8]) -> Option<&'static str> {
    let number = binary.get(18..20).filter(|_| binary.starts_with(b"\x7fELF"))?;
    match u16::from_le_bytes(number.try_into().ok()?) {
        62 => Some("amd64"),
        183 => Some("arm64"),
        243 => Some("riscv64"),
        _ => None,
    }
}

/// A manifest that names no architecture but this one.
fn built_for(manifest: &[u8], machine: &str) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(manifest).context("cannot read manifest.yaml")?;
    let mut whole: Value = serde_saphyr::from_str(text).context("cannot read manifest.yaml")?;
    for base in whole["bases"].as_array_mut().into_iter().flatten() {
        base["architectures"] = json!([machine]);
    }
    // JSON is YAML.
    Ok(serde_json::to_vec_pretty(&whole)?)
}

/// An archive that is being written.
pub(crate) struct Archive<'a>(zip::ZipWriter<&'a mut fs::File>);

impl Archive<'_> {
    /// Adds a file.
    pub(crate) fn add(&mut self, name: &str, mode: u32, content: &[u8]) -> Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .last_modified_time(zip::DateTime::default());
        self.0.start_file(name, options.unix_permissions(mode))?;
        Ok(self.0.write_all(content)?)
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, name: &str, target: &Path) -> Result<()> {
        let options = SimpleFileOptions::default()
            .last_modified_time(zip::DateTime::default())
            .unix_permissions(0o777);
        Ok(self.0.add_symlink(name, target.to_string_lossy(), options)?)
    }
}

/// Writes a charm's archive whole or not at all.
pub(crate) fn archive(
    out: &Path,
    charm: &str,
    fill: impl FnOnce(&mut Archive<'_>) -> Result<()>,
) -> Result<PathBuf> {
    fs::create_dir_all(out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    let path = out
        .join(format!("{charm}_ubuntu@22.04-{}.charm", crate::package::charm_file::architecture()));
    let mut file = tempfile::NamedTempFile::new_in(out)
        .with_context(|| format!("cannot write in {}", out.display()))?;
    let write = |file: &mut fs::File| {
        let mut archive = Archive(zip::ZipWriter::new(file));
        fill(&mut archive)?;
        archive.0.finish()?;
        Ok::<_, anyhow::Error>(())
    };
    write(file.as_file_mut()).with_context(|| format!("cannot write {}", path.display()))?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(readable)?;
    file.persist(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_for_one_architecture() {
        let mut program = b"\x7fELF".to_vec();
        program.resize(64, 0);
        program[18] = 183;
        assert_eq!(machine(&program), Some("arm64"));
        assert_eq!(machine(b"#!/bin/sh"), None);
        let manifest = b"bases: [{name: ubuntu, architectures: [amd64, arm64]}]\nrest: 1\n";
        let narrowed: Value =
            serde_json::from_slice(&built_for(manifest, "arm64").unwrap()).unwrap();
        let base = json!({"name": "ubuntu", "architectures": ["arm64"]});
        assert_eq!(narrowed, json!({"bases": [base], "rest": 1}));
    }
}
