//! Packing a charm written in Python, with the packages that it needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

/// The Python of the charm container: packages with compiled parts are fetched for it.
const PYTHON: &str = "3.13";
/// Folders of a charm that go along as they are.
const FOLDERS: [&str; 4] = ["src", "lib", "templates", "actions"];
/// What starts the charm.
const DISPATCH: &str = "#!/bin/sh
# Starts the charm with its libraries and packages.
cd \"$(dirname \"$0\")\" || exit 1
export PYTHONPATH=\"$PWD/lib:$PWD/src\"
export LD_LIBRARY_PATH=\"$PWD/lib\"
# A charm holds no link with a full path.
[ -e venv/bin/python ] || { mkdir -p venv/bin && ln -s /usr/bin/python3 venv/bin/python; } || exit 1
exec venv/bin/python src/charm.py
";
/// Where the charm container has its Python.
const HOME: &str = "/usr/bin";

/// Writes `<out>/<name>_ubuntu@22.04-<architecture>.charm` and returns its path.
///
/// `requirements` stands in for the folder's own `requirements.txt`.
pub(crate) fn pack(folder: &Path, requirements: Option<&Path>, out: &Path) -> Result<PathBuf> {
    if !folder.join("src/charm.py").is_file() {
        bail!(
            "cannot pack {}: it has no src/charm.py; name the charm's program with --dispatch",
            folder.display()
        );
    }
    let meta = crate::package::charm_file::read(folder)?;
    let staged = tempfile::tempdir().context("cannot make a folder for packing")?;
    let stage = staged.path();
    for name in FOLDERS.iter().filter(|name| folder.join(name).is_dir()) {
        crate::package::charm_file::copy(&folder.join(name), &stage.join(name))
            .with_context(|| format!("cannot copy {name} of {}", folder.display()))?;
    }
    for name in crate::package::pack::FILES.iter().filter(|name| folder.join(name).is_file()) {
        let copy = |name| fs::write(stage.join(name), crate::files::read_text(&folder.join(name))?);
        copy(name).with_context(|| format!("cannot copy {name} of {}", folder.display()))?;
    }
    if !stage.join("metadata.yaml").is_file() {
        split(folder, stage).context("cannot split charmcraft.yaml")?;
    }
    if !stage.join("manifest.yaml").is_file() {
        let architecture = crate::package::charm_file::architecture();
        let base = json!({"name": "ubuntu", "channel": "24.04", "architectures": [architecture]});
        fs::write(stage.join("manifest.yaml"), json!({"bases": [base]}).to_string())?;
    }
    let own = folder.join("requirements.txt");
    let venv = stage.join("venv");
    let packages = venv.join(format!("lib/python{PYTHON}/site-packages"));
    fs::create_dir_all(&packages)?;
    // A virtual environment, so that packages which bring `.pth` files work too.
    fs::write(venv.join("pyvenv.cfg"), format!("home = {HOME}\nversion = {PYTHON}\n"))?;
    if let Some(requirements) = requirements.or_else(|| own.is_file().then_some(&own)) {
        install(requirements, &packages)?;
    }
    fs::write(stage.join("dispatch"), DISPATCH)?;
    crate::package::pack::archive(out, &meta.name, |archive| {
        add_folder(archive, stage, stage)?;
        Ok(())
    })
}

/// Writes the files that `charmcraft.yaml` stands for; JSON is YAML too.
fn split(folder: &Path, stage: &Path) -> Result<()> {
    let text = crate::files::read_text(&folder.join("charmcraft.yaml"))?;
    let mut whole: Map<String, Value> = serde_saphyr::from_str(&text)?;
    for (section, file) in [("config", "config.yaml"), ("actions", "actions.yaml")] {
        if let Some(value) = whole.remove(section) {
            fs::write(stage.join(file), value.to_string())?;
        }
    }
    for section in ["type", "parts", "bases", "base", "build-base", "platforms", "charm-libs"] {
        whole.remove(section);
    }
    Ok(fs::write(stage.join("metadata.yaml"), Value::Object(whole).to_string())?)
}

/// Installs what `requirements` names into `target`, from the package index of pip.
fn install(requirements: &Path, target: &Path) -> Result<()> {
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
        .args(["--no-compile", "--only-binary", ":all:", "--python-version", PYTHON])
        .arg("--target")
        .arg(target)
        .arg("--requirement")
        .arg(requirements)
        .output()
        .context("cannot run python3 -m pip: install Python with pip on this machine")?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("cannot install what {} names: {}", requirements.display(), words.trim());
    }
    Ok(())
}

/// Adds the files below `folder`, by name, so that packing twice gives the same order.
fn add_folder(
    archive: &mut crate::package::pack::Archive<'_>,
    top: &Path,
    folder: &Path,
) -> Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = path.strip_prefix(top)?.to_string_lossy().into_owned();
        if path.is_symlink() {
            archive.link(&name, &fs::read_link(&path)?)?;
            continue;
        }
        if path.is_dir() {
            if entry.file_name() != "__pycache__" {
                add_folder(archive, top, &path)?;
            }
            continue;
        }
        let mode = if name == "dispatch" { 0o755 } else { 0o644 };
        archive.add(&name, mode, &fs::read(&path)?)?;
    }
    Ok(())
}
