//! One request, one answer.

use std::net::Ipv4Addr;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, USER_AGENT};
use hyper::http::request::Parts;
use hyper::{Method, Request};

use crate::access::User;
use crate::answer::{Answer, refusal, text};
use crate::bounds::{Gate, Limits, Seat};
use crate::call::{Call, PATCH_TYPES};
use crate::request::{Query, Resource, Target, Verb, target};
use crate::{Api, ApiError, Authorize, access, discovery};

/// The longest body that is read, in bytes; Kubernetes' own limit.
const BODY_BYTES_MAX: usize = 3 << 20;

/// How much of a refused body is read all the same, and for how long, so that its sender comes to
/// read the refusal.
const UNWANTED_BYTES_MAX: usize = 256 << 10;
const UNWANTED_TIME: Duration = Duration::from_millis(200);

/// The content types of a whole object.
const OBJECT_TYPES: &str = "application/json, application/yaml";

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
    // The body of a forbidden request is not read.
    let answer = match admit(who, &parts) {
        Ok(Admitted::Answer(answer)) => Ok(answer),
        Ok(Admitted::Call(verb, resource, user)) => {
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
                        agent: header(&parts, USER_AGENT),
                        user: &user,
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
    Call(Verb, Resource, User),
}

fn admit(who: &dyn Authorize, parts: &Parts) -> Result<Admitted, ApiError> {
    let target = target(parts.uri.path());
    let given = header(parts, AUTHORIZATION);
    let token = given.split_once(' ').filter(|(scheme, token)| {
        scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()
    });
    let user = match token {
        Some((_, token)) => {
            let identity = who.identify(token.trim()).ok_or(ApiError::Unauthorized)?;
            User::Application(identity)
        }
        None => User::Anonymous,
    };
    // As on a real cluster, these two need no token; one that is unknown is refused all the same.
    match target {
        Ok(Target::Version) => {
            return Ok(Admitted::Answer(text(200, discovery::version().to_string())));
        }
        Ok(Target::Health) => return Ok(Admitted::Answer(text(200, "ok".to_owned()))),
        _ => {}
    }
    let path = parts.uri.path();
    let verb = parts.method.as_str().to_ascii_lowercase();
    match target {
        Ok(Target::Resource(resource)) => {
            let query = Query::parse(parts.uri.query().unwrap_or_default());
            let verb = Verb::of(&parts.method, &resource, &query)?;
            access::allow(&user, verb, &resource)?;
            content_type(verb, header(parts, CONTENT_TYPE))?;
            Ok(Admitted::Call(verb, resource, user))
        }
        Ok(Target::Discovery(asked)) if parts.method == Method::GET => {
            access::allow_path(&user, &verb, path)?;
            Ok(Admitted::Answer(text(200, discovery::discovery(asked).to_string())))
        }
        target => {
            access::allow_path(&user, &verb, path)?;
            Err(target.err().unwrap_or(ApiError::MethodNotAllowed))
        }
    }
}

/// Refuses a content type that is not supported; without one it is JSON.
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
