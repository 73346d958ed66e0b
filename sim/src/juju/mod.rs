//! Juju around a charm: which charm an application runs, its hooks, its hook tools.

pub(crate) mod apps;
pub(crate) mod echo;
pub(crate) mod hook;
pub(crate) mod tools;
