//! The way from a charm to a member's Patroni.

use std::fmt::{Display, Formatter};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use http1_client::{Body, Boxed, Bytes, Method, Request, Response, StatusCode, Stream, Transport};
use juju_names::UnitName;
use serde_json::Value;

use crate::World;
use crate::far::NEVER;
use crate::far::patroni;
use crate::far::patroni::rest_api::{self, Answer, words};
use crate::fault::{Fault, Port};
use crate::mutant::{self, Plant};

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
) -> ::patroni::Rest {
    ::patroni::Rest::over(Arc::new(Way { world, from, host: host.to_owned(), authorities }))
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
            patroni::member(&state.far, &unit).map(|_| unit)
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
            self.world.look(|state| rest_api::look(&state.far, &unit, &path)).ok_or_else(refused)?
        } else {
            let login = parts.headers.get(http1_client::header::AUTHORIZATION);
            let login = login.and_then(|login| login.to_str().ok()).unwrap_or_default();
            let order: Value = serde_json::from_slice(&mutant::order(body)).unwrap_or_default();
            let login = if mutant::is(&Plant::Anonymous) { "" } else { login };
            if self.world.look(|state| rest_api::knows(&state.far, &unit, login)) {
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
            let far = &mut state.far;
            if patroni::shown_authority(far, unit).is_some()
                && let Some(cluster) = far.patroni.get_mut(unit.app())
            {
                cluster.wrong.push(format!("Patroni's password goes to {unit} in clear"));
            }
        });
    }

    /// Whether both ends speak the same: a client with a CA speaks in clear to the own member
    /// alone, and one without always.
    fn is_understood(&self, unit: &UnitName) -> bool {
        let shown = self.world.look(|state| patroni::shown_authority(&state.far, unit));
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
            "/config" => {
                self.world.change(|state| rest_api::configure(&mut state.far, unit, order))
            }
            "/reinitialize" => {
                self.world.change(|state| rest_api::reinitialise(&mut state.far, unit))
            }
            "/restart" => self.world.change(|state| rest_api::restart(&mut state.far, unit)),
            "/switchover" | "/failover" => {
                let begun =
                    self.world.change(|state| rest_api::begin(&mut state.far, unit, path, order));
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
            let dcs = self.world.look(|state| patroni::Dcs::read(&state.far, unit.app()));
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
