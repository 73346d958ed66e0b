//! Where the output of services is sent.

use std::collections::BTreeMap;

use crate::plan::{Layer, LogTarget, Plan};

/// No service's output.
const NOTHING: &str = "-all";

impl LogTarget {
    /// Sends the output of every service to a Loki.
    pub fn loki(location: impl Into<String>, labels: BTreeMap<String, String>) -> Self {
        Self {
            kind: Some("loki".to_owned()),
            location: Some(location.into()),
            services: vec!["all".to_owned()],
            labels,
            ..Self::default()
        }
    }

    /// Whether anything is sent there, as this crate writes it.
    fn is_sent_to(&self) -> bool {
        self.services.last().is_some_and(|service| service != NOTHING)
    }
}

impl Layer {
    /// What `plan` lacks so that output goes to these targets and no others. An entry cannot be
    /// taken out of a plan, so one that is no longer wanted gets nothing.
    ///
    /// A target that Pebble knows keeps its first location whatever layers say later, so the name
    /// of one has to follow from its location.
    pub fn sending_logs_to(targets: &BTreeMap<String, LogTarget>, plan: &Plan) -> Self {
        let known = &plan.log_targets;
        let is_there = |name: &String, target: &LogTarget| {
            let now = known.get(name);
            now.is_some_and(|now| {
                *target == LogTarget { r#override: target.r#override, ..now.clone() }
            })
        };
        let new = targets.iter().filter(|(name, target)| !is_there(name, target));
        let new = new.map(|(name, target)| (name.clone(), target.clone()));
        let ended = known
            .iter()
            .filter(|(name, target)| target.is_sent_to() && !targets.contains_key(*name))
            .map(|(name, target)| {
                let services = vec![NOTHING.to_owned()];
                (name.clone(), LogTarget { services, labels: BTreeMap::new(), ..target.clone() })
            });
        Self { log_targets: new.chain(ended).collect(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(names: &[&str]) -> BTreeMap<String, LogTarget> {
        let target =
            |name: &&str| ((*name).to_owned(), LogTarget::loki("http://l", BTreeMap::new()));
        names.iter().map(target).collect()
    }

    #[track_caller]
    fn check(before: &[&str], wanted: &[&str], expected: &[(&str, &str)]) {
        let plan = Plan { log_targets: targets(before), ..Plan::default() };
        let layer = Layer::sending_logs_to(&targets(wanted), &plan);
        let found: Vec<_> = layer
            .log_targets
            .iter()
            .map(|(name, target)| (name.as_str(), target.services[0].as_str()))
            .collect();
        assert_eq!(found, expected);
        let mut plan = plan;
        plan.log_targets.extend(layer.log_targets);
        assert_eq!(Layer::sending_logs_to(&targets(wanted), &plan), Layer::default());
    }

    #[test]
    fn a_plan_gets_what_it_lacks() {
        check(&[], &[], &[]);
        check(&[], &["a"], &[("a", "all")]);
        check(&["a"], &["a"], &[]);
        check(&["a"], &["a", "b"], &[("b", "all")]);
        check(&["a", "b"], &["b"], &[("a", "-all")]);
    }
}
