//! Layers and the plan: what should run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a layer says about a plan.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Layer {
    /// A line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Lines for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Services by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, Service>,
    /// Checks by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, Check>,
    /// Log targets by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub log_targets: BTreeMap<String, LogTarget>,
}

/// All layers laid over each other.
pub type Plan = Layer;

/// How an entry meets one of the same name in the layers below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Override {
    /// It takes its place.
    #[default]
    Replace,
    /// It is laid over it, field by field; lists are appended.
    Merge,
}

/// Whether something starts with the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Startup {
    /// It does.
    Enabled,
    /// It does not.
    #[default]
    Disabled,
}

/// A service. An absent field means Pebble's default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Service {
    /// How it meets a service of the same name in the layers below.
    pub r#override: Override,
    /// A line for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Lines for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The command line, split as a shell would, but without a shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Whether it starts with the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup: Option<Startup>,
    /// Environment variables. Every process in the container can read them: no secrets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// The user to run as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user's number, as well as or in place of the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u32>,
    /// The group to run as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The group's number, as well as or in place of the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<u32>,
    /// The folder to run in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Services that start before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Services that start after it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// Services that start with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// What happens after it ended well: `restart`, `shutdown`, `ignore`, ….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_success: Option<String>,
    /// What happens after it ended badly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
    /// What happens when a check fails, by check.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub on_check_failure: BTreeMap<String, String>,
    /// The pause before the first restart, for instance `500ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_delay: Option<String>,
    /// By how much the pause grows with every restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_factor: Option<f64>,
    /// The longest pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_limit: Option<String>,
    /// How long it may take to end after SIGTERM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill_delay: Option<String>,
}

/// A check: exactly one of `http`, `tcp` and `exec`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Check {
    /// How it meets a check of the same name in the layers below.
    pub r#override: Override,
    /// `alive` or `ready`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Whether it runs from the start; Pebble's default is that it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup: Option<Startup>,
    /// The pause between two runs, 10 s by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
    /// How long one run may take, 3 s by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Failures in a row that make it fail, 3 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u64>,
    /// A GET that has to answer 2xx.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCheck>,
    /// A port that has to accept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpCheck>,
    /// A command that has to end with 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecCheck>,
}

/// A GET that has to answer 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpCheck {
    /// The address.
    pub url: String,
    /// Headers to send.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// A port that has to accept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TcpCheck {
    /// The port.
    pub port: u16,
    /// The host, `localhost` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// A command that has to end with 0.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ExecCheck {
    /// The command line, split as a shell would.
    pub command: String,
    /// Run it as this service would run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_context: Option<String>,
    /// Environment variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// The user to run as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u32>,
    /// The group to run as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The group's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<u32>,
    /// The folder to run in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
}

/// Where the services' output is sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogTarget {
    /// How it meets a target of the same name in the layers below.
    pub r#override: Override,
    /// `loki`, `syslog` or `opentelemetry`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Services, or `all`; `-name` leaves one out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Labels added to every line.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Layer {
    /// Reads YAML.
    ///
    /// # Errors
    /// A sentence on what is wrong, when the text is no layer.
    pub fn parse(text: &str) -> Result<Self, String> {
        // JSON is YAML too, and quicker to read.
        match serde_json::from_str(text) {
            Ok(layer) => Ok(layer),
            Err(_) => serde_saphyr::from_str(text).map_err(|error| error.to_string()),
        }
    }

    /// Adds a service.
    #[must_use]
    pub fn service(mut self, name: &str, service: Service) -> Self {
        self.services.insert(name.to_owned(), service);
        self
    }

    /// Adds a check.
    #[must_use]
    pub fn check(mut self, name: &str, check: Check) -> Self {
        self.checks.insert(name.to_owned(), check);
        self
    }

    /// Whether adding this layer on top of `plan` would change a service, which a replan then
    /// restarts.
    pub fn restarts(&self, plan: &Plan) -> bool {
        self.services.iter().any(|(name, wanted)| {
            plan.services
                .get(name)
                .is_none_or(|now| wanted != now && wanted.over(now) != now.clone().plain())
        })
    }

    /// Whether adding this layer on top of `plan` would change it. Defaults count as
    /// written, and summaries and descriptions of the layer itself do not count.
    pub fn differs_from(&self, plan: &Plan) -> bool {
        let check = |(name, wanted): (&String, &Check)| {
            plan.checks
                .get(name)
                .is_none_or(|now| wanted != now && wanted.over(now) != now.clone().plain())
        };
        let target = |(name, wanted): (&String, &LogTarget)| {
            plan.log_targets.get(name).is_none_or(|now| {
                let now = LogTarget { r#override: wanted.r#override, ..now.clone() };
                *wanted != now
            })
        };
        self.restarts(plan) || self.checks.iter().any(check) || self.log_targets.iter().any(target)
    }
}

/// A duration in one spelling, for `24h` and `24h0m0s` are the same; another text stays.
fn duration(text: String) -> String {
    nanoseconds(&text).map_or(text, |count| format!("{count}ns"))
}

/// A duration as Go writes it: numbers with units, without a space between.
fn nanoseconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum: f64 = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (value, after) = rest.split_at(number);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let scale = match unit {
            "h" => 3_600e9,
            "m" => 60e9,
            "s" => 1e9,
            "ms" => 1e6,
            "us" | "µs" => 1e3,
            "ns" => 1.0,
            _ => return None,
        };
        sum += value.parse::<f64>().ok()? * scale;
        rest = after;
    }
    // Rounded: a tenth of a second has no exact binary form.
    (!text.is_empty() && sum.is_finite()).then_some(sum.round() as u64)
}

/// Lays a scalar over another.
fn scalar<T: Clone>(top: &Option<T>, below: &Option<T>) -> Option<T> {
    top.clone().or_else(|| below.clone())
}

/// Lays a map over another.
fn map(
    top: &BTreeMap<String, String>,
    below: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    below.iter().chain(top).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// A list that is appended; what is there already is not added again.
fn list(top: &[String], below: &[String]) -> Vec<String> {
    let new = top.iter().filter(|name| !below.contains(name));
    below.iter().chain(new).cloned().collect()
}

impl Service {
    /// A service that starts with the container.
    pub fn command(command: impl Into<String>) -> Self {
        let (command, startup) = (Some(command.into()), Some(Startup::Enabled));
        Self { command, startup, ..Self::default() }
    }

    /// The service with defaults written out, in one spelling.
    fn plain(mut self) -> Self {
        self.r#override = Override::Replace;
        self.startup = Some(self.startup.unwrap_or_default());
        self.summary = self.summary.filter(|text| !text.is_empty());
        self.description = self.description.filter(|text| !text.is_empty());
        for wait in [&mut self.backoff_delay, &mut self.backoff_limit, &mut self.kill_delay] {
            *wait = wait.take().map(duration);
        }
        self
    }

    /// What the plan would say with this service on top of `now`.
    fn over(&self, now: &Self) -> Self {
        if self.r#override == Override::Replace {
            return self.clone().plain();
        }
        Self {
            r#override: Override::Replace,
            summary: scalar(&self.summary, &now.summary),
            description: scalar(&self.description, &now.description),
            command: scalar(&self.command, &now.command),
            startup: scalar(&self.startup, &now.startup),
            environment: map(&self.environment, &now.environment),
            user: scalar(&self.user, &now.user),
            user_id: scalar(&self.user_id, &now.user_id),
            group: scalar(&self.group, &now.group),
            group_id: scalar(&self.group_id, &now.group_id),
            working_dir: scalar(&self.working_dir, &now.working_dir),
            after: list(&self.after, &now.after),
            before: list(&self.before, &now.before),
            requires: list(&self.requires, &now.requires),
            on_success: scalar(&self.on_success, &now.on_success),
            on_failure: scalar(&self.on_failure, &now.on_failure),
            on_check_failure: map(&self.on_check_failure, &now.on_check_failure),
            backoff_delay: scalar(&self.backoff_delay, &now.backoff_delay),
            backoff_factor: scalar(&self.backoff_factor, &now.backoff_factor),
            backoff_limit: scalar(&self.backoff_limit, &now.backoff_limit),
            kill_delay: scalar(&self.kill_delay, &now.kill_delay),
        }
        .plain()
    }
}

impl Check {
    /// The check with defaults written out, in one spelling.
    fn plain(mut self) -> Self {
        self.r#override = Override::Replace;
        self.startup = Some(self.startup.unwrap_or(Startup::Enabled));
        self.period = Some(duration(self.period.unwrap_or_else(|| "10s".to_owned())));
        self.timeout = Some(duration(self.timeout.unwrap_or_else(|| "3s".to_owned())));
        self.threshold = Some(self.threshold.filter(|n| *n > 0).unwrap_or(3));
        self
    }

    /// What the plan would say with this check on top of `now`. The kinds of check are
    /// compared whole.
    fn over(&self, now: &Self) -> Self {
        if self.r#override == Override::Replace {
            return self.clone().plain();
        }
        Self {
            r#override: Override::Replace,
            level: scalar(&self.level, &now.level),
            startup: scalar(&self.startup, &now.startup),
            period: scalar(&self.period, &now.period),
            timeout: scalar(&self.timeout, &now.timeout),
            threshold: scalar(&self.threshold, &now.threshold),
            http: scalar(&self.http, &now.http),
            tcp: scalar(&self.tcp, &now.tcp),
            exec: scalar(&self.exec, &now.exec),
        }
        .plain()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "
services:
    web:
        override: replace
        command: serve
        startup: enabled
        after: [db]
        environment: {PORT: \"80\", DEBUG: \"yes\"}
checks:
    up:
        override: replace
        threshold: 3
        exec:
            command: \"true\"
";

    #[track_caller]
    fn check(layer: &str, differs: bool) {
        let parse = |text: &str| match Layer::parse(text) {
            Ok(layer) => layer,
            Err(why) => panic!("{why}"),
        };
        assert_eq!(parse(layer).differs_from(&parse(PLAN)), differs, "{layer}");
    }

    #[test]
    fn a_plan_that_says_the_same_is_recognised() {
        check(PLAN, false);
        check("{}", false);
        check("services: {web: {override: merge, startup: enabled, after: [db]}}", false);
        check("services: {web: {override: merge, environment: {PORT: \"80\"}}}", false);
        check("checks: {up: {override: replace, period: 10s, exec: {command: \"true\"}}}", false);
        check(
            "checks: {up: {override: replace, period: 10000ms, exec: {command: \"true\"}}}",
            false,
        );
    }

    #[test]
    fn durations_are_compared_by_their_length() {
        for (one, other) in [("24h", "24h0m0s"), ("1.5s", "1500ms"), ("1m0.1s", "60100ms")] {
            assert_eq!(duration(one.to_owned()), duration(other.to_owned()));
        }
        assert_eq!(duration("soon".to_owned()), "soon");
        assert_eq!(nanoseconds(""), None);
    }

    #[test]
    fn every_difference_is_seen() {
        check("services: {web: {override: replace, command: serve}}", true);
        check("services: {web: {override: merge, environment: {PORT: \"81\"}}}", true);
        check("services: {web: {override: merge, after: [cache]}}", true);
        check("services: {other: {override: replace, command: serve}}", true);
        check("checks: {up: {override: replace, exec: {command: \"false\"}}}", true);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let layer = Layer::parse(PLAN).unwrap_or_default();
        let text = serde_json::json!(layer).to_string();
        assert_eq!(Layer::parse(&text), Ok(layer));
    }
}
