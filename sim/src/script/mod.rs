//! Scripts: operators and faults in a fixed order. Whenever the world has come to rest it is
//! looked at, before update-status could mend anything.

mod databases;
mod play;
mod poolers;
mod step;
mod steps_of_databases;

pub(crate) use databases::scripts as database_scripts;
pub(crate) use play::Script;
pub(crate) use poolers::scripts;
