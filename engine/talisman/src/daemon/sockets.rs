//! The socket on which a unit's hook tools reach the engine.

use std::path::Path;
use std::sync::Arc;

use hooktools::wire::{Request, Response, frame_length};
use names::UnitName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::engine::{Engine, Inner};
use super::execs;

/// Makes the socket.
pub(crate) fn listen(path: &Path) -> std::io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::remove_file(path).ok();
    UnixListener::bind(path)
}

/// Answers hook tools until the task is dropped.
pub(crate) async fn serve(engine: Arc<Engine>, unit: UnitName, listener: UnixListener) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                engine.note("WARNING", &format!("cannot accept a hook tool: {error}"));
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let (engine, unit) = (engine.clone(), unit.clone());
        tokio::spawn(async move {
            // A tool that hangs up early has nobody left to tell.
            exchange(&engine, &unit, stream).await.ok();
        });
    }
}

async fn exchange(engine: &Engine, unit: &UnitName, mut stream: UnixStream) -> std::io::Result<()> {
    let invalid = |error: hooktools::wire::WireError| {
        std::io::Error::new(std::io::ErrorKind::InvalidData, error)
    };
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).await?;
    let mut frame = vec![0; frame_length(prefix).map_err(invalid)?];
    stream.read_exact(&mut frame).await?;
    let request = Request::parse(&frame).map_err(invalid)?;
    let response = match request.as_exec() {
        Some((wanted, command)) => exec(engine, unit, wanted, command).await,
        None => engine.look(|inner| answer(inner, unit, &request, engine.now())),
    };
    stream.write_all(&response.to_bytes().map_err(invalid)?).await
}

/// `juju-exec`; a unit's socket runs commands of no other unit.
async fn exec(engine: &Engine, unit: &UnitName, wanted: &str, command: &str) -> Response {
    let refuse = |reason: String| Response {
        code: 1,
        stdout: Vec::new(),
        stderr: format!("ERROR {reason}\n").into_bytes(),
    };
    if wanted != unit.to_string() {
        return refuse(format!("cannot run commands of {wanted:?}: this is the agent of {unit}"));
    }
    match execs::run(engine, unit, command).await {
        Ok(response) => response,
        Err(error) => refuse(error.to_string()),
    }
}

fn answer(inner: &mut Inner, unit: &UnitName, request: &Request, now: jiff::Timestamp) -> Response {
    let Inner { kept, sessions, measurements, .. } = inner;
    // Whoever learns another unit's context id cannot use it from here.
    let session = sessions.get_mut(&request.context_id);
    let Some(session) = session.filter(|session| session.run().unit == *unit) else {
        let words = format!("ERROR bad request: bad context id {:?}\n", request.context_id);
        return Response { code: 1, stdout: Vec::new(), stderr: words.into_bytes() };
    };
    measurements.called(&request.context_id);
    let call = hooktools::Call {
        tool: request.tool.clone(),
        args: request.args.clone(),
        stdin: request.stdin.clone(),
    };
    let output = hooktools::run(&mut kept.model.tools(session, now), &call);
    Response { code: output.code, stdout: output.stdout, stderr: output.stderr }
}
