//! What a unit offers to those who watch it: metrics and alert rules, dashboards, logs. The charts
//! "metrics joined", "dashboard joined" and "logging changed".

mod logs;

use juju_charm::{Event, HookError, Reader, RelationId, UnitName, Write};
use juju_interfaces::alert_rules::Rules;
use juju_interfaces::prometheus_scrape::Job;
use juju_interfaces::topology::Topology;
use juju_interfaces::{grafana_dashboard, prometheus_scrape};

pub use logs::Keepers;

/// Who watches, as far as it is to be acted upon now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watchers {
    /// The model's UUID.
    pub model_uuid: String,
    /// The relations that get metrics and alert rules.
    pub metrics: Vec<RelationId>,
    /// The relations that get dashboards.
    pub dashboards: Vec<RelationId>,
    /// Who keeps logs, where it is a matter of this event.
    pub logs: Option<Keepers>,
}

/// Files that a charm has in itself, each a name and its text.
pub type Files = [(&'static str, &'static str)];

/// What a charm is watched by.
pub struct Watched<'a> {
    /// The unit.
    pub unit: &'a UnitName,
    /// The name that leads to it.
    pub host: &'a str,
    /// The model.
    pub model: &'a str,
    /// The charm's name.
    pub charm: &'static str,
    /// The container whose services log.
    pub container: &'static str,
    /// Where each unit is measured.
    pub jobs: &'a [Job],
    /// Files of alert rules.
    pub rules: &'static Files,
    /// Dashboards.
    pub dashboards: &'static Files,
}

impl Watchers {
    /// Reads the relations that this event is about, and on a new leader those that the previous
    /// one may have gone before it wrote to.
    ///
    /// # Errors
    /// As [`Reader::cached_relations`] and [`Reader::bag`].
    pub fn gather(juju: &mut Reader, event: &Event) -> Result<Self, HookError> {
        Ok(Self {
            model_uuid: juju.environment().model_uuid.clone(),
            metrics: written(juju, event, prometheus_scrape::ENDPOINT)?,
            dashboards: written(juju, event, grafana_dashboard::ENDPOINT)?,
            logs: Keepers::gather(juju, event)?,
        })
    }

    /// Whether the leader has something to write.
    pub fn are_shared_with(&self) -> bool {
        !self.metrics.is_empty() || !self.dashboards.is_empty()
    }

    /// What the unit writes, and where it leads the application.
    pub fn writes(&self, watched: &Watched<'_>, leader: bool) -> Vec<Write> {
        let topology = watched.topology(&self.model_uuid);
        let own = prometheus_scrape::unit_bag(watched.unit, watched.host.to_owned());
        let mut writes: Vec<Write> =
            self.metrics.iter().map(|id| Write::unit_bag(*id, own.clone())).collect();
        if leader && !self.metrics.is_empty() {
            match Rules::parse(watched.rules) {
                Ok(rules) => {
                    let rules = rules.of(&topology);
                    let bag = prometheus_scrape::app_bag(watched.jobs, &rules, &topology);
                    writes.extend(self.metrics.iter().map(|id| Write::app_bag(*id, bag.clone())));
                }
                Err(error) => writes.push(Write::warning(error.to_string())),
            }
        }
        if leader && !self.dashboards.is_empty() {
            match grafana_dashboard::app_bag(watched.dashboards, &topology) {
                Ok(bag) => {
                    writes
                        .extend(self.dashboards.iter().map(|id| Write::app_bag(*id, bag.clone())));
                }
                Err(error) => writes.push(Write::warning(error.to_string())),
            }
        }
        let keepers = self.logs.iter();
        writes.extend(keepers.flat_map(|keepers| keepers.writes(watched.container, &topology)));
        writes
    }
}

impl Watched<'_> {
    fn topology(&self, model_uuid: &str) -> Topology {
        Topology {
            model: self.model.to_owned(),
            model_uuid: model_uuid.to_owned(),
            application: self.unit.app().to_string(),
            unit: self.unit.to_string(),
            charm_name: self.charm.to_owned(),
        }
    }
}

/// The relations of an endpoint that are to be written now.
fn written(juju: &mut Reader, event: &Event, endpoint: &str) -> Result<Vec<RelationId>, HookError> {
    Ok(match (event, event.relation(endpoint)) {
        (Event::LeaderElected | Event::UpgradeCharm, _) => juju.cached_relations(endpoint)?,
        (_, Some(relation)) => relation.kind.is_live().then_some(relation.id).into_iter().collect(),
        _ => Vec::new(),
    })
}
