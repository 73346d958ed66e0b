//! The charm's options, checked.

use std::collections::BTreeMap;

use juju_charm::Config;
use pgbouncer::DatabaseName;

use crate::settings::{self, OptionsError};

/// Valid options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// Where clients connect.
    pub(crate) listen_port: u16,
    /// `session`, `transaction` or `statement`.
    pub(crate) pool_mode: String,
    /// Per database and unit; 0 for no limit.
    pub(crate) max_db_connections: u32,
    /// Per server connection; 0 for none.
    pub(crate) max_prepared_statements: u32,
    /// How the Service is reached.
    pub(crate) expose: Expose,
    /// Annotations of a load balancer's Service.
    pub(crate) annotations: BTreeMap<String, String>,
    /// Further settings of PgBouncer, each known and within its range.
    pub(crate) settings: Vec<(String, String)>,
    /// Server connections per unit of single databases, instead of `max_db_connections`.
    pub(crate) pool_sizes: BTreeMap<DatabaseName, u32>,
    /// How long clients may be held while the primary changes, in seconds.
    pub(crate) pause_max: u32,
    /// The same while the primary serves on, in seconds.
    pub(crate) pause_without_stop_max: u32,
}

/// How clients outside the cluster connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expose {
    /// Not at all.
    ClusterIp,
    /// Through a port on every node.
    NodePort,
    /// Through a load balancer.
    LoadBalancer,
}

impl Options {
    /// Reads the options; an option that is not set has its default.
    ///
    /// # Errors
    /// `OptionsError` naming the first bad option.
    pub(crate) fn parse(config: &Config) -> Result<Self, OptionsError> {
        Ok(Self { settings: settings::read(config)?, ..Self::parse_without_settings(config)? })
    }

    /// Reads all options but the one with further settings.
    ///
    /// # Errors
    /// `OptionsError` naming the first bad option.
    pub(crate) fn parse_without_settings(config: &Config) -> Result<Self, OptionsError> {
        Ok(Self {
            listen_port: number(config, "listen_port", 6432, 1..=65535, "a port, 1 to 65535")?
                .try_into()
                .unwrap_or(6432),
            pool_mode: pool_mode(config)?,
            max_db_connections: number(
                config,
                "max_db_connections",
                100,
                0..=i64::from(i32::MAX),
                "0 or a positive number",
            )?,
            max_prepared_statements: number(
                config,
                "max_prepared_statements",
                100,
                0..=1000,
                "a number from 0 to 1000",
            )?,
            expose: expose(config)?,
            annotations: annotations(config)?,
            settings: Vec::new(),
            pool_sizes: database_sizes(config)?,
            pause_max: number(config, "pause-max", 45, 1..=3600, "seconds, from 1 to 3600")?,
            pause_without_stop_max: number(
                config,
                "pause-without-stop-max",
                6,
                1..=60,
                "seconds, from 1 to 60",
            )?,
        })
    }
}

impl Expose {
    /// Kubernetes' word for the Service's type.
    pub(crate) fn service_type(self) -> &'static str {
        match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

fn number(
    config: &Config,
    option: &'static str,
    default: i64,
    range: std::ops::RangeInclusive<i64>,
    expected: &'static str,
) -> Result<u32, OptionsError> {
    let value = match config.get(option) {
        None => Some(default),
        Some(_) => config.integer(option),
    };
    value
        .filter(|value| range.contains(value))
        .and_then(|value| value.try_into().ok())
        .ok_or(OptionsError { option, expected: expected.into() })
}

fn pool_mode(config: &Config) -> Result<String, OptionsError> {
    let mode = config.text("pool_mode").unwrap_or("session");
    if ["session", "transaction", "statement"].contains(&mode) {
        return Ok(mode.to_owned());
    }
    let expected = "session, transaction or statement".into();
    Err(OptionsError { option: "pool_mode", expected })
}

fn expose(config: &Config) -> Result<Expose, OptionsError> {
    match config.text("expose-external").unwrap_or("false") {
        "false" => Ok(Expose::ClusterIp),
        "nodeport" => Ok(Expose::NodePort),
        "loadbalancer" => Ok(Expose::LoadBalancer),
        _ => Err(OptionsError {
            option: "expose-external",
            expected: "false, nodeport or loadbalancer".into(),
        }),
    }
}

fn annotations(config: &Config) -> Result<BTreeMap<String, String>, OptionsError> {
    let option = "loadbalancer-extra-annotations";
    let text = config.text(option).filter(|text| !text.is_empty()).unwrap_or("{}");
    let bad = |expected: &'static str| OptionsError { option, expected: expected.into() };
    let found: BTreeMap<String, String> =
        serde_json::from_str(text).map_err(|_| bad("a JSON object with texts as values"))?;
    if !found.keys().all(|key| annotation_key(key)) {
        return Err(bad("a JSON object whose keys are names of annotations, as example.com/name"));
    }
    Ok(found)
}

/// Kubernetes' grammar of annotation keys: an optional DNS name and a slash, then a name.
fn annotation_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(p, name)| (Some(p), name));
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let plain = |text: &str, more: &[u8], max: usize| {
        let bytes = text.as_bytes();
        let known = |b: &u8| b.is_ascii_alphanumeric() || more.contains(b);
        edge(bytes.first()) && edge(bytes.last()) && text.len() <= max && bytes.iter().all(known)
    };
    let dns = |text: &str| {
        plain(text, b"-.", 253) && !text.contains("..") && *text == text.to_ascii_lowercase()
    };
    plain(name, b"-_.", 63) && prefix.is_none_or(dns)
}

fn pairs<'a>(
    config: &'a Config,
    option: &'static str,
) -> Result<Vec<(&'a str, &'a str)>, OptionsError> {
    let bad =
        |error: juju_charm::PairsError| OptionsError { option, expected: error.to_string().into() };
    config.pairs(option).map_err(bad)
}

fn database_sizes(config: &Config) -> Result<BTreeMap<DatabaseName, u32>, OptionsError> {
    let option = "database-pool-sizes";
    let bad = |expected: String| OptionsError { option, expected: expected.into() };
    let mut found = BTreeMap::new();
    for (name, value) in pairs(config, option)? {
        let name: DatabaseName =
            name.parse().map_err(|error: pgbouncer::NameError| bad(error.to_string()))?;
        let size = value.parse().ok().filter(|size| (1..=i32::MAX.unsigned_abs()).contains(size));
        let size = size.ok_or_else(|| bad(format!("a positive number for {name}, not {value}")))?;
        found.insert(name, size);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(option: &str, value: Value, valid: bool) {
        let config = Config::new([(option.to_owned(), value.clone())]);
        let parsed = Options::parse(&config);
        assert_eq!(parsed.is_ok(), valid, "{option}={value}");
        if let Err(error) = parsed {
            assert_eq!(error.option, option);
        }
    }

    #[test]
    fn options_are_checked() {
        check("listen_port", json!(6464), true);
        check("listen_port", json!(0), false);
        check("listen_port", json!(65536), false);
        check("pool_mode", json!("statement"), true);
        check("pool_mode", json!("abcXYZ123"), false);
        check("max_db_connections", json!(0), true);
        check("max_db_connections", json!(-1), false);
        check("max_prepared_statements", json!(1000), true);
        check("max_prepared_statements", json!(1001), false);
        check("pause-max", json!(3600), true);
        check("pause-max", json!(0), false);
        check("pause-without-stop-max", json!(1), true);
        check("pause-without-stop-max", json!(61), false);
        check("expose-external", json!("nodeport"), true);
        check("expose-external", json!("maybe"), false);
        check("loadbalancer-extra-annotations", json!("{\"a\": \"b\"}"), true);
        check("loadbalancer-extra-annotations", json!("{"), false);
        check("loadbalancer-extra-annotations", json!("[]"), false);
        check("loadbalancer-extra-annotations", json!("{\"a.b/c-d\": \"\"}"), true);
        check("loadbalancer-extra-annotations", json!("{\"a b\": \"c\"}"), false);
        check("loadbalancer-extra-annotations", json!("{\"A.b/c\": \"\"}"), false);
    }

    #[test]
    fn settings_are_checked() {
        check("pgbouncer-settings", json!("query_wait_timeout=soon"), false);
        let option = "database-pool-sizes";
        check(option, json!("waltz=20; polka = 7"), true);
        check(option, json!("waltz=0"), false);
        check(option, json!("waltz"), false);
        check(option, json!("waltz=1;waltz=2"), false);
        check(option, json!("pgbouncer=3"), false);
    }
}
