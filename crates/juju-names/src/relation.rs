//! Relation ids.

use serde::{Deserialize, Serialize};

use crate::NameError;

/// A relation's number, unique in a model.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RelationId(pub u32);

impl std::str::FromStr for RelationId {
    type Err = NameError;
    /// Reads `7` and `name:7`; the name is not checked, as in Juju 3.6.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.rsplit_once(':').map_or(text, |(_, id)| id);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NameError::Relation(text.to_owned()));
        }
        digits.parse().map(Self).map_err(|_| NameError::Relation(text.to_owned()))
    }
}

impl std::fmt::Display for RelationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Debug for RelationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_read() {
        assert_eq!("7".parse(), Ok(RelationId(7)));
        assert_eq!("database:7".parse(), Ok(RelationId(7)));
        for bad in ["", "database:", "x", "-1", "database"] {
            assert!(bad.parse::<RelationId>().is_err(), "{bad:?}");
        }
    }
}
