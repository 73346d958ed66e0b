//! Files in the container.

use http1_client::{Method, Request, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::query;
use crate::envelope::result;
use crate::multipart::{self, Part};
use crate::{Client, Error};

/// The mode, user and group of a file or folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ownership {
    /// Permission bits, for instance `0o640`; files are 644 and folders 755 by default.
    pub mode: Option<u32>,
    /// The user's name; Pebble's own by default.
    pub user: Option<String>,
    /// The group's name.
    pub group: Option<String>,
    /// Make missing folders on the way.
    pub make_dirs: bool,
}

impl Ownership {
    /// Pebble's defaults, missing folders made.
    pub fn make_dirs() -> Self {
        Self { make_dirs: true, ..Self::default() }
    }

    /// With these permission bits.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Owned by this user and group.
    #[must_use]
    pub fn owner(mut self, user: &str, group: &str) -> Self {
        self.user = Some(user.to_owned());
        self.group = Some(group.to_owned());
        self
    }

    fn to_json(&self, path: &str, parents: &str) -> Value {
        let mut entry = json!({ "path": path, parents: self.make_dirs });
        if let Some(mode) = self.mode {
            entry["permissions"] = json!(format!("{:03o}", mode & 0o777));
        }
        if let Some(user) = &self.user {
            entry["user"] = json!(user);
        }
        if let Some(group) = &self.group {
            entry["group"] = json!(group);
        }
        entry
    }
}

/// A file as it shall be.
#[derive(Clone)]
pub struct NewFile<'a> {
    /// The absolute path.
    pub path: &'a str,
    /// The bytes.
    pub content: &'a [u8],
    /// Whose it is.
    pub ownership: Ownership,
}

impl std::fmt::Debug for NewFile<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What a folder's listing says about one file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileInfo {
    /// The whole path.
    pub path: String,
    /// The last part of the path.
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: FileKind,
    /// Bytes, of a file.
    #[serde(default)]
    pub size: Option<u64>,
    /// Octal digits, for instance `644`.
    pub permissions: String,
    /// The user's name.
    #[serde(default)]
    pub user: Option<String>,
    /// The group's name.
    #[serde(default)]
    pub group: Option<String>,
}

impl FileInfo {
    /// The permission bits.
    pub fn mode(&self) -> Option<u32> {
        u32::from_str_radix(&self.permissions, 8).ok()
    }
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A unix socket.
    Socket,
    /// A pipe.
    NamedPipe,
    /// A device.
    Device,
    /// Something else.
    #[serde(other)]
    Unknown,
}

/// How one file of a request went: Pebble answers 200 even if it failed.
#[derive(Deserialize)]
struct Outcome {
    #[serde(default)]
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    kind: String,
    message: String,
}

impl Failure {
    fn is_not_found(&self) -> bool {
        self.kind == "not-found"
    }

    fn into_error(self, doing: &str) -> Error {
        let (doing, status) = (doing.to_owned(), 200);
        Error::Refused { doing, status, kind: self.kind, message: self.message }
    }
}

impl Client {
    /// Writes a file at once (a reader sees the old or the new content). The path is
    /// absolute.
    ///
    /// # Errors
    /// When the file cannot be written or the user is unknown.
    pub async fn push(
        &self,
        path: &str,
        content: impl AsRef<[u8]>,
        ownership: &Ownership,
    ) -> Result<(), Error> {
        let file = NewFile { path, content: content.as_ref(), ownership: ownership.clone() };
        self.push_all(&[file]).await
    }

    /// Writes files in one request, in this order, each as [`Client::push`] does. One that cannot
    /// be written does not keep the others from it.
    ///
    /// # Errors
    /// When any file cannot be written; the error names the first.
    pub async fn push_all(&self, files: &[NewFile<'_>]) -> Result<(), Error> {
        let paths: Vec<&str> = files.iter().map(|file| file.path).collect();
        let doing = format!("write {}", paths.join(", "));
        let entries = files.iter().map(|file| file.ownership.to_json(file.path, "make-dirs"));
        let entries: Vec<Value> = entries.collect();
        let head = json!({ "action": "write", "files": entries }).to_string();
        let mut parts = vec![Part { name: "request", path: None, content: head.as_bytes() }];
        let contents = files.iter();
        parts.extend(contents.map(|file| Part {
            name: "files",
            path: Some(file.path),
            content: file.content,
        }));
        let boundary = multipart::boundary(&parts);
        let request = Request::builder()
            .method(Method::POST)
            .uri("/v1/files")
            .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"));
        let body = multipart::write(&parts, &boundary);
        let answer = self.send(&doing, request, body, self.timeout()).await?;
        settle(&doing, result(&doing, &answer.body)?)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read; [`Error::is_not_found`] when it is missing.
    pub async fn pull(&self, path: &str) -> Result<Vec<u8>, Error> {
        let doing = format!("read {path}");
        let answer = || Error::Answer { doing: doing.clone(), why: "it has no file".to_owned() };
        let found = self.read(&doing, &[path]).await?.pop().ok_or_else(answer)?;
        found.map_err(|failure| failure.into_error(&doing))
    }

    /// Reads a text file, or `None` where it is missing.
    ///
    /// # Errors
    /// When it cannot be read or is no UTF-8.
    pub async fn pull_text(&self, path: &str) -> Result<Option<String>, Error> {
        Ok(self.pull_texts(&[path]).await?.pop().flatten())
    }

    /// Reads text files in one request, each `None` where it is missing.
    ///
    /// # Errors
    /// When one cannot be read or is no UTF-8.
    pub async fn pull_texts(&self, paths: &[&str]) -> Result<Vec<Option<String>>, Error> {
        let found = self.read(&format!("read {}", paths.join(", ")), paths).await?;
        let texts = found.into_iter().zip(paths).map(|(found, path)| {
            let doing = || format!("read {path}");
            match found.map(String::from_utf8) {
                Ok(Ok(text)) => Ok(Some(text)),
                Ok(Err(_)) => Err(Error::Answer {
                    doing: doing(),
                    why: "the file is no UTF-8 text".to_owned(),
                }),
                Err(failure) if failure.is_not_found() => Ok(None),
                Err(failure) => Err(failure.into_error(&doing())),
            }
        });
        texts.collect()
    }

    /// The contents of files, or why each cannot be read, in the order of the paths.
    async fn read(
        &self,
        doing: &str,
        paths: &[&str],
    ) -> Result<Vec<Result<Vec<u8>, Failure>>, Error> {
        let pairs = paths.iter().map(|path| ("path", *path));
        let pairs: Vec<_> = std::iter::once(("action", "read")).chain(pairs).collect();
        let request = Request::builder()
            .method(Method::GET)
            .uri(format!("/v1/files{}", query(&pairs)))
            .header(header::ACCEPT, "multipart/form-data");
        let response = self.send(doing, request, Vec::new(), self.timeout()).await?;
        let answer = |why: &str| Error::Answer { doing: doing.to_owned(), why: why.to_owned() };
        let kind = response.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let parts = multipart::read(kind.unwrap_or_default(), &response.body)
            .ok_or_else(|| answer("it is no multipart body"))?;
        let last = parts.iter().find(|part| part.name == "response");
        let last = last.ok_or_else(|| answer("it has no response part"))?;
        let outcomes: Vec<Outcome> = result(doing, last.content)?;
        if outcomes.len() != paths.len() {
            return Err(answer("it does not speak of every file"));
        }
        // Pebble sends the files that it could read in the order in which they were asked for.
        let mut files = parts.iter().filter(|part| part.name == "files");
        let contents = outcomes.into_iter().map(|outcome| match outcome.error {
            Some(failure) => Ok(Err(failure)),
            None => match files.next() {
                Some(file) => Ok(Ok(file.content.to_vec())),
                None => Err(answer("it has no file")),
            },
        });
        contents.collect()
    }

    /// Lists a folder's content, sorted by name; `pattern` is a shell pattern or empty.
    ///
    /// # Errors
    /// When the folder cannot be read; [`Error::is_not_found`] when it is missing.
    pub async fn list_files(&self, path: &str, pattern: &str) -> Result<Vec<FileInfo>, Error> {
        let query = query(&[("action", "list"), ("path", path), ("pattern", pattern)]);
        self.get(&format!("list {path}"), &format!("/v1/files{query}")).await
    }

    /// What a path leads to, or `None` where it is missing.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub async fn stat(&self, path: &str) -> Result<Option<FileInfo>, Error> {
        let query = query(&[("action", "list"), ("path", path), ("itself", "true")]);
        let found: Result<Vec<FileInfo>, Error> =
            self.get(&format!("look at {path}"), &format!("/v1/files{query}")).await;
        match found {
            Ok(found) => Ok(found.into_iter().next()),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a folder; with `make_dirs` also those above, and one that is there is fine.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn make_dir(&self, path: &str, ownership: &Ownership) -> Result<(), Error> {
        self.make_dirs(&[path], ownership).await
    }

    /// Makes folders in one request, in this order, each as [`Client::make_dir`] does.
    ///
    /// # Errors
    /// When any cannot be made; the error names the first.
    pub async fn make_dirs(&self, paths: &[&str], ownership: &Ownership) -> Result<(), Error> {
        let dirs: Vec<Value> =
            paths.iter().map(|path| ownership.to_json(path, "make-parents")).collect();
        let doing = format!("make the folder {}", paths.join(", "));
        self.change_files(&doing, "make-dirs", "dirs", json!(dirs)).await
    }

    /// Removes a file or an empty folder; with `recursive` whatever it is, or nothing.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn remove_path(&self, path: &str, recursive: bool) -> Result<(), Error> {
        let paths = json!([{ "path": path, "recursive": recursive }]);
        self.change_files(&format!("remove {path}"), "remove", "paths", paths).await
    }

    async fn change_files(
        &self,
        doing: &str,
        action: &str,
        key: &str,
        entries: Value,
    ) -> Result<(), Error> {
        let body = json!({ "action": action, key: entries });
        let answer = self.post(doing, "/v1/files", &body).await?;
        settle(doing, answer.result(doing)?)
    }
}

/// Turns the failure of any file into an error.
fn settle(doing: &str, outcomes: Vec<Outcome>) -> Result<(), Error> {
    match outcomes.into_iter().find_map(|outcome| outcome.error) {
        None => Ok(()),
        Some(failure) => Err(failure.into_error(doing)),
    }
}
