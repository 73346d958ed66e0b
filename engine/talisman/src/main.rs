//! The talisman program: daemon and command line.
#![allow(clippy::disallowed_methods, reason = "a command may wait; the daemon says otherwise")]

mod api;
mod bundle;
mod cli;
mod client;
mod daemon;
mod files;
mod images;
mod model_options;
mod models;
mod oci;
mod package;
mod paths;
mod status;
mod table;

use clap::FromArgMatches;

fn main() -> std::process::ExitCode {
    let matches = match cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => {
            cli::tell(cli::usage(&error).trim_end());
            return 2.into();
        }
    };
    let format = cli::format(&matches);
    cli::write_to(cli::file(&matches));
    let cli = cli::Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let is_daemon = matches!(cli.command, cli::Command::Daemon(_));
    let runtime = if is_daemon {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
    } else {
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    };
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(cli::perform(cli));
            // A disk that never answers does not keep the program.
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
            result
        }
        Err(error) => Err(anyhow::Error::new(error).context("cannot start")),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => cli::refused(&error, format).into(),
    }
}
