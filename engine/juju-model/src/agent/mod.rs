//! What a unit's agent does: which hook comes next, what it sees, and what its end writes.

mod begin;
mod commit;
mod environment;
mod finish;
mod finish_secret;
pub(crate) mod memory;
mod next;
mod relation;
mod secret;
