//! The interface `postgresql_client`, both sides.

mod offer;
mod request;

pub use offer::{Credentials, Offer};
pub use request::{LARGEST, REQUESTABLE, Request};

use juju_names::RelationId;

use crate::{Bag, python};

/// The key under which each side keeps what it last saw of the other.
pub const SEEN: &str = "data";

/// The label of the secret that holds one group of fields: `database.7.user.secret`.
pub fn secret_label(endpoint: impl AsRef<str>, id: RelationId, group: &str) -> String {
    format!("{}.{id}.{group}.secret", endpoint.as_ref())
}

/// The text to keep under `data`: the request in the other side's bag. What else a client writes
/// there is of no use, and may be as large as a bag can be.
pub fn seen(remote: &Bag) -> String {
    let known = |key: &str| Some((key.to_owned(), remote.get(key)?.clone()));
    let kept: Bag = request::KEYS.into_iter().filter_map(known).collect();
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
            ("anything".into(), "é".repeat(6 << 20)),
            ("requested-secrets".into(), "[\"username\"]".into()),
        ]);
        insta::assert_snapshot!(seen(&bag), @r#"{"database": "waltz", "requested-secrets": "[\"username\"]"}"#);
    }
}
