//! How much a charm may keep. Juju's own limits come from its document store and its options;
//! the one of a whole application is the engine's, whose store is written whole.

/// The largest document of Juju's store: a databag, an action with its results, an
/// application's options.
pub const DOCUMENT_MAX: usize = 16 << 20;
/// The most that the databags, the state and the secrets of one application may take, and so the
/// most that a hook may buffer.
pub const KEPT_MAX: usize = 32 << 20;
/// The most instances of one storage that a unit may have, where the charm sets no bound.
pub(crate) const INSTANCES_MAX: u32 = 100;
/// How many actions that have ended are remembered.
pub(crate) const ACTIONS_MAX: usize = 1000;
