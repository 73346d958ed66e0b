//! What a test says of the world before an event.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use juju_charm::SecretOwner;
use juju_model::tools::{Answer, Bag, SecretMetadata};
use juju_model::{
    ActionsYaml, CharmMeta, ConfigYaml, Deploy, Grant, Hook, HookOutcome, MetadataYaml, Model,
    Owner, ToolCall,
};
use juju_names::{AppName, ContainerName, NameError, RelationId, SecretId, UnitName};
use serde_json::Value;

use crate::Impossible;

/// The model that a unit is in.
const MODEL_UUID: &str = "00000000-0000-4000-8000-000000000000";

/// The time, which stands still.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_763_632_800, 0);

/// Everything Juju knows about one unit.
#[derive(Clone)]
pub struct World {
    pub(crate) wrong: Vec<String>,
    files: (MetadataYaml, Option<ConfigYaml>, Option<ActionsYaml>),
    pub(crate) model: Model,
    pub(crate) unit: UnitName,
    pub(crate) containers: BTreeMap<ContainerName, PathBuf>,
}

/// A map of owned texts.
pub(crate) fn bag(pairs: &[(&str, &str)]) -> Bag {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The content of a secret as the model keeps it.
fn encoded(content: &[(&str, &str)]) -> Bag {
    content.iter().map(|(key, value)| ((*key).to_owned(), STANDARD.encode(value))).collect()
}

fn impossible(error: impl std::fmt::Display) -> Impossible {
    Impossible(vec![error.to_string()])
}

impl World {
    /// A unit of a charm, given the text of its `metadata.yaml`. It does not lead, it is in no
    /// relation, and every declared container exists but does not answer.
    ///
    /// # Errors
    /// When the text is no metadata or the name is no unit's.
    pub fn new(metadata: &str, unit: &str) -> Result<Self, Impossible> {
        let why = |error: &dyn std::fmt::Display| impossible(format!("metadata.yaml: {error}"));
        let metadata: MetadataYaml = serde_saphyr::from_str(metadata).map_err(|e| why(&e))?;
        let files = (metadata, None, None);
        let charm = charm(&files).map_err(|error| why(&error))?;
        let unit: UnitName = unit.parse().map_err(|error: NameError| impossible(error))?;
        let socket = |name: &ContainerName| format!("/nowhere/{name}/pebble.socket").into();
        let containers = charm.containers.keys().map(|name| (name.clone(), socket(name))).collect();
        let name = "testing".parse().map_err(|error: NameError| impossible(error))?;
        let model = Model::new(name, MODEL_UUID.to_owned(), 0);
        let mut world = Self { wrong: Vec::new(), files, model, unit, containers };
        let (app, units) = (world.unit.app().clone(), world.unit.number() + 1);
        world.deploy(&app, charm, units);
        world.forget_unrelated();
        Ok(world)
    }

    /// Adds an application, or units to it.
    pub(crate) fn deploy(&mut self, app: &AppName, charm: CharmMeta, units: u32) {
        let known = self.model.application(app).map(|app| app.scale);
        let done = match known {
            Some(scale) if scale >= units => return,
            Some(_) => self.model.scale(NOW, app, units),
            None => self.model.deploy(
                NOW,
                Deploy {
                    app: app.clone(),
                    charm,
                    charm_ref: format!("./{app}.charm"),
                    units,
                    config: BTreeMap::new(),
                    trust: false,
                },
            ),
        };
        self.note(done);
        self.model.service_address(app, "10.152.183.7".to_owned());
        for number in known.unwrap_or_default()..units {
            let unit = UnitName::new(app.clone(), number);
            let address = format!("10.1.{}.{}", u8::from(app != self.unit.app()), number + 10);
            self.model.unit_address(&unit, Some(address));
        }
    }

    /// Remembers why the world cannot be.
    pub(crate) fn note<T>(&mut self, done: Result<T, impl std::fmt::Display>) {
        self.wrong.extend(done.err().map(|error| error.to_string()));
    }

    /// Only relations that a test has given are there.
    fn forget_unrelated(&mut self) {
        let unrelated = self.model.relations().filter(|r| !r.scope.contains(&self.unit));
        let unrelated: Vec<RelationId> = unrelated.map(|relation| relation.id).collect();
        unrelated.into_iter().for_each(|id| self.model.drop_relation(id));
    }

    /// Gives the application its charm anew, as its files declare it now.
    fn refresh(&mut self) {
        let app = self.unit.app().clone();
        let refreshed = charm(&self.files).map_err(|error| error.to_string()).and_then(|charm| {
            let from = format!("./{app}.charm");
            self.model.refresh(NOW, &app, charm, from).map_err(|error| error.to_string())
        });
        self.note(refreshed);
        self.forget_unrelated();
    }

    /// Declares the options of this `config.yaml`; defaults apply.
    #[must_use]
    pub fn config_yaml(mut self, text: &str) -> Self {
        match serde_saphyr::from_str(text) {
            Ok(config) => self.files.1 = Some(config),
            Err(error) => self.wrong.push(format!("config.yaml: {error}")),
        }
        self.refresh();
        self
    }

    /// Declares the actions of this `actions.yaml`; defaults apply.
    #[must_use]
    pub fn actions_yaml(mut self, text: &str) -> Self {
        match serde_saphyr::from_str(text) {
            Ok(actions) => self.files.2 = Some(actions),
            Err(error) => self.wrong.push(format!("actions.yaml: {error}")),
        }
        self.refresh();
        self
    }

    /// Makes the unit lead its application.
    #[must_use]
    pub fn leader(mut self) -> Self {
        self.model.lease_passes(&self.unit);
        self
    }

    /// Makes the unit one that does not lead.
    #[must_use]
    pub fn follower(mut self) -> Self {
        self.model.lease_ends(self.unit.app());
        self
    }

    /// Sets how many units the application is meant to have; as many as there are at first.
    #[must_use]
    pub fn planned_units(mut self, units: u32) -> Self {
        let done = self.model.scale(NOW, self.unit.app(), units);
        self.note(done);
        self
    }

    /// Sets an option.
    #[must_use]
    pub fn config(mut self, key: &str, value: impl Into<Value>) -> Self {
        let text = match value.into() {
            Value::String(text) => text,
            value => value.to_string(),
        };
        let options = BTreeMap::from([(key.to_owned(), text)]);
        let done = self.model.set_config(NOW, self.unit.app(), options);
        self.note(done);
        self
    }

    /// Removes a relation.
    #[must_use]
    pub fn without_relation(mut self, id: u32) -> Self {
        self.model.drop_relation(RelationId(id));
        self
    }

    /// Adds a secret that this unit or its application owns.
    #[must_use]
    pub fn own_secret(mut self, label: &str, owner: SecretOwner, content: &[(&str, &str)]) -> Self {
        let metadata = SecretMetadata {
            label: Some(label.to_owned()),
            owner_is_unit: Some(owner == SecretOwner::Unit),
            ..SecretMetadata::default()
        };
        let content = encoded(content);
        let unit = self.unit.clone();
        self.as_leader(&unit, |tools| tools.secret_add(content, metadata).map(drop));
        self
    }

    /// Adds a secret of another owner that this unit may read, or gives it a new revision.
    #[must_use]
    pub fn remote_secret(mut self, id: &SecretId, content: &[(&str, &str)]) -> Self {
        let reader = Grant { unit: None, app: self.unit.app().clone(), relation: None };
        self.model.given_secret(NOW, id, Owner::Model, Some(encoded(content)), vec![reader]);
        self
    }

    /// Makes a secret one that this unit may not read (any more).
    #[must_use]
    pub fn denied_secret(mut self, id: &SecretId) -> Self {
        self.model.given_secret(NOW, id, Owner::Model, None, Vec::new());
        self
    }

    /// Says where a container's Pebble listens.
    #[must_use]
    pub fn container(mut self, name: &str, socket: impl Into<PathBuf>) -> Self {
        match name.parse() {
            Ok(name) => drop(self.containers.insert(name, socket.into())),
            Err(error) => self.wrong.push(NameError::to_string(&error)),
        }
        self
    }

    /// Puts something in the controller state.
    #[must_use]
    pub fn state(mut self, key: &str, value: &str) -> Self {
        let change = BTreeMap::from([(key.to_owned(), Some(value.to_owned()))]);
        let unit = self.unit.clone();
        self.play(&unit, Hook::UpdateStatus, |tools| tools.state_set(change));
        self
    }

    /// A hook of a unit whose charm does only this.
    pub(crate) fn play(
        &mut self,
        unit: &UnitName,
        hook: Hook,
        act: impl FnOnce(&mut ToolCall) -> Answer<()>,
    ) {
        let run = self.model.given_hook(unit, hook);
        let mut session = self.model.begin(&run, NOW);
        let acted = act(&mut self.model.tools(&mut session, NOW));
        self.note(acted);
        let ended = self.model.finish(run, session, HookOutcome::Exited(0), NOW);
        self.note(ended);
    }

    /// The same of a unit that leads for as long.
    pub(crate) fn as_leader(
        &mut self,
        unit: &UnitName,
        act: impl FnOnce(&mut ToolCall) -> Answer<()>,
    ) {
        let leader = self.model.application(unit.app()).and_then(|app| app.leader.clone());
        self.model.lease_passes(unit);
        self.play(unit, Hook::UpdateStatus, act);
        match leader {
            Some(leader) => self.model.lease_passes(&leader),
            None => self.model.lease_ends(unit.app()),
        }
    }
}

fn charm(
    (metadata, config, actions): &(MetadataYaml, Option<ConfigYaml>, Option<ActionsYaml>),
) -> Result<CharmMeta, juju_model::MetaError> {
    CharmMeta::from_parts(metadata.clone(), config.clone(), actions.clone())
}
