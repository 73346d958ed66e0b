//! What Patroni says about a cluster and its members.

use std::cmp::Reverse;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The answer of `GET /cluster`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Cluster {
    /// The members whose pods Patroni sees.
    #[serde(default)]
    pub members: Vec<Member>,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// The pod's name.
    pub name: String,
    /// What it does in the cluster.
    pub role: Role,
    /// How its PostgreSQL is.
    pub state: State,
    /// Its timeline; absent until PostgreSQL runs.
    #[serde(default)]
    pub timeline: Option<u64>,
    /// The bytes it is behind; absent when nobody can tell.
    #[serde(default, deserialize_with = "number")]
    pub lag: Option<u64>,
    /// Whether a parameter waits for a restart.
    #[serde(default)]
    pub pending_restart: bool,
    /// Where its REST API is, as it says itself.
    #[serde(default)]
    pub api_url: String,
}

impl Member {
    /// Whether its REST API speaks TLS.
    pub fn speaks_tls(&self) -> bool {
        self.api_url.starts_with("https:")
    }
}

/// A number; Patroni writes `unknown` for none.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Value::deserialize(deserializer).map(|value| value.as_u64())
}

/// What a member does in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Holds the leader lock.
    #[serde(alias = "master", alias = "primary")]
    Leader,
    /// Leads a cluster that follows another one.
    StandbyLeader,
    /// A replica whose answer the leader waits for.
    SyncStandby,
    /// A replica among those whose quorum the leader waits for.
    QuorumStandby,
    /// Any other replica.
    Replica,
    /// A role this version does not know.
    #[serde(untagged)]
    Other(String),
}

impl Role {
    /// Whether the member leads, a standby cluster included.
    pub fn leads(&self) -> bool {
        matches!(self, Self::Leader | Self::StandbyLeader)
    }

    /// Whether the member may lead after the leader.
    pub fn follows_in_sync(&self) -> bool {
        matches!(self, Self::SyncStandby | Self::QuorumStandby)
    }
}

/// How a member's PostgreSQL is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Accepts connections.
    Running,
    /// Accepts connections and replicates from the leader.
    Streaming,
    /// On its way up.
    Starting,
    /// Any other state, for instance `stopped` or `creating replica`.
    #[serde(untagged)]
    Other(String),
}

impl State {
    /// Whether the member counts as started.
    pub fn is_started(&self) -> bool {
        matches!(self, Self::Running | Self::Streaming | Self::Starting)
    }

    /// Whether the member serves.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Running | Self::Streaming)
    }

    /// Whether the member does not serve but has data, perhaps the last commits. One without
    /// data is shown as stopped; one with data is started at once.
    fn may_come_back(&self) -> bool {
        match self {
            Self::Other(state) => !["stopped", "creating replica"].contains(&state.as_str()),
            state => !state.is_ready(),
        }
    }
}

/// The answer of `GET /health`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Health {
    /// How PostgreSQL is.
    pub state: State,
    /// What it does, as PostgreSQL sees it.
    #[serde(default)]
    pub role: Option<Role>,
    /// Whether a parameter waits for a restart.
    #[serde(default)]
    pub pending_restart: bool,
    /// Its timeline; absent until PostgreSQL runs.
    #[serde(default)]
    pub timeline: Option<u64>,
}

impl Cluster {
    /// The member that leads, a standby leader included.
    pub fn leader(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.role.leads())
    }

    /// The member of this name.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// Whether a replica has every commit and serves.
    pub fn has_standby_in_sync(&self) -> bool {
        self.members.iter().any(|member| member.role.follows_in_sync() && member.state.is_ready())
    }

    /// The member that is the next best when the primary is lost and nobody who serves has its
    /// last commits, so that nobody may lead by itself. None while somebody leads, may lead, or
    /// is about to tell whether it may.
    pub fn last_resort(&self) -> Option<&Member> {
        let undecided = |member: &Member| {
            member.role.leads() || member.role.follows_in_sync() || member.state.may_come_back()
        };
        if self.members.iter().any(undecided) {
            return None;
        }
        let serving = self.members.iter().filter(|member| member.state.is_ready());
        let place = |member: &&Member| (member.timeline, Reverse(member.lag.unwrap_or(u64::MAX)));
        // Of equals the first.
        serving.rev().max_by_key(place)
    }

    /// Whether every member serves and one leads: only then may another one join.
    pub fn is_ready(&self) -> bool {
        self.leader().is_some() && self.members.iter().all(|member| member.state.is_ready())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"members": [
        {"name": "pg-0", "role": "leader", "state": "running", "api_url": "http://x:8008/patroni",
         "host": "x", "port": 5432, "timeline": 3},
        {"name": "pg-1", "role": "quorum_standby", "state": "streaming", "lag": 0},
        {"name": "pg-2", "role": "replica", "state": "creating replica", "lag": "unknown"}],
        "scope": "patroni-pg"}"#;

    #[test]
    fn a_cluster_as_patroni_4_shows_it() {
        let cluster: Cluster = serde_json::from_str(ANSWER).unwrap();
        assert_eq!(cluster.leader().unwrap().name, "pg-0");
        assert_eq!(cluster.member("pg-1").unwrap().role, Role::QuorumStandby);
        assert_eq!(
            cluster.member("pg-2").unwrap().state,
            State::Other("creating replica".to_owned())
        );
        assert!(!cluster.is_ready());
    }

    #[test]
    fn a_health_answer_is_read_whatever_its_role_is_called() {
        for role in ["master", "primary"] {
            let text = format!(r#"{{"state": "running", "role": "{role}", "xlog": {{}}}}"#);
            let health: Health = serde_json::from_str(&text).unwrap();
            assert_eq!(health.role, Some(Role::Leader));
            assert!(health.state.is_started());
        }
    }
}
