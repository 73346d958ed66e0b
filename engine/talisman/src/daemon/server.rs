//! The daemon's socket for the command line.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::routing::post;
use tokio::net::UnixListener;

use super::engine::Engine;
use super::verbs;
use crate::api::{Answer, Request};

/// Answers requests until the engine stops.
pub(crate) async fn serve(engine: &Arc<Engine>) -> std::io::Result<()> {
    let path = engine.paths.socket();
    std::fs::remove_file(&path).ok();
    let listener = UnixListener::bind(&path)?;
    // Whoever may use this socket may do anything on this machine's pods: root only.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let router = axum::Router::new().route("/v1/call", post(call)).with_state(engine.clone());
    let stopping = engine.clone();
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { stopping.stopped().await })
        .await
}

async fn call(State(engine): State<Arc<Engine>>, Json(request): Json<Request>) -> Json<Answer> {
    Json(match verbs::answer(&engine, request).await {
        Ok(value) => Answer::Done(value),
        Err(error) => Answer::Refused(error.to_string()),
    })
}
