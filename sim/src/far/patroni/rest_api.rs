//! The REST API of the members, as the charm's client sees it.

use std::fmt::{Display, Formatter};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt as _;
use http1_client::{Body, Boxed, Bytes, Method, Request, Response, StatusCode, Stream, Transport};
use juju_names::UnitName;
use patroni::Rest;
use serde_json::{Value, json};

use super::dcs::{self, Dcs, Failover};
use super::{known_pods, scope};
use crate::World;
use crate::far::NEVER;
use crate::fault::{Fault, Port};
use crate::mutant::{self, Plant};
use crate::world::{MODEL, State};

/// How often Patroni looks whether another member leads, once a second.
const LOOKS: u32 = 20;

/// The way from one unit's charm to a host's Patroni.
struct Way {
    world: Arc<World>,
    from: UnitName,
    host: String,
    /// The CA that the other side is verified with; without one the request is in clear.
    authorities: Option<String>,
}

/// A client of the Patroni at a host.
pub(crate) fn client(
    world: Arc<World>,
    from: UnitName,
    host: &str,
    authorities: Option<String>,
) -> Rest {
    Rest::over(Arc::new(Way { world, from, host: host.to_owned(), authorities }))
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "Way({self})")
    }
}

impl Display for Way {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:8008", self.host)
    }
}

impl Transport for Way {
    fn dial(&self) -> Boxed<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async { Err(io::Error::from(io::ErrorKind::Unsupported)) })
    }

    fn send(&self, request: Request<Body>) -> Boxed<'_, Result<Response, http1_client::Error>> {
        Box::pin(self.answer(request))
    }
}

/// A status and a body.
type Answer = (u16, Value);

fn words(status: u16, text: impl Into<String>) -> Answer {
    (status, Value::String(text.into()))
}

/// The unit whose Patroni answers at a host.
fn resolve(from: &UnitName, host: &str) -> Option<UnitName> {
    if host == "127.0.0.1" {
        return Some(from.clone());
    }
    UnitName::from_pod(host.split('.').next()?).ok()
}

impl Way {
    async fn answer(&self, request: Request<Body>) -> Result<Response, http1_client::Error> {
        let refused =
            || http1_client::Error::Connect(io::Error::from(io::ErrorKind::ConnectionRefused));
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let path = parts.uri.path().to_owned();
        let what = || format!("{} {} at {}", parts.method, path, self.host);
        match self.world.effect(Port::Patroni, what) {
            Some(Fault::PatroniAway) => return Err(refused()),
            Some(Fault::PatroniSlow) => tokio::time::sleep(NEVER).await,
            Some(Fault::PatroniFails) => {
                return Ok(response((503, Value::String("no answer of the API".to_owned()))));
            }
            _ => {}
        }
        let unit = self.world.look(|state| {
            let unit = resolve(&self.from, &self.host)?;
            super::member(state, &unit).map(|_| unit)
        });
        let Some(unit) = unit else { return Err(refused()) };
        self.look_for_secrets(
            &unit,
            parts.headers.contains_key(http1_client::header::AUTHORIZATION),
        );
        if !self.is_understood(&unit) {
            return Err(refused());
        }
        let reads = parts.method == Method::GET;
        if mutant::silences(&format!("{} {path}", parts.method)) {
            self.world.effect_done();
            return Ok(response(words(200, "")));
        }
        let answer = if reads {
            self.world.look(|state| look(state, &unit, &path)).ok_or_else(refused)?
        } else {
            let login = parts.headers.get(http1_client::header::AUTHORIZATION);
            let login = login.and_then(|login| login.to_str().ok()).unwrap_or_default();
            let order: Value = serde_json::from_slice(&mutant::order(body)).unwrap_or_default();
            let login = if mutant::is(&Plant::Anonymous) { "" } else { login };
            if self.world.look(|state| knows(state, &unit, login)) {
                self.world.change(|state| state.gate.write(what));
                self.act(&unit, &path, &order).await
            } else {
                words(401, "not authenticated")
            }
        };
        self.world.effect_done();
        Ok(response((answer.0, mutant::heard(answer.1))))
    }

    /// Notes a password that crosses the network in clear to a member that speaks TLS: whether it
    /// is understood there or not, others have read it.
    fn look_for_secrets(&self, unit: &UnitName, has_password: bool) {
        if !has_password || self.authorities.is_some() || self.is_own() {
            return;
        }
        self.world.change(|state| {
            if super::shown_authority(state, unit).is_some()
                && let Some(cluster) = state.patroni.get_mut(unit.app())
            {
                cluster.wrong.push(format!("Patroni's password goes to {unit} in clear"));
            }
        });
    }

    /// Whether both ends speak the same: a client with a CA speaks in clear to the own member
    /// alone, and one without always.
    fn is_understood(&self, unit: &UnitName) -> bool {
        let shown = self.world.look(|state| super::shown_authority(state, unit));
        match (&self.authorities, shown) {
            (None, shown) => shown.is_none(),
            (Some(_), None) => self.is_own(),
            (Some(trusted), Some(shown)) => shown.contains(trusted),
        }
    }

    fn is_own(&self) -> bool {
        self.host == "127.0.0.1"
    }

    async fn act(&self, unit: &UnitName, path: &str, order: &Value) -> Answer {
        match path {
            "/config" => self.world.change(|state| configure(state, unit, order)),
            "/reinitialize" => self.world.change(|state| reinitialise(state, unit)),
            "/restart" => self.world.change(|state| restart(state, unit)),
            "/switchover" | "/failover" => {
                let begun = self.world.change(|state| begin(state, unit, path, order));
                match begun {
                    Ok(former) => self.follow_up(unit, &path[1..], former).await,
                    Err(answer) => answer,
                }
            }
            _ => words(404, "not found"),
        }
    }

    /// Looks until another member leads.
    async fn follow_up(&self, unit: &UnitName, what: &str, former: Option<String>) -> Answer {
        for _ in 0..LOOKS {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let dcs = self.world.look(|state| Dcs::read(state, unit.app()));
            match dcs.leader {
                Some(leader) if Some(&leader) != former.as_ref() => {
                    return words(200, format!("Successfully {what} over to \"{leader}\""));
                }
                Some(_) if dcs.failover.is_none() => return words(503, format!("{what} failed")),
                _ => {}
            }
        }
        words(503, format!("{what} status unknown"))
    }
}

fn response((status, body): Answer) -> Response {
    let text = match body {
        Value::String(text) => text,
        body => body.to_string(),
    };
    let status = StatusCode::from_u16(status).unwrap_or_default();
    Response { status, headers: Default::default(), body: Bytes::from(text) }
}

/// Whether a member takes this login.
fn knows(state: &State, unit: &UnitName, login: &str) -> bool {
    let Some((user, password)) = super::member(state, unit).and_then(|member| member.rest_user())
    else {
        return true;
    };
    login == format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn look(state: &State, unit: &UnitName, path: &str) -> Option<Answer> {
    let member = super::member(state, unit)?;
    Some(match path {
        "/cluster" => (200, cluster(state, unit)),
        "/config" => match Dcs::read(state, unit.app()).config {
            Some(config) => (200, config),
            None => words(502, ""),
        },
        "/health" => {
            let mut body = json!({"state": member.state(), "role": member.role()});
            let data = state.volumes.get(unit).and_then(|volume| volume.data.as_ref());
            if let Some(data) = data.filter(|_| member.serves()) {
                body["timeline"] = data.timeline.into();
            }
            if member.pending {
                body["pending_restart"] = true.into();
            }
            if member.streams() {
                body["replication_state"] = "streaming".into();
            }
            let standbys = super::members(state, unit.app())
                .filter(|(_, other)| other.streams_from(unit, member.life))
                .map(|(other, _)| json!({"application_name": other.pod(), "state": "streaming"}));
            body["replication"] = standbys.collect();
            (if member.serves() { 200 } else { 503 }, body)
        }
        _ => words(404, "not found"),
    })
}

/// The cluster as the objects in the API show it.
fn cluster(state: &State, unit: &UnitName) -> Value {
    let dcs = Dcs::read(state, unit.app());
    let members = known_pods(state, unit.app());
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
fn configure(state: &mut State, unit: &UnitName, patch: &Value) -> Answer {
    let Some(mut config) = Dcs::read(state, unit.app()).config else {
        return words(503, "");
    };
    merge(&mut config, patch);
    dcs::configure(&state.kube, unit.app(), &config);
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
fn reinitialise(state: &mut State, unit: &UnitName) -> Answer {
    let leader = Dcs::read(state, unit.app()).leader;
    if leader.is_none_or(|leader| leader == unit.pod()) {
        return words(503, "Cluster has no leader, can not reinitialize");
    }
    super::forget_data(state, unit);
    words(200, "reinitialize started")
}

fn restart(state: &mut State, unit: &UnitName) -> Answer {
    if super::member(state, unit).is_some_and(|member| member.serves()) {
        super::cycle::start_again(state, unit);
        return words(200, "restarted successfully");
    }
    words(503, "postgres is not running")
}

/// Checks an order to hand the lead over and writes it; who leads now.
fn begin(
    state: &mut State,
    unit: &UnitName,
    path: &str,
    order: &Value,
) -> Result<Option<String>, Answer> {
    let app = unit.app();
    let planned = path == "/switchover";
    let text = |key: &str| order[key].as_str().map(str::to_owned);
    let order = Failover { leader: text("leader"), candidate: text("candidate") };
    let dcs = Dcs::read(state, app);
    let refuse = |text: &str| Err(words(412, text));
    if planned && order.leader != dcs.leader {
        return refuse("leader name does not match");
    }
    let in_sync = |name: &str| !dcs.is("synchronous_mode") || dcs.sync.iter().any(|s| s == name);
    let known = super::known_members(state, app);
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
    let able = |unit: &&&UnitName| super::member(state, unit).is_some_and(|m| m.serves());
    if !candidates.iter().any(|unit| able(&unit)) {
        return refuse("switchover is not possible: no good candidates have been found");
    }
    if let Some(cluster) = state.patroni.get_mut(app).filter(|_| !planned) {
        cluster.forced = true;
    }
    dcs::order(&state.kube, app, Some(&order));
    // Without a leader there is none to become another.
    Ok(dcs.leader.filter(|_| planned))
}
