//! The way from a charm to the Pebble of its pod.

use std::fmt::{Display, Formatter};
use std::io;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use http1_client::{Body, Boxed, Method, Request, Response, Stream, Transport, decode};
use juju_names::UnitName;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::World;
use crate::far::pebble::{self, Answer, files, response};
use crate::far::{NEVER, patroni};
use crate::fault::{Fault, Port};
use crate::mutant;

/// The way to one unit's Pebble.
pub(crate) struct Socket {
    pub(crate) world: Arc<World>,
    pub(crate) unit: UnitName,
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "Socket({self})")
    }
}

impl Display for Socket {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "the Pebble of {}", self.unit)
    }
}

impl Transport for Socket {
    fn dial(&self) -> Boxed<'_, io::Result<Box<dyn Stream>>> {
        let printed = self.world.change(|state| {
            let container = state.far.pods.get_mut(&self.unit)?.container.as_mut()?;
            Some(container.printed.clone())
        });
        Box::pin(async move { Ok(pebble::dial(printed.unwrap_or_default())) })
    }

    fn send(&self, request: Request<Body>) -> Boxed<'_, Result<Response, http1_client::Error>> {
        Box::pin(self.answer(request))
    }
}

impl Socket {
    async fn answer(&self, request: Request<Body>) -> Result<Response, http1_client::Error> {
        let refused =
            || http1_client::Error::Connect(io::Error::from(io::ErrorKind::ConnectionRefused));
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let writes = parts.method == Method::POST;
        let what = || format!("{} {}", parts.method, detail(&path, &query, &body));
        let fault = self.world.effect(Port::Pebble, what);
        match fault {
            Some(Fault::PebbleAway) => return Err(refused()),
            Some(Fault::PebbleFails) => {
                let answer = Answer::Refused(500, "generic-error", "internal error".to_owned());
                return Ok(response(answer, &mut Vec::new()));
            }
            _ => {}
        }
        let kind = parts.headers.get(http1_client::header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let full = fault == Some(Fault::DiskFull);
        let ignored = fault == Some(Fault::ReloadRefused);
        let services = writes && path == "/v1/services";
        let answer = self.world.change(|state| {
            let was =
                if services { patroni::member(&state.far, &self.unit).cloned() } else { None };
            let container = state.far.pods.get_mut(&self.unit)?.container.as_mut()?;
            let answer = match path.as_str() {
                _ if writes && mutant::swallows(what) => swallowed(&path, &body),
                "/v1/signals" if ignored && container.poolers().next().is_some() => {
                    swallowed(&path, &body)
                }
                "/v1/files" if writes => files::change(&mut container.disk, kind, &body, full),
                "/v1/files" => files::read(&container.disk, &query),
                _ if writes => pebble::act(container, &path, &body),
                _ => pebble::look(container, &path, &query),
            };
            let answer = response(answer, &mut container.changes);
            if writes && !path.ends_with("/exec") {
                state.gate.write(what);
            }
            if path == "/v1/exec" {
                patroni::look_for_data(&mut state.far, &self.unit);
            }
            if let Some(was) = was {
                patroni::stopped(&mut state.far, &self.unit, &was);
            }
            Some(answer)
        });
        self.world.effect_done();
        if fault == Some(Fault::PebbleSlow) {
            tokio::time::sleep(NEVER).await;
        }
        answer.ok_or_else(refused)
    }
}

/// The answer to a request that a planted fault swallows.
fn swallowed(path: &str, body: &[u8]) -> Answer {
    match path {
        "/v1/files" => {
            Answer::Sync(files::file_names(body).map(|path| json!({"path": path})).collect())
        }
        "/v1/services" => Answer::Change(Ok(())),
        _ => Answer::Sync(json!(true)),
    }
}

/// A request for the trace, without contents.
fn detail(path: &str, query: &str, body: &[u8]) -> String {
    let mut text = path.to_owned();
    if !query.is_empty() {
        text = format!("{text}?{}", decode(query));
    }
    let asked: Asked = serde_json::from_slice(body).unwrap_or_default();
    let Asked { action, services, label, signal, paths, dirs } = asked;
    for word in [action, services, label, signal, paths, dirs].into_iter().flatten() {
        text = format!("{text} {word}");
    }
    for name in files::file_names(body) {
        text.push(' ');
        text.push_str(&name);
    }
    text
}

/// What a trace shows of the body of a request.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    action: Option<Value>,
    services: Option<Value>,
    label: Option<Value>,
    signal: Option<Value>,
    paths: Option<Value>,
    dirs: Option<Value>,
}
