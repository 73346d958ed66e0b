//! The socket on which a unit's hook tools reach the engine.
//!
//! The other side may be any process of the charm: it may send anything, slowly or not at all. One
//! unit holds up only itself.

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use juju_hooktools::wire::{Request, Response, WireError, frame_length};
use juju_names::UnitName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use crate::daemon::engine::Engine;
use crate::daemon::state::State;
use crate::daemon::unit::exec;

/// Tools of one unit that are listened to at once; others wait in line.
const CALLERS_MAX: usize = 32;
/// How long a request may take to come, and an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(30);
/// A larger request is taken in when no other of its unit is.
const SMALL: usize = 64 << 10;

/// Makes the socket.
#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    std::fs::create_dir_all(folder)?;
    std::fs::remove_file(path).ok();
    // A socket's path has room for few letters, so the folder goes by its number.
    let folder = std::fs::File::open(folder)?;
    UnixListener::bind(Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name))
}

/// What the tools of one unit share.
struct Line {
    engine: Arc<Engine>,
    unit: UnitName,
    /// Held by who has a large request or gets an answer: one tool at a time, as with Juju.
    turn: Mutex<()>,
}

/// Answers hook tools until the task is dropped.
pub(crate) async fn serve(engine: Arc<Engine>, unit: UnitName, listener: UnixListener) {
    let line = Arc::new(Line { engine, unit, turn: Mutex::new(()) });
    let callers = Arc::new(Semaphore::new(CALLERS_MAX));
    let mut calls = tokio::task::JoinSet::new();
    loop {
        while calls.try_join_next().is_some() {}
        let Ok(place) = callers.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                line.engine.note("WARNING", &format!("cannot accept a hook tool: {error}"));
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let line = line.clone();
        calls.spawn(async move {
            // A tool that hangs up early gets no answer.
            exchange(&line, stream, place).await.ok();
        });
    }
}

/// One request and its answer. Who asked has its place until then, unless it waits for a
/// command: that waits for the hook, whose own tools need places.
async fn exchange(
    line: &Line,
    mut stream: UnixStream,
    place: tokio::sync::OwnedSemaphorePermit,
) -> io::Result<()> {
    let mut prefix = [0; 4];
    timeout(PATIENCE, stream.read_exact(&mut prefix)).await??;
    let length = match frame_length(prefix) {
        Ok(length) => length,
        Err(error) => return send(&mut stream, &refusal(&error)).await,
    };
    let mut turn = None;
    if length > SMALL {
        turn = Some(line.turn.lock().await);
    }
    let mut frame = Vec::new();
    timeout(PATIENCE, (&mut stream).take(length as u64).read_to_end(&mut frame)).await??;
    let request = match Request::parse(&frame) {
        Ok(request) => request,
        Err(error) => return send(&mut stream, &refusal(&error)).await,
    };
    drop(frame);
    if let Some((wanted, command)) = request.as_exec() {
        let turn = match turn {
            Some(turn) => turn,
            None => line.turn.lock().await,
        };
        let queued = match queue(line, wanted, command) {
            Ok(queued) => queued,
            Err(refused) => return send(&mut stream, &refused).await,
        };
        drop((turn, place, request));
        let ended = queued.ended().await;
        let response = ended.unwrap_or_else(|error| refuse(&error.to_string()));
        return send(&mut stream, &response).await;
    }
    let mut request = request;
    let large = length > SMALL;
    let ahead =
        if large { offthread::run(|| juju_hooktools::read_ahead(&mut request)) } else { Ok(()) };
    let _turn = match turn {
        Some(turn) => turn,
        None => line.turn.lock().await,
    };
    let engine = &line.engine;
    let look = || engine.with(|state| answer(state, &line.unit, &request, engine.now()));
    let response = match ahead {
        Ok(()) if large => offthread::run(look),
        Ok(()) => look(),
        Err(response) => response,
    };
    let sent = send(&mut stream, &response).await;
    if engine.with(|state| must_end(state, &request)) {
        engine.wake();
    }
    sent
}

/// Whether the hook that made the call is to be ended for it.
fn must_end(state: &State, request: &Request) -> bool {
    state.sessions.get(&request.context_id).is_some_and(juju_model::Session::must_end)
}

/// Sends an answer to who takes it in time.
async fn send(stream: &mut UnixStream, response: &Response) -> io::Result<()> {
    let bytes = response.to_bytes().or_else(|error| refusal(&error).to_bytes());
    let bytes = bytes.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    timeout(PATIENCE, stream.write_all(&bytes)).await?
}

fn refusal(reason: &WireError) -> Response {
    refuse(&reason.to_string())
}

fn refuse(reason: &str) -> Response {
    let stderr = format!("ERROR {reason}\n").into_bytes();
    Response { code: 1, stdout: Vec::new(), stderr }
}

/// `juju-exec`; a unit's socket runs commands of no other unit. The caller has the unit's turn:
/// a charm takes one thread of the engine at a time, however many commands it asks for.
fn queue(line: &Line, wanted: &str, command: &str) -> Result<exec::Queued, Response> {
    let unit = &line.unit;
    if wanted != unit.to_string() {
        let words = format!("cannot run commands of {wanted:?}: this is the agent of {unit}");
        return Err(refuse(&words));
    }
    exec::queue(&line.engine, unit, command).map_err(|error| refuse(&error.to_string()))
}

fn answer(state: &mut State, unit: &UnitName, request: &Request, now: jiff::Timestamp) -> Response {
    let State { persisted, sessions, measurements, .. } = state;
    // Another unit's context id is of no use here.
    let Request { context_id, tool, args, stdin, .. } = request;
    let session = sessions.get_mut(context_id);
    let Some(session) = session.filter(|session| session.run().unit == *unit) else {
        return refuse(&format!("bad request: bad context id {context_id:?}"));
    };
    measurements.called(context_id);
    juju_hooktools::run(&mut persisted.model.tools(session, now), tool, args, stdin.as_deref())
}
