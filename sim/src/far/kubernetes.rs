//! The Kubernetes API: the engine's own store, in process.

use std::fmt::{Display, Formatter};
use std::io;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use http1_client::{Body, Boxed, Bytes, Request, Response, StatusCode, Stream, Transport};
use juju_names::{AppName, UnitName};
use kube_api::{Api, Authorize, Identity, Kind, Selector};
use kubernetes_client::{Client, ClusterConfig};
use serde_json::{Value, json};

use crate::World;
use crate::fault::{Fault, Port};
use crate::mutant;
use crate::world::MODEL;

/// The only node.
const NODE: &str = "node";

/// An object that the API refuses is missing then, and the unit that needs it says so.
fn put(api: &Api, kind: Kind, namespace: &str, object: &Value) {
    drop(api.put(kind, namespace, object));
}

/// Puts the node and the namespace there.
pub(crate) fn put_node(api: &Api) {
    let addresses = json!([{"type": "InternalIP", "address": "192.0.2.1"}]);
    let node = json!({"metadata": {"name": NODE}, "status": {"addresses": addresses}});
    put(api, Kind::Node, "", &node);
    put(api, Kind::Namespace, "", &json!({"metadata": {"name": MODEL}}));
}

/// Puts an application's stateful set there.
pub(crate) fn put_application(api: &Api, app: &AppName) {
    let set = json!({
        "metadata": {"name": app, "labels": {"app.kubernetes.io/name": app}},
        "spec": {"replicas": 1, "serviceName": format!("{app}-endpoints")},
    });
    put(api, Kind::StatefulSet, MODEL, &set);
    let headless = json!({
        "metadata": {"name": format!("{app}-endpoints")},
        "spec": {"clusterIP": "None", "selector": {"app.kubernetes.io/name": app}},
    });
    put(api, Kind::Service, MODEL, &headless);
}

/// Removes an application: its stateful set, which takes along what it owns, and what Juju made.
pub(crate) fn delete_application(api: &Api, app: &AppName) {
    drop(api.delete(Kind::StatefulSet, MODEL, app.as_str()));
    drop(api.delete(Kind::Service, MODEL, &format!("{app}-endpoints")));
}

/// Gives every load balancer an address, as a cloud would.
pub(crate) fn balance(api: &Api) {
    let services = api.list(Kind::Service, MODEL, &Selector::default());
    let waits = |service: &&Value| {
        service["spec"]["type"] == "LoadBalancer"
            && service["status"]["loadBalancer"]["ingress"].is_null()
    };
    for service in services.iter().filter(waits) {
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        drop(api.set_ingress(MODEL, name, [192, 0, 2, 77].into()));
    }
}

/// Puts a pod there.
pub(crate) fn put_pod(api: &Api, unit: &UnitName, address: &str) {
    let owner = api.get(Kind::StatefulSet, MODEL, unit.app().as_str()).unwrap_or_default();
    let reference = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "name": unit.app(),
        "uid": owner["metadata"]["uid"], "controller": true,
    });
    let pod = json!({
        "metadata": {
            "name": unit.pod(),
            "labels": {"app.kubernetes.io/name": unit.app()},
            "ownerReferences": [reference],
        },
        "spec": {"nodeName": NODE, "containers": [{"name": "charm"}]},
        "status": {"podIP": address, "hostIP": "192.0.2.1"},
    });
    put(api, Kind::Pod, MODEL, &pod);
}

/// Removes a pod.
pub(crate) fn delete_pod(api: &Api, unit: &UnitName) {
    api.delete(Kind::Pod, MODEL, &unit.pod()).ok();
}

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
            (state.kube.clone(), app.is_some_and(|app| app.trust))
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
