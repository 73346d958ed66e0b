//! Which Juju a model plays, and everything in which the two that are played differ.

use serde::{Deserialize, Serialize};

/// A version of Juju.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Juju {
    /// The long-term one.
    #[default]
    #[serde(rename = "3.6")]
    V3_6,
    /// The current one.
    #[serde(rename = "4.0")]
    V4_0,
}

/// There is no such version here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot play Juju {0:?}: write 3.6 or 4.0")]
pub struct UnknownJuju(String);

impl std::str::FromStr for Juju {
    type Err = UnknownJuju;
    fn from_str(text: &str) -> Result<Self, UnknownJuju> {
        match text {
            "3.6" => Ok(Self::V3_6),
            "4.0" => Ok(Self::V4_0),
            other => Err(UnknownJuju(other.to_owned())),
        }
    }
}

impl std::fmt::Display for Juju {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::V3_6 => "3.6",
            Self::V4_0 => "4.0",
        })
    }
}

impl Juju {
    /// All that are played.
    pub const ALL: [Self; 2] = [Self::V3_6, Self::V4_0];

    /// What it does differently.
    pub fn rules(self) -> &'static Rules {
        match self {
            Self::V3_6 => &RULES_3_6,
            Self::V4_0 => &RULES_4_0,
        }
    }
}

/// What one version does that another does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Its whole number, `JUJU_VERSION`.
    pub version: &'static str,
    /// Unit databags have `private-address`, the service's address, and `unit-get` answers it.
    pub private_address: bool,
    /// `leader-get` and `leader-set` exist.
    pub leader_settings: bool,
    /// A change of the options runs `config-changed` two times.
    pub config_changed_twice: bool,
    /// What a databag holds counts, not how often it was changed: one that is as it was when last
    /// read causes no event.
    pub bags_by_content: bool,
    /// An action without `additionalProperties` takes parameters that it does not declare.
    pub undeclared_parameters: bool,
    /// Every unit may read its application's databag, also where it does not lead.
    pub own_databag: bool,
    /// Units that are not in a relation are unknown rather than denied.
    pub strangers_unknown: bool,
    /// Who is refused a secret is named.
    pub denied_by_name: bool,
    /// What `secret-get` says of a secret that is not there, where it does not name it.
    pub secret_gone: Option<&'static str>,
    /// Before `consumer label "x" not found`.
    pub label_prefix: &'static str,
    /// Who does not lead may not label a secret of its application, even for itself.
    pub labels_need_lease: bool,
    /// A secret can be granted over a peer relation.
    pub peer_grants: bool,
    /// Changes of secrets stand although the rest of the hook's changes are refused.
    pub secrets_apart: bool,
    /// A change of a secret that is not there is passed over.
    pub lost_secrets_ignored: bool,
    /// `JUJU_SECRET_ID` of `secret-remove` and `secret-expired` has no scheme.
    pub bare_secret_ids: bool,
    /// `storage-add` gives more storage.
    pub storage_grows: bool,
    /// Units of an application get `relation-departed` for one of them.
    pub departed_told: bool,
    /// `network-get` names interface, host and network.
    pub network_named: bool,
    /// Notices of other users than root reach the charm.
    pub notices_of_all: bool,
    /// Variables of every hook, beside those that both have.
    pub variables: &'static [(&'static str, &'static str)],
}

/// As in 3.6.11. Notices of other users than root reach the charm from 3.6.25 on.
const RULES_3_6: Rules = Rules {
    version: "3.6.11",
    private_address: true,
    leader_settings: true,
    config_changed_twice: false,
    bags_by_content: false,
    undeclared_parameters: true,
    own_databag: false,
    strangers_unknown: false,
    denied_by_name: false,
    secret_gone: None,
    label_prefix: "",
    labels_need_lease: false,
    peer_grants: true,
    secrets_apart: true,
    lost_secrets_ignored: false,
    bare_secret_ids: false,
    storage_grows: true,
    departed_told: true,
    network_named: false,
    notices_of_all: false,
    variables: &[("JUJU_SLA", "unsupported")],
};

/// As in 4.0.15.
const RULES_4_0: Rules = Rules {
    version: "4.0.15",
    private_address: false,
    leader_settings: false,
    config_changed_twice: true,
    bags_by_content: true,
    undeclared_parameters: false,
    own_databag: true,
    strangers_unknown: true,
    denied_by_name: true,
    secret_gone: Some("getting latest secret revision: secret not found"),
    label_prefix: "secret URI for ",
    labels_need_lease: true,
    peer_grants: false,
    secrets_apart: false,
    lost_secrets_ignored: true,
    bare_secret_ids: true,
    storage_grows: false,
    departed_told: false,
    network_named: true,
    notices_of_all: true,
    variables: &[
        ("JUJU_CHARM_TRACE_CONFIG_CA_CERT", ""),
        ("JUJU_CHARM_TRACE_CONFIG_GRPC", ""),
        ("JUJU_CHARM_TRACE_CONFIG_HTTP", ""),
    ],
};
