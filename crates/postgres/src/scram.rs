//! SCRAM-SHA-256 verifiers, made here so that no clear password reaches the server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use sha2::{Digest as _, Sha256};

/// The salt of a verifier; the caller draws it.
pub type Salt = [u8; 16];

/// The number of rounds PostgreSQL uses by default.
pub const ITERATIONS: u32 = 4096;

/// A verifier as `pg_authid.rolpassword` keeps it.
///
/// It has no `Debug`: with it passwords can be guessed without asking the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier(String);

impl Verifier {
    /// The text that goes into `ALTER ROLE … PASSWORD` or into a userlist.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The verifier of `password` under `salt`, after `iterations` rounds.
pub fn verifier(password: &str, salt: &[u8], iterations: u32) -> Verifier {
    // The server takes the password as it is when SASLprep refuses it.
    let prepared = stringprep::saslprep(password).unwrap_or(password.into());
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(prepared.as_bytes(), salt, iterations, &mut salted);
    let stored_key = Sha256::digest(keyed(&salted, b"Client Key"));
    let server_key = keyed(&salted, b"Server Key");
    Verifier(format!(
        "SCRAM-SHA-256${iterations}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored_key),
        STANDARD.encode(server_key),
    ))
}

/// Whether the `stored` verifier was made from `password`.
pub fn matches(stored: &str, password: &str) -> bool {
    let Some(parts) = stored.strip_prefix("SCRAM-SHA-256$") else { return false };
    let Some((head, _)) = parts.split_once('$') else { return false };
    let Some((iterations, salt)) = head.split_once(':') else { return false };
    let (Ok(iterations), Ok(salt)) = (iterations.parse(), STANDARD.decode(salt)) else {
        return false;
    };
    verifier(password, &salt, iterations).0 == stored
}

/// Whether this is what a server stores for the password of a user, in whichever way.
pub fn proves(stored: &str, user: &str, password: &str) -> bool {
    match stored.strip_prefix("md5") {
        Some(digest) => {
            let made = Md5::digest(format!("{password}{user}"));
            digest == made.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        }
        None => matches(stored, password),
    }
}

fn keyed(key: &[u8; 32], text: &[u8]) -> [u8; 32] {
    let mut mac = match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    };
    mac.update(text);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys follow from the exchange in RFC 7677, section 3: password `pencil`.
    #[test]
    fn the_verifier_of_the_rfc() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let made = verifier("pencil", &salt, 4096);
        assert_eq!(
            made.expose(),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
             WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
             wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn a_verifier_matches_its_password_only() {
        let made = verifier("geheim ☂", &[7; 16], 10);
        assert!(matches(made.expose(), "geheim ☂"));
        assert!(!matches(made.expose(), "geheim"));
        assert!(!matches("md5abc", "geheim"));
        assert!(!matches("SCRAM-SHA-256$x:y$z", "geheim"));
    }
}
