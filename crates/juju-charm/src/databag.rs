//! Databags: changes, parsing at the edge, and peers that send nonsense.

use std::collections::BTreeMap;

use juju_names::{AppName, UnitName};
use serde::de::DeserializeOwned;

/// A databag: text to text.
pub type Bag = BTreeMap<String, String>;

/// Whose databag is read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// One unit's.
    Unit(UnitName),
    /// A whole application's.
    App(AppName),
}

impl From<UnitName> for Party {
    fn from(unit: UnitName) -> Self {
        Self::Unit(unit)
    }
}

impl From<AppName> for Party {
    fn from(app: AppName) -> Self {
        Self::App(app)
    }
}

/// Which of the own two databags of a relation is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Own {
    /// The unit's.
    Unit,
    /// The application's: only the leader may write it.
    App,
}

/// Wanted changes of a databag; keys that are not named stay as they are.
///
/// ```
/// # use juju_charm::Changes;
/// let changes = Changes::new().set("database", "orders").remove("status");
/// assert_eq!(changes, Changes::from([("database", "orders"), ("status", "")]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes(BTreeMap<String, String>);

impl Changes {
    /// No change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wants `key` to be `value`; an empty value removes the key.
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.insert(key.into(), value.into());
        self
    }

    /// Wants `key` to be `value` where there is one, and to be gone otherwise.
    pub fn set_or_remove(self, key: impl Into<String>, value: Option<String>) -> Self {
        self.set(key, value.unwrap_or_default())
    }

    /// Wants `key` to be gone.
    pub fn remove(self, key: impl Into<String>) -> Self {
        self.set(key, "")
    }

    /// Turns `now` into exactly `wanted`: every other key is removed.
    pub fn between(now: &Bag, wanted: &Bag) -> Self {
        let gone = now.keys().filter(|key| !wanted.contains_key(*key));
        let gone = gone.map(|key| (key.clone(), String::new()));
        let new = wanted.iter().map(|(key, value)| (key.clone(), value.clone()));
        Self(gone.chain(new).collect())
    }

    /// The part of the changes that `bag` does not have yet.
    pub fn against(&self, bag: &Bag) -> Self {
        let differs = |key: &str, value: &str| bag.get(key).map_or("", String::as_str) != value;
        let parts = self.0.iter().filter(|(key, value)| differs(key, value));
        Self(parts.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// Makes the changes in `bag`.
    pub fn apply_to(&self, bag: &mut Bag) {
        for (key, value) in &self.0 {
            if value.is_empty() {
                bag.remove(key);
            } else {
                bag.insert(key.clone(), value.clone());
            }
        }
    }

    /// Lays later changes over these.
    pub fn merge(&mut self, later: Self) {
        self.0.extend(later.0);
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values; an empty value removes the key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl From<Bag> for Changes {
    fn from(bag: Bag) -> Self {
        Self(bag)
    }
}

impl<K: Into<String>, V: Into<String>, const N: usize> From<[(K, V); N]> for Changes {
    fn from(pairs: [(K, V); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Changes {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// What the peers of a relation sent, split into what could be read and what could not.
///
/// One peer's nonsense must not stop the others: serve the good ones and name the bad
/// ones in the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peers<K, T, E> {
    /// What could be read.
    pub good: BTreeMap<K, T>,
    /// Why the rest could not.
    pub bad: BTreeMap<K, E>,
}

impl<K: Ord, T, E> Peers<K, T, E> {
    /// Parses every bag.
    pub fn parse<I>(bags: I, mut parse: impl FnMut(&Bag) -> Result<T, E>) -> Self
    where
        I: IntoIterator<Item = (K, Bag)>,
    {
        let mut peers = Self { good: BTreeMap::new(), bad: BTreeMap::new() };
        for (key, bag) in bags {
            match parse(&bag) {
                Ok(value) => drop(peers.good.insert(key, value)),
                Err(error) => drop(peers.bad.insert(key, error)),
            }
        }
        peers
    }
}

/// A field that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FieldError {
    /// The value is not JSON of the wanted shape.
    #[error("cannot read the field {key:?} of the databag as JSON")]
    Json {
        /// The field's name.
        key: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The value of `key`, unless it is missing or empty.
pub fn text<'a>(bag: &'a Bag, key: &str) -> Option<&'a str> {
    bag.get(key).map(String::as_str).filter(|value| !value.is_empty())
}

/// The JSON value of `key`, or `None` where it is missing or empty.
///
/// # Errors
/// `FieldError::Json` when the value has another shape.
pub fn json<T: DeserializeOwned>(bag: &Bag, key: &str) -> Result<Option<T>, FieldError> {
    text(bag, key)
        .map(serde_json::from_str)
        .transpose()
        .map_err(|source| FieldError::Json { key: key.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bag(pairs: &[(&str, &str)]) -> Bag {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_differences_are_left_and_applying_them_leaves_none() {
        let mut now = bag(&[("a", "1"), ("b", "2")]);
        let wanted = Changes::from([("a", "1"), ("b", ""), ("c", "3"), ("d", "")]);
        let left = wanted.against(&now);
        assert_eq!(left, Changes::from([("b", ""), ("c", "3")]));
        left.apply_to(&mut now);
        assert_eq!(now, bag(&[("a", "1"), ("c", "3")]));
        assert!(wanted.against(&now).is_empty());
    }

    #[test]
    fn between_removes_what_is_not_wanted() {
        let mut now = bag(&[("a", "1"), ("b", "2")]);
        let wanted = bag(&[("b", "3")]);
        Changes::between(&now, &wanted).apply_to(&mut now);
        assert_eq!(now, wanted);
    }

    #[test]
    fn a_bad_peer_does_not_hide_the_good_ones() {
        let bags = [("x/0", bag(&[("n", "1")])), ("x/1", bag(&[("n", "one")]))];
        let peers = Peers::parse(bags, |bag| json::<u8>(bag, "n"));
        assert_eq!(peers.good, BTreeMap::from([("x/0", Some(1))]));
        assert_eq!(peers.bad.keys().collect::<Vec<_>>(), [&"x/1"]);
    }
}
