//! Faults: which there are, and how one meets an effect of a hook.

mod gate;
mod table;

pub use gate::Injection;
pub(crate) use gate::{Effects, Gate, Killed, SHORT};
pub use table::{FAULTS, Fault, FaultSpec, Occurs, Port};
