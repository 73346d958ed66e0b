//! The talisman program: daemon and command line.
#![allow(clippy::disallowed_methods, reason = "a command may wait; the daemon says otherwise")]

mod api;
mod args;
mod args_juju;
mod bundle;
mod charm_file;
mod client;
mod commands;
mod constraints;
mod daemon;
mod files;
mod images;
mod models;
mod overlay;
mod pack;
mod pack_python;
mod paths;
mod status;
mod table;

use clap::Parser;

fn main() -> std::process::ExitCode {
    let cli = args::Cli::parse();
    let is_daemon = matches!(cli.command, args::Command::Daemon);
    let runtime = if is_daemon {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
    } else {
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    };
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(commands::perform(cli));
            // A disk that never answers does not keep the program.
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
            result
        }
        Err(error) => Err(anyhow::Error::new(error).context("cannot start")),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) if error.is::<commands::Exit>() => error
            .downcast::<commands::Exit>()
            .map_or(std::process::ExitCode::FAILURE, |exit| exit.0.into()),
        Err(error) => {
            use std::io::Write;
            writeln!(std::io::stderr(), "ERROR {error:#}").ok();
            std::process::ExitCode::FAILURE
        }
    }
}
