//! The interface `postgresql_client`, both sides.

mod offer;
mod request;

pub use offer::{Credentials, Offer};
pub use request::{REQUESTABLE, Request};

use names::RelationId;

use crate::{Bag, python};

/// The key under which each side keeps what it last saw of the other.
pub const SEEN: &str = "data";

/// The label of the secret that holds one group of fields: `database.7.user.secret`.
pub fn secret_label(endpoint: &str, id: RelationId, group: &str) -> String {
    format!("{endpoint}.{id}.{group}.secret")
}

/// The text to keep under `data`: the other side's bag without its own `data`.
pub fn seen(remote: &Bag) -> String {
    let kept: Bag = remote
        .iter()
        .filter(|(key, _)| *key != SEEN)
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    python::dumps(&kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_kept_as_python_would() {
        let bag = Bag::from([
            ("database".into(), "waltz".into()),
            ("data".into(), "{}".into()),
            ("requested-secrets".into(), "[\"username\"]".into()),
        ]);
        insta::assert_snapshot!(seen(&bag), @r#"{"database": "waltz", "requested-secrets": "[\"username\"]"}"#);
    }
}
