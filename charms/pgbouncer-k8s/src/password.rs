//! Passwords and salts, derived from one seed that the operating system gave.

use charm::SecretString;
use postgres::scram;
use rand::SeedableRng;
use rand::rand_core::Rng;
use rand_chacha::ChaCha20Rng;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

/// A secret that can be compared, and that `Debug` hides.
#[derive(Clone)]
pub(crate) struct Password(SecretString);

/// Randomness for one hook. It has no `Debug`: every password follows from it.
#[derive(Clone)]
pub(crate) struct Seed {
    bytes: [u8; 32],
    iterations: u32,
}

/// Letters and digits: nothing that a URI, a userlist or a shell could misread.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Characters of a password, about 142 bits.
const LENGTH: usize = 24;

impl Seed {
    /// The seed made of these bytes.
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self { bytes, iterations: scram::ITERATIONS }
    }

    /// The same seed, whose verifiers take so many rounds.
    pub(crate) fn with_iterations(self, iterations: u32) -> Self {
        Self { iterations, ..self }
    }

    /// The verifier of `user`'s password.
    pub(crate) fn verifier(&self, user: &str, password: &str) -> scram::Verifier {
        scram::verifier(password, &self.salt(user), self.iterations)
    }

    /// The password for `purpose`: the same seed and purpose give the same password.
    pub(crate) fn password(&self, purpose: &str) -> Password {
        Password(SecretString::from(self.word(purpose)))
    }

    /// A word that is hard to guess but may be seen, such as the nonce in a file's name.
    pub(crate) fn word(&self, purpose: &str) -> String {
        let mut random = self.random(purpose);
        let mut word = String::with_capacity(LENGTH);
        while word.len() < LENGTH {
            // Bytes past the last multiple of the alphabet's length would favour its start.
            let byte = usize::from((random.next_u32() & 0xff) as u8);
            if byte < 248 {
                word.push(char::from(ALPHABET[byte % ALPHABET.len()]));
            }
        }
        word
    }

    /// A salt for `purpose`.
    pub(crate) fn salt(&self, purpose: &str) -> [u8; 16] {
        let mut salt = [0; 16];
        self.random(&format!("{purpose} salt")).fill_bytes(&mut salt);
        salt
    }

    fn random(&self, purpose: &str) -> ChaCha20Rng {
        let key = Sha256::new().chain_update(self.bytes).chain_update(purpose).finalize();
        ChaCha20Rng::from_seed(key.into())
    }
}

impl Password {
    /// The secret in the clear, for the place that uses it.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The secret as the other crates take it.
    pub(crate) fn secret(&self) -> SecretString {
        self.0.clone()
    }
}

impl From<SecretString> for Password {
    fn from(secret: SecretString) -> Self {
        Self(secret)
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self(SecretString::from(text))
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Password {}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

/// A short digest of a text, to see whether it changed.
pub(crate) fn digest(text: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    format!("{:016x}", u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_follow_from_seed_and_purpose() {
        let seed = Seed::new([1; 32]);
        let one = seed.password("relation_id_1");
        assert_eq!(one.expose().len(), 24);
        assert!(one.expose().bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_eq!(one, seed.password("relation_id_1"));
        assert_ne!(one, seed.password("relation_id_2"));
        assert_ne!(one, Seed::new([2; 32]).password("relation_id_1"));
        assert_eq!(format!("{one:?}"), "Password");
    }
}
