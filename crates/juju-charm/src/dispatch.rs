//! One dispatch: deferred events, then the new one, then status, then the writes.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;

use crate::context::HookError;
use crate::environment::EnvironmentError;
use crate::event::EventError;
use crate::{Applied, Charm, Context, Deferrals, Deferred, Environment, Event, Level, Outcome};
use crate::{Processes, RelationEvent, RelationKind, Status, Tools, Vars, error_chain};

/// The controller-state key of the deferred events.
const DEFERRED_KEY: &str = "deferred";

/// What makes a hook fail.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError<E: std::error::Error> {
    /// The environment is not one of Juju's.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The event cannot be read.
    #[error(transparent)]
    Event(#[from] EventError),
    /// Juju refused something that the framework did.
    #[error(transparent)]
    Context(#[from] HookError),
    /// The charm gave up.
    #[error(transparent)]
    Charm(E),
}

/// The statuses to report at the end of a dispatch.
#[derive(Default)]
struct Report {
    unit: Option<Status>,
    app: Option<Status>,
}

/// The `main` of a charm: handles the event in the environment with the real hook tools.
///
/// An error is logged and makes the exit code 1, so that Juju retries the hook.
/// `TALISMAN_TRACE_TOOLS` in the environment logs how many tools were called.
pub fn run<C: Charm>(mut charm: C) -> ExitCode {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let vars: Vars = std::env::vars_os().map(|(k, v)| (lossy(k).into(), lossy(v))).collect();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start the runtime: {error}")),
    };
    let environment = match Environment::parse(&vars) {
        Ok(environment) => environment,
        Err(error) => return failed(&error_chain(&error)),
    };
    let trace = vars.contains_key("TALISMAN_TRACE_TOOLS");
    let tools = Processes::new(&environment.charm_dir, trace);
    match runtime.block_on(dispatch(&mut charm, environment, &vars, Box::new(tools))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error_chain(&error)),
    }
}

/// Says on stderr why the charm ends; the agent logs it, and shows it as an action's result.
fn failed(message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{message}");
    ExitCode::FAILURE
}

/// Handles the event in `vars` with the given tools.
///
/// # Errors
/// When the hook has to fail. The error has been logged; whatever Juju buffers is lost.
pub async fn dispatch<C: Charm>(
    charm: &mut C,
    environment: Environment,
    vars: &Vars,
    tools: Box<dyn Tools>,
) -> Result<(), DispatchError<C::Error>> {
    let event = Event::parse(vars)?;
    let mut hook = Context::new(environment, tools);
    let outcome = match handle_all(charm, &mut hook, &event).await {
        // A status is shown at once, so what it is about is written first.
        Ok(report) => hook.flush().and_then(|()| publish(&mut hook, &report)).map_err(Into::into),
        Err(error) => Err(error),
    };
    if let Err(error) = &outcome {
        hook.log(Level::Error, format!("{} failed: {}", event.name(), error_chain(error)));
    }
    hook.flush_logs();
    outcome
}

async fn handle_all<C: Charm>(
    charm: &mut C,
    hook: &mut Context,
    event: &Event,
) -> Result<Report, DispatchError<C::Error>> {
    let mut report = Report::default();
    // An action, stop and remove are handled alone: a caller waits for them, or no later hook
    // retries anything.
    if matches!(event, Event::Action { .. } | Event::Stop | Event::Remove) {
        if let Outcome::Defer(reason) = handle(charm, hook, event, &mut report).await?.outcome {
            refuse(hook, event, &reason);
        }
        return Ok(report);
    }
    hook.invalidate_for(event)?;
    let mut deferrals = deferrals(hook)?;
    let due: Vec<Deferred> = deferrals.iter().filter(|due| due.event != *event).cloned().collect();
    let mut lacking = BTreeSet::new();
    for Deferred { event, reason } in due {
        if is_gone(hook, &event)? {
            hook.log(Level::Info, format!("{} is dropped: its subject is gone", event.name()));
            deferrals.forget(&event);
            continue;
        }
        // What an event before it still lacks, this one lacks too.
        if lacking.contains(&reason) {
            continue;
        }
        let handled = handle(charm, hook, &event, &mut report).await?;
        if let Handled { outcome: Outcome::Defer(reason), acted: false } = &handled {
            lacking.insert(reason.clone());
        }
        settle(hook, &mut deferrals, &event, handled.outcome);
    }
    let handled = handle(charm, hook, event, &mut report).await?;
    settle(hook, &mut deferrals, event, handled.outcome);
    hook.set_state(DEFERRED_KEY, deferrals.to_text())?;
    Ok(report)
}

/// The events that earlier hooks deferred.
fn deferrals(hook: &mut Context) -> Result<Deferrals, HookError> {
    let Some(text) = hook.state(DEFERRED_KEY)? else { return Ok(Deferrals::default()) };
    let (deferrals, unread) = Deferrals::parse(&text);
    for why in unread {
        hook.log(Level::Warning, format!("a deferred event cannot be read, so it goes: {why}"));
    }
    Ok(deferrals)
}

/// How an event was handled.
struct Handled {
    outcome: Outcome,
    /// Whether there was anything to apply.
    acted: bool,
}

/// Gathers, decides and applies for one event, a second time where an effect asks for it.
async fn handle<C: Charm>(
    charm: &mut C,
    hook: &mut Context,
    event: &Event,
    report: &mut Report,
) -> Result<Handled, DispatchError<C::Error>> {
    match round(charm, hook, event, report).await? {
        (_, true) => Ok(round(charm, hook, event, report).await?.0),
        (handled, false) => Ok(handled),
    }
}

/// One round, and whether an effect asks for another.
async fn round<C: Charm>(
    charm: &mut C,
    hook: &mut Context,
    event: &Event,
    report: &mut Report,
) -> Result<(Handled, bool), DispatchError<C::Error>> {
    let mut again = false;
    hook.enter(event)?;
    let facts = charm.gather(hook, event).await.map_err(DispatchError::Charm)?;
    let decision = C::decide(event, &facts);
    let mut outcome = decision.outcome;
    let acted = !decision.effects.is_empty();
    let mut met = Vec::new();
    for effect in decision.effects {
        match charm.apply(hook, effect).await.map_err(DispatchError::Charm)? {
            Applied::Done => {}
            Applied::Rerun => again = true,
            Applied::Status(status) => met.push(status),
            Applied::Later { reason, status } => {
                met.push(status);
                outcome = Outcome::Defer(reason);
            }
            Applied::Stop(status) => {
                met.push(status);
                break;
            }
            Applied::Defer { reason, status } => {
                met.extend(status);
                outcome = Outcome::Defer(reason);
                break;
            }
        }
    }
    // Handlers derive the status from facts, so a later one knows better.
    report.unit = Status::worst(met).or(decision.status).or(report.unit.take());
    report.app = decision.app_status.or(report.app.take());
    Ok((Handled { outcome, acted }, again))
}

fn settle(hook: &mut Context, deferrals: &mut Deferrals, event: &Event, outcome: Outcome) {
    match outcome {
        Outcome::Done => deferrals.forget(event),
        Outcome::Defer(reason) if !event.deferrable() => refuse(hook, event, &reason),
        Outcome::Defer(reason) => {
            hook.log(Level::Debug, format!("{} is deferred: {reason}", event.name()));
            if !deferrals.remember(event, &reason) {
                refuse(hook, event, "too many events are deferred already");
            }
        }
    }
}

fn refuse(hook: &mut Context, event: &Event, reason: &str) {
    hook.log(Level::Warning, format!("{} cannot be deferred: {reason}", event.name()));
}

/// Whether what a deferred event is about does not exist any more. The end of a
/// relation or of a unit's part in it is about something that is gone.
fn is_gone(hook: &mut Context, event: &Event) -> Result<bool, HookError> {
    match event {
        Event::Relation(RelationEvent { kind, endpoint, id, remote_unit, .. }) => {
            if matches!(kind, RelationKind::Departed | RelationKind::Broken) {
                return Ok(false);
            }
            if !hook.relations(endpoint.as_str())?.contains(id) {
                return Ok(true);
            }
            match remote_unit {
                Some(unit) => Ok(!hook.remote_units(*id)?.contains(unit)),
                None => Ok(false),
            }
        }
        Event::PebbleReady { container }
        | Event::PebbleCustomNotice { container, .. }
        | Event::PebbleCheckFailed { container, .. }
        | Event::PebbleCheckRecovered { container, .. } => {
            Ok(!hook.environment().has_container(container))
        }
        Event::StorageAttached { id, .. } => {
            let name = id.split_once('/').map_or(id.as_str(), |(name, _)| name);
            Ok(!hook.storage(name)?.iter().any(|storage| storage.id == *id))
        }
        Event::Install
        | Event::Start
        | Event::Stop
        | Event::Remove
        | Event::ConfigChanged
        | Event::UpdateStatus
        | Event::LeaderElected
        | Event::UpgradeCharm
        | Event::SecretChanged { .. }
        | Event::SecretRemove { .. }
        | Event::SecretRotate { .. }
        | Event::SecretExpired { .. }
        | Event::StorageDetaching { .. }
        | Event::Action { .. }
        | Event::Custom(_) => Ok(false),
    }
}

fn publish(hook: &mut Context, report: &Report) -> Result<(), HookError> {
    if let Some(status) = &report.app {
        hook.set_app_status(status)?;
    }
    if let Some(status) = &report.unit {
        hook.set_status(status)?;
    }
    Ok(())
}
