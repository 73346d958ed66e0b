//! One request, one answer.

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Body, Bytes};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use serde_json::{Value, json};

use crate::request::{Query, Resource, Target, Verb, body, target};
use crate::{
    Api, ApiError, Authorize, Kind, Object, PatchType, Preconditions, Scope, access, discovery,
    watch,
};

/// The longest body that is read, in bytes; Kubernetes' own limit.
const BODY_BYTES_MAX: usize = 3 << 20;

/// What is sent back.
pub type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Answers a request; refusals are answers too.
pub async fn respond<B>(api: &Api, who: &dyn Authorize, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, incoming) = request.into_parts();
    // The body is read first: a refusal must not break a connection that is kept.
    let answer = match collect(incoming).await {
        Ok(bytes) => answer(api, who, &parts, &bytes),
        Err(error) => Err(error),
    };
    answer.unwrap_or_else(|error| text(error.code(), error.status().to_string()))
}

async fn collect<B>(incoming: B) -> Result<Bytes, ApiError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(incoming, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::TooLarge(BODY_BYTES_MAX)),
        Err(error) => Err(ApiError::BadRequest(format!("cannot read the body: {error}"))),
    }
}

fn answer(
    api: &Api,
    who: &dyn Authorize,
    parts: &Parts,
    bytes: &Bytes,
) -> Result<Answer, ApiError> {
    let target = target(parts.uri.path());
    // As on a real cluster, these two need no token.
    match target {
        Ok(Target::Version) => return Ok(text(200, discovery::version().to_string())),
        Ok(Target::Health) => return Ok(text(200, "ok".to_owned())),
        _ => {}
    }
    let bearer = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|value| value.split_once(' ')).filter(|(scheme, token)| {
        scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()
    });
    let identity = token.and_then(|(_, token)| who.identify(token.trim()));
    let identity = identity.ok_or(ApiError::Unauthorized)?;
    match target? {
        Target::Discovery(path) if parts.method == Method::GET => {
            Ok(text(200, discovery::discovery(path).to_string()))
        }
        Target::Resource(resource) => {
            let query = Query::parse(parts.uri.query().unwrap_or_default());
            let verb = Verb::of(&parts.method, &resource, &query)?;
            access::allow(&identity, verb, &resource)?;
            let content_type = parts.headers.get(CONTENT_TYPE);
            let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or("");
            Call { api, resource: &resource, query: &query, content_type, bytes }.run(verb)
        }
        _ => Err(ApiError::MethodNotAllowed),
    }
}

/// A request that may be carried out.
struct Call<'a> {
    api: &'a Api,
    resource: &'a Resource,
    query: &'a Query,
    content_type: &'a str,
    bytes: &'a Bytes,
}

impl Call<'_> {
    fn run(&self, verb: Verb) -> Result<Answer, ApiError> {
        let writes = !matches!(verb, Verb::Get | Verb::List | Verb::Watch);
        if writes && self.query.get("dryRun").is_some() {
            return Err(ApiError::BadRequest("dryRun is not supported".to_owned()));
        }
        match verb {
            Verb::Get => self.get(),
            Verb::List => self.list(),
            Verb::Watch => self.watch(),
            Verb::Create => self.create(),
            Verb::Update => self.update(),
            Verb::Patch => self.patch(),
            Verb::Delete => self.delete(),
            Verb::DeleteCollection => self.delete_collection(),
        }
    }

    fn kind(&self) -> Kind {
        self.resource.kind
    }

    fn namespace(&self) -> &str {
        self.resource.namespace.as_deref().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.resource.name.as_deref().unwrap_or_default()
    }

    fn scope(&self) -> Scope {
        if self.resource.status { Scope::Status } else { Scope::Main }
    }

    fn body(&self) -> Result<Value, ApiError> {
        body(self.bytes, self.content_type)
    }

    fn get(&self) -> Result<Answer, ApiError> {
        let object = self
            .api
            .read(|store| store.get(self.kind(), self.namespace(), self.name()).cloned())?;
        Ok(stored(200, &object))
    }

    fn list(&self) -> Result<Answer, ApiError> {
        let filter = self.query.filter(self.resource)?;
        let list = self.api.read(|store| store.list(&filter));
        Ok(text(200, list_json(self.kind(), Some(list.version), &list.items)))
    }

    fn watch(&self) -> Result<Answer, ApiError> {
        let filter = self.query.filter(self.resource)?;
        let since = self.query.number("resourceVersion")?.filter(|since| *since > 0);
        let timeout = self.query.number("timeoutSeconds")?.filter(|seconds| *seconds > 0);
        let timeout = timeout.map(Duration::from_secs);
        let events = watch::events(self.api.clone(), filter, since, timeout);
        Ok(response(200, UnsyncBoxBody::new(StreamBody::new(events))))
    }

    fn create(&self) -> Result<Answer, ApiError> {
        let body = self.body()?;
        let object = self.api.change(|store, now| {
            store.create(self.kind(), self.namespace(), &body, Scope::Main, now)
        })?;
        Ok(stored(201, &object))
    }

    fn update(&self) -> Result<Answer, ApiError> {
        let body = self.body()?;
        let (kind, namespace, name) = (self.kind(), self.namespace(), self.name());
        let object = self
            .api
            .change(|store, now| store.replace(kind, namespace, name, &body, self.scope(), now))?;
        Ok(stored(200, &object))
    }

    fn patch(&self) -> Result<Answer, ApiError> {
        let (kind, namespace, name) = (self.kind(), self.namespace(), self.name());
        let media_type = self.content_type.split(';').next().unwrap_or_default().trim();
        let patch_type = match media_type {
            "application/apply-patch+yaml" => return self.apply(),
            "application/merge-patch+json" => PatchType::Merge,
            "application/strategic-merge-patch+json" => PatchType::Strategic,
            _ => return Err(ApiError::UnsupportedMediaType),
        };
        let body = self.body()?;
        let object = self.api.change(|store, now| {
            store.patch(kind, namespace, name, patch_type, &body, self.scope(), now)
        })?;
        Ok(stored(200, &object))
    }

    fn apply(&self) -> Result<Answer, ApiError> {
        let (kind, namespace, name) = (self.kind(), self.namespace(), self.name());
        let body = self.body()?;
        let manager = self.query.get("fieldManager").ok_or_else(|| {
            let why = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: \
                       is required for apply patch";
            ApiError::BadRequest(why.to_owned())
        })?;
        if !body["apiVersion"].is_string() || !body["kind"].is_string() {
            let why = "invalid object type: apiVersion and kind must be set in an apply patch";
            return Err(ApiError::BadRequest(why.to_owned()));
        }
        let (object, created) = self.api.change(|store, now| {
            store.apply(kind, namespace, name, manager, &body, self.scope(), now)
        })?;
        Ok(stored(if created { 201 } else { 200 }, &object))
    }

    fn delete(&self) -> Result<Answer, ApiError> {
        let options = if self.bytes.is_empty() { Value::Null } else { self.body()? };
        let wanted = &options["preconditions"];
        let text_of = |field: &str| wanted[field].as_str().map(str::to_owned);
        let preconditions =
            Preconditions { uid: text_of("uid"), resource_version: text_of("resourceVersion") };
        let object = self.api.change(|store, now| {
            store.delete(self.kind(), self.namespace(), self.name(), &preconditions, now)
        })?;
        let status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {
                "name": self.name(),
                "kind": self.kind().plural(),
                "uid": object.value()["metadata"]["uid"],
            },
        });
        Ok(text(200, status.to_string()))
    }

    fn delete_collection(&self) -> Result<Answer, ApiError> {
        let filter = self.query.filter(self.resource)?;
        let items = self.api.change(|store, now| Ok(store.delete_collection(&filter, now)))?;
        Ok(text(200, list_json(self.kind(), None, &items)))
    }
}

fn list_json(kind: Kind, version: Option<u64>, items: &[Object]) -> String {
    let metadata = match version {
        Some(version) => format!("{{\"resourceVersion\":\"{version}\"}}"),
        None => "{}".to_owned(),
    };
    let items = items.iter().map(Object::json).collect::<Vec<_>>().join(",");
    format!(
        "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{metadata},\"items\":[{items}]}}",
        kind.name(),
        kind.api_version(),
    )
}

fn stored(code: u16, object: &Object) -> Answer {
    text(code, object.json().to_owned())
}

fn text(code: u16, text: String) -> Answer {
    response(code, UnsyncBoxBody::new(Full::from(text)))
}

fn response(code: u16, body: UnsyncBoxBody<Bytes, Infallible>) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = hyper::StatusCode::from_u16(code).unwrap_or_default();
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
