//! PgBouncer's version, as its program prints it.

/// A PgBouncer release. All releases so far are `1.<minor>.<patch>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The second number, which brings new settings.
    pub minor: u16,
    /// The third number.
    pub patch: u16,
}

/// A version line that was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {0:?} as PgBouncer's version: expected `PgBouncer 1.<minor>.<patch>`")]
pub struct VersionError(pub String);

impl Version {
    /// The release in Debian trixie, which the workload image carries.
    pub const TRIXIE: Self = Self { minor: 24, patch: 1 };

    /// Whether it has `auth_dbname`, by which one lookup serves every database.
    pub fn has_auth_dbname(self) -> bool {
        self >= Self { minor: 19, patch: 0 }
    }

    /// Whether SIGTERM makes it wait for its clients; an older one ends them.
    pub fn waits_for_clients(self) -> bool {
        self >= Self { minor: 23, patch: 0 }
    }

    /// Reads the output of `pgbouncer --version`: the second word of its first line.
    ///
    /// # Errors
    /// `VersionError` when that word is not a 1.x version.
    pub fn from_output(output: &str) -> Result<Self, VersionError> {
        let line = output.lines().next().unwrap_or_default();
        line.split_whitespace().nth(1).ok_or_else(|| VersionError(line.to_owned()))?.parse()
    }
}

impl std::str::FromStr for Version {
    type Err = VersionError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || VersionError(text.to_owned());
        let rest = text.strip_prefix("1.").ok_or_else(bad)?;
        let (minor, patch) = rest.split_once('.').unwrap_or((rest, "0"));
        Ok(Self {
            minor: minor.parse().map_err(|_| bad())?,
            patch: patch.parse().map_err(|_| bad())?,
        })
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "1.{}.{}", self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_word_of_the_first_line_counts() {
        let read = Version::from_output("PgBouncer 1.24.1\nlibevent 2.1.12-stable\n");
        assert_eq!(read, Ok(Version::TRIXIE));
        assert_eq!("1.18".parse(), Ok(Version { minor: 18, patch: 0 }));
        for bad in ["", "PgBouncer", "PgBouncer 2.0.0", "PgBouncer x"] {
            assert!(Version::from_output(bad).is_err(), "{bad:?}");
        }
    }
}
