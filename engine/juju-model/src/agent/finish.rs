//! The end of a hook: all of its buffered writes at once, or none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use juju_names::UnitName;
use serde_json::{Map, Value, json};

use crate::agent::memory::Agent;
use crate::limits::DOCUMENT_MAX;
use crate::tool::session::Writes;
use crate::{ActionStatus, AgentStatus, FlushError, Hook, HookOutcome, HookRun, Model, Session};

/// The most that keys and values of one unit's state may take, in bytes.
const STATE_MAX: usize = 2 * 1024 * 1024;

impl Model {
    /// Ends a hook: exit 0 writes what it buffered, anything else drops it.
    ///
    /// A hook that fails runs again after a pause that doubles; one that was killed because its
    /// pod went away runs again when the agent is back.
    ///
    /// # Errors
    /// [`FlushError`] when the process ended well and its writes are refused: nothing is written,
    /// and the hook counts as failed.
    pub fn finish(
        &mut self,
        run: HookRun,
        session: Session,
        outcome: HookOutcome,
        now: Timestamp,
    ) -> Result<(), FlushError> {
        let HookRun { unit, hook, cause_version, context_id } = run;
        if let Some(memory) = self.memory.get_mut(&unit)
            && memory.running.as_ref().is_some_and(|running| running.context_id == context_id)
        {
            memory.running = None;
        }
        if !self.units.contains_key(&unit) {
            return Err(FlushError::Gone(unit.to_string()));
        }
        // What it has read it tracks, however it ends.
        self.prune_secrets();
        if hook.is_operation() {
            return self.finish_operation(&unit, &hook, session, outcome, now);
        }
        let gone = !self.is_reachable(&unit);
        let result = match outcome {
            HookOutcome::Exited(0) | HookOutcome::NotImplemented => {
                let flushed = self.flush(&unit, &hook, session.writes, now);
                match &flushed {
                    // The writes stand all the same.
                    Ok(()) if session.reboot.is_some() => {
                        self.fail(&unit, hook, now, "unit is not assigned to a machine");
                    }
                    Ok(()) => {
                        self.ran(&unit, &hook, outcome, now);
                        self.commit(&unit, &hook, cause_version, now);
                        self.set_agent(&unit, now, AgentStatus::Idle, String::new());
                    }
                    Err(error) => self.fail(&unit, hook, now, &error.to_string()),
                }
                flushed
            }
            HookOutcome::Killed if gone => Ok(()),
            HookOutcome::Killed => {
                self.fail(&unit, hook, now, "killed by a signal");
                Ok(())
            }
            HookOutcome::Exited(code) => {
                self.fail(&unit, hook, now, &format!("exit status {code}"));
                Ok(())
            }
        };
        if gone {
            self.set_agent(&unit, now, AgentStatus::Lost, "agent is not communicating".into());
        }
        result
    }

    /// Whether the unit's agent is up and its pod has an address.
    pub(crate) fn is_reachable(&self, unit: &UnitName) -> bool {
        self.memory_of(unit).agent != Agent::Absent
            && self.units.get(unit).is_some_and(|u| u.address.is_some())
    }

    /// Checks everything, then writes everything.
    fn flush(
        &mut self,
        unit: &UnitName,
        hook: &Hook,
        mut writes: Writes,
        now: Timestamp,
    ) -> Result<(), FlushError> {
        if !writes.app_bags.is_empty() && !self.is_leader(unit) {
            return Err(FlushError::AppBag);
        }
        self.check_secrets(unit, &writes)?;
        if self.rules().secrets_apart {
            self.check_size(unit, &writes)?;
            self.write_secrets(unit, &mut writes, now);
        }
        self.check_storage(unit, &writes)?;
        self.check_state(unit, &writes)?;
        self.check_ports(unit, &writes)?;
        self.check_size(unit, &writes)?;
        if *hook == Hook::ConfigChanged {
            self.refresh_network_keys(unit);
        }
        self.write_bags(unit, &writes);
        self.add_storage(unit, &writes.storage);
        let endpoints = match writes.ports.is_empty() {
            true => Vec::new(),
            false => self.endpoint_names(unit.app()),
        };
        if let Some(state) = self.units.get_mut(unit) {
            for (port, open) in &writes.ports {
                port.clone().apply(*open, &mut state.ports, &endpoints);
            }
            for (key, value) in &writes.state {
                match value {
                    Some(value) => state.state.insert(key.clone(), value.clone()),
                    None => state.state.remove(key),
                };
            }
        }
        self.write_secrets(unit, &mut writes, now);
        Ok(())
    }

    /// Refuses storage that the charm does not declare, or more of it than there may be.
    fn check_storage(&self, unit: &UnitName, writes: &Writes) -> Result<(), FlushError> {
        for (name, count) in &writes.storage {
            let refuse = |why: String| {
                let (name, unit) = (name.clone(), unit.to_string());
                Err(FlushError::Storage { name, unit, why })
            };
            if !self.rules().storage_grows {
                return refuse("adding storage to a unit is not supported on k8s".to_owned());
            }
            let app = self.apps.get(unit.app());
            let Some(meta) = app.and_then(|app| app.charm.storage.get(name)) else {
                return refuse(format!("charm storage {name:?} not found"));
            };
            let own = self.storage_of(unit);
            let have =
                own.iter().filter(|id| crate::entity::hook::storage_name(id) == name).count();
            let after = u32::try_from(have).unwrap_or(u32::MAX).saturating_add(*count);
            let most = crate::entity::storage::most(meta).unwrap_or(crate::limits::INSTANCES_MAX);
            if after > most {
                return refuse(format!("the unit would have {after} of at most {most}"));
            }
        }
        Ok(())
    }

    /// Refuses writes that would make the unit's state too large.
    fn check_state(&self, unit: &UnitName, writes: &Writes) -> Result<(), FlushError> {
        if writes.state.is_empty() {
            return Ok(());
        }
        let kept = self.units.get(unit).into_iter().flat_map(|unit| &unit.state);
        let kept = kept.filter(|(key, _)| !writes.state.contains_key(*key));
        let fresh = writes.state.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
        let size: usize = kept.chain(fresh).map(|(key, value)| key.len() + value.len()).sum();
        if size > STATE_MAX { Err(FlushError::StateSize(STATE_MAX)) } else { Ok(()) }
    }

    /// Refuses ports of endpoints that the charm does not have.
    fn check_ports(&self, unit: &UnitName, writes: &Writes) -> Result<(), FlushError> {
        let Some(app) = self.apps.get(unit.app()) else { return Ok(()) };
        let known = |name: &str| {
            name.is_empty()
                || app.charm.endpoint(name).is_some()
                || app.charm.extra_bindings.contains(name)
        };
        match writes.ports.iter().find(|(port, _)| !known(&port.endpoint)) {
            None => Ok(()),
            Some((port, open)) => Err(FlushError::PortEndpoint {
                verb: if *open { "open" } else { "close" },
                endpoint: port.endpoint.clone(),
                app: unit.app().to_string(),
            }),
        }
    }

    fn write_bags(&mut self, unit: &UnitName, writes: &Writes) {
        for (id, changes) in &writes.unit_bags {
            if let Some(relation) = self.relations.get_mut(id) {
                relation.unit_bags.entry(unit.clone()).or_default().apply(changes);
            }
        }
        for (id, changes) in &writes.app_bags {
            let Some(relation) = self.relations.get_mut(id) else { continue };
            // A leader that writes to the bag of its peers is woken like them.
            relation.app_bags.entry(unit.app().clone()).or_default().apply(changes);
        }
    }

    fn finish_operation(
        &mut self,
        unit: &UnitName,
        hook: &Hook,
        mut session: Session,
        outcome: HookOutcome,
        now: Timestamp,
    ) -> Result<(), FlushError> {
        let writes = std::mem::take(&mut session.writes);
        let flushed = match outcome {
            HookOutcome::Exited(0) => self.flush(unit, hook, writes, now),
            HookOutcome::Exited(_) | HookOutcome::Killed | HookOutcome::NotImplemented => Ok(()),
        };
        if let Hook::Action { id, .. } = hook {
            self.end_action(*id, session, outcome, &flushed, now);
        }
        if let (Hook::Exec { id, .. }, Some(memory)) = (hook, self.memory.get_mut(unit)) {
            memory.commands.retain(|(command, _)| command != id);
        }
        let failed = self.units.get(unit).and_then(|unit| unit.uniter.failed.as_ref());
        match failed.map(|failed| format!("hook failed: {:?}", failed.hook.name())) {
            Some(message) => self.set_agent(unit, now, AgentStatus::Error, message),
            None => self.set_agent(unit, now, AgentStatus::Idle, String::new()),
        }
        flushed
    }

    fn end_action(
        &mut self,
        id: u64,
        session: Session,
        outcome: HookOutcome,
        flushed: &Result<(), FlushError>,
        now: Timestamp,
    ) {
        let Some(action) = self.actions.get_mut(&id) else { return };
        let (mut code, process) = match outcome {
            HookOutcome::Exited(0) => (0, None),
            HookOutcome::Exited(code) => (code, Some(format!("exit status {code}"))),
            HookOutcome::Killed => (-1, Some("action terminated".to_owned())),
            HookOutcome::NotImplemented => {
                let text = format!("action not implemented on unit {:?}", action.unit.to_string());
                (0, Some(text))
            }
        };
        let refused = flushed.is_err().then(|| "committing requested changes failed".to_owned());
        if refused.is_some() && code == 0 {
            code = 1;
        }
        let overflown = session.overflown.then(|| {
            format!(
                "cannot keep all output: results, output and log take at most {DOCUMENT_MAX} bytes"
            )
        });
        let mut results = session.results;
        results.insert("return-code".to_owned(), json!(code));
        add_output(&mut results, "stdout", &session.stdout);
        add_output(&mut results, "stderr", &session.stderr);
        let failure = process.or(session.action_failed).or(refused).or(overflown);
        action.status =
            if failure.is_some() { ActionStatus::Failed } else { ActionStatus::Completed };
        action.message = failure.unwrap_or_default();
        action.results = Value::Object(results);
        action.completed = Some(now);
        self.prune_actions();
    }
}

/// Output of an action's process: as text, or in base64 where it is none.
fn add_output(results: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            results.insert(format!("{name}-encoding"), json!("base64"));
            STANDARD.encode(bytes)
        }
    };
    results.insert(name.to_owned(), json!(text));
}
