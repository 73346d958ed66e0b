//! The file requests of Pebble's API.

use std::collections::BTreeMap;

use http1_client::decode;
use serde::Serialize;
use serde_json::{Value, json};

use crate::far::disk::{Disk, File, Folder, Owner};
use crate::mutant;

use super::answer::{Answer, sync};

/// The values of a parameter.
pub(crate) fn parameters<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(move |(key, _)| *key == name).map(|(_, value)| decode(value))
}

fn parameter(query: &str, name: &str) -> String {
    parameters(query, name).next().unwrap_or_default()
}

fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, wanted)
}

/// The names of the files that a body writes.
pub(crate) fn file_names(body: &[u8]) -> impl Iterator<Item = String> {
    let marker = b"filename=\"";
    let mut rest = body;
    std::iter::from_fn(move || {
        rest = &rest[position(rest, marker)? + marker.len()..];
        let end = position(rest, b"\"")?;
        Some(String::from_utf8_lossy(&rest[..end]).into_owned())
    })
}

/// The parts of a multipart body: the request and the files' contents.
fn parts<'a>(kind: &str, body: &'a [u8]) -> Option<(Value, Vec<&'a [u8]>)> {
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
    let (request, files) = contents.split_first()?;
    Some((serde_json::from_slice(request).ok()?, files.to_vec()))
}

/// What became of the change of one path.
type Change = Result<(), (&'static str, String)>;

fn outcome(path: &str, change: Change) -> Value {
    match change {
        Ok(()) => json!({"path": path}),
        Err((kind, message)) => json!({"path": path, "error": {"kind": kind, "message": message}}),
    }
}

fn refused(message: String) -> Change {
    Err(("generic-file-error", message))
}

/// The folder in which a path lies.
fn above(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((folder, _)) => folder,
    }
}

/// Writes, makes folders, removes. A disk becomes full with the last of several files or folders.
pub(crate) fn change(disk: &mut Disk, kind: &str, body: &[u8], full: bool) -> Answer {
    if kind.starts_with("multipart/") {
        let Some((request, contents)) = parts(kind, body) else {
            return Answer::Refused(400, "", "cannot read the body".to_owned());
        };
        let files = request["files"].as_array().map_or(&[][..], Vec::as_slice).iter();
        let last = contents.len().saturating_sub(1);
        let outcomes = files.zip(contents).enumerate().map(|(index, (file, content))| {
            let entry = Entry::of(file, 0o644, full && index == last);
            answer(entry, |entry| write(disk, entry, content))
        });
        return Answer::Sync(outcomes.collect());
    }
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    match request["action"].as_str().unwrap_or_default() {
        "make-dirs" => {
            let dirs = request["dirs"].as_array().map_or(&[][..], Vec::as_slice);
            let last = dirs.len().saturating_sub(1);
            let outcomes = dirs.iter().enumerate().map(|(index, dir)| {
                let entry = Entry::of(dir, 0o755, full && index == last);
                answer(entry, |entry| make_dir(disk, entry))
            });
            Answer::Sync(outcomes.collect())
        }
        "remove" => {
            let path = request["paths"][0]["path"].as_str().unwrap_or_default();
            let recursive = request["paths"][0]["recursive"] == true;
            Answer::Sync(json!([outcome(path, remove(disk, path, recursive))]))
        }
        other => Answer::Refused(400, "", format!("no simulation of {other}")),
    }
}

/// A file or folder as it shall be.
struct Entry<'a> {
    path: &'a str,
    mode: u32,
    owner: Owner,
    /// Whether folders on the way are made.
    parents: bool,
}

impl<'a> Entry<'a> {
    fn of(request: &'a Value, mode: u32, full: bool) -> Result<Self, (&'a str, Change)> {
        let path = request["path"].as_str().unwrap_or_default();
        if full {
            let message = "no space left on device".to_owned();
            return Err((path, Err(("generic-error", message))));
        }
        if !path.starts_with('/') {
            return Err((path, refused(format!("paths must be absolute, got \"{path}\""))));
        }
        let user = request["user"].as_str().unwrap_or("root");
        let Some(owner) = Owner::named(user) else {
            let message = format!("cannot look up user and group: user: unknown user {user}");
            return Err((path, refused(message)));
        };
        let wanted = request["permissions"].as_str();
        let mode = wanted.and_then(|text| u32::from_str_radix(text, 8).ok()).unwrap_or(mode);
        let parents = request["make-dirs"] == true || request["make-parents"] == true;
        Ok(Self { path, mode, owner, parents })
    }
}

fn answer<'a>(
    entry: Result<Entry<'a>, (&'a str, Change)>,
    act: impl FnOnce(&Entry<'_>) -> Change,
) -> Value {
    match entry {
        Ok(entry) => outcome(entry.path, act(&entry)),
        Err((path, change)) => outcome(path, change),
    }
}

/// Makes folders on the way to a path with this mode, or misses one.
fn make_way(disk: &mut Disk, entry: &Entry<'_>, mode: u32) -> Change {
    let mut missing = Vec::new();
    let mut path = above(entry.path);
    while disk.folder(path).is_none() {
        missing.push(path);
        path = above(path);
    }
    if !missing.is_empty() && !entry.parents {
        let message = format!("open {}: no such file or directory", entry.path);
        return Err(("not-found", message));
    }
    for path in missing {
        disk.folders.insert(path.to_owned(), Folder { mode, owner: entry.owner });
    }
    Ok(())
}

fn make_dir(disk: &mut Disk, entry: &Entry<'_>) -> Change {
    if disk.files.contains_key(entry.path) {
        return refused(format!("mkdir {}: not a directory", entry.path));
    }
    if disk.folder(entry.path).is_some() {
        // One that is there stays as it is.
        return match entry.parents {
            true => Ok(()),
            false => refused(format!("mkdir {}: file exists", entry.path)),
        };
    }
    make_way(disk, entry, entry.mode)?;
    let folder = Folder { mode: entry.mode, owner: entry.owner };
    disk.folders.insert(entry.path.to_owned(), folder);
    Ok(())
}

fn write(disk: &mut Disk, entry: &Entry<'_>, content: &[u8]) -> Change {
    let Entry { path, mode, owner, .. } = *entry;
    if disk.folder(path).is_some() {
        return refused(format!("rename {path}: file exists"));
    }
    make_way(disk, entry, 0o755)?;
    if mutant::loses(path) {
        return Ok(());
    }
    let (content, mode) =
        mutant::file(path, content, mode).unwrap_or_else(|| (content.to_vec(), mode));
    disk.files.insert(path.to_owned(), File { content, mode, owner });
    Ok(())
}

fn remove(disk: &mut Disk, path: &str, recursive: bool) -> Change {
    if disk.files.remove(path).is_some() {
        return Ok(());
    }
    let below = |other: &String| {
        other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if recursive {
        disk.files.retain(|path, _| !below(path));
        disk.folders.retain(|path, _| !below(path));
        return Ok(());
    }
    if disk.folder(path).is_none() {
        return Err(("not-found", format!("remove {path}: no such file or directory")));
    }
    let inside = |other: &&String| below(other) && *other != path;
    let full = disk.files.keys().find(inside).or(disk.folders.keys().find(inside));
    if full.is_some() {
        return refused(format!("remove {path}: directory not empty"));
    }
    disk.folders.remove(path);
    Ok(())
}

/// Whether a name fits a pattern with at most one star; an empty one fits all.
fn fits(name: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        _ if pattern.is_empty() => true,
        Some((begin, end)) => {
            let rest = name.strip_prefix(begin);
            rest.is_some_and(|rest| rest.ends_with(end))
        }
        None => name == pattern,
    }
}

fn info(path: &str, kind: &str, mode: u32, owner: Owner) -> Value {
    let name = path.rsplit('/').next().unwrap_or_default();
    json!({
        "path": path, "name": name, "type": kind, "permissions": format!("{mode:03o}"),
        "user": owner.name(), "group": owner.name(),
    })
}

/// What lies in a folder.
fn list(disk: &Disk, folder: &str, pattern: &str) -> Value {
    let inside = |path: &str| {
        let name = path.strip_prefix(folder)?.strip_prefix('/')?;
        (!name.contains('/') && fits(name, pattern)).then_some(())
    };
    let files = disk.files.iter().filter(|(path, _)| inside(path).is_some());
    let folders = disk.folders.iter().filter(|(path, _)| inside(path).is_some());
    let files = files.map(|(path, file)| (path, info(path, "file", file.mode, file.owner)));
    let folders = folders.map(|(path, own)| (path, info(path, "directory", own.mode, own.owner)));
    let all: BTreeMap<&String, Value> = files.chain(folders).collect();
    all.into_values().collect()
}

/// Reads files or looks at a path.
pub(crate) fn read(disk: &Disk, query: &str) -> Answer {
    if parameter(query, "action") == "list" {
        return look(disk, query);
    }
    let mut body = Vec::with_capacity(BODY);
    let mut outcomes = Vec::new();
    for path in parameters(query, "path") {
        match disk.files.get(&path).filter(|_| !mutant::hides(&path)) {
            Some(file) => {
                body.extend_from_slice(PART.as_bytes());
                body.extend_from_slice(path.as_bytes());
                body.extend_from_slice(b"\"\r\n\r\n");
                body.extend_from_slice(&file.content);
                body.extend_from_slice(b"\r\n");
                outcomes.push(Outcome { path, error: None });
            }
            None => {
                let error = Some(missing(disk, &path));
                outcomes.push(Outcome { path, error });
            }
        }
    }
    body.extend_from_slice(RESPONSE.as_bytes());
    body.extend_from_slice(&sync(&outcomes));
    body.extend_from_slice(END.as_bytes());
    Answer::Raw(KIND, body)
}

/// What became of one file.
#[derive(Serialize)]
struct Outcome {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

/// The type of a body with files.
const KIND: &str = "multipart/form-data; boundary=01234567890123456789012345678901";

/// How the part that speaks of the files begins.
const RESPONSE: &str = "--01234567890123456789012345678901\r\n\
                        Content-Disposition: form-data; name=\"response\"\r\n\r\n";

/// How the body ends.
const END: &str = "\r\n--01234567890123456789012345678901--\r\n";

/// What most bodies fit into, in bytes.
const BODY: usize = 16 << 10;

/// How the part of a file begins, up to its path.
const PART: &str = "--01234567890123456789012345678901\r\n\
                    Content-Disposition: form-data; name=\"files\"; filename=\"";

/// Why a path cannot be read as a file.
fn missing(disk: &Disk, path: &str) -> Value {
    if disk.folder(path).is_some() {
        let message = format!("can only read a regular file: \"{path}\"");
        return json!({"kind": "generic-file-error", "message": message});
    }
    json!({"kind": "not-found", "message": format!("open {path}: no such file or directory")})
}

/// Looks at a path, or at what is in a folder.
fn look(disk: &Disk, query: &str) -> Answer {
    let path = parameter(query, "path");
    let itself = parameter(query, "itself") == "true";
    if let Some(file) = disk.files.get(&path) {
        return Answer::Sync(json!([info(&path, "file", file.mode, file.owner)]));
    }
    match disk.folder(&path) {
        None => {
            let message = format!("stat {path}: no such file or directory");
            Answer::Refused(404, "not-found", message)
        }
        Some(folder) if itself => {
            Answer::Sync(json!([info(&path, "directory", folder.mode, folder.owner)]))
        }
        Some(_) => Answer::Sync(list(disk, &path, &parameter(query, "pattern"))),
    }
}
