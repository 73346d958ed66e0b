//! The passwords of the charm's own users.

use charm_kit::credentials::Seed;
use juju_charm::{SecretContent, SecretOwner, SecretString, Write};

use crate::topology::Topology;
use postgres::RoleName;

/// How many characters a password has that the charm makes.
pub(crate) const LENGTH: usize = 32;

/// The users whose password the action get-password shows, in the order of its message.
pub(crate) const SHOWN: [&str; 6] =
    ["backup", "replication", "rewind", "operator", "monitoring", "patroni"];
/// The users whose password the action set-password changes.
pub(crate) const CHANGEABLE: [&str; 5] =
    ["backup", "replication", "rewind", "operator", "monitoring"];
/// The users that get a password before the cluster is made.
const GENERATED: [&str; 6] =
    ["operator", "replication", "rewind", "monitoring", "patroni", "backup"];

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
pub(crate) fn completed(content: &SecretContent, seed: &Seed) -> SecretContent {
    let missing = GENERATED.iter().filter(|user| get(content, user).is_none());
    missing.fold(content.clone(), |content, user| content.with(key(user), seed.password(user)))
}

/// Keeps the application's passwords.
pub(crate) fn write(topology: &Topology, content: SecretContent) -> Write {
    Write::secret(topology.passwords_label(), content, SecretOwner::App)
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

    /// The users of PostgreSQL among them, the superuser that logs in first.
    pub(crate) fn users(&self) -> [(RoleName, &SecretString); 5] {
        [
            ("operator", &self.operator),
            ("replication", &self.replication),
            ("rewind", &self.rewind),
            ("monitoring", &self.monitoring),
            ("backup", &self.backup),
        ]
        .map(|(user, password)| (RoleName::constant(user), password))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn existing_passwords_stay_and_missing_ones_come() {
        let content = SecretContent::new()
            .with("operator-password", "kept".to_owned())
            .with("rewind-password", "None".to_owned());
        assert!(Passwords::read(&content).is_none());
        let completed = completed(&content, &Seed::new([1; 32], LENGTH));
        assert_eq!(completed.expose("operator-password"), Some("kept"));
        assert_ne!(completed.expose("rewind-password"), Some("None"));
        assert!(Passwords::read(&completed).is_some());
    }
}
