//! A key, the request for its certificate, and the files that come of it.

use juju_charm::{Bag, Changes, Context, ExposeSecret as _, Level, SecretString};
use juju_interfaces::BagError;
use juju_interfaces::tls_certificates::{self, Issued, issued};

use super::GivenKey;

const REQUEST_BEGINS: &str = "-----BEGIN CERTIFICATE REQUEST-----";

/// The line before a key that a person chose.
const GIVEN: &str = "# set by an action\n";

/// A key, its certificate and the CA, in PEM.
#[derive(Clone)]
pub struct Files {
    /// The key.
    pub key: SecretString,
    /// The certificate, and those between it and the issuer's.
    pub certificate: String,
    /// The issuer's certificate.
    pub ca: String,
}

/// A key and the request for its certificate, in PEM.
#[derive(Clone)]
pub struct Request {
    /// The key.
    pub key: SecretString,
    /// The request.
    pub csr: String,
    /// Whether a person chose the key; then renewed certificates are for the same one.
    pub given: bool,
}

/// What an issuer's answer asks of a unit.
pub enum Step {
    /// To go on as before.
    Stay,
    /// To serve with these files.
    Serve(Files),
    /// To make another key and ask for another certificate; what is there goes on serving until
    /// the new one comes.
    Ask,
}

impl Files {
    /// The files of an issued certificate.
    fn of(key: &SecretString, issued: &Issued) -> Self {
        let ca = format!("{}\n", issued.ca.trim());
        Self { key: key.clone(), certificate: issued.shown(), ca }
    }

    /// Checks that a server can present them, and that a client can verify them.
    ///
    /// # Errors
    /// When they are none, or do not belong together.
    pub fn check(&self) -> Result<(), BagError> {
        postgres::check_ca(&self.ca).map_err(|error| BagError::new("ca", error))?;
        postgres::check_certificate(&self.certificate, &self.key)
            .map_err(|error| BagError::new("certificate", error))
    }
}

impl PartialEq for Files {
    fn eq(&self, other: &Self) -> bool {
        self.key.expose_secret() == other.key.expose_secret()
            && self.certificate == other.certificate
            && self.ca == other.ca
    }
}

/// A request of this unit that has these names, with this key or with a new one; where there can be
/// none, the log says why.
pub fn make_request(
    juju: &mut Context,
    names: Vec<String>,
    key: Option<&GivenKey>,
) -> Option<Request> {
    // A common name has room for 64 characters, which the names may not fit.
    let made = Request::make(&juju.unit().pod(), names, key);
    let why = |error| format!("cannot make a request for a certificate: {error}");
    made.map_err(|error| juju.log(Level::Error, why(error))).ok()
}

impl Request {
    /// A key, which is a new one unless it is given, and a request that names it: a common name of
    /// at most 64 characters, and every name by which clients find the server.
    ///
    /// # Errors
    /// When a name is none, or the system gives no randomness.
    pub fn make(
        common_name: &str,
        names: Vec<String>,
        given: Option<&GivenKey>,
    ) -> Result<Self, rcgen::Error> {
        let key = match given {
            Some(GivenKey(pem)) => rcgen::KeyPair::from_pem(pem.expose_secret())?,
            None => rcgen::KeyPair::generate()?,
        };
        let mut wanted = rcgen::CertificateParams::new(names)?;
        wanted.distinguished_name = rcgen::DistinguishedName::new();
        wanted.distinguished_name.push(rcgen::DnType::CommonName, common_name);
        let csr = wanted.serialize_request(&key)?.pem()?;
        Ok(Self { key: key.serialize_pem().into(), csr, given: given.is_some() })
    }

    /// Reads what [`Self::text`] wrote; nonsense counts as none.
    pub fn parse(text: &SecretString) -> Option<Self> {
        let at = text.expose_secret().find(REQUEST_BEGINS)?;
        let (key, csr) = text.expose_secret().split_at(at);
        let given = key.strip_prefix(GIVEN);
        let csr = csr.to_owned();
        Some(Self { key: given.unwrap_or(key).to_owned().into(), csr, given: given.is_some() })
    }

    /// Key and request as one text.
    pub fn text(&self) -> SecretString {
        let given = if self.given { GIVEN } else { "" };
        format!("{given}{}{}", self.key.expose_secret(), self.csr).into()
    }

    /// The key that the next certificate is to be for, where a person chose it.
    pub fn kept_key(&self) -> Option<GivenKey> {
        self.given.then(|| GivenKey(self.key.clone()))
    }

    /// What the unit's databag lacks of the request.
    pub fn unwritten(&self, asked: &Bag) -> Option<Changes> {
        let bag = tls_certificates::asked(&self.csr);
        let differs = bag.iter().any(|(key, value)| asked.get(key) != Some(value));
        differs.then(|| Changes::from(bag))
    }

    /// What the issuer's databag asks of a unit that serves with these files now.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub fn step(&self, offered: &Bag, now: Option<&Files>, aged: bool) -> Result<Step, BagError> {
        Ok(match self.answer(offered)? {
            Some(files) if now != Some(&files) => Step::Serve(files),
            Some(_) if aged => Step::Ask,
            _ => Step::Stay,
        })
    }

    /// The files of the certificate that was issued for it, if there is one.
    ///
    /// # Errors
    /// When the certificate or its issuer's cannot be used.
    pub fn answer(&self, offered: &Bag) -> Result<Option<Files>, BagError> {
        let Some(issued) = issued(offered, &self.csr)? else { return Ok(None) };
        let files = Files::of(&self.key, &issued);
        files.check()?;
        Ok(Some(files))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_back() {
        let names = || vec!["pg-1.pg-endpoints".to_owned()];
        let first = Request::make("pg-1", names(), None).unwrap();
        let key = GivenKey::parse(&first.key).unwrap();
        let second = Request::make("pg-1", names(), Some(&key)).unwrap();
        assert_eq!(second.key.expose_secret(), first.key.expose_secret());
        for request in [first, second] {
            let read = Request::parse(&request.text()).unwrap();
            assert_eq!((read.csr, read.given), (request.csr, request.given));
            assert_eq!(read.key.expose_secret(), request.key.expose_secret());
        }
        assert!(Request::parse(&"nonsense".to_owned().into()).is_none());
    }
}
