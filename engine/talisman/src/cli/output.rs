//! What a command prints: results on standard output, words for people beside them.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use clap::{Arg, Command, value_parser};
use serde_json::Value;

use super::values::Format;

/// Whether anything of the result is out.
static PRINTED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The file that takes the result in standard output's place.
    static DESTINATION: RefCell<Option<Destination>> = const { RefCell::new(None) };
}

/// A file for the result, which is made when there is one.
struct Destination {
    path: PathBuf,
    file: Option<File>,
}

impl Destination {
    fn write(&mut self, text: &str) -> Result<()> {
        let file = match self.file.take() {
            Some(file) => Ok(file),
            None => made(&self.path),
        };
        let written = file.and_then(|file| self.file.insert(file).write_all(text.as_bytes()));
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// A file anew, for its owner alone: a result may hold secrets and options of an operator's.
fn made(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// A verb whose result has a format, with Juju's option for where the result goes.
pub(super) fn with_file(verb: Command) -> Command {
    let has = |name: &str| verb.get_arguments().any(|argument| argument.get_id() == name);
    if !has("format") {
        return verb;
    }
    let file = Arg::new("output").short('o').long("output").value_name("FILE");
    verb.arg(file.value_parser(value_parser!(PathBuf)).help("Write the result to a file"))
}

/// Has a file take the result of this thread's command from now on.
pub(crate) fn write_to(path: Option<PathBuf>) {
    DESTINATION.set(path.map(|path| Destination { path, file: None }));
}

/// Whether a file takes the result of this thread's command.
pub(super) fn is_file() -> bool {
    DESTINATION.with_borrow(Option::is_some)
}

/// Words that make no command: the program ends as when an option is unknown.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// Prints why a command failed, and returns the program's exit code.
pub(crate) fn refused(error: &anyhow::Error, format: Option<Format>) -> u8 {
    let is_usage = error.is::<Usage>();
    if !is_usage {
        nothing(format);
    }
    tell(&format!("ERROR {error:#}"));
    if is_usage { 2 } else { 1 }
}

/// What is wrong with words that make no command.
pub(crate) fn usage(error: &clap::Error) -> String {
    let text = error.to_string();
    match text.strip_prefix("error: ") {
        Some(words) => format!("ERROR {words}"),
        None => text,
    }
}

/// Prints a line of the command's result; a closed pipe ends the command quietly.
pub(super) fn say(line: &str) -> Result<()> {
    print(&format!("{line}\n"))
}

/// Prints a part of the command's result as it is.
pub(super) fn print(text: &str) -> Result<()> {
    PRINTED.store(true, Ordering::Relaxed);
    let to_file = DESTINATION.with_borrow_mut(|file| file.as_mut().map(|file| file.write(text)));
    if let Some(written) = to_file {
        return written;
    }
    #[cfg(test)]
    if captured::take_in(|out| out.0.push_str(text)) {
        return Ok(());
    }
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// Prints progress on standard error; lost when that is closed.
pub(crate) fn tell(line: &str) {
    #[cfg(test)]
    if captured::take_in(|out| out.1.push_str(&format!("{line}\n"))) {
        return;
    }
    writeln!(std::io::stderr(), "{line}").ok();
}

/// The empty object that Juju prints for programs when a command fails before it has printed
/// anything; never into a file.
fn nothing(format: Option<Format>) {
    let for_programs = matches!(format, Some(Format::Json | Format::Yaml));
    if for_programs && !anything_is_out() {
        write_to(None);
        say("{}").ok();
    }
}

/// Whether this command has printed anything of its result; commands of tests run side by side.
fn anything_is_out() -> bool {
    #[cfg(test)]
    if let Some(is_out) = captured::anything_is_out() {
        return is_out;
    }
    PRINTED.load(Ordering::Relaxed)
}

/// Prints a value as JSON or YAML.
pub(super) fn show(value: &Value, format: Format) -> Result<()> {
    match format {
        Format::Json => say(&serde_json::to_string(value)?),
        _ => say(yaml(value)?.trim_end()),
    }
}

/// YAML as Juju prints it.
pub(super) fn yaml<T: serde::Serialize>(value: &T) -> Result<String> {
    Ok(juju_hooktools::go_yaml(&serde_json::to_value(value)?))
}

#[cfg(test)]
pub(crate) mod captured {
    //! What a command of a test printed.

    use std::cell::RefCell;

    thread_local! {
        static PRINTED: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
    }

    /// Writes to standard output; whether it is still open.
    pub(super) fn take_in(add: impl FnOnce(&mut (String, String))) -> bool {
        PRINTED.with_borrow_mut(|printed| printed.as_mut().map(add)).is_some()
    }

    /// Whether the command of this thread has printed; nothing where none is captured.
    pub(super) fn anything_is_out() -> Option<bool> {
        PRINTED.with_borrow(|printed| printed.as_ref().map(|(out, _)| !out.is_empty()))
    }

    /// Runs a command and gives what it printed: its result, and its words for people.
    pub(crate) fn during<T>(command: impl FnOnce() -> T) -> (T, String, String) {
        PRINTED.set(Some(Default::default()));
        let value = command();
        let (out, words) = PRINTED.take().unwrap_or_default();
        (value, out, words)
    }
}
