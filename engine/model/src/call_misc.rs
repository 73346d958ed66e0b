//! The other tools: status, log, network, ports, state, actions, storage, resources.

use std::collections::BTreeMap;

use names::RelationId;
use serde_json::{Map, Value};

use crate::begin::status;
use crate::call::{ToolCall, refused};
use crate::tools::{Answer, Bag, GoalState, NetworkInfo, Port, Status, StorageInfo, ToolError};
use crate::{Action, Hook, Life, LogLine, Unit};

/// The longest key of the charm's state, in bytes.
const STATE_KEY: usize = 256;

/// The longest value of the charm's state, in bytes.
const STATE_VALUE: usize = 64 * 1024;

/// Results that the engine itself sets.
const RESERVED: [&str; 4] = ["stdout", "stderr", "stdout-encoding", "stderr-encoding"];

impl ToolCall<'_> {
    /// The unit was removed while its hook ran.
    pub(crate) fn gone(&self) -> ToolError {
        refused(format!("unit {:?} not found", self.session.run.unit.to_string()))
    }

    pub(crate) fn statuses(&self) -> Answer<(Status, BTreeMap<String, Status>)> {
        if !self.leads() {
            return Err(refused("finding application status: this unit is not the leader"));
        }
        let app = self.session.run.unit.app();
        let own = self.model.app_status(app).ok_or_else(|| self.gone())?;
        let units = self.model.units(app).map(|unit| (unit.name.to_string(), unit.status()));
        Ok((own, units.collect()))
    }

    pub(crate) fn put_status(&mut self, app: bool, word: &str, message: &str) -> Answer<()> {
        let new = status(self.now, word, message);
        let unit = self.own();
        if app {
            if !self.leads() {
                return Err(refused("this unit is not the leader"));
            }
            if let Some(app) = self.model.app_mut(unit.app()) {
                app.own_status = Some(new);
            }
        } else if let Some(unit) = self.model.units.get_mut(&unit) {
            unit.workload = new;
            unit.machine.status_set = true;
        }
        Ok(())
    }

    pub(crate) fn put_log(&mut self, level: &str, message: &str) {
        let run = &self.session.run;
        self.model.log.push(LogLine {
            at: self.now,
            entity: run.unit.tag(),
            level: level.to_owned(),
            module: format!("unit.{}.juju-log", run.unit),
            message: message.to_owned(),
        });
    }

    pub(crate) fn goal(&self) -> GoalState {
        let app = self.session.run.unit.app();
        let entry = |unit: &Unit| {
            let status = unit.status();
            let dying = unit.life == Life::Dying;
            let word = if dying { "dying".to_owned() } else { status.status };
            (unit.name.to_string(), (word, status.since))
        };
        let units = self.model.units(app).map(entry).collect();
        let mut relations: BTreeMap<String, BTreeMap<_, _>> = BTreeMap::new();
        for relation in self.model.relations.values().filter(|relation| !relation.is_peer()) {
            let (Some(end), Some(remote)) = (relation.end(app), relation.remote(app)) else {
                continue;
            };
            let here = relations.entry(end.endpoint.to_string()).or_default();
            if let Some(status) = self.model.app_status(&remote.app) {
                here.insert(remote.app.to_string(), (status.status, status.since));
            }
            here.extend(self.model.units(&remote.app).map(entry));
        }
        GoalState { units, relations }
    }

    pub(crate) fn addresses(&self, name: &str, id: Option<RelationId>) -> Answer<NetworkInfo> {
        let own = &self.session.run.unit;
        if let Some(id) = id {
            self.relation(id)?;
        }
        let known = self.model.apps.get(own.app()).filter(|app| {
            let charm = &app.charm;
            charm.endpoint(name).is_some()
                || charm.extra_bindings.contains(name)
                || name == "juju-info"
        });
        let none = || refused(format!("no network config found for binding {name:?}"));
        let app = known.ok_or_else(none)?;
        let address = self.model.unit(own).and_then(|unit| unit.address.clone());
        let bind_address = address.unwrap_or_default();
        let ingress_address = app.address.clone().unwrap_or_else(|| bind_address.clone());
        Ok(NetworkInfo { bind_address, ingress_address })
    }

    pub(crate) fn ports(&self) -> Vec<Port> {
        let unit = self.model.unit(&self.session.run.unit);
        let mut ports = unit.map(|unit| unit.ports.clone()).unwrap_or_default();
        let endpoints = self.model.endpoint_names(self.session.run.unit.app());
        for (port, open) in &self.session.writes.ports {
            port.clone().apply(*open, &mut ports, &endpoints);
        }
        ports.into_iter().collect()
    }

    pub(crate) fn change_port(&mut self, port: Port, open: bool) -> Answer<()> {
        self.session.make_room(16 + port.endpoint.len())?;
        self.session.writes.ports.push((port, open));
        Ok(())
    }

    pub(crate) fn whole_state(&self) -> Bag {
        let unit = self.model.unit(&self.session.run.unit);
        let mut state = unit.map(|unit| unit.state.clone()).unwrap_or_default();
        for (key, value) in &self.session.writes.state {
            match value {
                Some(value) => state.insert(key.clone(), value.clone()),
                None => state.remove(key),
            };
        }
        state
    }

    pub(crate) fn change_state(&mut self, changes: BTreeMap<String, Option<String>>) -> Answer<()> {
        for (key, value) in &changes {
            if key.len() > STATE_KEY {
                return Err(refused(format!("max allowed key length ({STATE_KEY}) exceeded")));
            }
            if value.as_ref().is_some_and(|value| value.len() > STATE_VALUE) {
                return Err(refused(format!("max allowed value length ({STATE_VALUE}) exceeded")));
            }
        }
        let size =
            changes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(8, String::len));
        self.session.make_room(size.sum())?;
        self.session.writes.state.extend(changes);
        Ok(())
    }

    /// The action that runs.
    pub(crate) fn action(&mut self) -> Answer<&mut Action> {
        let none = || refused("not running an action");
        let Hook::Action { id, .. } = &self.session.run.hook else {
            return Err(none());
        };
        self.model.actions.get_mut(id).ok_or_else(none)
    }

    pub(crate) fn set_results(&mut self, results: Vec<(String, String)>) -> Answer<()> {
        self.action()?;
        for (key, _) in &results {
            if !is_result_key(key) {
                return Err(refused(format!(
                    "key {key:?} must start and end with lowercase alphanumeric, \
                     and contain only lowercase alphanumeric, hyphens and periods"
                )));
            }
            if RESERVED.contains(&key.as_str()) {
                return Err(refused(format!("cannot set reserved action key {key:?}")));
            }
        }
        let size = results.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
        self.session.say(size)?;
        for (key, value) in results {
            nest(&mut self.session.results, &key, value);
        }
        Ok(())
    }

    pub(crate) fn more_storage(&mut self, name: &str, count: u32) -> Answer<()> {
        let unit = &self.session.run.unit;
        let app = self.model.apps.get(unit.app());
        let Some(meta) = app.and_then(|app| app.charm.storage.get(name)) else {
            return Err(refused(format!("charm storage {name:?} not found")));
        };
        let buffered = self.session.writes.storage.get(name).copied().unwrap_or_default();
        let have = u32::try_from(self.storages(Some(name)).len()).unwrap_or(u32::MAX);
        let after = have.saturating_add(buffered).saturating_add(count);
        let most = crate::storage::most(meta).unwrap_or(crate::limits::INSTANCES_MAX);
        if after > most {
            return Err(refused(format!(
                "cannot add {count} of storage {name:?}: the unit would have {after} of at most \
                 {most}"
            )));
        }
        self.session.writes.storage.insert(name.to_owned(), buffered.saturating_add(count));
        Ok(())
    }

    pub(crate) fn storages(&self, name: Option<&str>) -> Vec<String> {
        let own = self.model.storage_of(&self.session.run.unit);
        let wanted = |id: &String| name.is_none_or(|name| crate::hook::storage_name(id) == name);
        own.into_iter().filter(wanted).collect()
    }

    pub(crate) fn one_storage(&self, id: &str) -> Answer<StorageInfo> {
        let own = self.model.storage_of(&self.session.run.unit).iter().any(|own| own == id);
        let instance = self.model.storage.get(id).filter(|_| own);
        let wrong = format!("invalid value {id:?} for option -s: storage not found");
        instance.map(|instance| instance.info()).ok_or(ToolError::Usage(wrong))
    }

    pub(crate) fn resource(&self, name: &str) -> Answer<String> {
        let unit = &self.session.run.unit;
        let app = self.model.apps.get(unit.app());
        let Some(resource) = app.and_then(|app| app.charm.resources.get(name)) else {
            return Err(refused(format!("could not download resource: {name:?} not found")));
        };
        let given = app.and_then(|app| app.resources.as_ref());
        if given.is_some_and(|given| !given.contains(name)) {
            return Err(refused(format!("could not download resource: nobody has given {name:?}")));
        }
        let file = match (resource.kind.as_str(), &resource.filename) {
            ("oci-image", _) => "content.yaml",
            (_, Some(file)) => file,
            (_, None) => name,
        };
        Ok(format!("/var/lib/juju/agents/{}/resources/{name}/{file}", unit.tag()))
    }
}

/// `^[a-z0-9](([a-z0-9-.]+)?[a-z0-9])?$`
fn is_result_key(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    key.starts_with(plain)
        && key.ends_with(plain)
        && key.chars().all(|c| plain(c) || c == '-' || c == '.')
}

/// Sets a dotted path; a value in the way gives way.
fn nest(map: &mut Map<String, Value>, path: &str, value: String) {
    match path.split_once('.') {
        None => {
            map.insert(path.to_owned(), Value::String(value));
        }
        Some((head, rest)) => {
            let slot = map.entry(head).or_insert_with(|| Value::Object(Map::new()));
            if !slot.is_object() {
                *slot = Value::Object(Map::new());
            }
            if let Value::Object(inner) = slot {
                nest(inner, rest, value);
            }
        }
    }
}
