//! Holds PgBouncer's clients while PostgreSQL's primary changes.
//!
//! One agent runs beside the PgBouncer processes of a unit. It keeps one session with the primary,
//! as the user of the authentication lookup, and takes the end of that session for its signal:
//! every process is paused, so that clients wait instead of failing, until the agent has itself
//! seen a primary that is another one, or was started again. [`machine`] decides; the rest carries
//! it out. A pause cannot outlast its bound: the agent's clock ends it, the lease that was
//! started before it, and the next agent, which finds it written down.
//!
//! The same program starts each PgBouncer process, and ends it between transactions: see `serve`.
//! And it is the unit's check of PostgreSQL: see `isready`.

mod config;
mod console;
pub mod isready;
mod lease;
pub mod machine;
mod primary;
mod run;
mod serve;
mod state;
mod trace;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

pub use config::{Config, ConfigError, Pools};
pub use primary::{APPLICATION_NAME, SESSION_APPLICATION_NAME};
pub use trace::Trace;

/// Runs the program with these arguments, without its own name: the configuration's path; `serve`,
/// a PgBouncer's configuration and the agent's; `isready` and what was seen; or what it gives to a process
/// that it starts.
pub fn main(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [lease::WORD, config, left, since] => lease(Path::new(config), left, since),
        [serve::WORD, ini, config] => serve::run(Path::new(ini), Path::new(config)),
        [serve::BECOME, ini] => serve::become_pgbouncer(Path::new(ini)),
        [isready::WORD, seen] => isready::run(seen, |name| std::env::var(name).ok()),
        [config] => run::run(Path::new(config)),
        _ => Err("cannot start the agent: it takes the path of its configuration".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            run::say(&words);
            ExitCode::FAILURE
        }
    }
}

fn lease(config: &Path, left: &str, since: &str) -> Result<(), String> {
    let time = |text: &str| match text.parse() {
        Ok(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        Err(_) => Err(format!("cannot start the lease: {text:?} is no time in milliseconds")),
    };
    let (left, since) = (time(left)?, time(since)?);
    let processes: Vec<PathBuf> = Config::read(config).map_err(|e| e.to_string())?.processes;
    lease::run(config, left, since, &processes);
    Ok(())
}
