//! The page for people: the model, its hooks and its log, live, on a loopback port.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::Stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::daemon::engine::Engine;
use crate::daemon::state::State;

/// The shortest time between two updates.
const PAUSE: Duration = Duration::from_millis(200);
/// Lines of the log in one update.
const LINES_MAX: usize = 500;
/// Only what the engine itself serves may run on the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; \
                      connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Serves the page at a loopback address until the engine stops; the answer is its URL.
///
/// The path begins with a key that cannot be guessed: other users of this machine reach the port,
/// and so do pages of other sites in a browser.
pub(crate) async fn serve(engine: &Arc<Engine>, port: u16) -> std::io::Result<String> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    let key = format!("{:032x}", rand::random::<u128>());
    let router = Router::new()
        .route(&format!("/{key}/"), get(|| file(INDEX)))
        .route(&format!("/{key}/page.js"), get(|| file(SCRIPT)))
        .route(&format!("/{key}/events"), get(events))
        .with_state(engine.clone());
    let stopping = engine.clone();
    tokio::spawn(async move {
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(async move { stopping.stopped().await });
        if let Err(error) = served.await {
            tracing::warn!("cannot serve the page: {error}");
        }
    });
    Ok(format!("http://{address}/{key}/"))
}

type File = (&'static str, &'static str);
const INDEX: File = ("text/html; charset=utf-8", include_str!("page/index.html"));
const SCRIPT: File = ("text/javascript; charset=utf-8", include_str!("page/page.js"));

async fn file((kind, text): File) -> Response {
    let mut response = text.into_response();
    let headers: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What a reader of the events has seen.
struct Reader {
    engine: Arc<Engine>,
    changes: tokio::sync::watch::Receiver<u64>,
    log: u64,
    hooks: u64,
    state: Value,
    /// Events that wait to be sent.
    waiting: std::collections::VecDeque<(&'static str, Value)>,
    first: bool,
}

async fn events(
    extract::State(engine): extract::State<Arc<Engine>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let changes = engine.changes();
    let reader = Reader {
        engine,
        changes,
        log: 0,
        hooks: 0,
        state: Value::Null,
        waiting: std::collections::VecDeque::new(),
        first: true,
    };
    let stream = futures_util::stream::unfold(reader, |mut reader| async {
        let (name, value) = reader.next().await?;
        Some((Ok(Event::default().event(name).data(value.to_string())), reader))
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}

impl Reader {
    /// The next event; `None` when the engine stops.
    async fn next(&mut self) -> Option<(&'static str, Value)> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if !std::mem::take(&mut self.first) {
                tokio::select! {
                    changed = self.changes.changed() => changed.ok()?,
                    () = self.engine.stopped() => return None,
                }
                tokio::time::sleep(PAUSE).await;
            }
            self.changes.mark_unchanged();
            self.gather();
        }
    }

    fn gather(&mut self) {
        let engine = self.engine.clone();
        let (state, hooks, log) = engine.with(|state| {
            (
                model(state),
                state.measurements.timeline_after(self.hooks),
                state.log.last_after(self.log, LINES_MAX),
            )
        });
        if let Some(last) = hooks.last() {
            self.hooks = last.number;
            self.waiting.push_back(("hooks", json!(hooks)));
        }
        if let Some(last) = log.last() {
            self.log = last.position;
            self.waiting.push_back(("log", json!(log)));
        }
        if state != self.state {
            self.state = state.clone();
            self.waiting.push_back(("state", state));
        }
    }
}

/// Statuses, units and relations: no options, no databags, no results, no secrets.
fn model(state: &State) -> Value {
    let model = &state.persisted.model;
    let unit = |unit: &juju_model::Unit| {
        let status = unit.status();
        json!({
            "name": unit.name,
            "status": status.status,
            "message": status.message,
            "agent": unit.agent.status,
            "address": unit.address,
            "leader": model.is_leader(&unit.name),
        })
    };
    let application = |app: &juju_model::Application| {
        let units: Vec<Value> = model.units(&app.name).map(unit).collect();
        let status = model.app_status(&app.name).map(|status| status.status);
        (app.name.to_string(), json!({"status": status, "units": units}))
    };
    let relations = model.relations().filter(|relation| relation.ends.len() > 1);
    let relations = relations.map(|relation| {
        let ends: Vec<_> = relation.ends.iter().map(|end| &end.app).collect();
        json!({"ends": ends, "interface": relation.ends.first().map(|end| &end.interface)})
    });
    json!({
        "model": model.name(),
        "applications":
            model.applications().map(application).collect::<serde_json::Map<_, _>>(),
        "relations": relations.collect::<Vec<_>>(),
    })
}
