//! `scp`: files and folders to or from a container of a unit.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::invocation::Invocation;
use super::output::tell;
use super::units::entered;
use crate::client::Client;

/// Copies a file, or with -r a folder, to or from a container of a unit.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  talisman scp -r hello/0:/var/log ./logs
  talisman scp hello/0:/etc/hostname ./name
  talisman scp --container workload ./settings hello/0:/tmp/settings")]
pub(crate) struct Scp {
    /// The container, the charm's where absent.
    #[arg(long)]
    container: Option<String>,
    /// Accepted for Juju's sake.
    #[arg(long)]
    no_host_key_checks: bool,
    /// A folder with all that is in it.
    #[arg(short, long)]
    recursive: bool,
    /// `<file>` or `<unit>:<file>`
    source: String,
    /// `<file>` or `<unit>:<file>`
    destination: String,
}

impl Scp {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, args) = (at.client()?, self);
        if args.recursive {
            return scp_folder(&client, args).await;
        }
        let container = args.container.as_deref();
        let (mut command, words) =
            match (args.source.split_once(':'), args.destination.split_once(':')) {
                (Some((unit, path)), None) => {
                    let mut command = entered(&client, unit, container, false).await?;
                    command.args(["cat", path]);
                    let target = inside(Path::new(&args.destination), path);
                    let file = File::create(&target)
                        .with_context(|| format!("cannot write {}", target.display()))?;
                    command.stdout(file);
                    (command, format!("cannot read {path} of {unit}"))
                }
                (None, Some((unit, path))) => {
                    let file = File::open(&args.source)
                        .with_context(|| format!("cannot read {}", args.source))?;
                    let name = Path::new(&args.source).file_name().unwrap_or_default();
                    let mut command = entered(&client, unit, container, false).await?;
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
        tell(&format!("left out {skipped}: it is neither a file nor a folder"));
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

/// A file's path when the destination may be a folder.
fn inside(destination: &Path, source: &str) -> std::path::PathBuf {
    match Path::new(source).file_name() {
        Some(name) if destination.is_dir() => destination.join(name),
        _ => destination.to_owned(),
    }
}
