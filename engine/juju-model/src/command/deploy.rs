//! Deploying an application and refreshing its charm.

use std::collections::BTreeMap;

use jiff::Timestamp;
use juju_names::{AppName, UnitName};
use serde::{Deserialize, Serialize};

use crate::entity::meta::INFO;
use crate::entity::uniter::UniterState;
use crate::tool::Status;
use crate::{AgentState, AgentStatus, Application, CharmMeta, Life, Model, ModelError, Unit};

/// What to deploy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Deploy {
    /// The application's name.
    pub app: AppName,
    /// What the charm declares.
    pub charm: CharmMeta,
    /// Where the charm came from.
    pub charm_ref: String,
    /// How many units.
    pub units: u32,
    /// Options as the user typed them.
    pub config: BTreeMap<String, String>,
    /// Whether it may use the Kubernetes API freely.
    pub trust: bool,
}

impl Model {
    /// Adds an application, its peer relations, its units and their storage.
    ///
    /// # Errors
    /// [`ModelError::Deploy`] when the name is taken or an option is wrong.
    pub fn deploy(&mut self, now: Timestamp, d: Deploy) -> Result<(), ModelError> {
        let refuse = |reason: String| ModelError::Deploy { app: d.app.to_string(), reason };
        if let Some(existing) = self.apps.get(&d.app) {
            return Err(refuse(match existing.life {
                Life::Alive => "an application of that name exists; choose another name".into(),
                Life::Dying => "an application of that name is being removed; wait for it".into(),
            }));
        }
        let config = crate::command::config::parse(&d.charm, &d.config).map_err(&refuse)?;
        crate::command::config::check_size(&config).map_err(&refuse)?;
        self.controller_log(now, format!("deploying {} from {}", d.app, d.charm_ref));
        let application = Application {
            name: d.app.clone(),
            charm: d.charm,
            charm_ref: d.charm_ref,
            charm_revision: 0,
            config,
            trust: d.trust,
            life: Life::Alive,
            own_status: None,
            version: String::new(),
            scale: d.units,
            leader_settings: Default::default(),
            leader: None,
            address: None,
            since: now,
            constraints: crate::Constraints::default(),
            refresh_forced: false,
            resources: None,
            exposed: false,
            fingerprint: std::sync::OnceLock::new(),
        };
        self.apps.insert(d.app.clone(), application);
        self.create_peers(&d.app);
        for number in 0..d.units {
            self.create_unit(now, &UnitName::new(d.app.clone(), number));
        }
        Ok(())
    }

    pub(crate) fn create_unit(&mut self, now: Timestamp, name: &UnitName) {
        let Some(app) = self.apps.get(name.app()) else { return };
        let agent =
            AgentState { status: AgentStatus::Allocating, message: String::new(), since: now };
        let unit = Unit {
            name: name.clone(),
            life: Life::Alive,
            workload: Status::new(now, "waiting", "installing agent"),
            agent,
            address: None,
            ports: Default::default(),
            charm_revision: app.charm_revision,
            state: Default::default(),
            uniter: UniterState::default(),
            problem: None,
        };
        self.units.insert(name.clone(), unit);
        self.provide_storage(name);
    }

    /// Gives the application another version of its charm.
    ///
    /// Units take it with their next pod: replace the pods for which [`Model::is_outdated`] holds,
    /// highest number first, and report each with `agent_started(unit, true)`.
    ///
    /// # Errors
    /// [`ModelError::Refresh`] when the new charm would break a relation.
    pub fn refresh(
        &mut self,
        now: Timestamp,
        app: &AppName,
        charm: CharmMeta,
        charm_ref: String,
    ) -> Result<(), ModelError> {
        let unknown = self.unknown_app(app.as_str());
        for relation in self.relations.values() {
            let Some(end) = relation.end(app) else { continue };
            let implied = end.interface == INFO;
            let same = implied
                || charm.endpoint(end.endpoint.as_str()).is_some_and(|(_, endpoint)| {
                    endpoint.interface == end.interface && endpoint.role == end.role
                });
            if !same {
                return Err(ModelError::Refresh(format!(
                    "the new charm of {:?} has no endpoint {:?} of interface {:?}, which \
                     relation \"{}\" uses; remove the relation first",
                    app.as_str(),
                    end.endpoint.as_str(),
                    end.interface,
                    relation.describe(),
                )));
            }
        }
        let application = self.alive_app(app).ok_or(ModelError::Refresh(unknown))?;
        application.config.retain(|key, value| {
            charm
                .config
                .get(key)
                .is_some_and(|option| crate::command::config::fits(option.kind, value))
        });
        application.charm = charm;
        application.charm_ref = charm_ref;
        application.charm_revision += 1;
        self.create_peers(app);
        for unit in self.units_of(app) {
            self.provide_storage(&unit);
        }
        self.controller_log(now, format!("refreshing {app}"));
        Ok(())
    }

    /// Says which resources came; those from before stay.
    pub fn resources_given(&mut self, app: &AppName, names: impl IntoIterator<Item = String>) {
        let Some(app) = self.alive_app(app) else { return };
        // In an application from an older store the order is unknown.
        if app.charm_revision == 0 || app.resources.is_some() {
            app.resources.get_or_insert_default().extend(names);
        }
    }

    /// Says whether the latest refresh also takes units whose hook has failed.
    pub fn force_refresh(&mut self, app: &AppName, forced: bool) {
        if let Some(app) = self.alive_app(app) {
            app.refresh_forced = forced;
        }
    }
}
