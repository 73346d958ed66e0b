//! Secret ids.

use std::sync::Arc;

use serde::Deserialize;

use crate::NameError;

/// A secret's id: 20 characters of `[0-9a-v]`, and its model, where that is known.
///
/// It is read from `secret:<id>`, `<id>` and `secret://<model uuid>/<id>`, with or without a
/// revision behind it, as Juju writes it in different places. It is printed with its model, without
/// which the secret is not found from another model; the same id is the same secret either way.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct SecretId {
    bare: Arc<str>,
    model: Option<Arc<str>>,
}

/// The length of a bare id.
const LENGTH: usize = 20;

impl SecretId {
    /// The id without the `secret:` prefix.
    pub fn bare(&self) -> &str {
        &self.bare
    }

    /// The id with the model that it is in, unless it has one already.
    #[must_use]
    pub fn in_model(mut self, uuid: &str) -> Self {
        if self.model.is_none() && !uuid.is_empty() {
            self.model = Some(uuid.into());
        }
        self
    }

    /// An id from 12 bytes, in the alphabet and length of Juju's ids.
    pub fn from_bytes(bytes: [u8; 12]) -> Self {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
        let mut value = u128::from_be_bytes({
            let mut wide = [0; 16];
            wide[4..].copy_from_slice(&bytes);
            wide
        }) << 4;
        let mut text = [b'0'; LENGTH];
        for slot in text.iter_mut().rev() {
            *slot = ALPHABET[(value & 31) as usize];
            value >>= 5;
        }
        Self { bare: String::from_utf8_lossy(&text).into(), model: None }
    }
}

impl std::str::FromStr for SecretId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.strip_prefix("secret:").unwrap_or(text).split('/').collect();
        let (model, rest) = match parts.as_slice() {
            ["", "", model, rest @ ..] if !model.is_empty() => (Some((*model).into()), rest),
            rest => (None, rest),
        };
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // Of a path behind a model Juju looks at the end only.
        let rest = match (&model, rest) {
            (Some(_), [.., bare, revision]) if is_bare(bare) && is_number(revision) => {
                &rest[rest.len() - 2..]
            }
            (Some(_), [.., _]) => &rest[rest.len() - 1..],
            _ => rest,
        };
        match rest {
            [bare] if is_bare(bare) => Ok(Self { bare: (*bare).into(), model }),
            [bare, revision] if is_bare(bare) && is_number(revision) => {
                Ok(Self { bare: (*bare).into(), model })
            }
            _ => Err(NameError::Secret(text.to_owned())),
        }
    }
}

fn is_bare(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'v').contains(&b))
}

impl PartialEq for SecretId {
    fn eq(&self, other: &Self) -> bool {
        self.bare == other.bare
    }
}

impl Eq for SecretId {}

impl PartialOrd for SecretId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SecretId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bare.cmp(&other.bare)
    }
}

impl std::hash::Hash for SecretId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bare.hash(state);
    }
}

impl std::fmt::Display for SecretId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.model {
            Some(model) => write!(f, "secret://{model}/{}", self.bare),
            None => write!(f, "secret:{}", self.bare),
        }
    }
}

crate::text_traits!(SecretId);

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = "56db5bb2-aed3-4f71-8dc8-1e305ceca2e4";

    #[track_caller]
    fn check(text: &str, printed: Option<&str>) {
        let id = text.parse::<SecretId>();
        let expected = printed.map(|text| text.replace("ID", "nmd23fk5ap6sdnacac70"));
        assert_eq!(id.as_ref().map(ToString::to_string).ok(), expected, "{text}");
        if let Ok(id) = id {
            assert_eq!(Ok(&id), "nmd23fk5ap6sdnacac70".parse().as_ref());
        }
    }

    #[test]
    fn every_spelling_is_the_same_id() {
        check("nmd23fk5ap6sdnacac70", Some("secret:ID"));
        check("secret:nmd23fk5ap6sdnacac70", Some("secret:ID"));
        check("secret:nmd23fk5ap6sdnacac70/3", Some("secret:ID"));
        let foreign = format!("secret://{MODEL}/ID");
        check(&foreign.replace("ID", "nmd23fk5ap6sdnacac70"), Some(&foreign));
        check(&foreign.replace("ID", "nmd23fk5ap6sdnacac70/3"), Some(&foreign));
        let bare = foreign.replace("secret:", "").replace("ID", "nmd23fk5ap6sdnacac70");
        check(&bare, Some(&foreign));
        // Juju passes over what stands between the model and the id.
        check(&bare.replace(MODEL, &format!("{MODEL}///x")), Some(&foreign));
        for bad in ["", "secret:short", "secret:///nmd23fk5ap6sdnacac70", "secret:a/b/c"] {
            check(bad, None);
        }
        check("secret:nmd23fk5ap6sdnacac70/x", None);
        check("secret:NMD23FK5AP6SDNACAC70", None);
    }

    #[test]
    fn an_id_keeps_the_model_that_it_came_with() {
        let id = SecretId::from_bytes([255; 12]);
        assert_eq!(id.bare().len(), 20);
        let own = id.clone().in_model(MODEL);
        assert_eq!(own.to_string(), format!("secret://{MODEL}/{}", id.bare()));
        assert_eq!(own.clone().in_model("another").to_string(), own.to_string());
        assert_eq!(id.clone().in_model(""), own);
    }
}
