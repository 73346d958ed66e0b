//! The charm's options, checked and turned into what Patroni and PostgreSQL understand.

mod parameters;
mod plugins;
mod settings;
mod slots;
mod table;
mod timing;
mod wal;

use juju_charm::Config;
use patroni::config::Parameters;
use serde_json::Value;

use crate::resources::Resources;
use crate::sync::StandbyCount;
use settings::LEAST_CONNECTIONS;

pub(crate) use plugins::Plugins;
pub(crate) use timing::Timing;

/// What an option may be.
pub(crate) enum Kind {
    /// `true` or `false`, shown as `on` and `off`.
    Boolean,
    /// A whole number within these bounds.
    Integer(i64, i64),
    /// A number within these bounds.
    Float(f64, f64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Any text; the server knows whether it is valid.
    Text,
}

/// The parameters that all members must share: Patroni drops them from a member's file and
/// takes them from the dynamic configuration.
pub(crate) const SHARED: [&str; 9] = [
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_replication_slots",
    "max_wal_senders",
    "max_worker_processes",
    "track_commit_timestamp",
    "wal_keep_size",
    "wal_level",
];

/// Parameters that no option changes. The log goes to stderr, where Pebble collects it.
const FIXED: [(&str, &str); 21] = [
    ("archive_command", "/bin/true"),
    ("archive_mode", "on"),
    ("autovacuum", "on"),
    // A pod has 64 MiB in /dev/shm, too little for the hash tables of two parallel queries; this
    // one is bounded by the pod's memory alone, and as quick.
    ("dynamic_shared_memory_type", "sysv"),
    ("lc_messages", "C.UTF-8"),
    ("log_autovacuum_min_duration", "60000"),
    ("log_checkpoints", "on"),
    ("log_destination", "stderr"),
    ("log_line_prefix", "%t [%p]: user=%u,db=%d,app=%a,client=%h,line=%l "),
    ("log_min_error_statement", "warning"),
    ("log_recovery_conflict_waits", "on"),
    ("log_replication_commands", "on"),
    ("log_statement", "ddl"),
    ("log_timezone", "UTC"),
    ("logging_collector", "off"),
    ("pg_stat_statements.max", "10000"),
    ("shared_preload_libraries", "pg_stat_statements"),
    ("wal_level", "logical"),
    // Commits wait for standbys, so one that is silent must be noticed long before a minute.
    ("wal_receiver_timeout", "10s"),
    ("wal_retrieve_retry_interval", "1s"),
    ("wal_sender_timeout", "10s"),
];

const MEGABYTE: u64 = 1_000_000;
const BLOCK_BYTES: u64 = 8192;

/// The options as Patroni needs them.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Parameters of each member's file.
    pub parameters: Parameters,
    /// Parameters of the dynamic configuration.
    pub shared: Parameters,
    /// Those of both that only the server can check: texts, and what
    /// `postgresql-settings` names.
    pub free: Parameters,
    /// How many standbys must have a commit.
    pub standbys: StandbyCount,
    /// Refuse to commit while no standby is there.
    pub strict: bool,
    /// The bytes a replica may lag behind and still become primary.
    pub maximum_lag: u64,
    /// How long the leader's lock lives.
    pub timing: Timing,
}

impl Settings {
    /// Checks all options.
    ///
    /// # Errors
    /// One sentence for each option that cannot be used.
    pub fn parse(config: &Config, resources: Resources) -> Result<Self, Vec<String>> {
        let mut reader = Reader { config, problems: Vec::new() };
        let mut all = Parameters::new();
        let mut free = Parameters::new();
        all.extend(FIXED.map(|(name, value)| (name.to_owned(), value.into())));
        for (option, parameter, kind) in table::TABLE {
            if let Some(value) = reader.read(option, kind) {
                if matches!(kind, Kind::Text) {
                    free.insert((*parameter).to_owned(), value.clone());
                }
                all.insert((*parameter).to_owned(), value);
            }
        }
        reader.workers(resources, &mut all);
        reader.memory(resources, &mut all);
        let default_connections = (4 * resources.cores).max(100);
        let connections = reader.integer("experimental_max_connections", 1, 250_000);
        // Of less Patroni makes 100.
        let connections = connections.unwrap_or(default_connections).max(LEAST_CONNECTIONS);
        all.insert("max_connections".to_owned(), connections.into());
        all.insert("max_replication_slots".to_owned(), 25.into());
        all.insert("max_wal_senders".to_owned(), 25.into());
        for (name, value) in reader.settings(connections) {
            // The charm's own spelling of a parameter counts, which is PostgreSQL's.
            let known = all.keys().find(|known| known.eq_ignore_ascii_case(&name)).cloned();
            let name = known.unwrap_or(name);
            free.insert(name.clone(), value.clone().into());
            all.insert(name, value.into());
        }
        reader.slots(resources, &all);
        let standbys = reader.standbys();
        let maximum_lag = reader.integer("durability_maximum_lag_on_failover", 0, i64::MAX);
        let timing = reader.timing();
        if !reader.problems.is_empty() {
            return Err(reader.problems);
        }
        let (shared, parameters) =
            all.into_iter().partition(|(name, _)| SHARED.contains(&name.as_str()));
        Ok(Self {
            parameters,
            shared,
            free,
            standbys,
            strict: config.boolean("synchronous_mode_strict"),
            maximum_lag: maximum_lag.unwrap_or(1 << 20),
            timing,
        })
    }
}

/// The option that sets a parameter.
pub(crate) fn option_of(parameter: &str) -> &'static str {
    let found = table::TABLE.iter().find(|(_, known, _)| *known == parameter);
    found.map_or(settings::OPTION, |(option, ..)| *option)
}

/// Whether the option `postgresql-settings` has an answer for a parameter of this name.
pub fn is_decided(parameter: &str) -> bool {
    settings::is_decided(parameter)
}

/// Reads options and collects what is wrong with them.
struct Reader<'a> {
    config: &'a Config,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn problem<T>(&mut self, option: &str, expected: &str) -> Option<T> {
        let value = self.config.get(option).unwrap_or(&Value::Null);
        self.problems.push(format!("cannot use {value} for the option {option}: {expected}"));
        None
    }

    fn read(&mut self, option: &str, kind: &Kind) -> Option<Value> {
        let value = self.config.get(option)?;
        match kind {
            Kind::Boolean => match value.as_bool() {
                Some(on) => Some(if on { "on" } else { "off" }.into()),
                None => self.problem(option, "it is true or false"),
            },
            Kind::Integer(low, high) => match self.config.integer(option) {
                Some(number) if (*low..=*high).contains(&number) => Some(number.into()),
                _ => self.problem(option, &format!("it is a number from {low} to {high}")),
            },
            Kind::Float(low, high) => match self.config.float(option) {
                Some(number) if (*low..=*high).contains(&number) => Some(number.into()),
                _ => self.problem(option, &format!("it is a number from {low} to {high}")),
            },
            Kind::OneOf(words) => match value.as_str() {
                Some(word) if words.contains(&word) => Some(word.into()),
                _ => self.problem(option, &format!("it is one of {}", words.join(", "))),
            },
            Kind::Text => match value.as_str() {
                Some(text) if !text.is_empty() && !text.contains(['\0', '\n']) => Some(text.into()),
                _ => self.problem(option, "it is a line of text"),
            },
        }
    }

    fn integer(&mut self, option: &str, low: i64, high: i64) -> Option<u64> {
        self.read(option, &Kind::Integer(low, high))?.as_u64()
    }

    /// What `postgresql-settings` says, for a server with this many connections.
    fn settings(&mut self, connections: u64) -> Vec<(String, String)> {
        let found = settings::read(self.config).and_then(|pairs| {
            settings::check_reserved(&pairs, connections)?;
            Ok(pairs)
        });
        found.unwrap_or_else(|expected| {
            let option = settings::OPTION;
            self.problems.push(format!("cannot use the option {option}: it takes {expected}"));
            Vec::new()
        })
    }

    fn standbys(&mut self) -> StandbyCount {
        let option = "synchronous_node_count";
        let count = StandbyCount::parse(self.config.text(option).unwrap_or("all"));
        let count =
            count.or_else(|| self.problem(option, "it is all, majority or a number from 1"));
        count.unwrap_or(StandbyCount::All)
    }

    /// A number of worker processes: `auto` or from 2 to ten for each core.
    fn worker_count(&mut self, option: &str, resources: Resources) -> Option<u64> {
        let text = self.config.text(option)?;
        if text == "auto" {
            return None;
        }
        let cap = 10 * resources.cores;
        match text.parse() {
            Ok(number) if number > cap => {
                self.problems.push(format!(
                    "{option} value {number} exceeds maximum allowed of {cap} (10 * vCores). \
                     Please set a value <= {cap}."
                ));
                None
            }
            Ok(number) if number >= 2 => Some(number),
            _ => self.problem(option, "it is auto or a number from 2"),
        }
    }

    fn workers(&mut self, resources: Resources, all: &mut Parameters) {
        let base = self
            .worker_count("cpu_max_worker_processes", resources)
            .unwrap_or((2 * resources.cores).min(8));
        let parallel = self.worker_count("cpu_max_parallel_workers", resources);
        let mut set = |name: &str, value: u64| {
            all.insert(name.to_owned(), value.into());
        };
        set("max_worker_processes", base);
        set("max_parallel_workers", parallel.unwrap_or(base).min(base));
        for name in [
            "max_parallel_maintenance_workers",
            "max_logical_replication_workers",
            "max_sync_workers_per_subscription",
        ] {
            let value = self.worker_count(&format!("cpu_{name}"), resources);
            set(name, value.unwrap_or(base));
        }
        let compression = self.read("cpu_wal_compression", &Kind::Boolean);
        all.insert("wal_compression".to_owned(), compression.unwrap_or("on".into()));
    }

    fn memory(&mut self, resources: Resources, all: &mut Parameters) {
        let limit = self.integer("profile_limit_memory", 128, 9_999_999);
        let memory = limit.map_or(resources.memory, |m| (m * MEGABYTE).min(resources.memory));
        let profile = self.read("profile", &Kind::OneOf(&["testing", "production"]));
        let wanted = self.integer("memory_shared_buffers", 16, 1_073_741_823);
        let cap = memory * 4 / 10 / MEGABYTE * 1000 / 8;
        if wanted.is_some_and(|blocks| blocks > cap) {
            let megabytes = memory * 4 / 10 / MEGABYTE;
            let why = format!(
                "shared buffers take at most 40% of the available memory, which is {megabytes}MB"
            );
            return self.problem("memory_shared_buffers", &why).unwrap_or_default();
        }
        let testing = profile.is_some_and(|profile| profile == "testing");
        let buffers = match wanted {
            None if testing => None,
            None => Some(memory / 4 * 128 / MEGABYTE),
            wanted => wanted,
        };
        let mut blocks = |name: &str, value: u64| {
            all.insert(name.to_owned(), value.into());
        };
        if let Some(buffers) = buffers {
            blocks("shared_buffers", buffers);
        }
        if !testing {
            let rest = memory.saturating_sub(buffers.unwrap_or_default() * BLOCK_BYTES);
            blocks("effective_cache_size", rest / MEGABYTE * 128);
        }
    }
}

#[cfg(test)]
mod tests;
