//! What Patroni says about a cluster and its members.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

use serde::de::Error as _;
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
    /// The bytes it is behind; absent where it is unknown.
    #[serde(default, deserialize_with = "number")]
    pub lag: Option<u64>,
    /// Whether a parameter waits for a restart.
    #[serde(default)]
    pub pending_restart: bool,
    /// The parameters that do.
    #[serde(default)]
    pub pending_restart_reason: BTreeMap<String, PendingChange>,
    /// Where its REST API is, as it says itself.
    #[serde(default)]
    pub api_url: String,
}

/// A parameter that a restart changes, as PostgreSQL writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PendingChange {
    /// What is in force.
    pub old_value: String,
    /// What a restart brings.
    pub new_value: String,
}

/// The parameters of which a standby must not have less than its primary.
const AT_LEAST_THE_PRIMARYS: [&str; 5] = [
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
];

impl PendingChange {
    /// How the new value compares with the old one; none where they are no numbers.
    fn direction(&self) -> Option<Ordering> {
        let [old, new] = [&self.old_value, &self.new_value].map(|text| text.parse::<i64>());
        Some(new.ok()?.cmp(&old.ok()?))
    }
}

impl Member {
    /// Whether restarts have to begin with the primary: a parameter becomes smaller of which no
    /// standby may have less, and none becomes greater. Until the primary has restarted, Patroni
    /// starts a standby with the old value.
    pub fn restarts_before_standbys(&self) -> bool {
        let shared = |name: &&str| self.pending_restart_reason.get(*name);
        let changes: Vec<_> =
            AT_LEAST_THE_PRIMARYS.iter().filter_map(|name| shared(name)?.direction()).collect();
        changes.contains(&Ordering::Less) && !changes.contains(&Ordering::Greater)
    }

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
    /// How far it has the write-ahead log; absent until PostgreSQL runs.
    #[serde(default)]
    pub xlog: Option<Positions>,
    /// When its PostgreSQL started; absent until it runs.
    #[serde(default)]
    pub postmaster_start_time: Option<String>,
    /// `streaming` where it streams from another member.
    #[serde(default)]
    pub replication_state: Option<String>,
    /// Who receives WAL from it, as its PostgreSQL says.
    #[serde(default)]
    pub replication: Vec<Standby>,
}

/// A receiver of WAL, as in `pg_stat_replication`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Standby {
    /// A member's name, or what another receiver calls itself.
    pub application_name: String,
    /// `streaming`, or how far it is from that.
    pub state: String,
}

impl Health {
    /// Whether the member streams from another one.
    pub fn streams(&self) -> bool {
        self.replication_state.as_deref() == Some("streaming")
    }
}

impl Standby {
    /// Whether this is a member that streams.
    pub fn feeds(&self, member: &str) -> bool {
        self.application_name == member && self.state == "streaming"
    }
}

/// Positions in the write-ahead log, in bytes; a standby has the first two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Positions {
    /// What was received since the server started; 0 for nothing.
    #[serde(deserialize_with = "position")]
    pub received_location: u64,
    /// What was replayed.
    #[serde(deserialize_with = "position")]
    pub replayed_location: u64,
}

/// A position; Patroni writes null for none.
fn position<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Where a timeline ended, as `GET /history` lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimelineEnd {
    /// The timeline.
    pub timeline: u64,
    /// The position in the write-ahead log at which the next one began, in bytes.
    pub position: u64,
}

impl<'de> Deserialize<'de> for TimelineEnd {
    /// The first two entries of a list; the reason, the time and the new leader may follow.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let line = Vec::<Value>::deserialize(deserializer)?;
        let number = |column: usize| {
            let found = line.get(column).and_then(Value::as_u64);
            found
                .ok_or_else(|| D::Error::custom(format!("no number {column} in a line of history")))
        };
        Ok(Self { timeline: number(0)?, position: number(1)? })
    }
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

    /// The best candidate when the primary is lost and no running member has its last commits, so
    /// that none may be promoted without the operator. None while a member leads, may lead, or is
    /// about to report whether it may.
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

    /// Whether one leads and every other one streams from it.
    pub fn all_follow(&self) -> bool {
        let follows = |member: &Member| match member.role.leads() {
            true => member.state.is_ready(),
            false => member.state == State::Streaming,
        };
        self.leader().is_some() && self.members.iter().all(follows)
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

    #[track_caller]
    fn check_first(changes: &[(&str, &str, &str)], expected: bool) {
        let change = |(name, old, new): &(&str, &str, &str)| {
            ((*name).to_owned(), serde_json::json!({"old_value": old, "new_value": new}))
        };
        let reason: BTreeMap<_, _> = changes.iter().map(change).collect();
        let member = serde_json::json!({
            "name": "pg-0", "role": "leader", "state": "running", "pending_restart_reason": reason,
        });
        let member: Member = serde_json::from_value(member).unwrap();
        assert_eq!(member.restarts_before_standbys(), expected, "{changes:?}");
    }

    #[test]
    fn a_smaller_value_begins_with_the_primary() {
        check_first(&[], false);
        check_first(&[("max_connections", "100", "50")], true);
        check_first(&[("max_connections", "50", "100")], false);
        check_first(&[("max_connections", "100", "9")], true);
        check_first(&[("shared_buffers", "256MB", "128MB")], false);
        check_first(&[("max_connections", "9", "100"), ("max_wal_senders", "25", "9")], false);
        check_first(&[("max_connections", "100", "50"), ("shared_buffers", "8kB", "9kB")], true);
    }

    #[test]
    fn a_health_answer_is_read_whatever_its_role_is_called() {
        for role in ["master", "primary"] {
            let replication = r#"[{"application_name": "pg-1", "state": "streaming", "x": null}]"#;
            let text = format!(
                r#"{{"state": "running", "role": "{role}", "xlog": {{}}, "replication": {replication}}}"#
            );
            let health: Health = serde_json::from_str(&text).unwrap();
            assert_eq!(health.role, Some(Role::Leader));
            assert!(health.state.is_started() && !health.streams());
            assert!(health.replication[0].feeds("pg-1") && !health.replication[0].feeds("pg-2"));
        }
    }
}
