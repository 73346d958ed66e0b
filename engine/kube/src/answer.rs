//! Answers, as they are sent.

use std::convert::Infallible;

use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Full, StreamBody};
use hyper::Response;
use hyper::body::{Bytes, Frame};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER};

use crate::bounds::Held;
use crate::store::Text;
use crate::{ApiError, Kind, Object};

/// What is sent back.
pub type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// A list, sent piece by piece from where the objects lie: however many ask at once, none has
/// a copy of it.
pub(crate) fn list(kind: Kind, version: Option<u64>, items: &[Object], held: Held) -> Answer {
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
    // The list says what they are.
    let own = format!("{{\"apiVersion\":\"{}\",\"kind\":\"{}\",", kind.api_version(), kind.name());
    let skipped = |object: &Object| object.json().starts_with(&own).then_some(own.len());
    let items: Vec<_> = items.iter().map(|object| (object.text(), skipped(object))).collect();
    let length = |(text, skipped): &(Text, Option<usize>)| {
        text.as_ref().len() - skipped.map_or(0, |skipped| skipped - 1)
    };
    let commas = items.len().saturating_sub(1);
    let length = head.len() + items.iter().map(length).sum::<usize>() + commas + tail.len();
    let items = items.into_iter().enumerate().flat_map(|(at, (text, skipped))| {
        let comma = (at > 0).then_some(Bytes::from_static(b","));
        let brace = skipped.map(|_| Bytes::from_static(b"{"));
        let text = Bytes::from_owner(text).slice(skipped.unwrap_or(0)..);
        comma.into_iter().chain(brace).chain([text])
    });
    let pieces = std::iter::once(Bytes::from(head)).chain(items).chain([Bytes::from(tail)]);
    // What is held is given back with the last piece.
    let frames = stream::iter(pieces.map(move |piece| {
        let _ = &held;
        Ok(Frame::data(piece))
    }));
    let mut answer = response(200, UnsyncBoxBody::new(StreamBody::new(frames)));
    answer.headers_mut().insert(CONTENT_LENGTH, length.into());
    answer
}

/// One object.
pub(crate) fn stored(code: u16, object: &Object) -> Answer {
    response(code, UnsyncBoxBody::new(Full::new(Bytes::from_owner(object.text()))))
}

/// A body that was put together for this answer.
pub(crate) fn text(code: u16, text: String) -> Answer {
    response(code, UnsyncBoxBody::new(Full::from(text)))
}

/// A body and its type.
pub(crate) fn response(code: u16, body: UnsyncBoxBody<Bytes, Infallible>) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = hyper::StatusCode::from_u16(code).unwrap_or_default();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// Why nothing was done.
pub(crate) fn refusal(error: &ApiError) -> Answer {
    let mut answer = text(error.code(), error.status().to_string());
    if let Some(seconds) = error.retry_after() {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer
}
