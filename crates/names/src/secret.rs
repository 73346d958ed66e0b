//! Secret ids.

use std::sync::Arc;

use serde::Deserialize;

use crate::NameError;

/// A secret's bare id: 20 characters of `[0-9a-v]`.
///
/// It is read from `secret:<id>`, `<id>` and `secret://<model uuid>/<id>`, and
/// printed as `secret:<id>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct SecretId(Arc<str>);

/// The length of a bare id.
const LENGTH: usize = 20;

impl SecretId {
    /// The id without the `secret:` prefix.
    pub fn bare(&self) -> &str {
        &self.0
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
        Self(String::from_utf8_lossy(&text).into())
    }
}

impl std::str::FromStr for SecretId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = match text.strip_prefix("secret:") {
            Some(rest) => rest.rsplit('/').next().unwrap_or(rest),
            None => text,
        };
        let valid = bare.len() == LENGTH
            && bare.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'v').contains(&b));
        if valid { Ok(Self(bare.into())) } else { Err(NameError::Secret(text.to_owned())) }
    }
}

impl std::fmt::Display for SecretId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "secret:{}", self.0)
    }
}

crate::text_traits!(SecretId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_spellings_are_one_id() -> Result<(), NameError> {
        let id = SecretId::from_bytes([255; 12]);
        assert_eq!(id.bare().len(), 20);
        assert_eq!(id.to_string().parse::<SecretId>()?, id);
        assert_eq!(id.bare().parse::<SecretId>()?, id);
        assert_eq!(format!("secret://some-uuid/{}", id.bare()).parse::<SecretId>()?, id);
        assert!("secret:short".parse::<SecretId>().is_err());
        assert!("".parse::<SecretId>().is_err());
        Ok(())
    }
}
