//! `exec`, `ssh` and `scp`: commands and files in a unit's containers.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use names::UnitName;
use serde_json::{Map, Value, json};

use super::{Exit, show};
use crate::api::Request;
use crate::args::Format;
use crate::args_juju::{Exec, Scp, Ssh};
use crate::client::Client;

/// `exec`: a command in a hook context of each unit.
pub(super) async fn exec(client: &Client, args: Exec) -> Result<()> {
    let status = client.ask(&Request::Status).await?;
    let mut units = Vec::new();
    for text in &args.unit {
        units.push(unit_of(&status, text)?);
    }
    for app in &args.application {
        let all = status["applications"][app.as_str()]["units"].as_object();
        let all = all.with_context(|| format!("cannot run commands on {app}: it has no units"))?;
        for name in all.keys() {
            units.push(unit_of(&status, name)?);
        }
    }
    let known = |unit: &&UnitName| {
        status["applications"][unit.app().as_str()]["units"].get(unit.to_string()).is_some()
    };
    let structured = matches!(args.format, Format::Json | Format::Yaml);
    if structured && let Some(unknown) = units.iter().find(|unit| !known(unit)) {
        // Juju calls that no failure of the command, and client libraries rely on it.
        super::tell(&format!(
            "Operation failed to schedule any tasks:\nunit \"{unknown}\" not found"
        ));
        return show(&json!({}), args.format);
    }
    if units.is_empty() {
        bail!("cannot run a command: name units with --unit or --application");
    }
    let command = match args.command.as_slice() {
        [one] => one.clone(),
        words => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
    };
    let mut results = Map::new();
    let mut worst = 0;
    for (index, unit) in units.iter().enumerate() {
        let request = Request::Exec { unit: unit.clone(), command: command.clone() };
        let ended = client.ask_within(&request, args.wait).await?;
        let code = ended["return-code"].as_u64().unwrap_or(1);
        worst = worst.max(code);
        if matches!(args.format, Format::Plain | Format::Tabular) {
            std::io::stderr().write_all(ended["stderr"].as_str().unwrap_or("").as_bytes())?;
            std::io::stdout().write_all(ended["stdout"].as_str().unwrap_or("").as_bytes())?;
            continue;
        }
        let task = json!({
            "id": (index + 1).to_string(),
            "unit": unit,
            "status": if code == 0 { "completed" } else { "failed" },
            "results": ended,
        });
        results.insert(unit.to_string(), task);
    }
    if matches!(args.format, Format::Plain | Format::Tabular) {
        let code = u8::try_from(worst).unwrap_or(1);
        return if code == 0 { Ok(()) } else { Err(Exit(code).into()) };
    }
    show(&Value::Object(results), args.format)?;
    if worst != 0 {
        bail!("the following task failed:\n - the command with return code {worst}");
    }
    Ok(())
}

/// A unit by name, or the leader of an application by `<application>/leader`.
pub(super) fn unit_of(status: &Value, text: &str) -> Result<UnitName> {
    let Some(app) = text.strip_suffix("/leader") else {
        return crate::args_juju::unit(text).map_err(anyhow::Error::msg);
    };
    let units = status["applications"][app]["units"].as_object();
    let leader = units.into_iter().flatten().find(|(_, unit)| unit["leader"] == true);
    let (name, _) = leader.with_context(|| format!("cannot find a leader of {app:?}"))?;
    crate::args_juju::unit(name).map_err(anyhow::Error::msg)
}

/// A word as a shell takes it back.
fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// `ssh`: this process becomes the command.
pub(super) async fn ssh(client: &Client, args: Ssh) -> Result<()> {
    let target = match args.target.split_once('@') {
        Some(("root", target)) => target,
        Some((user, _)) => bail!("cannot enter a container as {user:?}: only root is there"),
        None => &args.target,
    };
    let mut words = args.command.as_slice();
    // Options of ssh itself mean nothing here.
    while let Some((first, rest)) = words.split_first().filter(|(word, _)| word.starts_with('-')) {
        words = if first == "-o" { rest.get(1..).unwrap_or_default() } else { rest };
    }
    let mut command = entered(client, target, args.container.as_deref()).await?;
    if words.is_empty() {
        command.args(["/bin/sh", "-c", "exec $(command -v bash || command -v sh)"]);
    } else {
        command.args(["/bin/sh", "-c", &words.join(" ")]);
    }
    Err(command.exec()).context("cannot run nsenter: install util-linux")
}

/// `scp -r`: a folder as an archive, one way.
async fn scp_folder(client: &Client, args: Scp) -> Result<()> {
    let container = args.container.as_deref();
    let (mut from, mut to) = match (args.source.split_once(':'), args.destination.split_once(':')) {
        (Some((unit, path)), None) => {
            let mut from = entered(client, unit, container).await?;
            from.args(packing(path));
            std::fs::create_dir_all(&args.destination)
                .with_context(|| format!("cannot make the folder {}", args.destination))?;
            let mut to = Command::new("tar");
            to.args(["-x", "--no-same-owner", "-C", &args.destination]);
            (from, to)
        }
        (None, Some((unit, path))) => {
            let mut from = Command::new("tar");
            from.args(&packing(&args.source)[1..]);
            let mut to = entered(client, unit, container).await?;
            let script = "mkdir -p \"$1\" && exec tar -x --no-same-owner -C \"$1\"";
            to.args(["/bin/sh", "-c", script, "sh", path]);
            (from, to)
        }
        _ => bail!("cannot copy: exactly one of the two is <unit>:<folder>"),
    };
    let mut packer =
        from.stdout(Stdio::piped()).spawn().context("cannot run nsenter: install util-linux")?;
    let archive = packer.stdout.take().context("cannot read the archive")?;
    let unpacked = to.stdin(archive).status().context("cannot run tar")?;
    if !packer.wait()?.success() || !unpacked.success() {
        bail!("cannot copy {} to {}", args.source, args.destination);
    }
    Ok(())
}

/// `tar` of a folder under its own name.
fn packing(folder: &str) -> [String; 6] {
    let path = Path::new(folder);
    let name = path.file_name().map_or(".".into(), |name| name.to_string_lossy().into_owned());
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new(".")).display().to_string();
    ["tar".to_owned(), "-c".to_owned(), "-C".to_owned(), parent, "--".to_owned(), name]
}

/// `scp`: one file, one way.
pub(super) async fn scp(client: &Client, args: Scp) -> Result<()> {
    if args.recursive {
        return scp_folder(client, args).await;
    }
    let container = args.container.as_deref();
    let (mut command, words) = match (args.source.split_once(':'), args.destination.split_once(':'))
    {
        (Some((unit, path)), None) => {
            let mut command = entered(client, unit, container).await?;
            command.args(["cat", path]);
            let target = inside(Path::new(&args.destination), path);
            let file = File::create(&target)
                .with_context(|| format!("cannot write {}", target.display()))?;
            command.stdout(file);
            (command, format!("cannot read {path} of {unit}"))
        }
        (None, Some((unit, path))) => {
            let file =
                File::open(&args.source).with_context(|| format!("cannot read {}", args.source))?;
            let name = Path::new(&args.source).file_name().unwrap_or_default();
            let mut command = entered(client, unit, container).await?;
            let script = "if [ -d \"$1\" ]; then cat >\"$1/$2\"; else cat >\"$1\"; fi";
            command.args(["/bin/sh", "-c", script, "sh", path]).arg(name).stdin(file);
            (command, format!("cannot write {path} of {unit}"))
        }
        _ => bail!("cannot copy: exactly one of the two is <unit>:<file>"),
    };
    if !command.status().context("cannot run nsenter: install util-linux")?.success() {
        bail!("{words}");
    }
    Ok(())
}

/// A file's path when the destination may be a folder.
fn inside(destination: &Path, source: &str) -> std::path::PathBuf {
    match Path::new(source).file_name() {
        Some(name) if destination.is_dir() => destination.join(name),
        _ => destination.to_owned(),
    }
}

/// `nsenter` into a container, with an environment of its own; the command is to be added.
async fn entered(client: &Client, unit: &str, container: Option<&str>) -> Result<Command> {
    let status = client.ask(&Request::Status).await?;
    let unit = unit_of(&status, unit)?;
    let container = container.unwrap_or("charm").to_owned();
    let request = Request::ContainerProcess { unit, container };
    let pid = client.ask(&request).await?.as_i64().context("cannot find the container")?;
    let mut command = Command::new("nsenter");
    command
        .args(["--target", &pid.to_string()])
        .args(["--mount", "--net", "--pid", "--uts", "--ipc", "--root"])
        .arg(format!("--wd=/proc/{pid}/root"))
        .arg("--")
        .env_clear()
        .envs(environment(pid)?)
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/charm/bin")
        .env("HOME", "/root")
        .env("LANG", "C.UTF-8")
        .env("TERM", std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned()))
        .stdin(Stdio::inherit());
    Ok(command)
}

/// What the container's first process was started with, as Kubernetes gives it to whoever
/// comes in.
fn environment(pid: i64) -> Result<Vec<(OsString, OsString)>> {
    use std::os::unix::ffi::OsStringExt;
    let bytes = std::fs::read(format!("/proc/{pid}/environ"))
        .context("cannot read the container's environment; run this as root")?;
    let entries = bytes.split(|byte| *byte == 0).filter_map(|entry| {
        let at = entry.iter().position(|byte| *byte == b'=')?;
        let text = |part: &[u8]| OsString::from_vec(part.to_vec());
        Some((text(&entry[..at]), text(&entry[at + 1..])))
    });
    Ok(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("a-b/c"), "a-b/c");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_leader_is_found_by_its_application() {
        let status =
            json!({"applications": {"a": {"units": {"a/0": {}, "a/1": {"leader": true}}}}});
        assert_eq!(unit_of(&status, "a/leader").unwrap().to_string(), "a/1");
        assert_eq!(unit_of(&status, "a/0").unwrap().to_string(), "a/0");
        assert!(unit_of(&status, "b/leader").is_err());
    }
}
