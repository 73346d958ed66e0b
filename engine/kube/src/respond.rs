//! One request, one answer.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WARNING,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use serde_json::{Value, json};

use crate::bounds::{Gate, Limits, Seat};
use crate::request::{Query, Resource, Target, Verb, body, target};
use crate::strict::{self, FieldValidation};
use crate::{
    Api, ApiError, Authorize, Kind, Object, PatchType, Preconditions, Scope, access, discovery,
    watch,
};

/// The longest body that is read, in bytes; Kubernetes' own limit.
const BODY_BYTES_MAX: usize = 3 << 20;

/// How much of a body that nobody wants is taken all the same, and for how long, so that its
/// sender comes to read the refusal.
const UNWANTED_BYTES_MAX: usize = 256 << 10;
const UNWANTED_TIME: Duration = Duration::from_millis(200);

/// The content types of a whole object.
const OBJECT_TYPES: &str = "application/json, application/yaml";

/// Those of a patch.
const PATCH_TYPES: &str = "application/merge-patch+json, \
    application/strategic-merge-patch+json, application/apply-patch+yaml";

/// What is sent back.
pub type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Answers a request of a client without others beside it; refusals are answers too.
pub async fn respond<B>(api: &Api, who: &dyn Authorize, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let gate = Gate::new(Limits::default());
    match gate.enter(Ipv4Addr::UNSPECIFIED.into()) {
        Some(seat) => respond_to(api, who, &seat, request).await,
        None => refusal(&ApiError::TooManyRequests),
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Answers a request that came over the connection `seat`.
pub(crate) async fn respond_to<B>(
    api: &Api,
    who: &dyn Authorize,
    seat: &Seat,
    request: Request<B>,
) -> Answer
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let (parts, mut incoming) = request.into_parts();
    // Whoever may not do this sends its body in vain.
    let answer = match admit(who, &parts) {
        Ok(Admitted::Answer(answer)) => Ok(answer),
        Ok(Admitted::Call(verb, resource)) => {
            let query = Query::parse(parts.uri.query().unwrap_or_default());
            let content_type = header(&parts, CONTENT_TYPE);
            match collect(&mut incoming, seat, verb).await {
                Ok(bytes) => {
                    let call = Call {
                        api,
                        seat,
                        resource: &resource,
                        query: &query,
                        content_type,
                        bytes: &bytes,
                    };
                    call.run(verb)
                }
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    };
    match answer {
        Ok(answer) => answer,
        Err(error) => {
            let rest = Limited::new(incoming, UNWANTED_BYTES_MAX);
            let _ = tokio::time::timeout(UNWANTED_TIME, drain(rest)).await;
            refusal(&error)
        }
    }
}

fn refusal(error: &ApiError) -> Answer {
    let mut answer = text(error.code(), error.status().to_string());
    if let Some(seconds) = error.retry_after() {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer
}

async fn drain<B: Body + Unpin>(mut body: B) {
    while let Some(Ok(_)) = body.frame().await {}
}

/// Reads the body of a request that may have one.
async fn collect<B>(incoming: &mut B, seat: &Seat, verb: Verb) -> Result<Bytes, ApiError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    if matches!(verb, Verb::Get | Verb::List | Verb::Watch) || incoming.is_end_stream() {
        return Ok(Bytes::new());
    }
    if incoming.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(ApiError::TooLarge(BODY_BYTES_MAX));
    }
    let _held = seat.body().ok_or(ApiError::TooManyRequests)?;
    let whole = Limited::new(incoming, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(seat.limits().body, whole).await {
        Err(_) => Err(ApiError::Timeout),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::TooLarge(BODY_BYTES_MAX)),
        Ok(Err(error)) => Err(ApiError::BadRequest(format!("cannot read the body: {error}"))),
    }
}

fn header(parts: &Parts, name: HeaderName) -> &str {
    parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// What becomes of a request before anything of its body is read.
enum Admitted {
    Answer(Answer),
    Call(Verb, Resource),
}

fn admit(who: &dyn Authorize, parts: &Parts) -> Result<Admitted, ApiError> {
    let target = target(parts.uri.path());
    // As on a real cluster, these two need no token.
    match target {
        Ok(Target::Version) => {
            return Ok(Admitted::Answer(text(200, discovery::version().to_string())));
        }
        Ok(Target::Health) => return Ok(Admitted::Answer(text(200, "ok".to_owned()))),
        _ => {}
    }
    let token = header(parts, AUTHORIZATION).split_once(' ').filter(|(scheme, token)| {
        scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()
    });
    let identity = token.and_then(|(_, token)| who.identify(token.trim()));
    let identity = identity.ok_or(ApiError::Unauthorized)?;
    match target? {
        Target::Discovery(path) if parts.method == Method::GET => {
            Ok(Admitted::Answer(text(200, discovery::discovery(path).to_string())))
        }
        Target::Resource(resource) => {
            let query = Query::parse(parts.uri.query().unwrap_or_default());
            let verb = Verb::of(&parts.method, &resource, &query)?;
            access::allow(&identity, verb, &resource)?;
            content_type(verb, header(parts, CONTENT_TYPE))?;
            Ok(Admitted::Call(verb, resource))
        }
        _ => Err(ApiError::MethodNotAllowed),
    }
}

/// Refuses a body in a form that nobody here reads; one that says nothing is JSON.
fn content_type(verb: Verb, content_type: &str) -> Result<(), ApiError> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let known = |types: &'static str| match types.split(", ").any(|one| one == media_type) {
        true => Ok(()),
        false => Err(ApiError::UnsupportedMediaType(types)),
    };
    match verb {
        Verb::Create | Verb::Update if !media_type.is_empty() => known(OBJECT_TYPES),
        Verb::Patch => known(PATCH_TYPES),
        _ => Ok(()),
    }
}

/// A request that may be carried out.
struct Call<'a> {
    api: &'a Api,
    seat: &'a Seat,
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
            Verb::Create | Verb::Update | Verb::Patch => self.write(verb),
            Verb::Delete => self.delete(),
            Verb::DeleteCollection => self.delete_collection(),
        }
    }

    /// Writes what the body says, and remarks on fields that are there twice or unknown.
    fn write(&self, verb: Verb) -> Result<Answer, ApiError> {
        let validation = FieldValidation::parse(self.query.get("fieldValidation"), self.kind())?;
        self.query.field_manager(self.kind())?;
        let body = self.body()?;
        let remarks = match validation {
            FieldValidation::Ignore => Vec::new(),
            _ => strict::remarks(self.kind(), self.bytes, &body),
        };
        if validation == FieldValidation::Strict && !remarks.is_empty() {
            let why = format!("strict decoding error: {}", remarks.join(", "));
            return Err(ApiError::BadRequest(why));
        }
        let mut answer = match verb {
            Verb::Create => self.create(&body)?,
            Verb::Update => self.update(&body)?,
            _ => self.patch(&body)?,
        };
        for remark in remarks {
            let words = remark.replace('\\', "\\\\").replace('"', "\\\"");
            // What no header can say is left unsaid.
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{words}\"")) {
                answer.headers_mut().append(WARNING, value);
            }
        }
        Ok(answer)
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
        Ok(self::list(self.kind(), Some(list.version), &list.items))
    }

    fn watch(&self) -> Result<Answer, ApiError> {
        let filter = self.query.filter(self.resource)?;
        let since = self.query.number("resourceVersion")?.filter(|since| *since > 0);
        let timeout = self.query.number("timeoutSeconds")?.filter(|seconds| *seconds > 0);
        let timeout = timeout.map(Duration::from_secs);
        let held = self.seat.watch().ok_or(ApiError::TooManyRequests)?;
        let events = watch::events(self.api.clone(), filter, since, timeout, held);
        Ok(response(200, UnsyncBoxBody::new(StreamBody::new(events))))
    }

    fn create(&self, body: &Value) -> Result<Answer, ApiError> {
        let object = self.api.change(|store, now| {
            store.create(self.kind(), self.namespace(), body, Scope::Main, now)
        })?;
        Ok(stored(201, &object))
    }

    fn update(&self, body: &Value) -> Result<Answer, ApiError> {
        let (kind, namespace, name) = (self.kind(), self.namespace(), self.name());
        let object = self
            .api
            .change(|store, now| store.replace(kind, namespace, name, body, self.scope(), now))?;
        Ok(stored(200, &object))
    }

    fn patch(&self, body: &Value) -> Result<Answer, ApiError> {
        let (kind, namespace, name) = (self.kind(), self.namespace(), self.name());
        let media_type = self.content_type.split(';').next().unwrap_or_default().trim();
        let patch_type = match media_type {
            "application/apply-patch+yaml" => return self.apply(body),
            "application/merge-patch+json" => PatchType::Merge,
            "application/strategic-merge-patch+json" => PatchType::Strategic,
            _ => return Err(ApiError::UnsupportedMediaType(PATCH_TYPES)),
        };
        let object = self.api.change(|store, now| {
            store.patch(kind, namespace, name, patch_type, body, self.scope(), now)
        })?;
        Ok(stored(200, &object))
    }

    fn apply(&self, body: &Value) -> Result<Answer, ApiError> {
        let (kind, namespace, name) = (self.kind(), self.namespace(), self.name());
        let manager = self.query.field_manager(kind)?.ok_or_else(|| {
            let why = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: \
                       is required for apply patch";
            ApiError::BadRequest(why.to_owned())
        })?;
        if !body["apiVersion"].is_string() || !body["kind"].is_string() {
            let why = "invalid object type: apiVersion and kind must be set in an apply patch";
            return Err(ApiError::BadRequest(why.to_owned()));
        }
        let (object, created) = self.api.change(|store, now| {
            store.apply(kind, namespace, name, manager, body, self.scope(), now)
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
        Ok(list(self.kind(), None, &items))
    }
}

/// A list, sent piece by piece from where the objects lie: however many ask at once, none has
/// a copy of it.
fn list(kind: Kind, version: Option<u64>, items: &[Object]) -> Answer {
    let metadata = match version {
        Some(version) => format!("{{\"resourceVersion\":\"{version}\"}}"),
        None => "{}".to_owned(),
    };
    let head = format!(
        "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{metadata},\"items\":[",
        kind.name(),
        kind.api_version(),
    );
    let tail = "]}";
    let commas = items.len().saturating_sub(1);
    let length: usize = items.iter().map(|object| object.json().len()).sum();
    let length = head.len() + length + commas + tail.len();
    let items: Vec<_> = items.iter().map(Object::text).collect();
    let items = items.into_iter().enumerate().flat_map(|(at, object)| {
        let comma = (at > 0).then_some(Bytes::from_static(b","));
        comma.into_iter().chain([Bytes::from_owner(object)])
    });
    let pieces = std::iter::once(Bytes::from(head)).chain(items).chain([Bytes::from(tail)]);
    let frames = stream::iter(pieces.map(|piece| Ok(Frame::data(piece))));
    let mut answer = response(200, UnsyncBoxBody::new(StreamBody::new(frames)));
    answer.headers_mut().insert(CONTENT_LENGTH, length.into());
    answer
}

fn stored(code: u16, object: &Object) -> Answer {
    response(code, UnsyncBoxBody::new(Full::new(Bytes::from_owner(object.text()))))
}

fn text(code: u16, text: String) -> Answer {
    response(code, UnsyncBoxBody::new(Full::from(text)))
}

fn response(code: u16, body: UnsyncBoxBody<Bytes, Infallible>) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = hyper::StatusCode::from_u16(code).unwrap_or_default();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
