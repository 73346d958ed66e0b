//! Secrets as values: content, queries, metadata.

use std::collections::BTreeMap;

use juju_names::SecretId;
use secrecy::{ExposeSecret, SecretString};

/// A secret's content: keys to values.
///
/// `Debug` names the keys and hides the values; `==` compares both.
#[derive(Clone, Default)]
pub struct SecretContent(BTreeMap<String, SecretString>);

impl SecretContent {
    /// No keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a key. Juju wants `[a-z](-?[a-z0-9]){2,}`.
    pub fn with(mut self, key: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.0.insert(key.into(), value.into());
        self
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&SecretString> {
        self.0.get(key)
    }

    /// The value of a key in the clear, for the place that uses it.
    pub fn expose(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(ExposeSecret::expose_secret)
    }

    /// The keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The content as the JSON that `secret-add --file -` reads.
    pub(crate) fn to_json(&self) -> String {
        let plain: BTreeMap<&str, &str> =
            self.0.iter().map(|(key, value)| (key.as_str(), value.expose_secret())).collect();
        serde_json::json!(plain).to_string()
    }

    /// The content in what `secret-get --format json` printed.
    pub(crate) fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let plain: BTreeMap<String, String> = serde_json::from_str(text)?;
        Ok(plain.into_iter().collect())
    }
}

impl PartialEq for SecretContent {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().all(|(key, value)| other.expose(key) == Some(value.expose_secret()))
    }
}

impl Eq for SecretContent {}

impl std::fmt::Debug for SecretContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretContent")?;
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<K: Into<String>, V: Into<SecretString>> FromIterator<(K, V)> for SecretContent {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// Which secret is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretQuery {
    /// By id.
    Id(SecretId),
    /// By a label that was bound before, or that its owner gave.
    Label(String),
    /// By id, and bind the label for later reads.
    Bind {
        /// The secret.
        id: SecretId,
        /// The label this unit will know it by.
        label: String,
    },
}

impl From<&SecretId> for SecretQuery {
    fn from(id: &SecretId) -> Self {
        Self::Id(id.clone())
    }
}

impl From<&str> for SecretQuery {
    fn from(label: &str) -> Self {
        Self::Label(label.to_owned())
    }
}

/// Which revision is read. Owners always read the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revision {
    /// The tracked one; the latest on the first read.
    Tracked,
    /// The latest, without tracking it.
    Peek,
    /// The latest, and track it from now on.
    Refresh,
}

/// Who owns a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretOwner {
    /// The application: only the leader may add or change it.
    App,
    /// The unit.
    Unit,
}

/// Metadata of an owned secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretInfo {
    /// The secret.
    pub id: SecretId,
    /// Its latest revision.
    pub revision: u32,
    /// The owner's label, or empty.
    pub label: String,
    /// The owner.
    pub owner: SecretOwner,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_values() {
        let content = SecretContent::new().with("password", "hunter2");
        assert_eq!(format!("{content:?}"), r#"SecretContent{"password"}"#);
        assert_ne!(content, SecretContent::new().with("password", "other"));
        assert_eq!(SecretContent::from_json(&content.to_json()).ok(), Some(content));
    }
}
