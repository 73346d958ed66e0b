//! The server's version.

use std::fmt;
use std::str::FromStr;

/// A server version, for instance `17.6`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion {
    /// The major version, for instance 17.
    pub major: u32,
    /// The version without the packager's suffix.
    pub text: String,
}

/// Why a text is no server version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the server version {0:?}: it must start with a number")]
pub struct VersionError(String);

impl FromStr for ServerVersion {
    type Err = VersionError;

    /// Reads `server_version`, for instance `17.6 (Debian 17.6-0+deb13u1)` or `18beta1`.
    fn from_str(shown: &str) -> Result<Self, VersionError> {
        let text = shown.split_whitespace().next().unwrap_or_default();
        let digits = text.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        let major = digits.parse().map_err(|_| VersionError(shown.to_owned()))?;
        Ok(Self { major, text: text.to_owned() })
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(shown: &str, major: u32, text: &str) {
        let version: ServerVersion = shown.parse().unwrap();
        assert_eq!((version.major, version.text.as_str()), (major, text));
    }

    #[test]
    fn versions_as_servers_show_them() {
        check("17.6 (Debian 17.6-0+deb13u1)", 17, "17.6");
        check("14.23", 14, "14.23");
        check("18beta1", 18, "18beta1");
        assert!("unknown".parse::<ServerVersion>().is_err());
    }
}
