//! What any Pebble, real or simulated, has to do for this client: all that the charms rely on.

mod commands;
mod files;
mod plans;
mod services;

use std::time::Duration;

use pebble_client::{Change, ChangeId, Client, Error, Service, Startup};

pub(crate) use commands::commands_end;
pub(crate) use files::{
    files_are_kept, files_are_listed_and_removed, folders_are_made, owners_and_modes_are_set,
    several_files_go_together,
};
pub(crate) use plans::{
    layers_are_laid, layers_are_refused, log_targets_are_refused, logs_are_sent, plans_are_compared,
};
pub(crate) use services::{
    a_replan_restarts_what_changed, failed_starts_are_told, services_run, signals_reach_services,
};

/// How any step of the contract may fail.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// Far above what a Pebble takes on a machine that has other things to do.
const BOUND: Duration = Duration::from_secs(60);

/// A Pebble that has no plan yet.
pub(crate) struct Far {
    pub(crate) client: Client,
    /// A folder that is there and empty.
    pub(crate) root: String,
    /// A user other than Pebble's own, whose group has the same name.
    pub(crate) user: &'static str,
}

/// A service of this command that starts with the container.
fn enabled(command: &str) -> Service {
    Service { startup: Some(Startup::Enabled), ..disabled(command) }
}

/// A service of this command that is started on request only.
fn disabled(command: &str) -> Service {
    Service {
        command: Some(command.to_owned()),
        environment: [("GREETING".to_owned(), "yes".to_owned())].into(),
        kill_delay: Some("1s".to_owned()),
        ..Service::default()
    }
}

impl Far {
    /// Waits for the end of a change.
    async fn ended(&self, change: Result<ChangeId, Error>) -> Result<Change, Error> {
        self.client.wait_change(&change?, BOUND).await
    }
}

/// Asserts that Pebble refuses, with this status and in words with these among them.
#[track_caller]
fn refused<T>(answer: Result<T, Error>, expected: u16, words: &str) {
    match answer {
        Err(Error::Refused { status, message, .. }) => {
            assert_eq!(status, expected, "{message}");
            assert!(message.contains(words), "{message}");
        }
        Err(error) => panic!("{error} instead of {words}"),
        Ok(_) => panic!("done instead of {words}"),
    }
}
