//! The file requests of Pebble's API.

use serde_json::{Value, json};

use crate::mutants;
use crate::pebble_api::Answer;
use crate::pod::{Container, File};

const BOUNDARY: &str = "01234567890123456789012345678901";

/// A query's text without escapes.
pub(crate) fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next(), rest.next()].map(|digit| digit.unwrap_or(b'0'));
        let digits = String::from_utf8_lossy(&digits).into_owned();
        bytes.push(u8::from_str_radix(&digits, 16).unwrap_or_default());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The values of a parameter.
fn parameters<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(move |(key, _)| *key == name).map(|(_, value)| unescape(value))
}

fn parameter(query: &str, name: &str) -> String {
    parameters(query, name).next().unwrap_or_default()
}

fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, wanted)
}

/// The name of the file that a body writes.
pub(crate) fn file_name(body: &[u8]) -> Option<String> {
    let marker = b"filename=\"";
    let rest = &body[position(body, marker)? + marker.len()..];
    let end = position(rest, b"\"")?;
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

/// The parts of a multipart body: the request and the file's content.
fn parts<'a>(kind: &str, body: &'a [u8]) -> Option<(Value, &'a [u8])> {
    let boundary = kind.split_once("boundary=")?.1.trim_matches('"');
    let separator = format!("\r\n--{boundary}");
    let mut contents = Vec::new();
    let mut rest = body;
    while let Some(head) = position(rest, b"\r\n\r\n") {
        rest = &rest[head + 4..];
        let end = position(rest, separator.as_bytes())?;
        contents.push(&rest[..end]);
        rest = &rest[end + separator.len()..];
    }
    match contents.as_slice() {
        [request, file] => Some((serde_json::from_slice(request).ok()?, file)),
        _ => None,
    }
}

fn outcome(path: &str, failure: Option<(&str, String)>) -> Value {
    match failure {
        None => json!([{"path": path}]),
        Some((kind, message)) => {
            json!([{"path": path, "error": {"kind": kind, "message": message}}])
        }
    }
}

/// Writes, makes folders, removes.
pub(crate) fn change(container: &mut Container, kind: &str, body: &[u8], full: bool) -> Answer {
    if kind.starts_with("multipart/") {
        let Some((request, content)) = parts(kind, body) else {
            return Answer::Refused(400, "generic-error", "cannot read the body".to_owned());
        };
        return Answer::Sync(write(container, &request["files"][0], content, full));
    }
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    match request["action"].as_str().unwrap_or_default() {
        "make-dirs" => {
            let path = request["dirs"][0]["path"].as_str().unwrap_or_default();
            if full {
                let failure = ("generic-error", "no space left on device".to_owned());
                return Answer::Sync(outcome(path, Some(failure)));
            }
            container.folders.insert(path.to_owned());
            Answer::Sync(outcome(path, None))
        }
        "remove" => {
            let path = request["paths"][0]["path"].as_str().unwrap_or_default();
            let found = container.files.remove(path).is_some();
            let missing = || ("not-found", format!("remove {path}: no such file or directory"));
            Answer::Sync(outcome(path, (!found).then(missing)))
        }
        other => Answer::Refused(400, "generic-error", format!("no simulation of {other}")),
    }
}

fn write(container: &mut Container, request: &Value, content: &[u8], full: bool) -> Value {
    let path = request["path"].as_str().unwrap_or_default();
    if full {
        let failure = ("generic-error", "no space left on device".to_owned());
        return outcome(path, Some(failure));
    }
    let mode = request["permissions"].as_str().unwrap_or("644");
    let mode = u32::from_str_radix(mode, 8).unwrap_or_default();
    let (content, mode) =
        mutants::file(path, content, mode).unwrap_or_else(|| (content.to_vec(), mode));
    container.files.insert(path.to_owned(), File { content, mode });
    outcome(path, None)
}

/// The files of a folder whose names begin as the pattern does before its star.
fn list(container: &Container, folder: &str, pattern: &str) -> Value {
    let begin = pattern.split('*').next().unwrap_or_default();
    let inside = |path: &String| {
        let name = path.strip_prefix(folder)?.strip_prefix('/')?;
        (name.starts_with(begin) && !name.contains('/')).then(|| name.to_owned())
    };
    let files = container.files.iter().filter_map(|(path, file)| Some((path, inside(path)?, file)));
    files
        .map(|(path, name, file)| {
            let permissions = format!("{:03o}", file.mode);
            json!({"path": path, "name": name, "type": "file", "permissions": permissions})
        })
        .collect()
}

/// Reads files or looks at a path.
pub(crate) fn read(container: &Container, query: &str) -> Answer {
    if parameter(query, "action") == "list" {
        return look(container, query);
    }
    let mut body = Vec::new();
    let mut outcomes = Vec::new();
    for path in parameters(query, "path") {
        match container.files.get(&path) {
            Some(file) => {
                body.extend_from_slice(PART.as_bytes());
                body.extend_from_slice(path.as_bytes());
                body.extend_from_slice(b"\"\r\n\r\n");
                body.extend_from_slice(&file.content);
                body.extend_from_slice(b"\r\n");
                outcomes.push(json!({"path": path}));
            }
            None => outcomes.push(json!({"path": path, "error": missing(&path)})),
        }
    }
    let tail = json!({"type": "sync", "status-code": 200, "result": outcomes});
    let tail = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"response\"\r\n\r\n\
         {tail}\r\n--{BOUNDARY}--\r\n"
    );
    body.extend_from_slice(tail.as_bytes());
    Answer::Raw(format!("multipart/form-data; boundary={BOUNDARY}"), body)
}

/// How the part of a file begins, up to its path.
const PART: &str = "--01234567890123456789012345678901\r\n\
                    Content-Disposition: form-data; name=\"files\"; filename=\"";

fn missing(path: &str) -> Value {
    json!({"kind": "not-found", "message": format!("stat {path}: no such file or directory")})
}

/// Looks at a path, or at what is in a folder.
fn look(container: &Container, query: &str) -> Answer {
    let path = parameter(query, "path");
    if parameter(query, "itself") != "true" {
        return Answer::Sync(list(container, &path, &parameter(query, "pattern")));
    }
    let file = container.files.get(&path);
    let folder = container.folders.contains(&path);
    if file.is_none() && !folder {
        let message = format!("stat {path}: no such file or directory");
        return Answer::Refused(404, "not-found", message);
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    Answer::Sync(json!([{
        "path": path,
        "name": name,
        "type": if folder { "directory" } else { "file" },
        "permissions": format!("{:03o}", file.map_or(0o755, |file| file.mode)),
    }]))
}
