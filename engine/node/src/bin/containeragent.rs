//! Starts programs in a container for the engine, which asks through standard input.

use std::os::fd::AsFd;
use std::process::ExitCode;

fn main() -> ExitCode {
    let control = std::io::stdin().as_fd().try_clone_to_owned();
    match control.and_then(|control| node::serve(&control)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
