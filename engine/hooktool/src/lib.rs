//! The process behind every hook tool: what it makes of its arguments before and after the engine.
//!
//! It runs in the charm's file system, so files are its business: [`prepare`] reads them
//! into the request, and the answer's `--output` file is left to the caller to write.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use juju_hooktools::flags::{self, Parsed};
use juju_hooktools::spec::{self, IN_BASE64, IN_FILE, takes_content};
use juju_hooktools::wire::Request;

/// Where a file's bytes come from: `-` is standard input.
pub type ReadFile<'a> = &'a mut dyn FnMut(&str) -> std::io::Result<Vec<u8>>;

/// A request, and where its answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// What the engine gets.
    pub request: Request,
    /// The file that gets standard output, when the code is 0.
    pub output: Option<String>,
}

/// A call that the client cannot send. `Display` is what follows `ERROR ` on stderr.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A file whose content a secret tool takes. Juju's agent opens it, not the tool, so
    /// standard input and the tool's working folder are nothing to it.
    #[error("{doing}open {path}: {why}")]
    Open {
        /// What for: empty, or words that end in `: `.
        doing: String,
        /// As it stands in the argument.
        path: String,
        /// In Go's words.
        why: String,
    },
    /// A file that an argument names.
    #[error("{0}")]
    Read(String),
    /// `juju-exec` within a hook.
    #[error("juju-exec cannot be called from within a hook: unset JUJU_CONTEXT_ID first")]
    ExecInHook,
    /// `juju-exec` without a unit or a command.
    #[error("cannot run: write juju-exec [-u] <unit> <command>")]
    ExecUsage,
}

impl ClientError {
    /// The exit code.
    pub fn code(&self) -> u8 {
        if matches!(self, Self::Open { .. }) { 2 } else { 1 }
    }
}

/// Makes a tool's request: reads `--file` and `key#file=`, takes `--output` out.
///
/// Arguments that the tool would not understand go to the engine as they are, which says why.
///
/// # Errors
/// `ClientError::Read`, `ClientError::Open`.
pub fn prepare(mut request: Request, read: ReadFile) -> Result<Prepared, ClientError> {
    let args = std::mem::take(&mut request.args);
    let spec = spec::find(&request.tool);
    let parsed = spec.and_then(|spec| flags::parse(&args, spec.flags).ok());
    let parsed = parsed.filter(|parsed| !parsed.help);
    // A secret's id is looked at before any file.
    let unnamed = |parsed: &Parsed| {
        let id = parsed.rest.first().map(|id| id.parse::<juju_names::SecretId>());
        request.tool == "secret-set" && !matches!(id, Some(Ok(_)))
    };
    let parsed = parsed.filter(|parsed| !unnamed(parsed) || parsed.given("output").is_some());
    let Some(parsed) = parsed.filter(|parsed| names_files(&request.tool, parsed)) else {
        request.args = args;
        return Ok(Prepared { request, output: None });
    };
    let output = parsed.text("output").map(str::to_owned);
    if let Some(path) = parsed.text("file") {
        request.stdin = Some(if takes_content(&request.tool) {
            opened_by_agent("", path, read)?
        } else {
            read_named(path, read)?
        });
    }
    for given in &parsed.flags {
        match given.flag.long {
            "output" => {}
            "file" if given.value.is_empty() => {}
            // The agent's messages name it.
            "file" if takes_content(&request.tool) => {
                request.args.push(format!("--file={}", given.value));
            }
            "file" => request.args.push("--file=-".to_owned()),
            _ if given.by_letter && given.flag.takes == flags::Takes::Text => {
                request.args.extend([given.typed(), given.value.to_owned()]);
            }
            _ if given.by_letter => request.args.push(given.typed()),
            _ => request.args.push(format!("{}={}", given.typed(), given.value)),
        }
    }
    request.args.push("--".to_owned());
    let secret = takes_content(&request.tool);
    for &arg in &parsed.rest {
        let arg = if secret { inline_file(arg, read)? } else { Cow::Borrowed(arg) };
        request.args.push(arg.into_owned());
    }
    Ok(Prepared { request, output })
}

/// Whether a call needs the charm's file system at all.
fn names_files(tool: &str, parsed: &Parsed) -> bool {
    let content = takes_content(tool) && parsed.rest.iter().any(|arg| file_argument(arg).is_some());
    content || parsed.given("output").is_some() || parsed.given("file").is_some()
}

/// The key and the path of `key#file=path`.
fn file_argument(arg: &str) -> Option<(&str, &str)> {
    let (key, path) = arg.split_once('=')?;
    Some((key.strip_suffix(IN_FILE)?, path))
}

/// `key#file=path` with the content in the path's place; anything else as it is.
fn inline_file<'a>(arg: &'a str, read: ReadFile) -> Result<Cow<'a, str>, ClientError> {
    let Some((key, path)) = file_argument(arg) else { return Ok(Cow::Borrowed(arg)) };
    let doing = format!("reading content for secret key {key:?}: ");
    let bytes = opened_by_agent(&doing, path, read)?;
    if bytes.is_empty() {
        // What is typed cannot be empty, what is in a file can.
        return Ok(Cow::Owned(format!("{key}{IN_FILE}=")));
    }
    Ok(Cow::Owned(format!("{key}{IN_BASE64}={}", STANDARD.encode(bytes))))
}

/// A file as the agent opens it. Its working folder is not the charm's, and its standard input
/// is empty.
fn opened_by_agent(doing: &str, path: &str, read: ReadFile) -> Result<Vec<u8>, ClientError> {
    let open = |why: &str| {
        let (doing, path) = (doing.to_owned(), path.to_owned());
        ClientError::Open { doing, path, why: why.to_owned() }
    };
    if path == "/dev/stdin" {
        return Ok(Vec::new());
    }
    if !path.starts_with('/') {
        return Err(open("no such file or directory"));
    }
    read(path).map_err(|error| {
        let words = cannot_open(path, &error);
        open(words.strip_prefix(&format!("open {path}: ")).unwrap_or(&words))
    })
}

fn read_named(path: &str, read: ReadFile) -> Result<Vec<u8>, ClientError> {
    read(path).map_err(|error| ClientError::Read(cannot_open(path, &error)))
}

/// Why a file cannot be opened, in Go's words.
pub fn cannot_open(path: &str, error: &std::io::Error) -> String {
    let why = match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory",
        std::io::ErrorKind::PermissionDenied => "permission denied",
        std::io::ErrorKind::IsADirectory => "is a directory",
        _ => return format!("open {path}: {error}"),
    };
    format!("open {path}: {why}")
}

/// Makes the request of `juju-exec -u <unit> <command>` and `juju-exec <unit> <command>`.
///
/// Words of the command are joined with spaces, for a shell.
///
/// # Errors
/// `ClientError::ExecInHook` when there is a context, `ClientError::ExecUsage`.
pub fn prepare_exec(
    args: &[String],
    dir: String,
    context: Option<&str>,
) -> Result<Request, ClientError> {
    if context.is_some_and(|id| !id.is_empty()) {
        return Err(ClientError::ExecInHook);
    }
    let mut words = args.iter().map(String::as_str).peekable();
    let unit = match words.next().ok_or(ClientError::ExecUsage)? {
        "-u" | "--unit" => words.next().ok_or(ClientError::ExecUsage)?,
        word => match (word.strip_prefix("--unit="), word.strip_prefix("-u")) {
            (Some(unit), _) | (None, Some(unit)) => unit,
            _ if word.starts_with('-') => return Err(ClientError::ExecUsage),
            _ => word,
        },
    };
    words.next_if_eq(&"--");
    let command = words.collect::<Vec<_>>().join(" ");
    if unit.is_empty() || command.is_empty() {
        return Err(ClientError::ExecUsage);
    }
    Ok(Request::exec(unit_of_tag(unit), command, dir))
}

/// `unit-pg-0` is `pg/0`; anything else is as it is.
fn unit_of_tag(text: &str) -> String {
    let tag = text.strip_prefix("unit-").filter(|_| !text.contains('/'));
    match tag.and_then(|rest| rest.rsplit_once('-')) {
        Some((app, number)) => format!("{app}/{number}"),
        None => text.to_owned(),
    }
}

/// Where a unit's agent listens, where nothing else is configured.
pub fn default_socket(unit: &str) -> String {
    format!("/var/lib/juju/agents/unit-{}/agent.socket", unit.replace('/', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdefghij";

    fn words(line: &[&str]) -> Vec<String> {
        line.iter().map(|&word| word.to_owned()).collect()
    }

    fn prepared(line: &[&str]) -> Result<Prepared, ClientError> {
        let mut args = words(line);
        let tool = args.remove(0);
        let request = Request { tool, args, ..Request::default() };
        prepare(request, &mut |path| match path {
            "/missing" => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
            other => Ok(format!("content of {other}").into_bytes()),
        })
    }

    #[track_caller]
    fn check(line: &[&str], args: &[&str], stdin: Option<&str>, output: Option<&str>) {
        let got = prepared(line).unwrap();
        assert_eq!(got.request.args, args, "{line:?}");
        let text = got.request.stdin.map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(text.as_deref(), stdin, "{line:?}");
        assert_eq!(got.output.as_deref(), output, "{line:?}");
    }

    #[test]
    fn calls_without_files_go_as_they_are() {
        check(&["relation-set", "-r", "1", "a=b"], &["-r", "1", "a=b"], None, None);
        check(&["relation-set", "a#file=/x"], &["a#file=/x"], None, None);
        check(&["status-set", "--", "active", "--file"], &["--", "active", "--file"], None, None);
        check(&["is-leader", "--file", "x"], &["--file", "x"], None, None);
        check(&["nope", "--output", "x"], &["--output", "x"], None, None);
        check(
            &["state-set", "--help", "--file", "/missing"],
            &["--help", "--file", "/missing"],
            None,
            None,
        );
    }

    #[test]
    fn files_become_standard_input() {
        let want: &[&str] = &["-r", "1", "--app=true", "--file=-", "--", "a=b"];
        let stdin = Some("content of -");
        check(&["relation-set", "-r", "1", "--app", "--file", "-", "a=b"], want, stdin, None);
        let want: &[&str] = &["--file=-", "--"];
        check(&["state-set", "--file=/x"], want, Some("content of /x"), None);
        let error = prepared(&["state-set", "--file", "/missing"]).unwrap_err().to_string();
        assert_eq!(error, "open /missing: no such file or directory");
    }

    #[test]
    fn files_of_secret_keys_become_base64() {
        let line = ["secret-add", "--label", "--file", "key#file=/x", "other=y=="];
        let want: &[&str] =
            &["--label=--file", "--", "key#base64=Y29udGVudCBvZiAveA==", "other=y=="];
        check(&line, want, None, None);
        check_refused(
            &["secret-set", ID, "key#file=/missing"],
            "reading content for secret key \"key\": open /missing: no such file or directory",
        );
        check_refused(
            &["secret-add", "key#file=x"],
            "reading content for secret key \"key\": open x: no such file or directory",
        );
    }

    #[track_caller]
    fn check_refused(line: &[&str], words: &str) {
        let error = prepared(line).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.code()), (words, 2), "{line:?}");
    }

    #[test]
    fn secrets_come_from_absolute_paths_only() {
        let want: &[&str] = &["--file=/x", "--"];
        check(&["secret-add", "--file", "/x"], want, Some("content of /x"), None);
        check(&["secret-add", "--file=/dev/stdin"], &["--file=/dev/stdin", "--"], Some(""), None);
        check_refused(&["secret-add", "--file", "-"], "open -: no such file or directory");
        check(&["secret-set", "--file", "-"], &["--file", "-"], None, None);
        check_refused(&["secret-add", "--file", "a/b"], "open a/b: no such file or directory");
        check_refused(
            &["secret-set", ID, "--file", "/missing"],
            "open /missing: no such file or directory",
        );
    }

    #[test]
    fn output_stays_with_the_client() {
        let want: &[&str] = &["-r", "1", "--format=json", "--", "-", "app/0"];
        let line = ["relation-get", "-r1", "-o", "/x", "-", "app/0", "--format", "json"];
        check(&line, want, None, Some("/x"));
        check(&["config-get", "-a", "--output=/x"], &["-a", "--"], None, Some("/x"));
    }

    #[track_caller]
    fn check_exec(line: &[&str], want: Option<(&str, &str)>) {
        let request = prepare_exec(&words(line), "/".into(), None).ok();
        assert_eq!(request.as_ref().and_then(Request::as_exec), want, "{line:?}");
    }

    #[test]
    fn exec_takes_a_unit_and_a_command() {
        check_exec(&["-u", "pg/0", "a b"], Some(("pg/0", "a b")));
        check_exec(&["pg/0", "ls", "-l"], Some(("pg/0", "ls -l")));
        check_exec(&["pg/0", "--", "ls"], Some(("pg/0", "ls")));
        check_exec(&["--unit=pg/0", "ls"], Some(("pg/0", "ls")));
        check_exec(&["unit-pg-k8s-0", "ls"], Some(("pg-k8s/0", "ls")));
        for bad in [&[][..], &["pg/0"], &["-u"], &["-u", "pg/0"], &["-x", "pg/0", "ls"]] {
            check_exec(bad, None);
        }
        let within = prepare_exec(&words(&["pg/0", "ls"]), "/".into(), Some("x"));
        assert!(matches!(within, Err(ClientError::ExecInHook)));
        assert_eq!(default_socket("pg/0"), "/var/lib/juju/agents/unit-pg-0/agent.socket");
    }

    proptest::proptest! {
        #[test]
        fn any_arguments_are_prepared_or_refused(tool in 0..spec::TOOLS.len(), args: Vec<String>) {
            let tool = spec::TOOLS[tool].to_owned();
            let request = Request { tool, args, ..Request::default() };
            let _ = prepare(request, &mut |_| Ok(Vec::new()));
        }
    }
}
