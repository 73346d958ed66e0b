//! What the REST API of a member answers and does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use juju_names::UnitName;
use serde_json::{Value, json};

use super::data::Data;
use super::dcs::{self, Dcs, Failover};
use super::{known_pods, scope};
use crate::far::Far;
use crate::names::MODEL;

/// A status and a body.
pub(crate) type Answer = (u16, Value);

pub(crate) fn words(status: u16, text: impl Into<String>) -> Answer {
    (status, Value::String(text.into()))
}

/// Whether a member takes this login.
pub(crate) fn knows(far: &Far, unit: &UnitName, login: &str) -> bool {
    let Some((user, password)) = super::member(far, unit).and_then(|member| member.rest_user())
    else {
        return true;
    };
    login == format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

pub(crate) fn look(far: &Far, unit: &UnitName, path: &str) -> Option<Answer> {
    let member = super::member(far, unit)?;
    Some(match path {
        "/cluster" => (200, cluster(far, unit)),
        "/config" => match Dcs::read(far, unit.app()).config {
            Some(config) => (200, config),
            None => words(502, ""),
        },
        "/health" => {
            let mut body = json!({"state": member.state(), "role": member.role()});
            let data = far.volumes.get(unit).and_then(|volume| volume.data.as_ref());
            if let Some(data) = data.filter(|_| member.serves()) {
                body["timeline"] = data.timeline.into();
                body["xlog"] = match member.leads {
                    true => json!({"location": data.location()}),
                    false => json!({
                        "received_location": data.location(),
                        "replayed_location": data.location(),
                    }),
                };
            }
            if member.pending {
                body["pending_restart"] = true.into();
            }
            if member.streams() {
                body["replication_state"] = "streaming".into();
            }
            let standbys = super::members(far, unit.app())
                .filter(|(_, other)| other.streams_from(unit, member.life))
                .map(|(other, _)| json!({"application_name": other.pod(), "state": "streaming"}));
            body["replication"] = standbys.collect();
            (if member.serves() { 200 } else { 503 }, body)
        }
        "/history" => {
            let leader = Dcs::read(far, unit.app()).leader;
            let leader = leader.and_then(|pod| UnitName::from_pod(&pod).ok());
            let data = leader.and_then(|leader| far.volumes.get(&leader)?.data.as_ref());
            (200, data.map_or_else(|| json!([]), Data::history))
        }
        _ => words(404, "not found"),
    })
}

/// The cluster as the objects in the API show it.
fn cluster(far: &Far, unit: &UnitName) -> Value {
    let dcs = Dcs::read(far, unit.app());
    let members = known_pods(far, unit.app());
    let members: Vec<Value> = members.iter().filter_map(|pod| shown(pod, &dcs)).collect();
    json!({"members": members, "scope": scope(unit.app())})
}

fn shown(pod: &Value, dcs: &Dcs) -> Option<Value> {
    let name = pod["metadata"]["name"].as_str()?;
    let status = pod["metadata"]["annotations"]["status"].as_str()?;
    let status: Value = serde_json::from_str(status).ok()?;
    let leads = dcs.leader.as_deref() == Some(name);
    let role = match () {
        () if leads => "leader",
        () if dcs.sync.iter().any(|sync| sync == name) => "sync_standby",
        () => "replica",
    };
    let state = match &status["replication_state"] {
        Value::Null => &status["state"],
        replication => replication,
    };
    let host = format!("{name}.{MODEL}");
    let mut member = json!({
        "name": name, "role": role, "state": state, "host": host, "port": 5432,
        "api_url": status["api_url"],
    });
    for key in ["timeline", "pending_restart", "pending_restart_reason"] {
        if !status[key].is_null() {
            member[key] = status[key].clone();
        }
    }
    if !leads {
        member["lag"] = match status["xlog_location"].as_u64() {
            Some(location) => dcs.optime.saturating_sub(location).into(),
            None => "unknown".into(),
        };
    }
    Some(member)
}

/// Merges into the dynamic configuration.
pub(crate) fn configure(far: &mut Far, unit: &UnitName, patch: &Value) -> Answer {
    let Some(mut config) = Dcs::read(far, unit.app()).config else {
        return words(503, "");
    };
    merge(&mut config, patch);
    dcs::configure(&far.kube, unit.app(), &config);
    (200, config)
}

pub(super) fn merge(into: &mut Value, patch: &Value) {
    let (Some(map), Some(changes)) = (into.as_object_mut(), patch.as_object()) else {
        *into = patch.clone();
        return;
    };
    for (key, change) in changes {
        match change {
            Value::Null => drop(map.remove(key)),
            change => merge(map.entry(key.clone()).or_insert_with(|| json!({})), change),
        }
    }
}

/// What the member has goes, and it copies the leader.
pub(crate) fn reinitialise(far: &mut Far, unit: &UnitName) -> Answer {
    let leader = Dcs::read(far, unit.app()).leader;
    if leader.is_none_or(|leader| leader == unit.pod()) {
        return words(503, "Cluster has no leader, can not reinitialize");
    }
    super::forget_data(far, unit);
    words(200, "reinitialize started")
}

pub(crate) fn restart(far: &mut Far, unit: &UnitName) -> Answer {
    if super::member(far, unit).is_some_and(|member| member.serves()) {
        super::cycle::start_again(far, unit);
        return words(200, "restarted successfully");
    }
    words(503, "postgres is not running")
}

/// Checks an order to hand the lead over and writes it; who leads now.
pub(crate) fn begin(
    far: &mut Far,
    unit: &UnitName,
    path: &str,
    order: &Value,
) -> Result<Option<String>, Answer> {
    let app = unit.app();
    let planned = path == "/switchover";
    let text = |key: &str| order[key].as_str().map(str::to_owned);
    let order = Failover { leader: text("leader"), candidate: text("candidate") };
    let dcs = Dcs::read(far, app);
    let refuse = |text: &str| Err(words(412, text));
    if planned && order.leader != dcs.leader {
        return refuse("leader name does not match");
    }
    let in_sync = |name: &str| !dcs.is("synchronous_mode") || dcs.sync.iter().any(|s| s == name);
    let known = super::known_members(far, app);
    let others = known.iter().filter(|unit| Some(unit.pod()) != dcs.leader);
    let candidates: Vec<&UnitName> = match &order.candidate {
        Some(name) if planned && !in_sync(name) => {
            return refuse("candidate name does not match with sync_standby");
        }
        Some(name) => others.filter(|unit| unit.pod() == *name).collect(),
        None => others.filter(|unit| in_sync(&unit.pod())).collect(),
    };
    if candidates.is_empty() {
        return refuse(match (&order.candidate, dcs.is("synchronous_mode")) {
            (Some(_), _) => "candidate does not exists",
            (None, true) => "switchover is not possible: can not find sync_standby",
            (None, false) => {
                "switchover is not possible: cluster does not have members except leader"
            }
        });
    }
    let able = |unit: &&&UnitName| super::member(far, unit).is_some_and(|m| m.serves());
    if !candidates.iter().any(|unit| able(&unit)) {
        return refuse("switchover is not possible: no good candidates have been found");
    }
    if let Some(cluster) = far.patroni.get_mut(app).filter(|_| !planned) {
        cluster.forced = true;
    }
    dcs::order(&far.kube, app, Some(&order));
    // Without a leader there is none to become another.
    Ok(dcs.leader.filter(|_| planned))
}
