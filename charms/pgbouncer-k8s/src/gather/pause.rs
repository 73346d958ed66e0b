//! Whether a process holds its clients.

use std::net::IpAddr;
use std::time::Duration;

use juju_charm::{Error, Event, Level, Reader, error_chain};
use juju_interfaces::pgb_peers::secret_keys;
use pooler_agent::Trace;
use postgres::{Console, Pause};

use crate::connections::{Connections, PATIENCE, pebble};
use crate::facts::FullFacts;
use crate::names;

/// How long a process may take to answer.
const ANSWER: Duration = Duration::from_secs(3);
/// Between two looks at a pause: the agent's own may end between a look at it and one at its file.
const AGAIN: Duration = Duration::from_secs(1);

/// The first process that an operator has paused, and what it holds clients back from. No event
/// reports a pause or its end: once one was seen, every hook looks until there is none. One of the
/// agent's own ends by itself.
pub(super) async fn look(
    connections: &Connections,
    hook: &mut Reader,
    event: &Event,
    facts: &FullFacts,
) -> Result<Option<(u32, Pause)>, Error> {
    if *event != Event::UpdateStatus && !facts.was_paused {
        return Ok(None);
    }
    let runs = |index: &u32| {
        let active = facts.workload.as_ref().map(|workload| &workload.active);
        active.is_some_and(|active| active.contains(&names::service(*index)))
    };
    for index in (0..facts.common.processes.get()).filter(runs) {
        if paused(connections, hook, facts, index).await?.is_none() {
            continue;
        }
        tokio::time::sleep(AGAIN).await;
        if let Some(pause) = paused(connections, hook, facts, index).await? {
            return Ok(Some((index, pause)));
        }
    }
    Ok(None)
}

/// How the agent's last pause went; none where there was none since the container started.
pub(super) async fn shown(hook: &Reader) -> Result<Option<Trace>, String> {
    let path = names::agent_trace(hook.app());
    let text = pebble(hook).with_timeout(PATIENCE).pull_text(&path).await.map_err(error_chain)?;
    let parse = |text: String| serde_json::from_str(&text);
    let parsed = text.map(parse).transpose();
    parsed.map_err(|error| format!("cannot understand {path}: {error}"))
}

/// The agent's own pause. It is on only while PostgreSQL does not answer.
pub(super) async fn held(hook: &mut Reader, facts: &FullFacts) -> Option<Trace> {
    let silent = facts.backend.as_ref().is_some_and(|backend| !backend.answers);
    if !silent || facts.workload.is_none() {
        return None;
    }
    match shown(hook).await {
        Ok(trace) => trace.filter(|trace| trace.left(facts.now.saturating_mul(1000)).is_some()),
        // It is shown only: nothing else depends on it.
        Err(error) => {
            hook.log(Level::Debug, error);
            None
        }
    }
}

/// What a process holds clients back from while the agent holds none.
async fn paused(
    connections: &Connections,
    hook: &mut Reader,
    facts: &FullFacts,
    index: u32,
) -> Result<Option<Pause>, Error> {
    let secret = facts.secret.as_ref();
    let password = secret.and_then(|secret| secret.get(secret_keys::MONITORING_PASSWORD));
    let (Some(password), Ok(port)) = (password, facts.effective.port.parse()) else {
        return Ok(None);
    };
    let console = Console {
        address: IpAddr::V4(names::console(index)),
        port,
        user: names::stats_user(facts.common.unit.app()),
        password: password.clone(),
        certificate: facts.tls.files.as_ref().map(|files| files.certificate.clone()),
        timeout: ANSWER,
    };
    let answer = connections.ports.pause(&console).await;
    if let Err(error) = &answer {
        // Whether it serves at all is the check's to say.
        hook.log(Level::Debug, error_chain(error));
    }
    let Ok(Some(pause)) = answer else { return Ok(None) };
    // The agent writes its file before it pauses anything.
    match pebble(hook).with_timeout(PATIENCE).stat(&names::agent_hold(hook.app())).await {
        Ok(None) => Ok(Some(pause)),
        Ok(Some(_)) => Ok(None),
        Err(error) if error.is_unreachable() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
