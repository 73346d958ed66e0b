//! The public library `jubilant` drives the engine as it drives Juju.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use end_to_end::{Talisman, packed_probe, root};

const INSTANCE: &str = "e2ejub";

/// The packages that the tests need, installed once from the package index.
fn packages() -> Result<PathBuf> {
    let requirements = root().join("tests/jubilant/requirements.txt");
    let target = root().join("target/jubilant");
    let mark = target.join("requirements.txt");
    let wanted = std::fs::read(&requirements)?;
    if std::fs::read(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(target);
    }
    std::fs::remove_dir_all(&target).ok();
    let status = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
        .arg(&target)
        .arg("--requirement")
        .arg(&requirements)
        .status()?;
    if !status.success() {
        bail!("cannot install what {} names", requirements.display());
    }
    std::fs::write(&mark, wanted)?;
    Ok(target)
}

/// A folder with the program under the name that the library calls.
fn juju() -> Result<PathBuf> {
    let folder = root().join("target/juju");
    std::fs::create_dir_all(&folder)?;
    let link = folder.join("juju");
    std::fs::remove_file(&link).ok();
    std::os::unix::fs::symlink(end_to_end::program(), &link)?;
    Ok(folder)
}

#[test]
fn a_jubilant_suite_passes() -> Result<()> {
    let engine = Talisman::new(INSTANCE);
    let charm = packed_probe(&engine)?;
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("python3")
        .args(["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "tests/jubilant"])
        .env("PYTHONPATH", packages()?)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PATH", format!("{}:{path}", juju()?.display()))
        .env("TALISMAN_INSTANCE", INSTANCE)
        .env("TALISMAN_TEST_CHARMS", charm.parent().unwrap())
        .env("TALISMAN_TEST_IMAGES", root().join("images"))
        .current_dir(root())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("passed"), "{said}");
    Ok(())
}
