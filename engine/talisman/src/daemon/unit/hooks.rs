//! One hook, from the model's decision to its commit.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use juju_model::{Hook, HookOutcome, HookRun, Session, Unit};
use juju_names::UnitName;
use node::{HookCommand, Line, Pod, UnitPod};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use crate::daemon::charms;
use crate::daemon::engine::Engine;
use crate::daemon::measure::Ran;
use crate::daemon::state::State;
use crate::daemon::unit::exec;
use crate::daemon::unit::stale_hooks;

/// The variable that makes charms of this project's framework report what they cost.
const TRACE: &str = "TALISMAN_TRACE_TOOLS";

/// What a command is called by, as in Juju, whose agent writes it into a script.
const SCRIPT: &str = "/tmp/juju-exec/script.sh";

/// The version of Kubernetes whose API the engine serves.
const API_VERSION: &str = "1.34.0";

/// A unit whose pod runs.
pub(crate) struct Agent {
    pub(crate) unit: UnitName,
    pub(crate) layout: UnitPod,
    pub(super) pod: Pod,
    pub(crate) api_port: u16,
}

impl Agent {
    /// The pod as it runs now, containers included that were started again.
    pub(crate) fn pod(&self, engine: &Engine) -> Pod {
        engine.node.pod(self.pod.name()).unwrap_or_else(|| self.pod.clone())
    }
}

/// Runs a hook in the unit's charm container and commits or drops what it wrote.
pub(crate) async fn run(engine: &Arc<Engine>, agent: &Agent, run: HookRun) {
    let first = Instant::now();
    let now = engine.now();
    let begin = |state: &mut State| {
        let environment = state.persisted.model.environment(&run);
        let session = state.persisted.model.begin(&run, now);
        state.sessions.insert(run.context_id.clone(), session);
        if let Hook::Exec { id, .. } = run.hook {
            exec::begun(state, id, now);
        }
        let charm =
            state.persisted.model.application(run.unit.app()).map(|app| app.charm.name.clone());
        (environment, charm.unwrap_or_default())
    };
    // A hook that a crash forgets is begun again. An action is not: that it began must last.
    let begun = match run.hook {
        Hook::Action { .. } => engine.commit(begin),
        _ => Ok(engine.with_wake(begin)),
    };
    let (environment, charm) = match begun {
        Ok(begun) => begun,
        Err(error) => return engine.note("ERROR", &format!("cannot begin a hook: {error}")),
    };
    let started = Instant::now();
    let outcome = process(engine, agent, &run, with_paths(environment, agent)).await;
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    let name = run.hook.name();
    if commit(engine, run, outcome, &charm, milliseconds) {
        charms::sweep(engine).await;
    }
    let whole = first.elapsed().as_secs_f64() * 1000.0;
    engine.with(|state| state.measurements.took(&charm, &name, whole));
}

/// Whether an application that waited for this hook has gone.
fn commit(
    engine: &Engine,
    run: HookRun,
    outcome: HookOutcome,
    charm: &str,
    milliseconds: f64,
) -> bool {
    let now = engine.now();
    let context = run.context_id.clone();
    let name = run.hook.name();
    let unit = run.unit.clone();
    let mut has_gone = false;
    let done = engine.commit(|state| {
        let Some(session) = state.sessions.remove(&context) else { return Ok(false) };
        let exec = match &run.hook {
            Hook::Exec { id, .. } => Some(*id),
            _ => None,
        };
        let before = state.persisted.model.storage().count();
        let apps = state.persisted.model.applications().count();
        let ended = state.persisted.model.finish(run, session, outcome, now);
        has_gone = state.persisted.model.applications().count() < apps;
        if has_gone {
            charms::forget(state);
        }
        let grown = state.persisted.model.storage().count() > before;
        if let Some(id) = exec {
            exec::ended(state, id, outcome, ended.as_ref().err().map(ToString::to_string));
        }
        let succeeded = ended.is_ok() && outcome == HookOutcome::Exited(0);
        let (unit, hook) = (unit.clone(), name.clone());
        let ran = Ran { number: 0, at: now, unit, hook, milliseconds, calls: 0, succeeded };
        state.measurements.ran(charm, &context, ran);
        ended.map(|()| grown)
    });
    match done {
        // A volume is mounted when the pod starts, so one that was added wants a new pod.
        Ok(Ok(true)) => crate::daemon::unit::replace::begin(engine, &unit),
        Ok(Ok(false)) => {}
        Ok(Err(error)) => engine.note("ERROR", &format!("cannot commit {name} of {unit}: {error}")),
        Err(error) => engine.note("ERROR", &format!("cannot keep {name} of {unit}: {error}")),
    }
    has_gone
}

/// Starts the charm's program and follows its output to the end.
async fn process(
    engine: &Arc<Engine>,
    agent: &Agent,
    run: &HookRun,
    environment: BTreeMap<String, String>,
) -> HookOutcome {
    let argv = match &run.hook {
        Hook::Exec { command, .. } => {
            ["/bin/bash", "-c", command, SCRIPT].map(str::to_owned).to_vec()
        }
        hook => match offthread::run(|| program(&agent.layout, hook)) {
            Ok(Some(program)) => vec![program],
            Ok(None) => return HookOutcome::NotImplemented,
            Err(error) => {
                let words = format!("cannot look for a hook of {}: {error}", run.unit);
                engine.note("ERROR", &words);
                return HookOutcome::Killed;
            }
        },
    };
    let command = HookCommand { argv, env: environment, cwd: agent.layout.charm_dir() };
    let pod = agent.pod(engine);
    let ended = match pod.exec(UnitPod::CHARM, &command).await {
        Ok(running) => tokio::select! {
            ended = running.wait(|line| output(engine, run, line)) => ended,
            // Whoever lets go of a process ends it.
            () = must_end(engine, run) => return HookOutcome::Killed,
        },
        Err(error) => {
            engine.note("ERROR", &error.to_string());
            return HookOutcome::Killed;
        }
    };
    match ended.map(|status| status.code()) {
        Ok(Some(code)) => HookOutcome::Exited(code),
        Ok(None) => HookOutcome::Killed,
        Err(error) => {
            engine.note("ERROR", &format!("cannot follow a hook of {}: {error}", run.unit));
            // It may go on, and its result is lost.
            stale_hooks::end(&pod).await;
            HookOutcome::Killed
        }
    }
}

/// Ends when the hook itself asks for its end, or its unit is to leave without another hook.
async fn must_end(engine: &Engine, run: &HookRun) {
    let mut changes = engine.changes();
    loop {
        changes.mark_unchanged();
        let must = |state: &mut State| {
            let asks = state.sessions.get(&run.context_id).is_some_and(Session::must_end);
            asks || state.persisted.model.unit(&run.unit).is_some_and(Unit::is_rushed)
        };
        if engine.with(must) {
            return;
        }
        if changes.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

/// One line that the charm printed: for the log, and for an action's results.
fn output(engine: &Engine, run: &HookRun, line: Line) {
    let now = engine.now();
    let logger = format!("unit.{}.{}", run.unit, run.hook.name());
    let (level, text) = match &line {
        Line::Out(text) => ("DEBUG", text),
        Line::Err(text) => ("WARNING", text),
        // Of a hook and an action Juju's agent reads whole lines only.
        Line::Rest { out, bytes } => return rest(engine, run, *out, bytes),
    };
    engine.with(|state| {
        // What a command prints is for who ran it; it may be a secret.
        if !matches!(run.hook, Hook::Exec { .. }) {
            state.log.push(now, &run.unit.tag(), level, &logger, text);
        }
        if let Some(kib) = reported_memory(text) {
            state.measurements.used(&run.context_id, kib);
        }
        if let Hook::Exec { id, .. } = run.hook {
            let bytes = format!("{text}\n").into_bytes();
            match &line {
                Line::Err(_) => exec::output(state, id, b"", &bytes),
                _ => exec::output(state, id, &bytes, b""),
            }
        }
        if let Some(session) = state.sessions.get_mut(&run.context_id) {
            let bytes = format!("{text}\n");
            match &line {
                Line::Err(_) => session.output(b"", bytes.as_bytes()),
                _ => session.output(bytes.as_bytes(), b""),
            }
        }
    });
}

/// What came after the last line's end, which only who gave the command gets.
fn rest(engine: &Engine, run: &HookRun, out: bool, bytes: &[u8]) {
    let Hook::Exec { id, .. } = run.hook else { return };
    let (stdout, stderr): (&[u8], &[u8]) = if out { (bytes, b"") } else { (b"", bytes) };
    engine.with(|state| exec::output(state, id, stdout, stderr));
}

/// The peak memory in a traced charm's last line.
fn reported_memory(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("Hook tools: ")?;
    rest.split_once("peak memory ")?.1.split_once(" KiB")?.0.parse().ok()
}

/// `dispatch`, or the hook's own file in charms older than it; as the charm container sees it.
#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
fn program(layout: &UnitPod, hook: &Hook) -> io::Result<Option<String>> {
    let path = hook.dispatch_path();
    let folder = std::fs::File::open(&layout.agent_dir)?;
    for file in ["dispatch", path.as_str()] {
        if has(&folder, &Path::new("charm").join(file))? {
            return Ok(Some(layout.charm_dir().join(file).display().to_string()));
        }
    }
    Ok(None)
}

/// Whether there is such a file in a folder that a container writes to. What lies elsewhere, by
/// way of links, is not there; where the file itself leads is for the container to say.
fn has(folder: &impl AsFd, file: &Path) -> io::Result<bool> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match openat2(folder, file, flags, Mode::empty(), resolve) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Adds what only the engine knows: folders, the tools' socket, the Kubernetes API.
fn with_paths(
    known: BTreeMap<Cow<'static, str>, String>,
    agent: &Agent,
) -> BTreeMap<String, String> {
    let mut environment: BTreeMap<String, String> =
        known.into_iter().map(|(name, value)| (name.into_owned(), value)).collect();
    let layout = &agent.layout;
    let charm = layout.charm_dir().display().to_string();
    let socket = layout.seen_agent_dir().join("agent.socket").display().to_string();
    let tools = layout.seen_tools_dir().display().to_string();
    let port = agent.api_port.to_string();
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/charm/bin";
    let api = format!("tcp://{}:{port}", node::ENGINE);
    let own = [
        ("CHARM_DIR", charm.clone()),
        ("CLOUD_API_VERSION", API_VERSION.to_owned()),
        ("KUBERNETES_PORT", api.clone()),
        ("JUJU_CHARM_DIR", charm),
        ("JUJU_AGENT_SOCKET_NETWORK", "unix".to_owned()),
        ("JUJU_AGENT_SOCKET_ADDRESS", socket),
        ("KUBERNETES_SERVICE_HOST", node::ENGINE.to_string()),
        ("KUBERNETES_SERVICE_PORT", port.clone()),
        ("KUBERNETES_SERVICE_PORT_HTTPS", port),
        ("PATH", format!("{tools}:{path}")),
        ("LANG", "C.UTF-8".to_owned()),
        ("TERM", "tmux-256color".to_owned()),
    ];
    environment.extend(own.map(|(key, value)| (key.to_owned(), value)));
    // As kubelet gives them to every container, for links between containers.
    let link = |part: &str| format!("KUBERNETES_PORT_{}_TCP{part}", agent.api_port);
    environment.extend([
        (link(""), api),
        (link("_ADDR"), node::ENGINE.to_string()),
        (link("_PORT"), agent.api_port.to_string()),
        (link("_PROTO"), "tcp".to_owned()),
    ]);
    // Measuring only: with this in the daemon's own environment, charms report what they cost.
    if std::env::var_os(TRACE).is_some() {
        environment.insert(TRACE.to_owned(), "1".to_owned());
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_charm_that_is_a_link_tells_nothing_of_this_machine() {
        let top = tempfile::tempdir().unwrap();
        let agent = top.path().join("agent");
        std::fs::create_dir_all(agent.join("charm/hooks")).unwrap();
        std::fs::write(agent.join("charm/hooks/start"), "").unwrap();
        std::fs::write(top.path().join("dispatch"), "").unwrap();
        symlink("/no/such/place", agent.join("charm/dispatch")).unwrap();
        symlink("charm", agent.join("own")).unwrap();
        symlink("..", agent.join("out")).unwrap();
        symlink(top.path(), agent.join("whole")).unwrap();
        let folder = std::fs::File::open(&agent).unwrap();
        for (file, want) in [
            ("charm/dispatch", true),
            ("charm/hooks/start", true),
            ("own/hooks/start", true),
            ("charm/hooks/stop", false),
            ("charm/hooks/start/x", false),
            ("out/dispatch", false),
            ("whole/dispatch", false),
            ("../dispatch", false),
        ] {
            assert_eq!(has(&folder, Path::new(file)).unwrap(), want, "{file}");
        }
    }
}
