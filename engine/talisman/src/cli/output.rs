//! What a command prints: results on standard output, words for people beside them.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use serde_json::Value;

use super::values::Format;

/// Whether anything of the result is out.
static PRINTED: AtomicBool = AtomicBool::new(false);

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
/// anything.
fn nothing(format: Option<Format>) {
    let for_programs = matches!(format, Some(Format::Json | Format::Yaml));
    if for_programs && !anything_is_out() {
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
