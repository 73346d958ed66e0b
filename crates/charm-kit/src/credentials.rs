//! Passwords and salts, derived from one seed that the operating system gave.

use juju_charm::SecretString;
use postgres::{Salt, scram};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

/// Randomness for one hook. It has no `Debug`: every password follows from it.
#[derive(Clone)]
pub struct Seed {
    bytes: [u8; 32],
    length: usize,
    iterations: u32,
}

/// Letters and digits: nothing that a URI, a user list or a shell could misread.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The fewest characters of a password: about 95 bits.
const LENGTH_MIN: usize = 16;

impl Seed {
    /// The seed made of these bytes, whose passwords have so many characters.
    ///
    /// # Panics
    /// When they would be short enough to be guessed.
    pub fn new(bytes: [u8; 32], length: usize) -> Self {
        assert!(length >= LENGTH_MIN, "a password of {length} characters can be guessed");
        Self { bytes, length, iterations: scram::ITERATIONS }
    }

    /// The same seed, whose verifiers take so many rounds.
    #[must_use]
    pub fn with_iterations(self, iterations: u32) -> Self {
        Self { iterations, ..self }
    }

    /// The verifier of `user`'s password.
    pub fn verifier(&self, user: &str, password: &str) -> scram::Verifier {
        scram::verifier(password, &self.salt(user), self.iterations)
    }

    /// The password for `purpose`: the same seed and purpose give the same password.
    pub fn password(&self, purpose: &str) -> SecretString {
        self.word(purpose).into()
    }

    /// A word that is hard to guess but may be seen, such as the nonce in a file's name.
    pub fn word(&self, purpose: &str) -> String {
        let mut random = self.random(purpose);
        let mut word = String::with_capacity(self.length);
        while word.len() < self.length {
            // Bytes past the last multiple of the alphabet's length would favour its start.
            let byte = usize::from((random.next_u32() & 0xff) as u8);
            if byte < 248 {
                word.push(char::from(ALPHABET[byte % ALPHABET.len()]));
            }
        }
        word
    }

    /// A salt for `purpose`.
    pub fn salt(&self, purpose: &str) -> Salt {
        let mut salt = Salt::default();
        self.random(&format!("{purpose} salt")).fill_bytes(&mut salt);
        salt
    }

    fn random(&self, purpose: &str) -> ChaCha20Rng {
        let key = Sha256::new().chain_update(self.bytes).chain_update(purpose).finalize();
        ChaCha20Rng::from_seed(key.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use juju_charm::ExposeSecret as _;

    #[track_caller]
    fn check(length: usize) {
        let password = |bytes, purpose| Seed::new(bytes, length).password(purpose);
        let one = password([1; 32], "relation_id_1");
        let one = one.expose_secret();
        assert_eq!(one.len(), length);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(one, password([1; 32], "relation_id_1").expose_secret());
        assert_ne!(one, password([1; 32], "relation_id_2").expose_secret());
        assert_ne!(one, password([2; 32], "relation_id_1").expose_secret());
    }

    #[test]
    fn passwords_follow_from_seed_and_purpose() {
        check(24);
        check(32);
    }

    #[test]
    #[should_panic(expected = "can be guessed")]
    fn a_short_password_is_none() {
        check(15);
    }
}
