//! Digests that show whether a text has changed.

use sha2::{Digest as _, Sha256};

/// A short digest of a text, to see whether it changed.
pub(crate) fn digest(text: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    format!("{:016x}", u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}
