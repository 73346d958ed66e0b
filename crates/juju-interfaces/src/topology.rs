//! Where a unit stands in Juju, as those who measure and keep logs label what they read.

use serde::Serialize;

/// Where a unit stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Topology {
    /// The model's name.
    pub model: String,
    /// The model's UUID.
    pub model_uuid: String,
    /// The application.
    pub application: String,
    /// The unit that writes.
    pub unit: String,
    /// The charm's name.
    pub charm_name: String,
}

impl Topology {
    /// The labels that all units of the application have.
    pub fn labels(&self) -> [(&'static str, &str); 4] {
        let [model, uuid, application] = self.matched();
        [model, uuid, application, ("juju_charm", &self.charm_name)]
    }

    /// The labels by which a query finds this application and no other.
    fn matched(&self) -> [(&'static str, &str); 3] {
        [
            ("juju_model", &self.model),
            ("juju_model_uuid", &self.model_uuid),
            ("juju_application", &self.application),
        ]
    }

    /// What stands between a query's braces to find this application and no other.
    pub fn matchers(&self) -> String {
        self.matched().map(|(label, value)| format!("{label}=\"{value}\"")).join(", ")
    }

    /// The application in one word, by which rules and jobs are named.
    pub fn identifier(&self) -> String {
        let uuid = self.model_uuid.get(..8).unwrap_or(&self.model_uuid);
        format!("{}_{uuid}_{}", self.model, self.application)
    }
}

#[cfg(test)]
pub(crate) fn example() -> Topology {
    Topology {
        model: "m".to_owned(),
        model_uuid: "0123456789".to_owned(),
        application: "a-b".to_owned(),
        unit: "a-b/0".to_owned(),
        charm_name: "c".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_is_named_and_matched() {
        assert_eq!(example().identifier(), "m_01234567_a-b");
        let matchers = r#"juju_model="m", juju_model_uuid="0123456789", juju_application="a-b""#;
        assert_eq!(example().matchers(), matchers);
        assert_eq!(example().labels()[3], ("juju_charm", "c"));
    }
}
