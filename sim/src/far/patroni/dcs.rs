//! What the members agree upon, in annotations of Endpoints.

use juju_names::AppName;
use kube_api::{Api, Kind};
use serde_json::{Value, json};

use super::scope;
use crate::far::Far;
use crate::names::MODEL;

/// The order to hand the lead over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failover {
    pub(super) leader: Option<String>,
    pub(super) candidate: Option<String>,
}

/// What the members agree upon.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dcs {
    /// The pod that holds the lock.
    pub(crate) leader: Option<String>,
    /// The pod that took it last, whether it has expired or not.
    pub(super) holder: Option<String>,
    /// How far the leader was, in bytes.
    pub(super) optime: u64,
    /// The cluster's identifier; empty while a member initialises it.
    pub(super) initialize: Option<String>,
    /// The dynamic configuration.
    pub(crate) config: Option<Value>,
    /// Who wrote the list of standbys.
    pub(crate) sync_leader: Option<String>,
    /// The standbys that have every commit.
    pub(crate) sync: Vec<String>,
    pub(crate) failover: Option<Failover>,
}

impl Dcs {
    /// Reads all of it as it is now.
    pub(crate) fn read(far: &Far, app: &AppName) -> Self {
        Self::read_at(far, app, far.now().as_second())
    }

    /// Reads all of it; a lock that was not renewed for too long has no holder.
    pub(super) fn read_at(far: &Far, app: &AppName, now: i64) -> Self {
        let renewed = far.patroni.get(app).map_or(0, |cluster| cluster.renewed);
        let api = &far.kube;
        let annotations = |suffix: &str| {
            let object = api.get(Kind::Endpoints, MODEL, &format!("{}{suffix}", scope(app)));
            object.map(|object| object["metadata"]["annotations"].clone()).unwrap_or_default()
        };
        let text = |from: &Value, key: &str| from[key].as_str().map(str::to_owned);
        let (lock, config) = (annotations(""), annotations("-config"));
        let (sync, failover) = (annotations("-sync"), annotations("-failover"));
        let names = text(&sync, "sync_standby").unwrap_or_default();
        let order =
            Failover { leader: text(&failover, "leader"), candidate: text(&failover, "candidate") };
        let dynamic = text(&config, "config").and_then(|text| serde_json::from_str(&text).ok());
        let expired = now - renewed > ttl(dynamic.as_ref());
        Self {
            leader: text(&lock, "leader").filter(|_| !expired),
            holder: text(&lock, "leader"),
            optime: text(&lock, "optime").and_then(|text| text.parse().ok()).unwrap_or_default(),
            initialize: text(&config, "initialize"),
            config: dynamic,
            sync_leader: text(&sync, "leader"),
            sync: names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            failover: (order.leader.is_some() || order.candidate.is_some()).then_some(order),
        }
    }

    /// Seconds until a leader that is silent loses its lock.
    pub(super) fn ttl(&self) -> i64 {
        ttl(self.config.as_ref())
    }

    /// An entry of the dynamic configuration as a number.
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.config.as_ref()?[key].as_u64()
    }

    /// Whether an entry of the dynamic configuration is true.
    pub(super) fn is(&self, key: &str) -> bool {
        self.config.as_ref().is_some_and(|config| config[key] == true)
    }
}

/// Writes annotations of the object with this suffix; null removes one.
pub(super) fn annotate(api: &Api, app: &AppName, suffix: &str, annotations: Value) {
    let name = format!("{}{suffix}", scope(app));
    let patch = json!({"metadata": {"annotations": annotations}});
    if api.get(Kind::Endpoints, MODEL, &name).is_some() {
        drop(api.patch(Kind::Endpoints, MODEL, &name, &patch));
        return;
    }
    let mut annotations = annotations;
    if let Some(map) = annotations.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    let labels = json!({"application": "patroni", "cluster-name": scope(app)});
    let metadata = json!({"name": name, "labels": labels, "annotations": annotations});
    drop(api.put(Kind::Endpoints, MODEL, &json!({"metadata": metadata})));
}

/// Makes the service that keeps the controller's hands off the objects.
pub(super) fn guard(api: &Api, app: &AppName) {
    let name = format!("{}-config", scope(app));
    if api.get(Kind::Service, MODEL, &name).is_some() {
        return;
    }
    let labels = json!({"application": "patroni", "cluster-name": scope(app)});
    let service = json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {"clusterIP": "None"},
    });
    drop(api.put(Kind::Service, MODEL, &service));
}

/// Writes the dynamic configuration.
pub(super) fn configure(api: &Api, app: &AppName, config: &Value) {
    annotate(api, app, "-config", json!({"config": config.to_string()}));
}

/// Writes who has every commit.
pub(super) fn write_sync(api: &Api, app: &AppName, leader: &str, standbys: &[String]) {
    let list = (!standbys.is_empty()).then(|| standbys.join(","));
    annotate(api, app, "-sync", json!({"leader": leader, "sync_standby": list}));
}

/// Writes or removes the order to hand the lead over.
pub(super) fn order(api: &Api, app: &AppName, order: Option<&Failover>) {
    let leader = order.and_then(|order| order.leader.as_ref());
    let candidate = order.and_then(|order| order.candidate.as_ref());
    annotate(api, app, "-failover", json!({"leader": leader, "candidate": candidate}));
}

/// Patroni takes no lock that lives shorter than 20 s, and 30 s where none is configured.
fn ttl(dynamic: Option<&Value>) -> i64 {
    let told = dynamic.and_then(|dynamic| dynamic["ttl"].as_i64());
    told.unwrap_or(30).max(20)
}
