//! The function by which a pooler looks passwords up.

use std::collections::BTreeSet;

/// A pooler's schema with its lookup function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// The superusers that the function finds, if it is there.
    pub(crate) superusers: Option<BTreeSet<String>>,
    /// The function's text.
    pub(crate) body: String,
    /// Whether the function finds no role.
    pub(crate) blind: bool,
    pub(crate) usage: BTreeSet<String>,
    pub(crate) execute: BTreeSet<String>,
}
