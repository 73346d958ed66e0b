//! What a list or a watch is about.

use crate::{FieldSelector, Kind, Selector};

/// Which objects a list or a watch wants.
#[derive(Debug, Clone)]
pub struct Filter {
    /// The kind.
    pub kind: Kind,
    /// One namespace, or all.
    pub namespace: Option<String>,
    /// One name, or all.
    pub name: Option<String>,
    /// Requirements on the labels.
    pub selector: Selector,
    /// Requirements on other fields.
    pub fields: FieldSelector,
}

impl Filter {
    /// All objects of `kind` in `namespace`.
    pub fn all(kind: Kind, namespace: &str) -> Filter {
        let namespace = kind.namespaced().then(|| namespace.to_owned());
        let (selector, fields) = Default::default();
        Filter { kind, namespace, name: None, selector, fields }
    }
}
