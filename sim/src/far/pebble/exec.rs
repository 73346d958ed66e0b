//! Commands in a container: Pebble's web sockets, over pipes in memory.

use futures_util::{SinkExt as _, StreamExt as _};
use http1_client::Stream;
use serde_json::Value;
use tokio::io::DuplexStream;
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::far::disk::{Disk, Folder, Owner};
use crate::far::pgbouncer::trial;
use crate::far::postgresql;

use super::container::Container;

/// What fits into a pipe, in bytes.
const PIPE: usize = 4 << 10;

/// What a command prints and its code, or why it is not run.
pub(crate) fn run(container: &mut Container, request: &Value) -> Result<(String, u8), String> {
    let program = request["command"][0].as_str().unwrap_or_default();
    let printed = match program {
        "/usr/sbin/pgbouncer" => format!("PgBouncer {}\n", container.version()),
        _ if program == format!("/usr/lib/postgresql/{}/bin/postgres", postgresql::MAJOR) => {
            "5432\n".to_owned()
        }
        "sh" => tried(container, request)?,
        "chown" => change(&mut container.disk, request, |folder| folder.owner = Owner::Postgres),
        "chmod" => change(&mut container.disk, request, |folder| folder.mode |= 0o700),
        "mv" => rename(&mut container.disk, request)?,
        // No file of a volume is ever another's.
        "find" | "true" | "false" => String::new(),
        _ => return Err(format!("cannot find executable \"{program}\"")),
    };
    match request["user"].as_str() {
        Some(user) if Owner::named(user).is_none() => Err(format!("user: unknown user {user}")),
        _ => Ok((printed, u8::from(program == "false"))),
    }
}

/// Changes the folders among a command's arguments; it prints nothing.
fn change(disk: &mut Disk, request: &Value, how: impl Fn(&mut Folder)) -> String {
    let words = request["command"].as_array().map_or(&[][..], Vec::as_slice);
    for path in words.iter().filter_map(Value::as_str).filter(|word| word.starts_with('/')) {
        if let Some(mut folder) = disk.folder(path) {
            how(&mut folder);
            disk.folders.insert(path.to_owned(), folder);
        }
    }
    String::new()
}

/// Gives a folder another name, which nothing has.
fn rename(disk: &mut Disk, request: &Value) -> Result<String, String> {
    let words = request["command"].as_array().map_or(&[][..], Vec::as_slice);
    let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
    let ["mv", "-T", from, to] = words.as_slice() else {
        return Err("no simulation of such a command".to_owned());
    };
    if disk.folder(from).is_none() || disk.folder(to).is_some() {
        return Err("no simulation of a folder that stays".to_owned());
    }
    let renamed = |path: &str| {
        let rest = path.strip_prefix(from)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("{to}{rest}"))
    };
    disk.files = std::mem::take(&mut disk.files)
        .into_iter()
        .map(|(path, file)| (renamed(&path).unwrap_or(path), file))
        .collect();
    disk.folders = std::mem::take(&mut disk.folders)
        .into_iter()
        .map(|(path, folder)| (renamed(&path).unwrap_or(path), folder))
        .collect();
    Ok(String::new())
}

/// What PgBouncer's program says when a shell has it read each of its arguments.
fn tried(container: &Container, request: &Value) -> Result<String, String> {
    let words = request["command"].as_array().map_or(&[][..], Vec::as_slice);
    let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
    match words.as_slice() {
        ["sh", "-c", script, "sh", texts @ ..] if script.contains("/usr/sbin/pgbouncer") => {
            let version = container.version();
            Ok(texts.iter().map(|text| trial(text, version)).collect())
        }
        _ => Err("no simulation of a shell".to_owned()),
    }
}

/// One web socket of a command that prints this and ends.
pub(crate) fn dial(output: String) -> Box<dyn Stream> {
    let (near, far) = tokio::io::duplex(PIPE);
    tokio::spawn(serve(far, output));
    Box::new(near)
}

/// Prints on the socket of the output, keeps the control socket open, closes the others.
async fn serve(far: DuplexStream, output: String) {
    let mut path = String::new();
    #[expect(clippy::result_large_err, reason = "the library's own signature")]
    let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        request.uri().path().clone_into(&mut path);
        Ok(response)
    };
    let small = Some(WebSocketConfig::default().read_buffer_size(PIPE));
    let accepted = accept_hdr_async_with_config(far, note, small).await;
    let Ok(mut socket) = accepted else { return };
    let name = path.rsplit('/').next().unwrap_or_default();
    // A hook that hangs up early has died, and needs no answer.
    if name == "stdio" {
        socket.send(Message::Binary(output.into_bytes().into())).await.ok();
    }
    if name != "control" {
        socket.send(Message::text(r#"{"command":"end"}"#)).await.ok();
    }
    while let Some(Ok(_)) = socket.next().await {}
}
