//! The way from a charm to the Kubernetes API.

use std::fmt::{Display, Formatter};
use std::io;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use http1_client::{Body, Boxed, Bytes, Request, Response, StatusCode, Stream, Transport};
use juju_names::AppName;
use kube_api::{Authorize, Identity};
use kubernetes_client::{Client, ClusterConfig};
use serde_json::json;

use crate::World;
use crate::fault::{Fault, Port};
use crate::mutant;
use crate::names::MODEL;

/// The way to the API for one application.
struct Way {
    world: Arc<World>,
    app: AppName,
}

/// A client for one application.
pub(crate) fn client(world: Arc<World>, app: AppName) -> Client {
    let config = ClusterConfig {
        host: "kubernetes".to_owned(),
        port: 443,
        token: "token".to_owned().into(),
        ca_pem: String::new(),
        namespace: MODEL.to_owned(),
    };
    Client::over(config, Arc::new(Way { world, app }))
}

/// One application's rights.
struct Rights(Identity);

impl Authorize for Rights {
    fn identify(&self, _token: &str) -> Option<Identity> {
        Some(self.0.clone())
    }
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "Way({self})")
    }
}

impl Display for Way {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "kubernetes:443")
    }
}

impl Transport for Way {
    fn dial(&self) -> Boxed<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async { Err(io::Error::from(io::ErrorKind::Unsupported)) })
    }

    fn send(&self, request: Request<Body>) -> Boxed<'_, Result<Response, http1_client::Error>> {
        Box::pin(self.answer(request))
    }
}

/// The refusal that a fault makes of a request.
fn refusal(fault: Fault) -> Option<(StatusCode, &'static str)> {
    Some(match fault {
        Fault::Kube403 => (StatusCode::FORBIDDEN, "forbidden"),
        Fault::Kube409 => (StatusCode::CONFLICT, "the object has been modified"),
        Fault::Kube410 => (StatusCode::GONE, "too old resource version"),
        Fault::Kube500 => (StatusCode::INTERNAL_SERVER_ERROR, "etcdserver: request timed out"),
        _ => return None,
    })
}

impl Way {
    async fn answer(&self, request: Request<Body>) -> Result<Response, http1_client::Error> {
        let what = || format!("{} {}", request.method(), request.uri());
        let fault = self.world.effect(Port::Kubernetes, what);
        if fault == Some(Fault::KubeAway) {
            let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
            return Err(http1_client::Error::Connect(refused));
        }
        if let Some((status, message)) = fault.and_then(refusal) {
            let body = json!({"kind": "Status", "message": message, "code": status.as_u16()});
            let body = Bytes::from(serde_json::to_vec(&body).unwrap_or_default());
            return Ok(Response { status, headers: Default::default(), body });
        }
        let (api, trusted) = self.world.look(|state| {
            let app = state.model.application(&self.app);
            (state.far.kube.clone(), app.is_some_and(|app| app.trust))
        });
        let shown = what();
        let request = if mutant::is_planted() {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let Some(changed) = mutant::object(parts.method.as_str(), body.clone()) else {
                self.world.effect_done();
                return Ok(Response { status: StatusCode::OK, headers: Default::default(), body });
            };
            Request::from_parts(parts, Body::from(changed))
        } else {
            request
        };
        let (namespace, app) = (MODEL.to_owned(), self.app.to_string());
        let labels = Default::default();
        let rights = Rights(Identity { namespace, app, trusted, labels });
        let writes = request.method() != http1_client::Method::GET;
        let answer = kube_api::respond(&api, &rights, request).await;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        // What is refused changes nothing; an application without trust tries again, because no
        // event reports it.
        if writes && parts.status.is_success() {
            self.world.change(|state| state.gate.write(|| shown));
        }
        self.world.effect_done();
        let mistaken = parts.status == StatusCode::FORBIDDEN && mutant::mistakes_refusals();
        let status = if mistaken { StatusCode::NOT_FOUND } else { parts.status };
        Ok(Response { status, headers: parts.headers, body })
    }
}
