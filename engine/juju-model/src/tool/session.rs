//! What one running hook has read and wants written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use juju_names::{AppName, RelationId, SecretId, UnitName};
use serde_json::{Map, Value};

use crate::HookRun;
use crate::entity::secret::{Grant, SecretContent};
use crate::tool::{Bag, Options, Port, SecretMetadata, Status};

/// One running hook: its buffered writes and its first reads.
///
/// Dropping it drops the writes.
#[derive(Debug, Clone)]
pub struct Session {
    pub(crate) run: HookRun,
    pub(crate) reads: Reads,
    pub(crate) writes: Writes,
    pub(crate) results: Map<String, Value>,
    pub(crate) action_failed: Option<String>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// About what the writes take.
    pub(crate) buffered: usize,
    /// What an action has said so far: results, output, log.
    pub(crate) said: usize,
    /// Output was dropped because an action may say no more.
    pub(crate) overflown: bool,
    /// Whether the machine is to start again, which a pod has not.
    pub(crate) reboot: Option<Reboot>,
}

/// When a hook wants its machine to start again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reboot {
    /// Once the hook has ended well.
    AfterHook,
    /// At once: the hook's process is ended.
    Now,
}

/// Values that stay the same for the length of a hook once read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reads {
    pub(crate) config: Option<Arc<Options>>,
    pub(crate) status: Option<Status>,
    /// Remote units by relation, fixed when the hook began.
    pub(crate) members: BTreeMap<RelationId, BTreeSet<UnitName>>,
    pub(crate) unit_bags: BTreeMap<(RelationId, UnitName), Arc<Bag>>,
    pub(crate) app_bags: BTreeMap<(RelationId, AppName), Arc<Bag>>,
}

/// Writes that wait for exit 0.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writes {
    pub(crate) unit_bags: BTreeMap<RelationId, Bag>,
    pub(crate) app_bags: BTreeMap<RelationId, Bag>,
    /// In the order of the calls; `true` opens, `false` closes.
    pub(crate) ports: Vec<(Port, bool)>,
    /// How many more instances of each storage.
    pub(crate) storage: BTreeMap<String, u32>,
    pub(crate) state: BTreeMap<String, Option<String>>,
    pub(crate) secrets_added: BTreeMap<SecretId, SecretDraft>,
    pub(crate) secrets_set: BTreeMap<SecretId, SecretDraft>,
    /// `None` removes the whole secret.
    pub(crate) secrets_removed: BTreeMap<SecretId, Option<BTreeSet<u32>>>,
    pub(crate) grants: Vec<(SecretId, Grant)>,
    pub(crate) revocations: Vec<(SecretId, Revocation)>,
    /// Secrets whose newest revision the hook has read and wants to go on reading.
    pub(crate) tracked: BTreeSet<SecretId>,
}

/// New content and metadata of a secret.
#[derive(Debug, Clone, Default)]
pub(crate) struct SecretDraft {
    pub(crate) content: Option<SecretContent>,
    pub(crate) metadata: SecretMetadata,
}

/// Which grants go: those that match everything that is given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Revocation {
    pub(crate) relation: Option<RelationId>,
    pub(crate) app: Option<AppName>,
    pub(crate) unit: Option<UnitName>,
}

impl Session {
    pub(crate) fn new(run: HookRun) -> Self {
        Self {
            run,
            reads: Reads::default(),
            writes: Writes::default(),
            results: Map::new(),
            action_failed: None,
            stdout: Vec::new(),
            stderr: Vec::new(),
            buffered: 0,
            said: 0,
            overflown: false,
            reboot: None,
        }
    }

    /// Whether the hook's process is to be ended.
    pub fn must_end(&self) -> bool {
        self.reboot == Some(Reboot::Now)
    }

    /// The hook that runs.
    pub fn run(&self) -> &HookRun {
        &self.run
    }

    /// Adds output of the process, which becomes part of an action's results. Of a hook it is
    /// in the log only.
    pub fn output(&mut self, stdout: &[u8], stderr: &[u8]) {
        if !matches!(self.run.hook, crate::Hook::Action { .. }) {
            return;
        }
        self.overflown |= self.say(stdout.len() + stderr.len()).is_err();
        if self.overflown {
            return;
        }
        self.stdout.extend_from_slice(stdout);
        self.stderr.extend_from_slice(stderr);
    }
}

impl Revocation {
    /// Whether the grant goes.
    pub(crate) fn covers(&self, grant: &Grant) -> bool {
        self.relation.is_none_or(|relation| grant.relation == Some(relation))
            && self.app.as_ref().is_none_or(|app| grant.app == *app && grant.unit.is_none())
            && self.unit.as_ref().is_none_or(|unit| grant.unit.as_ref() == Some(unit))
    }
}
