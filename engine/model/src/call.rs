//! The hook tools of one running hook.
//!
//! The calls themselves are in `call_relation`, `call_secret` and `call_misc`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use names::{AppName, EndpointName, RelationId, SecretId, UnitName};
use serde_json::Value;

use crate::tools::{
    Answer, Bag, Context, GoalState, HookRelation, NetworkInfo, Options, Party, Port, Revision,
    SecretInfo, SecretMetadata, Status, StorageInfo, ToolError,
};
use crate::{Hook, Model, Session};

/// The far side of the hook tools, for one call.
#[derive(Debug)]
pub struct ToolCall<'a> {
    pub(crate) model: &'a mut Model,
    pub(crate) session: &'a mut Session,
    pub(crate) now: Timestamp,
}

/// An error with exit code 1.
pub(crate) fn refused(message: impl Into<String>) -> ToolError {
    ToolError::Refused(message.into())
}

impl ToolCall<'_> {
    /// The unit whose hook runs.
    pub(crate) fn own(&self) -> UnitName {
        self.session.run.unit.clone()
    }

    /// Whether the unit leads now.
    pub(crate) fn leads(&self) -> bool {
        self.model.is_leader(&self.session.run.unit)
    }
}

impl Context for ToolCall<'_> {
    fn unit(&self) -> UnitName {
        self.own()
    }

    fn hook_relation(&self) -> HookRelation {
        let hook = &self.session.run.hook;
        let Some(event) = hook.relation() else {
            return HookRelation::default();
        };
        HookRelation {
            relation: Some((event.id, event.endpoint.clone())),
            remote_unit: hook.remote_unit().cloned(),
            remote_app: Some(event.remote_app.clone()),
        }
    }

    fn hook_storage(&self) -> Option<String> {
        match &self.session.run.hook {
            Hook::StorageAttached { storage } | Hook::StorageDetaching { storage } => {
                Some(storage.clone())
            }
            _ => None,
        }
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn relation_ids(&mut self, endpoint: &str) -> Answer<Vec<RelationId>> {
        Ok(self.ids_of(endpoint))
    }

    fn relation_endpoint(&mut self, id: RelationId) -> Answer<EndpointName> {
        Ok(self.relation(id)?.event.endpoint)
    }

    fn relation_list(&mut self, id: RelationId) -> Answer<Vec<UnitName>> {
        self.relation(id)?;
        let members = self.session.reads.members.get(&id);
        Ok(members.into_iter().flatten().cloned().collect())
    }

    fn relation_remote_app(&mut self, id: RelationId) -> Answer<AppName> {
        Ok(self.relation(id)?.event.remote_app)
    }

    fn relation_model(&mut self, id: RelationId) -> Answer<String> {
        self.relation(id)?;
        Ok(self.model.uuid.clone())
    }

    fn relation_get(&mut self, id: RelationId, of: &Party) -> Answer<Arc<Bag>> {
        match of {
            Party::Unit(unit) => self.unit_bag(id, unit),
            Party::App(app) => self.app_bag(id, app),
        }
    }

    fn relation_set(&mut self, id: RelationId, app: bool, changes: Bag) -> Answer<()> {
        self.write_bag(id, app, changes)
    }

    fn is_leader(&mut self) -> Answer<bool> {
        Ok(self.leads())
    }

    fn unit_status(&mut self) -> Answer<Status> {
        let unit = self.model.unit(&self.session.run.unit);
        unit.map(|unit| unit.workload.clone()).ok_or_else(|| self.gone())
    }

    fn app_status(&mut self) -> Answer<(Status, BTreeMap<String, Status>)> {
        self.statuses()
    }

    fn set_status(&mut self, application: bool, status: &str, message: &str) -> Answer<()> {
        self.put_status(application, status, message)
    }

    fn set_application_version(&mut self, version: &str) -> Answer<()> {
        let app = self.model.app_mut(self.session.run.unit.app());
        if let Some(app) = app {
            version.clone_into(&mut app.version);
        }
        Ok(())
    }

    fn log(&mut self, level: &str, message: &str) {
        self.put_log(level, message);
    }

    fn config(&mut self) -> Answer<Arc<Options>> {
        let app = self.model.apps.get(self.session.run.unit.app());
        let read = || app.map(crate::Application::effective_config).unwrap_or_default().into();
        Ok(self.session.reads.config.get_or_insert_with(read).clone())
    }

    fn goal_state(&mut self) -> Answer<GoalState> {
        Ok(self.goal())
    }

    fn network(&mut self, binding: &str, relation: Option<RelationId>) -> Answer<NetworkInfo> {
        self.addresses(binding, relation)
    }

    fn open_port(&mut self, port: Port) -> Answer<()> {
        self.change_port(port, true)
    }

    fn close_port(&mut self, port: Port) -> Answer<()> {
        self.change_port(port, false)
    }

    fn opened_ports(&mut self) -> Answer<Vec<Port>> {
        Ok(self.ports())
    }

    fn state(&mut self) -> Answer<Bag> {
        Ok(self.whole_state())
    }

    fn state_change(&mut self, changes: BTreeMap<String, Option<String>>) -> Answer<()> {
        self.change_state(changes)
    }

    fn secret_add(&mut self, content: Bag, metadata: SecretMetadata) -> Answer<SecretId> {
        self.add_secret(content, metadata)
    }

    fn secret_set(
        &mut self,
        id: &SecretId,
        content: Option<Bag>,
        metadata: SecretMetadata,
    ) -> Answer<()> {
        self.set_secret(id, content, metadata)
    }

    fn secret_get(
        &mut self,
        id: Option<&SecretId>,
        label: Option<&str>,
        revision: Revision,
    ) -> Answer<Bag> {
        self.get_secret(id, label, revision)
    }

    fn secret_info(&mut self, id: Option<&SecretId>, label: Option<&str>) -> Answer<SecretInfo> {
        self.describe_secret(id, label)
    }

    fn secret_ids(&mut self) -> Answer<Vec<SecretId>> {
        Ok(self.own_secrets())
    }

    fn secret_grant(
        &mut self,
        id: &SecretId,
        relation: RelationId,
        unit: Option<&UnitName>,
    ) -> Answer<()> {
        self.grant_secret(id, relation, unit)
    }

    fn secret_revoke(
        &mut self,
        id: &SecretId,
        relation: Option<RelationId>,
        of: Option<&Party>,
    ) -> Answer<()> {
        self.revoke_secret(id, relation, of)
    }

    fn secret_remove(&mut self, id: &SecretId, revision: Option<u32>) -> Answer<()> {
        self.remove_secret(id, revision)
    }

    fn action_params(&mut self) -> Answer<Value> {
        Ok(self.action()?.params.clone())
    }

    fn action_set(&mut self, results: Vec<(String, String)>) -> Answer<()> {
        self.set_results(results)
    }

    fn action_fail(&mut self, message: &str) -> Answer<()> {
        self.action()?;
        self.session.say(message.len())?;
        self.session.action_failed = Some(message.to_owned());
        Ok(())
    }

    fn action_log(&mut self, message: &str) -> Answer<()> {
        let (at, message) = (self.now, message.to_owned());
        self.action()?;
        self.session.say(message.len() + 32)?;
        self.action()?.log.push(crate::ActionLog { at, message });
        Ok(())
    }

    fn storage_add(&mut self, name: &str, count: u32) -> Answer<()> {
        self.more_storage(name, count)
    }

    fn storage_list(&mut self, name: Option<&str>) -> Answer<Vec<String>> {
        Ok(self.storages(name))
    }

    fn storage_get(&mut self, id: &str) -> Answer<StorageInfo> {
        self.one_storage(id)
    }

    fn resource_get(&mut self, name: &str) -> Answer<String> {
        self.resource(name)
    }
}
