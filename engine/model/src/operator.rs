//! What the operator asks for: deploy, refresh, scale, run, resolve.

use std::collections::BTreeMap;

use jiff::Timestamp;
use names::{AppName, UnitName};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::begin::status;
use crate::limits::DOCUMENT_MAX;
use crate::unit::Machine;
use crate::{
    Action, ActionStatus, AgentState, AgentStatus, Application, CharmMeta, Hook, Life, LogLine,
    Model, ModelError, Unit,
};

/// The most commands that wait for one unit.
const COMMANDS_MAX: usize = 100;
/// The longest command, in bytes: Linux gives a program no longer argument.
const COMMAND_BYTES_MAX: usize = (128 << 10) - 1;

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
        let config = crate::config::parse(&d.charm, &d.config).map_err(&refuse)?;
        crate::config::check_size(&config).map_err(&refuse)?;
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
            leader: None,
            address: None,
            since: now,
            constraints: crate::Constraints::default(),
            refresh_forced: false,
            resources: None,
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
            workload: status(now, "waiting", "installing agent"),
            agent,
            address: None,
            ports: Default::default(),
            charm_revision: app.charm_revision,
            state: Default::default(),
            machine: Machine::default(),
            trouble: None,
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
            let implied = end.interface == crate::endpoints::INFO;
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
            charm.config.get(key).is_some_and(|option| crate::config::fits(option.kind, value))
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
        // Of an application from an older store nobody knows what came first.
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

    /// Sets the number of units: new ones get the lowest free numbers, the highest ones go.
    ///
    /// # Errors
    /// [`ModelError::Scale`] when there is no such application.
    pub fn scale(&mut self, now: Timestamp, app: &AppName, units: u32) -> Result<(), ModelError> {
        let unknown = self.unknown_app(app.as_str());
        self.alive_app(app).ok_or(ModelError::Scale(unknown))?.scale = units;
        for unit in self.units_of(app) {
            if unit.number() >= units {
                self.kill_unit(&unit);
            }
        }
        for number in 0..units {
            let unit = UnitName::new(app.clone(), number);
            if !self.units.contains_key(&unit) {
                self.create_unit(now, &unit);
            }
        }
        self.controller_log(now, format!("scaling {app} to {units}"));
        Ok(())
    }

    /// Queues an action; its parameters get their defaults.
    ///
    /// # Errors
    /// [`ModelError::RunAction`] names the unit, action or parameter that is wrong.
    pub fn enqueue_action(
        &mut self,
        now: Timestamp,
        unit: &UnitName,
        action: &str,
        params: Map<String, Value>,
    ) -> Result<u64, ModelError> {
        let app = self.apps.get(unit.app()).filter(|_| self.units.contains_key(unit));
        let unknown = || ModelError::RunAction(format!("{} (not found)", self.unknown_unit(unit)));
        let app = app.ok_or_else(unknown)?;
        let Some(meta) = app.charm.actions.get(action) else {
            let known = listed(app.charm.actions.keys());
            let charm = &app.charm.name;
            return Err(ModelError::RunAction(format!(
                "charm {charm:?} has no action {action:?}; it has {known} (not found)"
            )));
        };
        let params = crate::schema::filled(action, meta, params).map_err(ModelError::RunAction)?;
        let params = Value::Object(params);
        let size = crate::limits::value(&params);
        if size > DOCUMENT_MAX {
            return Err(ModelError::RunAction(format!(
                "the parameters have {size} bytes, and at most {DOCUMENT_MAX} are kept"
            )));
        }
        let id = self.next_action;
        self.next_action += 1;
        let action = Action {
            id,
            unit: unit.clone(),
            name: action.to_owned(),
            params,
            status: ActionStatus::Pending,
            message: String::new(),
            results: Value::Object(Map::new()),
            log: Vec::new(),
            enqueued: now,
            started: None,
            completed: None,
        };
        self.actions.insert(id, action);
        Ok(id)
    }

    /// Queues a shell command for a hook context of the unit (`juju-exec`).
    ///
    /// The number comes back as the `id` of [`crate::Hook::Exec`]. It does not outlive the engine.
    ///
    /// # Errors
    /// [`ModelError::Exec`] when there is no such unit, its queue is full, or the command is too
    /// long.
    pub fn enqueue_exec(&mut self, unit: &UnitName, command: &str) -> Result<u64, ModelError> {
        if command.len() > COMMAND_BYTES_MAX {
            return Err(ModelError::Exec(format!(
                "it has {} bytes, and a program takes at most {COMMAND_BYTES_MAX}; put it into a file",
                command.len()
            )));
        }
        if !self.units.contains_key(unit) {
            return Err(ModelError::Exec(self.unknown_unit(unit)));
        }
        let live = self.live.entry(unit.clone()).or_default();
        if live.commands.len() >= COMMANDS_MAX {
            return Err(ModelError::Exec(format!(
                "{COMMANDS_MAX} commands wait for unit {:?} already; try again later",
                unit.to_string()
            )));
        }
        self.next_exec += 1;
        live.commands.push_back((self.next_exec, command.to_owned()));
        Ok(self.next_exec)
    }

    /// Lets a unit with a failed hook go on: by running it again now, or by counting it as done.
    ///
    /// # Errors
    /// [`ModelError::Resolve`] when the unit is unknown or has no failed hook.
    pub fn resolve(&mut self, unit: &UnitName, retry: bool) -> Result<(), ModelError> {
        let unknown = self.unknown_unit(unit);
        let state = self.units.get_mut(unit).ok_or(ModelError::Resolve(unknown))?;
        let Some(failed) = &mut state.machine.failed else {
            return Err(ModelError::Resolve(format!(
                "unit {:?} has no failed hook",
                unit.to_string()
            )));
        };
        if self.live.get(unit).is_some_and(|live| live.running.is_some()) {
            return Err(ModelError::Resolve(format!(
                "unit {:?} is running a hook; try again when it has ended",
                unit.to_string()
            )));
        }
        failed.retry_at = Timestamp::UNIX_EPOCH;
        if let (Hook::PebbleReady { container }, Some(live)) =
            (&failed.hook, self.live.get_mut(unit))
            && let Some(boot) = live.boots.get_mut(container)
        {
            boot.again = None;
        }
        if !retry {
            let (hook, at) = (failed.hook.clone(), failed.since);
            let token = self.token(unit, &hook);
            self.commit(unit, &hook, token, at);
            self.set_agent(unit, at, AgentStatus::Idle, String::new());
        }
        Ok(())
    }

    /// An application, to be written to.
    pub(crate) fn app_mut(&mut self, app: &AppName) -> Option<&mut Application> {
        let app = self.apps.get_mut(app)?;
        app.fingerprint = std::sync::OnceLock::new();
        Some(app)
    }

    /// An application that is not on its way out.
    pub(crate) fn alive_app(&mut self, app: &AppName) -> Option<&mut Application> {
        self.app_mut(app).filter(|app| app.life == Life::Alive)
    }

    /// Why an application cannot be used, for people.
    pub(crate) fn unknown_app(&self, app: &str) -> String {
        if self.apps.keys().any(|name| name.as_str() == app) {
            return format!("application {app:?} is being removed");
        }
        format!("there is no application {app:?}; there is {}", listed(self.apps.keys()))
    }

    fn unknown_unit(&self, unit: &UnitName) -> String {
        let units = listed(self.units.keys());
        format!("there is no unit {:?}; there is {units}", unit.to_string())
    }

    /// Adds a line of the controller.
    pub(crate) fn controller_log(&mut self, at: Timestamp, message: String) {
        let (entity, module) = ("controller".to_owned(), "juju.controller".to_owned());
        self.log.push(LogLine { at, entity, level: "INFO".to_owned(), module, message });
    }
}

/// `a, b, c`, or `none`.
pub(crate) fn listed<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
