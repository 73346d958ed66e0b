//! The daemon's socket for the command line.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use tokio::net::UnixListener;

use crate::api::{Answer, Refusal, RefusalKind, Request};
use crate::daemon::engine::Engine;
use crate::daemon::requests;

/// The largest request: a file of options or parameters, with room for escapes.
const REQUEST_MAX: usize = 32 << 20;
/// The largest answer, which the command line takes as well.
const ANSWER_MAX: usize = http1_client::BODY_BYTES_MAX;

/// Answers requests until the engine stops.
#[allow(clippy::disallowed_methods, reason = "called off the threads that answer")]
pub(crate) async fn serve(engine: &Arc<Engine>) -> std::io::Result<()> {
    let path = engine.paths.socket();
    let listener = offthread::run(|| {
        std::fs::remove_file(&path).ok();
        let listener = UnixListener::bind(&path)?;
        // This socket gives every right over this machine's pods: root only.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok::<_, std::io::Error>(listener)
    })?;
    let router = axum::Router::new()
        .route("/v1/call", post(call))
        .layer(DefaultBodyLimit::max(REQUEST_MAX))
        .with_state(engine.clone());
    let stopping = engine.clone();
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { stopping.stopped().await })
        .await
}

async fn call(
    State(engine): State<Arc<Engine>>,
    request: Result<Json<Request>, JsonRejection>,
) -> impl IntoResponse {
    let answer = match request {
        Ok(Json(request)) => match requests::answer(&engine, request).await {
            Ok(value) => Answer::Done(value),
            Err(error) => Answer::Refused(error.refusal()),
        },
        Err(error) => refused(format!(
            "cannot take the request: {}; at most {REQUEST_MAX} bytes are taken",
            error.body_text()
        )),
    };
    ([(CONTENT_TYPE, "application/json")], body(&answer))
}

fn refused(words: String) -> Answer {
    Answer::Refused(Refusal { kind: RefusalKind::Other, words })
}

/// An answer in JSON, or why it cannot be given.
fn body(answer: &Answer) -> Vec<u8> {
    match serde_json::to_vec(answer) {
        Ok(bytes) if bytes.len() <= ANSWER_MAX => bytes,
        Ok(bytes) => body(&refused(format!(
            "cannot show all of it: it has {} bytes, and at most {ANSWER_MAX} are shown; ask for less",
            bytes.len()
        ))),
        Err(error) => error.to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_never_larger_than_what_its_reader_takes() {
        let long = serde_json::Value::from("x".repeat(ANSWER_MAX));
        let said: Answer = serde_json::from_slice(&body(&Answer::Done(long))).unwrap();
        let Answer::Refused(refusal) = said else { panic!("it was given") };
        assert!(refusal.words.starts_with("cannot show all of it: it has 671088"), "{refusal}");
    }
}
