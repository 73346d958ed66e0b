//! The contract of Pebble, kept by the simulated one.

#[path = "../../crates/pebble-client/tests/contract/mod.rs"]
mod contract;

use contract::{Failure, Far};
use sim::parts::Parts;

macro_rules! keeps {
    ($($promise:ident),* $(,)?) => {$(
        #[test]
        fn $promise() -> Result<(), Failure> {
            let parts = Parts::new().ok_or("cannot make a world")?;
            let client = parts.pebble().ok_or("cannot find the pod")?;
            let far = Far { client, root: "/tmp".to_owned(), user: "postgres" };
            parts.run(contract::$promise(&far)).ok_or("cannot start the runtime")?
        }
    )*};
}

keeps!(
    plans_are_compared,
    layers_are_laid,
    layers_are_refused,
    logs_are_sent,
    log_targets_are_refused,
    services_run,
    a_replan_restarts_what_changed,
    failed_starts_are_told,
    signals_reach_services,
    files_are_kept,
    owners_and_modes_are_set,
    several_files_go_together,
    folders_are_made,
    files_are_listed_and_removed,
    commands_end,
);
