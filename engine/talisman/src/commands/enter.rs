//! `exec`, `ssh` and `scp`: commands and files in a unit's containers.

use std::fs::File;
use std::io::{IsTerminal, Write};
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
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let mut command = entered(client, target, args.container.as_deref(), terminal).await?;
    if words.is_empty() {
        command.args(["/bin/sh", "-c", "exec $(command -v bash || command -v sh)"]);
    } else {
        command.args(["/bin/sh", "-c", &words.join(" ")]);
    }
    Err(command.exec()).context("cannot run runc: install it")
}

/// `scp -r` out of a container. What comes is the container's to choose, so nothing but plain
/// files and folders of it is made here.
async fn scp_folder_out(client: &Client, args: &Scp, unit: &str, path: &str) -> Result<()> {
    let mut from = entered(client, unit, args.container.as_deref(), false).await?;
    from.args(packing(path)).stdout(Stdio::piped());
    std::fs::create_dir_all(&args.destination)
        .with_context(|| format!("cannot make the folder {}", args.destination))?;
    let mut packer = from.spawn().context("cannot run runc: install it")?;
    let archive = packer.stdout.take().context("cannot read the archive")?;
    let unpacked = super::unpack::unpack(archive, Path::new(&args.destination));
    let packed = packer.wait()?.success();
    for skipped in unpacked? {
        super::tell(&format!("left out {skipped}: it is neither a file nor a folder"));
    }
    if !packed {
        bail!("cannot copy {} to {}", args.source, args.destination);
    }
    Ok(())
}

/// `scp -r`: a folder as an archive, one way.
async fn scp_folder(client: &Client, args: Scp) -> Result<()> {
    let container = args.container.as_deref();
    let (mut from, mut to) = match (args.source.split_once(':'), args.destination.split_once(':')) {
        (Some((unit, path)), None) => return scp_folder_out(client, &args, unit, path).await,
        (None, Some((unit, path))) => {
            let mut from = Command::new("tar");
            from.args(&packing(&args.source)[1..]);
            let mut to = entered(client, unit, container, false).await?;
            let script = "mkdir -p \"$1\" && exec tar -x --no-same-owner -C \"$1\"";
            to.args(["/bin/sh", "-c", script, "sh", path]);
            (from, to)
        }
        _ => bail!("cannot copy: exactly one of the two is <unit>:<folder>"),
    };
    let mut packer = from.stdout(Stdio::piped()).spawn().context("cannot run runc: install it")?;
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
            let mut command = entered(client, unit, container, false).await?;
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
            let mut command = entered(client, unit, container, false).await?;
            let script = "if [ -d \"$1\" ]; then cat >\"$1/$2\"; else cat >\"$1\"; fi";
            command.args(["/bin/sh", "-c", script, "sh", path]).arg(name).stdin(file);
            (command, format!("cannot write {path} of {unit}"))
        }
        _ => bail!("cannot copy: exactly one of the two is <unit>:<file>"),
    };
    if !command.status().context("cannot run runc: install it")?.success() {
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

/// A command line into a container, as `kubectl exec` enters one: with the rights and bounds of
/// the container, nothing of this process open, and a terminal of the container's own. The
/// program and its arguments are to be added.
async fn entered(
    client: &Client,
    unit: &str,
    container: Option<&str>,
    terminal: bool,
) -> Result<Command> {
    let status = client.ask(&Request::Status).await?;
    let unit = unit_of(&status, unit)?;
    let container = container.unwrap_or("charm").to_owned();
    let way = client.ask(&Request::EnterContainer { unit, container }).await?;
    let (words, container): (Vec<String>, String) =
        serde_json::from_value(way).context("cannot find the container")?;
    let (program, words) = words.split_first().context("cannot find the container")?;
    let term = std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned());
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/charm/bin";
    let mut command = Command::new(program);
    command.args(words);
    for (key, value) in
        [("PATH", path), ("HOME", "/root"), ("LANG", "C.UTF-8"), ("TERM", term.as_str())]
    {
        command.args(["--env", &format!("{key}={value}")]);
    }
    if terminal {
        command.arg("--tty");
    }
    command.arg(container).stdin(Stdio::inherit());
    Ok(command)
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
