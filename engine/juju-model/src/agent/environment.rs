//! The environment of a hook: the variables that Juju's model decides.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::{Hook, HookRun, Model, RelationEvent};

/// Variables that are always there, and empty on Kubernetes without proxies. Others are too.
const EMPTY: [&str; 4] = [
    "JUJU_AVAILABILITY_ZONE",
    "JUJU_CHARM_FTP_PROXY",
    "JUJU_CHARM_HTTPS_PROXY",
    "JUJU_CHARM_HTTP_PROXY",
];

/// What most environments fit into.
const VARIABLES: usize = 32;

/// Each name comes once.
type Variables = Vec<(Cow<'static, str>, String)>;

impl Model {
    /// The variables that the model knows. The caller adds `PATH`, `CHARM_DIR`, sockets and so on,
    /// and may replace `JUJU_API_ADDRESSES` and `CLOUD_API_VERSION`.
    pub fn environment(&self, run: &HookRun) -> BTreeMap<Cow<'static, str>, String> {
        // In the order of their names, so that the map has little to sort.
        let mut env = Variables::with_capacity(VARIABLES);
        let rules = self.rules();
        put(&mut env, "APT_LISTCHANGES_FRONTEND", "none");
        put(&mut env, "CLOUD_API_VERSION", "");
        put(&mut env, "DEBIAN_FRONTEND", "noninteractive");
        put(&mut env, "JUJU_API_ADDRESSES", "127.0.0.1:17070");
        env.extend(EMPTY.map(|name| (name.into(), String::new())));
        put(&mut env, "JUJU_CHARM_NO_PROXY", "127.0.0.1,localhost,::1");
        env.extend(rules.variables.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        put(&mut env, "JUJU_CONTEXT_ID", &run.context_id);
        if !matches!(run.hook, Hook::Exec { .. }) {
            put(&mut env, "JUJU_DISPATCH_PATH", run.hook.dispatch_path());
        }
        let name = if run.hook.is_operation() { String::new() } else { run.hook.name() };
        put(&mut env, "JUJU_HOOK_NAME", name);
        put(&mut env, "JUJU_MACHINE_ID", "");
        put(&mut env, "JUJU_MODEL_NAME", &self.name);
        put(&mut env, "JUJU_MODEL_UUID", &self.uuid);
        put(&mut env, "JUJU_PRINCIPAL_UNIT", "");
        if let Some(event) = run.hook.relation() {
            relation(&mut env, &run.hook, event);
        }
        self.specific(&mut env, &run.hook);
        put(&mut env, "JUJU_UNIT_NAME", &run.unit);
        put(&mut env, "JUJU_VERSION", rules.version);
        env.into_iter().collect()
    }

    /// What single kinds of hooks add.
    fn specific(&self, env: &mut Variables, hook: &Hook) {
        match hook {
            Hook::PebbleReady { container } => put(env, "JUJU_WORKLOAD_NAME", container),
            Hook::PebbleCustomNotice { container, id, key } => {
                put(env, "JUJU_WORKLOAD_NAME", container);
                put(env, "JUJU_NOTICE_ID", id);
                put(env, "JUJU_NOTICE_TYPE", "custom");
                put(env, "JUJU_NOTICE_KEY", key);
            }
            Hook::PebbleCheckFailed { container, check }
            | Hook::PebbleCheckRecovered { container, check } => {
                put(env, "JUJU_WORKLOAD_NAME", container);
                put(env, "JUJU_PEBBLE_CHECK_NAME", check);
            }
            Hook::SecretChanged { id, label } | Hook::SecretRotate { id, label } => {
                put(env, "JUJU_SECRET_ID", id);
                put(env, "JUJU_SECRET_LABEL", label);
            }
            Hook::SecretExpired { id, label, revision }
            | Hook::SecretRemove { id, label, revision } => {
                match self.rules().bare_secret_ids {
                    true => put(env, "JUJU_SECRET_ID", id.bare()),
                    false => put(env, "JUJU_SECRET_ID", id),
                }
                put(env, "JUJU_SECRET_LABEL", label);
                put(env, "JUJU_SECRET_REVISION", revision);
            }
            Hook::StorageAttached { storage } | Hook::StorageDetaching { storage } => {
                let instance = self.storage.get(storage);
                put(env, "JUJU_STORAGE_ID", storage);
                put(env, "JUJU_STORAGE_LOCATION", instance.map_or("", |s| &s.location));
                put(env, "JUJU_STORAGE_KIND", instance.map_or("filesystem", |s| &s.kind));
            }
            Hook::Action { id, action } => action_of(env, *id, action),
            Hook::Exec { id, .. } => action_of(env, *id, "juju-exec"),
            Hook::Install
            | Hook::Start
            | Hook::ConfigChanged
            | Hook::UpdateStatus
            | Hook::LeaderElected
            | Hook::LeaderSettingsChanged
            | Hook::UpgradeCharm
            | Hook::Stop
            | Hook::Remove
            | Hook::RelationCreated { .. }
            | Hook::RelationJoined { .. }
            | Hook::RelationChanged { .. }
            | Hook::RelationDeparted { .. }
            | Hook::RelationBroken { .. } => {}
        }
    }
}

/// A command that an operator gives is an action to the charm.
fn action_of(env: &mut Variables, id: u64, name: &str) {
    put(env, "JUJU_ACTION_NAME", name);
    put(env, "JUJU_ACTION_UUID", id);
    put(env, "JUJU_ACTION_TAG", format!("action-{id}"));
}

fn relation(env: &mut Variables, hook: &Hook, event: &RelationEvent) {
    put(env, "JUJU_RELATION", &event.endpoint);
    put(env, "JUJU_RELATION_ID", format!("{}:{}", event.endpoint, event.id));
    let remote = if hook.is_nameless() { "" } else { event.remote_app.as_str() };
    put(env, "JUJU_REMOTE_APP", remote);
    let remote = hook.remote_unit().map(ToString::to_string).unwrap_or_default();
    put(env, "JUJU_REMOTE_UNIT", remote);
    if let Hook::RelationDeparted { departing, .. } = hook {
        put(env, "JUJU_DEPARTING_UNIT", departing);
    }
}

fn put(env: &mut Variables, name: &'static str, value: impl ToString) {
    env.push((name.into(), value.to_string()));
}
