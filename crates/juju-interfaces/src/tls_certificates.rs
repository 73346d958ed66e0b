//! The interface `tls-certificates`, the side that asks for a certificate.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Bag, BagError, json, python};

const REQUESTS: &str = "certificate_signing_requests";

/// A certificate that the issuer made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Issued {
    /// The certificate, in PEM.
    pub certificate: String,
    /// The request that it answers, in PEM.
    #[serde(rename = "certificate_signing_request")]
    pub request: String,
    /// The certificate of its CA, in PEM.
    pub ca: String,
    /// The certificates between the two; in some issuers' hands also these two.
    #[serde(default)]
    pub chain: Option<Vec<String>>,
    /// Whether it is no longer to be used.
    #[serde(default)]
    pub revoked: Option<bool>,
}

/// A request, as issuers read it: one without `ca` they refuse, and the whole databag with it.
#[derive(Serialize)]
struct Asked<'a> {
    certificate_signing_request: &'a str,
    /// Whether a CA certificate is requested.
    ca: bool,
}

impl Issued {
    /// What a server shows: its certificate and those between it and the issuer's.
    pub fn shown(&self) -> String {
        let between = |one: &&String| !same(one, &self.certificate) && !same(one, &self.ca);
        let all =
            std::iter::once(&self.certificate).chain(self.chain.iter().flatten().filter(between));
        all.map(|one| format!("{}\n", one.trim())).collect()
    }
}

fn same(one: &str, other: &str) -> bool {
    one.trim() == other.trim()
}

/// What a unit writes into its bag to ask for one certificate.
pub fn asked(request: &str) -> Bag {
    let list = [Asked { certificate_signing_request: request, ca: false }];
    Bag::from([(REQUESTS.to_owned(), python::dumps(&list))])
}

/// The certificate for a request in the issuer's application bag. What it issued to others is not
/// looked at.
///
/// # Errors
/// `BagError` when the list of certificates, or the one that answers, cannot be read.
pub fn issued(bag: &Bag, request: &str) -> Result<Option<Issued>, BagError> {
    let all: Vec<Value> = json(bag, "certificates")?.unwrap_or_default();
    let answers = |one: &Value| {
        let answered = one["certificate_signing_request"].as_str();
        answered.is_none_or(|answered| same(answered, request)) && one["revoked"] != true
    };
    let found = all.into_iter().find(answers).map(serde_json::from_value).transpose();
    found.map_err(|error| BagError::new("certificates", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bag(certificates: &str) -> Bag {
        Bag::from([("certificates".to_owned(), certificates.to_owned())])
    }

    const TWO: &str = r#"[
        {"certificate_signing_request": "other", "certificate": "a", "ca": "c", "chain": []},
        {"certificate_signing_request": "mine\n", "certificate": "b", "ca": "c",
         "chain": ["c\n", "i", "b\n"], "recommended_expiry_notification_time": 1}]"#;

    #[test]
    fn a_request_as_the_issuer_reads_it() {
        let expected = r#"[{"certificate_signing_request": "line\nline\n", "ca": false}]"#;
        assert_eq!(asked("line\nline\n")[REQUESTS], expected);
    }

    #[test]
    fn the_certificate_of_a_request_is_found() {
        let found = issued(&bag(TWO), "mine").unwrap().unwrap();
        assert_eq!((found.certificate.as_str(), found.ca.as_str()), ("b", "c"));
        assert_eq!(found.shown(), "b\ni\n");
        assert_eq!(issued(&bag(TWO), "nobody's").unwrap(), None);
        assert_eq!(issued(&Bag::new(), "mine").unwrap(), None);
    }

    #[test]
    fn a_revoked_certificate_counts_as_none() {
        let revoked =
            TWO.replace("\"certificate\": \"b\"", "\"certificate\": \"b\", \"revoked\": true");
        assert_eq!(issued(&bag(&revoked), "mine").unwrap(), None);
    }

    /// As the issuers' library writes what it has not set.
    #[test]
    fn what_is_not_set_may_be_null() {
        let text = TWO.replace("\"recommended_expiry_notification_time\": 1", "\"revoked\": null");
        let text = text.replace("[\"c\\n\", \"i\", \"b\\n\"]", "null");
        let found = issued(&bag(&text), "mine").unwrap().unwrap();
        assert_eq!(found.shown(), "b\n");
    }

    #[test]
    fn what_others_got_spoils_nothing() {
        let text = TWO.replace("\"certificate\": \"a\"", "\"certificate\": 7");
        assert!(issued(&bag(&text), "mine").unwrap().is_some());
        assert_eq!(issued(&bag(&text), "other").unwrap_err().key, "certificates");
    }

    #[test]
    fn nonsense_names_the_key() {
        assert_eq!(issued(&bag("[{}]"), "mine").unwrap_err().key, "certificates");
    }
}
