//! A private key that a person chose, and the action with which it is set.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use juju_charm::{ExposeSecret as _, HookError, Reader, RelationId, SecretString};

use super::ENDPOINT;

/// The action that sets a unit's private key.
pub const SET_KEY: &str = "set-tls-private-key";

/// The action's parameter.
const PARAMETER: &str = "private-key";

/// The longest that a key may be in PEM, in bytes; one of RSA with 8192 bits has 6,400.
const LONGEST: usize = 16 << 10;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// It is no text in PEM, nor base64 of one.
    #[error("cannot read the private key: give PEM text, or base64 of PEM text")]
    Encoding,
    /// It is a key in another form.
    #[error(
        "cannot use the private key: it has to be PKCS#8 without a passphrase, which \
         `openssl pkcs8 -topk8 -nocrypt -in key.pem` makes of others"
    )]
    Form,
    /// It is a key of another kind.
    #[error(
        "cannot use the private key: it has to be one of RSA with 2048 to 8192 bits, or of the \
         curves P-256, P-384 or Ed25519"
    )]
    Kind,
    /// There is nobody who would certify it.
    #[error("cannot use a private key before an issuer of certificates is related to certificates")]
    NoIssuer,
}

/// A private key in PEM, PKCS#8, that a person chose.
#[derive(Clone)]
pub struct GivenKey(pub(super) SecretString);

impl PartialEq for GivenKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

/// What the action asks for: a certificate of this relation, for this key or for one that is made.
#[derive(Clone)]
pub struct KeyRequest {
    /// The relation with the issuer.
    pub relation: RelationId,
    /// The key; none for a new one.
    pub key: Option<GivenKey>,
}

impl GivenKey {
    /// Reads a key, as PEM or as base64 of it.
    ///
    /// # Errors
    /// When there can be no certificate for it.
    pub fn parse(text: &SecretString) -> Result<Self, KeyError> {
        let text = text.expose_secret().trim();
        if text.len() > 2 * LONGEST {
            return Err(KeyError::Encoding);
        }
        let pem: SecretString = if text.starts_with("-----BEGIN ") {
            text.to_owned().into()
        } else {
            let plain: String = text.split_whitespace().collect();
            let bytes = STANDARD.decode(plain).map_err(|_| KeyError::Encoding)?;
            String::from_utf8(bytes).map_err(|_| KeyError::Encoding)?.into()
        };
        let pem = pem.expose_secret().trim();
        if !pem.starts_with("-----BEGIN ") || pem.len() > LONGEST {
            return Err(KeyError::Encoding);
        }
        if !pem.starts_with("-----BEGIN PRIVATE KEY-----") {
            return Err(KeyError::Form);
        }
        let key = rcgen::KeyPair::from_pem(pem).map_err(|_| KeyError::Kind)?;
        Ok(Self(key.serialize_pem().into()))
    }
}

impl KeyRequest {
    /// Reads what the running action asks for.
    ///
    /// # Errors
    /// When a hook tool fails; inside, when nothing can be done.
    pub fn read(juju: &mut Reader) -> Result<Result<Self, KeyError>, HookError> {
        let parameters = juju.action_params()?;
        let text = parameters.get(PARAMETER).and_then(|value| value.as_str());
        let key = text.filter(|text| !text.is_empty()).map(|text| text.to_owned().into());
        let relation = juju.cached_relations(ENDPOINT)?.first().copied();
        Ok(Self::new(relation, key.as_ref()))
    }

    fn new(relation: Option<RelationId>, key: Option<&SecretString>) -> Result<Self, KeyError> {
        let key = key.map(GivenKey::parse).transpose()?;
        Ok(Self { relation: relation.ok_or(KeyError::NoIssuer)?, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem() -> String {
        rcgen::KeyPair::generate().unwrap().serialize_pem()
    }

    #[track_caller]
    fn check(text: &str, expected: Result<(), KeyError>) {
        let found = GivenKey::parse(&text.to_owned().into());
        assert_eq!(found.map(drop), expected, "{} bytes", text.len());
    }

    #[test]
    fn a_key_is_pem_or_base64_of_it() {
        let key = pem();
        check(&key, Ok(()));
        check(&format!("\n{key}\n"), Ok(()));
        check(&STANDARD.encode(&key), Ok(()));
        let folded: Vec<String> = STANDARD
            .encode(&key)
            .as_bytes()
            .chunks(64)
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        check(&folded.join("\n"), Ok(()));
        let read = GivenKey::parse(&STANDARD.encode(&key).into()).unwrap();
        assert_eq!(read.0.expose_secret().trim(), key.trim());
    }

    #[test]
    fn what_no_certificate_can_be_made_for_is_refused_by_name() {
        check("a b c", Err(KeyError::Encoding));
        check(&STANDARD.encode("no key"), Err(KeyError::Encoding));
        check(&"A".repeat(3 * LONGEST), Err(KeyError::Encoding));
        for other in ["RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "CERTIFICATE"] {
            check(&pem().replace("PRIVATE KEY", other), Err(KeyError::Form));
        }
        let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        check(broken, Err(KeyError::Kind));
    }

    #[test]
    fn without_an_issuer_there_is_nothing_to_ask() {
        let found = |relation, key: Option<SecretString>| {
            KeyRequest::new(relation, key.as_ref()).map(|request| request.key.is_some())
        };
        assert_eq!(found(None, None), Err(KeyError::NoIssuer));
        assert_eq!(found(Some(RelationId(9)), None), Ok(false));
        assert_eq!(found(Some(RelationId(9)), Some(pem().into())), Ok(true));
        assert_eq!(found(None, Some("no key".to_owned().into())), Err(KeyError::Encoding));
    }
}
