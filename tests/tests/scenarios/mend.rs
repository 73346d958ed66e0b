//! The step of the workload image that mends Patroni's lock: what it does to a package without
//! the mend, to one with it, and to one that is neither.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use end_to_end::root;

/// Where the package has the file.
const INSTALLED: &str = "/usr/lib/python3/dist-packages/patroni/dcs/kubernetes.py";

/// The program of the step, as the shell hands it to Python.
fn program() -> Result<String> {
    let text = std::fs::read_to_string(root().join("images/postgresql.yaml"))?;
    let (_, rest) = text.split_once("python3 - <<'EOF'\n").context("no such step")?;
    let (program, _) = rest.split_once("    EOF\n").context("the step has no end")?;
    Ok(program
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or("")))
        .collect())
}

/// Runs it on a file of this text; how it went, and the text afterwards.
fn mended(text: &str) -> Result<(Output, String)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("kubernetes.py");
    std::fs::write(&path, text)?;
    let program = program()?;
    ensure!(program.contains(INSTALLED), "the step mends another file");
    let program = program.replace(INSTALLED, &path.display().to_string());
    let mut python = Command::new("python3")
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("python3 is needed")?;
    python.stdin.take().context("no stdin")?.write_all(program.as_bytes())?;
    let output = python.wait_with_output()?;
    Ok((output, std::fs::read_to_string(&path)?))
}

/// A class whose method takes the lock in this way.
fn class(taken: &str) -> String {
    format!(
        "class Kubernetes:\n    \
         def before(self) -> bool:\n        return self.get_cluster()\n\n    \
         def attempt_to_acquire_leader(self) -> bool:\n        now = 0\n{taken}\n        \
         return self.write(now, resource_version)\n\n    \
         def take_leader(self) -> bool:\n        return True\n"
    )
}

const OLD: &str = "        resource_version = self._leader_resource_version
        if resource_version:
            kind = self._kinds.get(self.leader_path)
            if kind and kind.version != resource_version:
                resource_version = kind.version
";

#[test]
fn a_package_without_the_mend_gets_it_once() -> Result<()> {
    let (output, text) = mended(&class(OLD))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ensure!(!text.contains("_leader_resource_version"), "{text}");
    ensure!(text.contains("resource_version = cluster.leader.version"), "{text}");
    let (_, method) = text.split_once("attempt_to_acquire_leader").context("no method")?;
    let looks = method.find("self.get_cluster()").context("it does not look")?;
    ensure!(looks < method.find("now = 0").context("the rest is gone")?, "{text}");
    ensure!(
        text.contains("return self.write(now, resource_version)\n\n    def take_leader"),
        "{text}"
    );
    let (output, again) = mended(&text)?;
    ensure!(output.status.success() && again == text, "{again}");
    Ok(())
}

#[test]
fn a_package_with_the_mend_stays_as_it_is() -> Result<()> {
    let own =
        class("        cluster = self.get_cluster()\n        resource_version = cluster.version\n");
    let (output, text) = mended(&own)?;
    ensure!(output.status.success() && text == own, "{text}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(said.contains("the step can go"), "{said}");
    Ok(())
}

#[test]
fn a_package_that_is_neither_stops_the_build() -> Result<()> {
    let foreign = class("        resource_version = self.something_else()\n");
    for text in [foreign, "class Kubernetes:\n    pass\n".to_owned()] {
        let (output, after) = mended(&text)?;
        ensure!(!output.status.success() && after == text, "{after}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(said.contains("cannot mend Patroni"), "{said}");
    }
    Ok(())
}
