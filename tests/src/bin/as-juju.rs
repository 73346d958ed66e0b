//! Stands in for the engine's program where scenarios are to run on a real Juju: `make test-juju`
//! names it in `TALISMAN_PROGRAM`, and Juju's own program in `TALISMAN_REAL_JUJU`.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use end_to_end::juju::{Step, registry, steps};
use end_to_end::root;

/// How long a forwarded port may take until it answers.
const FORWARD_BOUND: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let code = act().unwrap_or_else(|error| {
        // A reader that has closed it wants no more.
        writeln!(std::io::stderr(), "ERROR {error:#}").ok();
        1
    });
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Does what the command line means, up to the first step that fails.
fn act() -> Result<i32> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let model = match arguments.as_slice() {
        [flag, model, ..] if flag == "--instance" => Some(model.as_str()),
        _ => None,
    };
    for step in steps(&arguments, registry().as_deref())? {
        let code = match step {
            Step::Juju(words) => juju(model, &words)?,
            Step::Engine(words) => run(Command::new(root().join("talisman")).args(words))?,
            Step::Image { file, name } => write(&file, &format!("registrypath: {name}\n"))?,
            Step::Forward { model, port, service, target } => {
                forward(&model, &port, &service, &target)?
            }
            Step::EndForwards(model) => end_forwards(&model)?,
        };
        if code != 0 {
            return Ok(code);
        }
    }
    Ok(0)
}

fn juju(model: Option<&str>, words: &[String]) -> Result<i32> {
    let program =
        std::env::var_os("TALISMAN_REAL_JUJU").context("TALISMAN_REAL_JUJU names no program")?;
    let mut command = Command::new(program);
    // A verb that makes or ends a model must not be in it.
    let about_models = ["add-model", "destroy-model"].map(str::to_owned);
    if let Some(model) = model.filter(|_| !words.first().is_some_and(|v| about_models.contains(v)))
    {
        command.env("JUJU_MODEL", model);
    }
    run(command.args(words))
}

fn run(command: &mut Command) -> Result<i32> {
    let name = command.get_program().to_owned();
    let status = command.status().with_context(|| format!("cannot run {}", name.display()))?;
    Ok(status.code().unwrap_or(1))
}

fn write(file: &Path, text: &str) -> Result<i32> {
    let failed = || format!("cannot write {}", file.display());
    fs::create_dir_all(file.parent().context("no folder")?).with_context(failed)?;
    fs::write(file, text).with_context(failed)?;
    Ok(0)
}

/// Where it is noted which processes forward a model's ports.
fn forwards(model: &str) -> PathBuf {
    root().join("target/juju/forwards").join(model)
}

fn forward(model: &str, port: &str, service: &str, target: &str) -> Result<i32> {
    let child = Command::new("kubectl")
        .args(["--namespace", model, "port-forward", &format!("service/{service}")])
        .arg(format!("{port}:{target}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run kubectl, which forwards ports of a cluster; install it")?;
    let noted = fs::read_to_string(forwards(model)).unwrap_or_default();
    write(&forwards(model), &format!("{noted}{}\n", child.id()))?;
    let (number, end) = (port.parse::<u16>()?, Instant::now() + FORWARD_BOUND);
    while TcpStream::connect((Ipv4Addr::LOCALHOST, number)).is_err() {
        ensure!(Instant::now() < end, "port {port} does not lead to {service}:{target}");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(0)
}

fn end_forwards(model: &str) -> Result<i32> {
    let Ok(noted) = fs::read_to_string(forwards(model)) else { return Ok(0) };
    for process in noted.lines() {
        let line = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
        // Its number may be another's by now.
        if line.contains("\0port-forward\0") && run(Command::new("kill").arg(process))? != 0 {
            bail!("cannot end process {process}, which forwards a port of {model}");
        }
    }
    fs::remove_file(forwards(model))?;
    Ok(0)
}
