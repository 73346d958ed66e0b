//! Faults: which there are, how one meets an effect of a hook, and how one happens between two.

mod gate;
mod inject;
mod table;

pub use gate::Injection;
pub(crate) use gate::{Effects, Gate, Killed, SHORT};
pub(crate) use inject::{heal, inject, inject_into, restart, turn_pause};
pub use table::{FAULTS, Fault, FaultSpec, Occurs, Port};
