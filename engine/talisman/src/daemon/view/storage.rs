//! The shape of `juju storage --format json`, which is also a section of `status`.

use jiff::Timestamp;
use juju_model::{Model, StorageInstance};
use serde_json::{Map, Value, json};

use super::{filled, juju_time};

/// The pool of all volumes, by Juju's name for the cluster's own.
const POOL: &str = "kubernetes";
/// The size in MiB of a volume whose charm names none.
const SIZE: u64 = 1024;

/// All storage instances, and the file systems behind them; nothing where there is none. In
/// `status` Juju says a little more.
pub(crate) fn storage(model: &Model, in_status: bool) -> Value {
    let mut instances = Map::new();
    let mut filesystems = Map::new();
    for one in model.storage() {
        instances.insert(one.id.clone(), instance(model, one));
        let number = one.id.rsplit('/').next().unwrap_or_default().to_owned();
        filesystems.insert(number, filesystem(model, one, in_status));
    }
    filled([("storage", Value::Object(instances)), ("filesystems", Value::Object(filesystems))])
}

fn instance(model: &Model, one: &StorageInstance) -> Value {
    let units = one.owner.iter().filter(|_| one.attached);
    let units: Map<_, _> = units
        .map(|unit| (unit.to_string(), json!({"location": one.location, "life": "alive"})))
        .collect();
    let attachments = filled([("units", Value::Object(units))]);
    filled([
        ("kind", json!(one.kind)),
        ("life", json!("alive")),
        ("status", state(model, one)),
        ("persistent", json!(false)),
        ("attachments", attachments),
    ])
}

fn filesystem(model: &Model, one: &StorageInstance, in_status: bool) -> Value {
    let attached = |facts: Value| -> Value {
        let units = one.owner.iter().filter(|_| one.attached);
        units.map(|unit| (unit.to_string(), facts.clone())).collect::<Map<_, _>>().into()
    };
    let mount = json!({"mount-point": one.location, "read-only": false, "life": "alive"});
    let life = if in_status { json!("alive") } else { Value::Null };
    let place = filled([("location", json!(one.location)), ("life", life)]);
    let attachments = filled([("containers", attached(mount)), ("units", attached(place))]);
    filled([
        ("provider-id", json!(one.id.replace('/', "-"))),
        ("storage", json!(one.id)),
        ("attachments", attachments),
        ("pool", json!(POOL)),
        ("size", json!(size(model, one))),
        ("life", json!("alive")),
        ("status", state(model, one)),
    ])
}

/// Whether it is attached, since its unit's agent last reported: when exactly is not kept.
fn state(model: &Model, one: &StorageInstance) -> Value {
    let unit = one.owner.as_ref().and_then(|unit| model.unit(unit));
    let since: Option<Timestamp> = unit.map(|unit| unit.agent.since);
    filled([
        ("current", json!(if one.attached { "attached" } else { "detached" })),
        ("since", json!(since.map(juju_time))),
    ])
}

/// The size that the charm asks for, in MiB: what the volume would have elsewhere.
fn size(model: &Model, one: &StorageInstance) -> u64 {
    let app = one.owner.as_ref().and_then(|unit| model.application(unit.app()));
    let meta = app.and_then(|app| app.charm.storage.get(one.name()));
    let least = meta.and_then(|meta| meta.minimum_size.as_deref());
    least.and_then(crate::bundle::constraints::mebibytes).unwrap_or(SIZE)
}
