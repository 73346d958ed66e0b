//! What a member of PostgreSQL needs around it: its environment and objects of Kubernetes.

use std::collections::BTreeSet;

use juju_names::AppName;
use kube_api::{Kind, Selector};
use pebble_client::{Check, Startup};
use serde_json::Value;

use super::server::{able, server};
use crate::far::member::Member;
use crate::far::patroni::{members, slots};
use crate::names::MODEL;
use crate::world::State;

/// Where the data are that a copy replaces.
const ASIDE: &str = "/var/lib/postgresql/data/pgdata-before-copy";
/// The mark by which a controller manager leaves Endpoints alone.
const LOCK: &str = "control-plane.alpha.kubernetes.io/leader";

pub(super) fn check(state: &State, app: &AppName) -> Vec<String> {
    let mut wrong = Vec::new();
    for (unit, pod) in state.far.pods.iter().filter(|(unit, _)| unit.app() == app) {
        let Some(container) = &pod.container else { continue };
        let plan = container.plan();
        let scope = format!("patroni-{app}");
        let labels = format!("{{application: patroni, cluster-name: {scope}}}");
        let pod = unit.pod();
        let told = [
            ("PATRONI_NAME", pod.as_str()),
            ("PATRONI_SCOPE", &scope),
            ("PATRONI_KUBERNETES_NAMESPACE", MODEL),
            ("PATRONI_KUBERNETES_LABELS", &labels),
            ("PATRONI_KUBERNETES_LEADER_LABEL_VALUE", "primary"),
            ("PATRONI_KUBERNETES_USE_ENDPOINTS", "true"),
        ];
        let environment = plan.services.get("postgresql").map(|service| &service.environment);
        for (key, value) in told {
            let found = environment.and_then(|all| all.get(key)).map(String::as_str);
            if found != Some(value) {
                wrong.push(format!("Patroni of {unit} is told {key}={found:?}, not {value:?}"));
            }
        }
        let exporter = plan.services.get("metrics_server");
        let exports = exporter.is_some_and(|service| service.startup == Some(Startup::Enabled));
        if !exports || !container.is_active("metrics_server") {
            wrong.push(format!("nobody exports metrics of {unit}"));
        }
        if !looks(plan.checks.get("postgresql"), container.patroni()) {
            wrong.push(format!("nobody looks whether {unit} serves"));
        }
    }
    wrong.extend(services(state, app));
    wrong.extend(peers(state, app));
    wrong
}

/// Whether a check would find the member well: a request of Pebble's own finds one that speaks in
/// clear, and a command one that speaks TLS.
fn looks(check: Option<&Check>, member: Option<&Member>) -> bool {
    let encrypted = member.is_some_and(Member::speaks_tls);
    check.is_some_and(|check| match (&check.http, &check.exec) {
        (Some(http), None) => !encrypted && http.url == "http://localhost:8008/health",
        (None, Some(exec)) => {
            let words = ["HTTPSConnection", "'localhost', 8008", "'/health'"];
            encrypted && words.iter().all(|word| exec.command.contains(word))
        }
        _ => false,
    })
}

/// The Services have the ports of PostgreSQL and of Patroni, and go with the application.
fn services(state: &State, app: &AppName) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in [format!("{app}-primary"), format!("{app}-replicas")] {
        let service = state.far.kube.get(Kind::Service, MODEL, &name).unwrap_or_default();
        let ports = service["spec"]["ports"].as_array().into_iter().flatten();
        let mut ports: Vec<u64> = ports.filter_map(|port| port["port"].as_u64()).collect();
        ports.sort_unstable();
        if ports != [5432, 8008] {
            wrong.push(format!("the Service {name} has the ports {ports:?}"));
        }
        if !is_owned(&service) {
            wrong.push(format!("the Service {name} stays when the application goes"));
        }
    }
    wrong
}

/// Every unit says in the relation of upgrades that it is idle.
fn peers(state: &State, app: &AppName) -> Vec<String> {
    let named = |relation: &&juju_model::Relation| {
        relation.is_peer()
            && relation.end(app).is_some_and(|end| end.endpoint.as_str() == "upgrade")
    };
    let Some(relation) = state.model.relations().find(named) else { return Vec::new() };
    let idle =
        |bag: &juju_model::Databag| bag.values.get("state").map(String::as_str) == Some("idle");
    let units = state.model.units(app).map(|unit| &unit.name);
    let silent = units.filter(|unit| !relation.unit_bags.get(*unit).is_some_and(idle));
    silent.map(|unit| format!("{unit} does not say that no upgrade runs")).collect()
}

fn is_owned(object: &Value) -> bool {
    !object["metadata"]["ownerReferences"].is_null()
}

/// What Patroni made goes with the application, and is not taken for left over; what Juju made is
/// there. Every server runs with the parameters of its file, and log is kept for units alone.
pub(super) fn adopted(state: &State) -> Vec<String> {
    let Some(app) = server(state).filter(|_| able(state)) else { return Vec::new() };
    let mut wrong = Vec::new();
    for (unit, member) in members(&state.far, &app) {
        for name in member.missed() {
            wrong.push(format!("{unit} runs with another {name} than its file has"));
        }
    }
    for (unit, pod) in state.far.pods.iter().filter(|(unit, _)| *unit.app() == app) {
        if pod.container.as_ref().is_some_and(|container| container.disk.folder(ASIDE).is_some()) {
            wrong.push(format!("the data that {unit} had before it copied are still there"));
        }
    }
    wrong.extend(kept_for(state, &app));
    let scope = format!("patroni-{app}");
    for object in state.far.kube.list(Kind::Endpoints, MODEL, &Selector::default()) {
        let Some(name) =
            object["metadata"]["name"].as_str().filter(|name| name.starts_with(&scope))
        else {
            continue;
        };
        if !is_owned(&object) || object["metadata"]["annotations"][LOCK].is_null() {
            wrong.push(format!("the Endpoints {name} are nobody's"));
        }
    }
    if state.far.kube.get(Kind::Service, MODEL, &format!("{app}-endpoints")).is_none() {
        wrong.push("the members have no names".to_owned());
    }
    wrong
}

/// Log is kept for each unit while it is away, and for none that has left.
fn kept_for(state: &State, app: &AppName) -> Vec<String> {
    let units = state.model.units(app).map(|unit| slots::of_pod(&unit.name.pod()));
    let units: BTreeSet<String> = units.collect();
    let permanent = slots::permanent(&state.far, app);
    let forgotten = units.difference(&permanent);
    let left = slots::present(&state.far, app).filter(|name| !units.contains(*name));
    let forgotten = forgotten.map(|name| format!("the slot {name} goes while its unit is away"));
    forgotten.chain(left.map(|name| format!("the slot {name} keeps log for nobody"))).collect()
}
