//! What changes while the engine runs, and what of it is on disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use juju_model::{Model, Session};
use juju_names::{AppName, UnitName};
use kube_api::Identity;
use node::ImageDefinition;
use serde::{Deserialize, Serialize};

use crate::daemon::commands::{Commands, Waiting};
use crate::daemon::history::History;
use crate::daemon::log::Log;
use crate::daemon::measure::Measurements;

/// What the store keeps: the model, and what the engine itself must remember about it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) model: Model,
    /// Images by application and resource.
    pub(crate) images: BTreeMap<AppName, BTreeMap<String, ImageDefinition>>,
    /// The build of each image that pods are made from, by application, revision of its charm,
    /// and resource. It stays until the application is refreshed, whatever is built meanwhile.
    #[serde(default)]
    pub(crate) builds: BTreeMap<AppName, BTreeMap<u32, BTreeMap<String, String>>>,
    /// Loopback ports of the host: service and its port.
    pub(crate) forwards: BTreeMap<u16, (String, u16)>,
    /// The token with which each application's pods speak to the Kubernetes API.
    pub(crate) tokens: BTreeMap<AppName, String>,
    /// Certificate and key, in PEM, of the authority that pods trust.
    pub(crate) authority: Option<(String, String)>,
}

/// What changes while the engine runs, behind one lock.
pub(crate) struct State {
    pub(crate) persisted: Snapshot,
    /// `persisted` as it is on disk.
    saved: Vec<u8>,
    /// Open loopback ports; each closes when dropped.
    pub(crate) forwards: BTreeMap<u16, node::Forward>,
    /// Node ports of services: the way in from this machine, or none where it has no such
    /// port to give.
    pub(crate) node_ports: BTreeMap<u16, Option<node::Forward>>,
    /// Hooks that run now, by context id.
    pub(crate) sessions: HashMap<String, Session>,
    /// Commands that a client waits for, by number.
    pub(crate) execs: HashMap<u64, Waiting>,
    /// Units whose pods are about to be replaced.
    pub(crate) replacing: BTreeSet<UnitName>,
    /// What is remembered of restarted containers, by unit and name.
    pub(crate) back_offs: BTreeMap<(UnitName, String), node::BackOff>,
    /// Commands that were asked for with `exec`.
    pub(crate) commands: Commands,
    pub(crate) log: Log,
    pub(crate) history: History,
    /// The page's URL, once it is served.
    pub(crate) page: Option<String>,
    pub(crate) measurements: Measurements,
}

/// What requests that only look may see.
pub(crate) struct Seen<'a> {
    pub(crate) model: &'a Model,
    pub(crate) commands: &'a Commands,
    pub(crate) log: &'a Log,
    pub(crate) history: &'a History,
    pub(crate) measurements: &'a Measurements,
}

impl State {
    /// The state of an engine that has just begun, with what the disk has.
    pub(crate) fn new(persisted: Snapshot) -> Self {
        Self {
            saved: serde_json::to_vec(&persisted).unwrap_or_default(),
            persisted,
            forwards: BTreeMap::new(),
            node_ports: BTreeMap::new(),
            sessions: HashMap::new(),
            execs: HashMap::new(),
            replacing: BTreeSet::new(),
            back_offs: BTreeMap::new(),
            commands: Commands::default(),
            log: Log::default(),
            history: History::default(),
            page: None,
            measurements: Measurements::default(),
        }
    }

    /// Notes what the disk has now.
    pub(crate) fn is_saved(&mut self, bytes: Vec<u8>) {
        self.saved = bytes;
    }

    /// Takes back what the disk does not have. What only memory knows, agents and leases, stays.
    pub(crate) fn restore(&mut self) {
        match serde_json::from_slice::<Snapshot>(&self.saved) {
            Ok(mut persisted) => {
                persisted.model.take_live(&mut self.persisted.model);
                self.persisted = persisted;
            }
            Err(error) => tracing::error!("cannot read what was saved last: {error}"),
        }
    }

    /// Notes statuses that are new. All are looked at, so only who may have changed one asks.
    pub(crate) fn note_statuses(&mut self) {
        self.history.see(&self.persisted.model);
    }

    /// What requests that only look may see.
    pub(crate) fn seen(&self) -> Seen<'_> {
        Seen {
            model: &self.persisted.model,
            commands: &self.commands,
            log: &self.log,
            history: &self.history,
            measurements: &self.measurements,
        }
    }

    /// Moves the model's new log lines to the log.
    pub(crate) fn collect_log(&mut self) {
        for line in self.persisted.model.take_log() {
            self.log.push(line.at, &line.entity, &line.level, &line.module, &line.message);
        }
    }
}

/// Who each application's token stands for.
pub(crate) fn identities(persisted: &Snapshot) -> BTreeMap<String, Identity> {
    let namespace = persisted.model.name().to_string();
    let identity = |(app, token): (&AppName, &String)| {
        let trusted = persisted.model.application(app).is_some_and(|app| app.trust);
        let (namespace, app) = (namespace.clone(), app.to_string());
        let labels = crate::daemon::kubernetes::created_by::created_by(&persisted.model, &app);
        (token.clone(), Identity { namespace, app, trusted, labels })
    };
    persisted.tokens.iter().map(identity).collect()
}

/// Every unit of the model.
pub(crate) fn all_units(model: &Model) -> Vec<UnitName> {
    model.all_units().map(|unit| unit.name.clone()).collect()
}
