//! How long a certificate is valid.

use x509_cert::Certificate;
use x509_cert::der::DecodePem as _;

/// From when to when a certificate is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub from: u64,
    /// The last second.
    pub until: u64,
}

impl Validity {
    /// Reads the first certificate of a PEM text; `None` where there is none that can be read.
    pub fn of(pem: &str) -> Option<Self> {
        const END: &str = "-----END CERTIFICATE-----";
        let end = pem.find(END)? + END.len();
        let begin = pem.find("-----BEGIN CERTIFICATE-----")?;
        let certificate = Certificate::from_pem(pem.get(begin..end)?).ok()?;
        let validity = certificate.tbs_certificate.validity;
        let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
        Some(Self { from: seconds(validity.not_before), until: seconds(validity.not_after) })
    }

    /// Whether less than a third of the time is left, which is when a new one is asked for.
    pub fn is_aged(&self, now: u64) -> bool {
        let life = self.until.saturating_sub(self.from);
        self.until.saturating_sub(now) < life / 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dates_of_the_first_certificate_are_read() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut wanted = rcgen::CertificateParams::default();
        wanted.not_before = rcgen::date_time_ymd(2026, 1, 1);
        wanted.not_after = rcgen::date_time_ymd(2026, 1, 31);
        let pem = wanted.self_signed(&key).unwrap().pem();
        let read = Validity::of(&format!("# ours\n{pem}{pem}")).unwrap();
        assert_eq!((read.from, read.until - read.from), (1_767_225_600, 30 * 86_400));
        for text in ["", "-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nAA=="] {
            assert_eq!(Validity::of(text), None, "{text}");
        }
    }

    #[track_caller]
    fn check(now: u64, aged: bool) {
        assert_eq!(Validity { from: 1000, until: 1300 }.is_aged(now), aged, "{now}");
    }

    #[test]
    fn the_last_third_is_age() {
        check(0, false);
        check(1200, false);
        check(1201, true);
        check(1500, true);
    }
}
