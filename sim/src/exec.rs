//! Commands in a container: Pebble's web sockets, over pipes in memory.

use futures_util::{SinkExt as _, StreamExt as _};
use http1::Stream;
use tokio::io::DuplexStream;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

/// What fits into a pipe, in bytes.
const PIPE: usize = 4 << 10;

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
    let Ok(mut socket) = accept_hdr_async(far, note).await else { return };
    let name = path.rsplit('/').next().unwrap_or_default();
    // Whoever hangs up early has died, and needs no answer.
    if name == "stdio" {
        socket.send(Message::Binary(output.into_bytes().into())).await.ok();
    }
    if name != "control" {
        socket.send(Message::text(r#"{"command":"end"}"#)).await.ok();
    }
    while let Some(Ok(_)) = socket.next().await {}
}
