//! Alert rules as `prometheus_scrape` carries them: for one application and no other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::python;
use crate::topology::Topology;

/// What stands in a rule's query for the matchers of its application.
pub const PLACEHOLDER: &str = "%%juju_topology%%";

/// Rules that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the alert rules {file}: {reason}")]
pub struct RulesError {
    file: String,
    reason: String,
}

/// A file of rules, as Prometheus reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The groups.
    pub groups: Vec<Group>,
}

/// Rules that are evaluated together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// When to alert, and what is said then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name.
    pub alert: String,
    /// The query that finds what is wrong.
    pub expr: String,
    /// How long it has to be wrong.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<String>,
    /// Labels of the alert.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What people read.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

impl Rules {
    /// Reads files of rules, each a name and its YAML.
    ///
    /// # Errors
    /// The first that is none.
    pub fn parse(files: &[(&str, &str)]) -> Result<Self, RulesError> {
        let mut groups = Vec::new();
        for (file, text) in files {
            let read: Self = serde_saphyr::from_str(text).map_err(|error| RulesError {
                file: (*file).to_owned(),
                reason: error.to_string(),
            })?;
            groups.extend(read.groups);
        }
        Ok(Self { groups })
    }

    /// The same rules for this application, labelled with where it stands.
    #[must_use]
    pub fn of(mut self, topology: &Topology) -> Self {
        let plain = |sign: char| if sign.is_ascii_alphanumeric() { sign } else { '_' };
        for group in &mut self.groups {
            let name = format!("{}_{}_rules", topology.identifier(), group.name);
            group.name = name.chars().map(plain).collect();
            for rule in &mut group.rules {
                rule.expr = rule.expr.replace(PLACEHOLDER, &topology.matchers());
                let labels = topology.labels().map(|(key, value)| (key.to_owned(), value.into()));
                rule.labels.extend(labels);
            }
        }
        self
    }

    /// The text for the databag.
    pub fn text(&self) -> String {
        python::dumps(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::example;

    const FILE: &str = "
groups:
  - name: web
    rules:
      - alert: WebDown
        expr: web_up{process=\"x\", %%juju_topology%%} == 0
        for: 1m
        labels: {severity: critical}
        annotations: {summary: It is down.}
";

    #[test]
    fn rules_are_for_one_application() {
        let rules = Rules::parse(&[("web.yaml", FILE)]).unwrap().of(&example());
        insta::assert_snapshot!(rules.text(), @r#"{"groups": [{"name": "m_01234567_a_b_web_rules", "rules": [{"alert": "WebDown", "expr": "web_up{process=\"x\", juju_model=\"m\", juju_model_uuid=\"0123456789\", juju_application=\"a-b\"} == 0", "for": "1m", "labels": {"juju_application": "a-b", "juju_charm": "c", "juju_model": "m", "juju_model_uuid": "0123456789", "severity": "critical"}, "annotations": {"summary": "It is down."}}]}]}"#);
    }

    #[test]
    fn a_file_that_is_none_is_named() {
        let error = Rules::parse(&[("web.yaml", "groups: 1")]).unwrap_err().to_string();
        assert!(error.starts_with("cannot use the alert rules web.yaml: "), "{error}");
    }
}
