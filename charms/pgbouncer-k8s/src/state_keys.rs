//! The keys of the controller's state for this unit; what the framework remembers is its own.

/// What is effective in the container.
pub(crate) const EFFECTIVE: &str = "effective";
/// The map that the leader waits for, and since when.
pub(crate) const BARRIER: &str = "barrier";
/// That a process was seen that an operator has paused.
pub(crate) const PAUSED: &str = "paused";
