//! Pebble's API in front of a pod's container.

use std::fmt::{Display, Formatter};
use std::io;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use http1_client::{Body, Boxed, Method, Request, Response, Stream, Transport, decode};
use juju_names::UnitName;
use pebble_client::{Layer, Startup};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::World;
use crate::far::NEVER;
use crate::far::patroni;
use crate::fault::{Fault, Port};
use crate::mutant;

use super::answer::{Answer, response};
use super::container::Container;
use super::exec;
use super::files::{self, parameters};

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
            let container = state.pods.get_mut(&self.unit)?.container.as_mut()?;
            Some(container.printed.clone())
        });
        Box::pin(async move { Ok(exec::dial(printed.unwrap_or_default())) })
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
        let deaf = fault == Some(Fault::ReloadRefused);
        let services = writes && path == "/v1/services";
        let answer = self.world.change(|state| {
            let was = if services { patroni::member(state, &self.unit).cloned() } else { None };
            let container = state.pods.get_mut(&self.unit)?.container.as_mut()?;
            let answer = match path.as_str() {
                _ if writes && mutant::swallows(what) => swallowed(&path, &body),
                "/v1/signals" if deaf && container.poolers().next().is_some() => {
                    swallowed(&path, &body)
                }
                "/v1/files" if writes => files::change(container, kind, &body, full),
                "/v1/files" => files::read(container, &query),
                _ if writes => act(container, &path, &body),
                _ => look(container, &path, &query),
            };
            let answer = response(answer, &mut container.changes);
            if writes && !path.ends_with("/exec") {
                state.gate.write(what);
            }
            if let Some(was) = was {
                patroni::stopped(state, &self.unit, &was);
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

/// Requests that change nothing.
fn look(container: &mut Container, path: &str, query: &str) -> Answer {
    let names = || parameters(query, "names").next().unwrap_or_default();
    match path {
        "/v1/system-info" => {
            Answer::Sync(json!({"version": "v1.32.1", "boot-id": container.boot.to_string()}))
        }
        "/v1/plan" => Answer::Ready(container.plan_answer()),
        "/v1/services" => Answer::Ready(container.services_answer(&names())),
        "/v1/checks" => Answer::Sync(checks(container, &names())),
        _ => match path.strip_prefix("/v1/changes/") {
            Some(rest) => change(container, rest.trim_end_matches("/wait")),
            None => Answer::Refused(404, "not-found", format!("no simulation of {path}")),
        },
    }
}

/// The checks of these names, or all; their results reach the charm as events.
fn checks(container: &Container, names: &str) -> Value {
    let asked = |name: &str| names.is_empty() || names.split(',').any(|asked| asked == name);
    let all = container.plan().checks.iter().filter(|(name, _)| asked(name));
    let check = |(name, check): (&String, &pebble_client::Check)| {
        let startup = check.startup.unwrap_or(Startup::Enabled);
        let status = if startup == Startup::Enabled { "up" } else { "inactive" };
        let threshold = check.threshold.unwrap_or(3);
        json!({"name": name, "startup": startup, "status": status, "threshold": threshold})
    };
    all.map(check).collect()
}

fn change(container: &Container, id: &str) -> Answer {
    let number: usize = id.parse().unwrap_or_default();
    let Some(ended) = number.checked_sub(1).and_then(|index| container.changes.get(index)) else {
        return Answer::Refused(404, "", format!("cannot find change with id \"{id}\""));
    };
    let tasks = json!([{"data": {"exit-code": ended.as_ref().unwrap_or(&0)}}]);
    let mut change =
        json!({"id": id, "kind": "replan", "summary": "", "ready": true, "tasks": tasks});
    change["status"] = json!(if ended.is_ok() { "Done" } else { "Error" });
    if let Err(why) = ended {
        change["err"] = json!(format!("cannot perform the following tasks:\n- {why}"));
    }
    Answer::Sync(change)
}

/// Requests that change something.
fn act(container: &mut Container, path: &str, body: &[u8]) -> Answer {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let names: Vec<String> = body["services"]
        .as_array()
        .map(|all| all.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect())
        .unwrap_or_default();
    let bad = |message: String| Answer::Refused(400, "", message);
    match (path, body["action"].as_str().unwrap_or_default()) {
        ("/v1/layers", _) => {
            let text = body["layer"].as_str().unwrap_or_default();
            let changed = mutant::layer(text);
            let text = changed.as_deref().unwrap_or(text);
            let layer = match Layer::parse(text) {
                Ok(layer) => layer,
                Err(why) => return bad(why),
            };
            let label = body["label"].as_str().unwrap_or_default();
            let combine = body["combine"].as_bool().unwrap_or_default();
            match container.add_layer(label, layer, combine) {
                Ok(()) => Answer::Sync(json!(true)),
                Err(why) => bad(why),
            }
        }
        ("/v1/exec", _) => match exec::run(container, &body) {
            Ok((printed, code)) => {
                container.printed = printed;
                Answer::Task(code)
            }
            Err(why) => bad(why),
        },
        ("/v1/services", "replan") => Answer::Change(container.replan()),
        ("/v1/services", action) => {
            let known = &container.plan().services;
            if let Some(name) = names.iter().find(|name| !known.contains_key(*name)) {
                let why = format!("service \"{name}\" does not exist");
                return bad(format!("cannot {action} services: {why}"));
            }
            if action == "stop" {
                container.stop(&names);
                return Answer::Change(Ok(()));
            }
            let due = |name: &String| action == "restart" || !container.is_active(name);
            let due: Vec<String> = names.into_iter().filter(due).collect();
            Answer::Change(container.start(&due))
        }
        ("/v1/signals", _) => match container.reload(&names) {
            Ok(()) => Answer::Sync(json!(true)),
            Err(why) => Answer::Refused(500, "", why),
        },
        _ => Answer::Refused(500, "generic-error", format!("no simulation of {path}")),
    }
}
