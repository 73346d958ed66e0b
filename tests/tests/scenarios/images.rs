//! Images over time: who has which build, and whether a build has holes that are known.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use end_to_end::{Talisman, packed_probe, root};
use serde_json::Value;

/// Packages of the images: the first version of the distribution's without the holes, and the
/// holes, as the changelog of that version names them.
///
/// To add one: `apt-get changelog <package>`, or the distribution's security tracker; the newest
/// version with a hole that matters here is enough, for it has the earlier mends too. A package
/// that no image has any more fails the test, so that the list does not grow for ever.
const HOLES: &str = "
    postgresql-17          17.12-0+deb13u1                          CVE-2026-116303 CVE-2026-116304
    libpq5                 17.12-0+deb13u1                          CVE-2026-116303 CVE-2026-116304
    pgbouncer              1.24.1-1+deb13u2                         CVE-2026-6664 CVE-2026-6665 CVE-2026-6666 CVE-2026-6667
    libssl3t64             3.5.7-1~deb13u3                          CVE-2026-35189 CVE-2026-42772 CVE-2026-54872
    libc6                  2.41-12+deb13u5                          CVE-2026-5435 CVE-2026-6238 CVE-2026-8674
    libkrb5-3              1.21.3-5+deb13u2                         CVE-2026-11850 CVE-2026-71199
    libxml2                2.12.7+dfsg+really2.9.14-2.1+deb13u3     CVE-2025-49794 CVE-2026-0989
    libpython3.13-minimal  3.13.5-2+deb13u5                         CVE-2026-0864 CVE-2026-11940
    python3-urllib3        2.3.0-3+deb13u2                          CVE-2026-44431
    liblzma5               5.8.1-1+deb13u1                          CVE-2026-34743
    perl-base              5.40.1-6+deb13u1                         CVE-2025-15649 CVE-2026-8376
    zlib1g                 1:1.3.dfsg+really1.3.1-1+deb13u1         CVE-2026-27171 CVE-2026-85091
    libcap2                1:2.75-10+deb13u1                        CVE-2026-4878
    util-linux             2.41.5-0+deb13u1                         CVE-2026-27456 CVE-2026-53612
    libsystemd0            257.13-1~deb13u1                         CVE-2026-29111
";

/// The package, its first sound version, and the holes of those before.
fn holes() -> Vec<(&'static str, &'static str, String)> {
    let lines = HOLES.lines().filter(|line| !line.trim().is_empty());
    let hole = |line: &'static str| {
        let mut words = line.split_whitespace();
        let (package, version) = (words.next().unwrap(), words.next().unwrap());
        let holes = words.collect::<Vec<_>>().join(", ");
        assert!(holes.starts_with("CVE-"), "{line}");
        (package, version, holes)
    };
    lines.map(hole).collect()
}

/// Whether the distribution takes `one` for older than `other`.
fn is_older(one: &str, other: &str) -> bool {
    let compared = Command::new("dpkg").args(["--compare-versions", one, "lt", other]).status();
    compared.unwrap().success()
}

/// What is wrong with a list of packages, by name and version.
fn faults(image: &str, packages: &Value) -> Vec<String> {
    let fault = |(package, sound, holes): (&str, &str, String)| {
        let found = packages[package].as_str()?;
        is_older(found, sound)
            .then(|| format!("{image} has {package} {found} with {holes}, mended in {sound}"))
    };
    holes().into_iter().filter_map(fault).collect()
}

#[test]
fn a_version_with_a_hole_is_named() {
    let packages = serde_json::json!({"libssl3t64": "3.5.1-1", "pgbouncer": "1.24.1-1+deb13u2"});
    let found = faults("pooler", &packages);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("pooler has libssl3t64 3.5.1-1 with CVE-2026-35189"), "{found:?}");
    assert!(faults("pooler", &serde_json::json!({"libssl3t64": "3.5.9-1~deb13u1"})).is_empty());
}

fn built(engine: &Talisman) -> Result<Vec<Value>> {
    let all: Value = serde_json::from_str(&engine.call(&["images", "--format", "json"])?)?;
    all.as_array().cloned().context("no list")
}

#[test]
fn no_image_has_a_hole_that_is_known() -> Result<()> {
    let engine = Talisman::new("e2eholes");
    let mut definitions = Vec::new();
    for entry in std::fs::read_dir(root().join("images"))? {
        definitions.push(entry?.path().display().to_string());
    }
    let words: Vec<&str> =
        ["images"].into_iter().chain(definitions.iter().map(String::as_str)).collect();
    engine.call(&words)?;
    let builds = built(&engine)?;
    let mut found = Vec::new();
    let mut newest: Vec<&Value> = Vec::new();
    for file in &definitions {
        let name = std::path::Path::new(file).file_stem().context("no name")?.to_string_lossy();
        let of_name = builds.iter().filter(|build| build["name"] == *name);
        let last = of_name.max_by_key(|build| build["built"].as_str().map(str::to_owned));
        let last = last.with_context(|| format!("{name} is not built"))?;
        found.extend(faults(&name, &last["packages"]));
        newest.push(last);
    }
    ensure!(found.is_empty(), "{}\nrun `talisman images --refresh`", found.join("\n"));
    for (package, ..) in holes() {
        let has = newest.iter().any(|build| build["packages"][package].is_string());
        ensure!(has, "no image has {package}: take it off the list");
    }
    Ok(())
}

/// The trees in use, of an image.
fn used(engine: &Talisman) -> Result<Vec<String>> {
    let used = |build: &Value| build["used-by"].as_array().is_some_and(|users| !users.is_empty());
    let builds = built(engine)?;
    let trees = builds.iter().filter(|build| used(build));
    Ok(trees.filter_map(|build| Some(build["tree"].as_str()?.to_owned())).collect())
}

#[test]
fn units_keep_their_build_until_they_are_told() -> Result<()> {
    let cache = tempfile::tempdir_in("/var/cache")?;
    let folder = cache.path().join("images");
    let path = folder.display().to_string();
    let engine = Talisman::new("e2eimg").with("TALISMAN_CACHE", &path);
    let definition = root().join("images/charm-base.yaml").display().to_string();
    engine.call(&["images", &definition])?;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755))?;
    engine.call(&["up"])?;
    // It is seen to at each start, for it holds programs that run with their owner's rights.
    assert_eq!(std::fs::metadata(&folder)?.permissions().mode() & 0o7777, 0o700);
    let charm = packed_probe(&engine)?.display().to_string();
    let image = format!("workload-image={definition}");
    let notes = format!("notes={}", root().join("clippy.toml").display());
    let deploy = ["deploy", &charm, "probe", "--trust"];
    engine.call(&[&deploy[..], &["--resource", &image, "--resource", &notes]].concat())?;
    engine.wait_active(90)?;
    let before = used(&engine)?;
    ensure!(before.len() == 1, "{before:?}");

    let shown = engine.call(&["images", "--refresh", &definition, "--format", "json"])?;
    let shown: Value = serde_json::from_str(&shown)?;
    assert_eq!(shown[0]["before"], before[0].as_str());
    assert_eq!(shown[0]["changes"], serde_json::json!([]), "both are of today");
    let after = shown[0]["tree"].as_str().context("no tree")?.to_owned();
    // A pod that is replaced by accident comes back as it was, and so does a restarted model.
    engine.delete_pod("probe/0", "probe/0")?;
    engine.wait_active(90)?;
    assert_eq!(used(&engine)?, before);
    engine.call(&["down"])?;
    engine.call(&["images", "--prune"])?;
    engine.call(&["up"])?;
    engine.wait_active(90)?;
    assert_eq!(used(&engine)?, before);

    engine.call(&["images", &definition])?;
    engine.call(&["images", "--refresh", &definition])?;
    engine.call(&["refresh", "probe", "--path", &charm])?;
    let is_new = || used(&engine).is_ok_and(|now| now.len() == 1 && now != before);
    engine.wait("the newest build", 90, |_| is_new())?;
    engine.wait_active(90)?;
    engine.call(&["images", "--prune"])?;
    let left: Vec<Value> = built(&engine)?;
    assert_eq!(left.len(), 1, "{left:?}");
    ensure!(left[0]["tree"] != before[0].as_str() && left[0]["tree"] != after.as_str());
    let table = engine.call(&["images"])?;
    assert!(table.contains("charm-base") && table.contains("0 days"), "{table}");
    Ok(())
}
