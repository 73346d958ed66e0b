//! Answers in Pebble's envelopes.

use http1_client::header::HeaderValue;
use http1_client::{Bytes, HeaderMap, Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

/// An answer before it has a status line.
pub(crate) enum Answer {
    /// A result.
    Sync(Value),
    /// A result in its envelope.
    Ready(Bytes),
    /// A change that has ended.
    Change(Result<(), String>),
    /// A command that has ended with this code, but whose sockets wait.
    Task(u8),
    /// A refusal: status, kind, message.
    Refused(u16, &'static str, String),
    /// A body of its own kind.
    Raw(&'static str, Vec<u8>),
}

/// Wraps an answer as Pebble does.
pub(crate) fn response(answer: Answer, changes: &mut Vec<Result<u8, String>>) -> Response {
    let mut kind = HeaderValue::from_static("application/json");
    let change = |changes: &[_], result: &str| {
        let id = changes.len();
        let envelope = r#""type":"async","status-code":202"#;
        Bytes::from(format!(r#"{{{envelope},"change":"{id}","result":{result}}}"#))
    };
    let (status, body) = match answer {
        Answer::Sync(result) => (200, sync(&result)),
        Answer::Change(ended) => {
            changes.push(ended.map(|()| 0));
            (202, change(changes, "null"))
        }
        Answer::Task(code) => {
            changes.push(Ok(code));
            (202, change(changes, r#"{"task-id":"1"}"#))
        }
        Answer::Refused(status, kind, message) => {
            let result = json!({"kind": kind, "message": message});
            let body = json!({"type": "error", "status-code": status, "result": result});
            (status, Bytes::from(body.to_string()))
        }
        Answer::Ready(body) => (200, body),
        Answer::Raw(parts, body) => {
            kind = HeaderValue::from_static(parts);
            (200, body.into())
        }
    };
    let headers = HeaderMap::from_iter([(http1_client::header::CONTENT_TYPE, kind)]);
    let status = StatusCode::from_u16(status).unwrap_or_default();
    Response { status, headers, body }
}

/// An answer of Pebble.
pub(crate) fn sync(result: &impl Serialize) -> Bytes {
    let mut body = br#"{"type":"sync","status-code":200,"result":"#.to_vec();
    // What is written here is always JSON.
    drop(serde_json::to_writer(&mut body, result));
    body.push(b'}');
    body.into()
}
