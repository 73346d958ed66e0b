//! The passwords of the charm's own users, and the source of new ones.

use charm::{SecretContent, SecretString};
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const LENGTH: usize = 32;

/// The users whose password the action get-password shows, in the order of its message.
pub(crate) const SHOWN: [&str; 6] =
    ["backup", "replication", "rewind", "operator", "monitoring", "patroni"];
/// The users whose password the action set-password changes.
pub(crate) const CHANGEABLE: [&str; 5] =
    ["backup", "replication", "rewind", "operator", "monitoring"];
/// The users that get a password before the cluster is made.
const GENERATED: [&str; 6] =
    ["operator", "replication", "rewind", "monitoring", "patroni", "backup"];

/// The seed of one hook's random numbers. Whoever knows it knows the passwords, so it has
/// no `Debug`.
#[derive(Clone)]
pub struct Seed(pub [u8; 32]);

/// A stream of random values; the same seed and purpose give the same stream.
pub struct Source(ChaCha20Rng);

impl Seed {
    /// The stream for one purpose: a small number, different for each purpose.
    pub fn source(&self, purpose: u64) -> Source {
        let mut rng = ChaCha20Rng::from_seed(self.0);
        rng.set_stream(purpose);
        Source(rng)
    }
}

impl Source {
    /// A password of 32 letters and digits.
    pub fn password(&mut self) -> SecretString {
        let letter = |_| char::from(ALPHABET[self.0.random_range(0..ALPHABET.len())]);
        (0..LENGTH).map(letter).collect::<String>().into()
    }

    /// The salt of a password verifier.
    pub fn salt(&mut self) -> postgres::Salt {
        let mut salt = postgres::Salt::default();
        self.0.fill_bytes(&mut salt);
        salt
    }
}

/// The key of a user's password in the secret.
pub(crate) fn key(user: &str) -> String {
    format!("{user}-password")
}

/// A user's password; upstream writes the word `None` in place of a removed one.
pub(crate) fn get<'a>(content: &'a SecretContent, user: &str) -> Option<&'a SecretString> {
    let gone = |text: &str| text.is_empty() || text == "None";
    content.expose(&key(user)).filter(|text| !gone(text))?;
    content.get(&key(user))
}

/// The content with a password for every user that needs one.
pub(crate) fn completed(content: &SecretContent, source: &mut Source) -> SecretContent {
    GENERATED.iter().fold(content.clone(), |content, user| {
        let fresh = source.password();
        if get(&content, user).is_some() { content } else { content.with(key(user), fresh) }
    })
}

/// The passwords that `patroni.yml` and the charm's own connections need.
#[derive(Clone)]
pub struct Passwords {
    /// The superuser.
    pub operator: SecretString,
    /// The user that streams.
    pub replication: SecretString,
    /// The user that rewinds.
    pub rewind: SecretString,
    /// The user that reads statistics.
    pub monitoring: SecretString,
    /// The user of Patroni's REST API.
    pub patroni: SecretString,
    /// The superuser that reaches the server by its socket.
    pub backup: SecretString,
}

impl Passwords {
    /// Reads the secret's content; `None` until the leader has made all passwords.
    pub fn read(content: &SecretContent) -> Option<Self> {
        let get = |user| get(content, user).cloned();
        Some(Self {
            operator: get("operator")?,
            replication: get("replication")?,
            rewind: get("rewind")?,
            monitoring: get("monitoring")?,
            patroni: get("patroni")?,
            backup: get("backup")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use charm::ExposeSecret as _;

    #[test]
    fn passwords_are_32_letters_and_digits_and_differ() {
        let mut source = Seed([1; 32]).source(0);
        let (one, two) = (source.password(), source.password());
        assert_eq!(one.expose_secret().len(), 32);
        assert!(one.expose_secret().chars().all(|c| c.is_ascii_alphanumeric()));
        assert_ne!(one.expose_secret(), two.expose_secret());
        let other = Seed([1; 32]).source(1).password();
        assert_ne!(one.expose_secret(), other.expose_secret());
    }

    #[test]
    fn existing_passwords_stay_and_missing_ones_come() {
        let content = SecretContent::new()
            .with("operator-password", "kept".to_owned())
            .with("rewind-password", "None".to_owned());
        assert!(Passwords::read(&content).is_none());
        let completed = completed(&content, &mut Seed([1; 32]).source(0));
        assert_eq!(completed.expose("operator-password"), Some("kept"));
        assert_ne!(completed.expose("rewind-password"), Some("None"));
        assert!(Passwords::read(&completed).is_some());
    }
}
