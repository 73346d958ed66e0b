//! What runs in the container.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use charm::{AppName, Event, Hook, Level, SecretString};
use pebble::ExecOptions;
use pgbouncer::Version;

use crate::decide::starts;
use crate::facts::{Common, Effective, Workload};
use crate::operator::OperatorError;
use crate::place;

/// The controller-state key of the version that Juju was told.
pub(crate) const VERSION: &str = "version";

/// How long Pebble and PostgreSQL may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// A client of the container's Pebble.
pub(crate) fn pebble(hook: &Hook) -> Result<pebble::Client, OperatorError> {
    Ok(hook.pebble(&place::CONTAINER.parse()?))
}

/// Whether Pebble answers, and whether the container has a configuration.
pub(super) async fn configured(hook: &Hook) -> Result<(bool, bool), OperatorError> {
    match pebble(hook)?.with_timeout(PATIENCE).stat(&place::ini(0)).await {
        Ok(found) => Ok((true, found.is_some())),
        Err(error) if error.is_unreachable() => Ok((false, false)),
        Err(error) => Err(error.into()),
    }
}

/// Plan, services and files; `None` where Pebble does not answer.
pub(super) async fn workload(
    hook: &mut Hook,
    event: &Event,
    common: &Common,
    nonce: Option<&str>,
    effective: &Effective,
) -> Result<Option<Workload>, OperatorError> {
    let told = hook.state(VERSION)?.and_then(|text| text.parse().ok());
    let pebble = pebble(hook)?.with_timeout(PATIENCE);
    let app = hook.app();
    let mut paths: Vec<String> = (0..common.processes.get()).map(place::ini).collect();
    paths.push(place::LOGROTATE_RULES.to_owned());
    paths.push(place::passfile(app));
    paths.push(place::SERVER_CA.to_owned());
    // A key may outlive its certificate: the processes go on with it while settings that need it
    // are refused.
    paths.extend([place::tls_ca(app), place::tls_certificate(app), place::tls_key(app)]);
    match read_all(&pebble, hook, event, paths, nonce, told, effective).await {
        Ok(workload) => Ok(Some(workload)),
        Err(error) if error.is_unreachable() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether the event is a reason to compare the plan itself, and not only what is remembered of
/// it: the container may be new, the charm may be, or it is time to look.
fn looks(event: &Event) -> bool {
    starts(event) || matches!(event, Event::UpgradeCharm | Event::PebbleCheckFailed { .. })
}

async fn read_all(
    pebble: &pebble::Client,
    hook: &mut Hook,
    event: &Event,
    paths: Vec<String>,
    nonce: Option<&str>,
    told: Option<Version>,
    effective: &Effective,
) -> Result<Workload, pebble::Error> {
    let mut workload = read(pebble, hook, paths, nonce).await?;
    workload.told = told;
    let runs = workload.planned.contains(&place::service(0));
    if looks(event) || !runs || effective.layer.is_empty() {
        workload.plan = Some(pebble.plan().await?);
    }
    // An older PgBouncer does not start with settings of a later one, so nothing starts before
    // it was asked.
    if matches!(event, Event::PebbleReady { .. }) || (told.is_none() && (starts(event) || runs)) {
        workload.version = version(pebble, hook).await?;
    }
    Ok(workload)
}

async fn read(
    pebble: &pebble::Client,
    hook: &Hook,
    mut paths: Vec<String>,
    nonce: Option<&str>,
) -> Result<Workload, pebble::Error> {
    let services = pebble.services(&[]).await?;
    let planned = services.iter().map(|s| s.name.clone()).collect();
    let active: BTreeSet<String> =
        services.into_iter().filter(|s| s.is_active()).map(|s| s.name).collect();
    let app = hook.app();
    let list = nonce.map(|nonce| place::auth_file(app, nonce));
    paths.extend(list.clone());
    let wanted: Vec<&str> = paths.iter().map(String::as_str).collect();
    let texts = pebble.pull_texts(&wanted).await?;
    let hidden = |text: String| SecretString::from(text).into();
    let files = paths.into_iter().zip(texts);
    let files: BTreeMap<_, _> =
        files.filter_map(|(path, text)| Some((path, hidden(text?)))).collect();
    let known = list.is_some_and(|path| files.contains_key(&path));
    let strangers = if known { Vec::new() } else { lists(pebble, app).await? };
    Ok(Workload { plan: None, planned, active, files, strangers, version: None, told: None })
}

/// The user lists in memory, whatever their names.
async fn lists(pebble: &pebble::Client, app: &AppName) -> Result<Vec<String>, pebble::Error> {
    match pebble.list_files(place::MEMORY, &place::auth_file_name(app, "*")).await {
        Ok(found) => Ok(found.into_iter().map(|file| file.path).collect()),
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// What PgBouncer's program says of itself. If that is no version, the image's is assumed.
async fn version(
    pebble: &pebble::Client,
    hook: &mut Hook,
) -> Result<Option<Version>, pebble::Error> {
    let options = ExecOptions::default().owner(place::OWNER, place::OWNER);
    let version = match pebble.exec(&["/usr/sbin/pgbouncer", "--version"], &options).await {
        Ok(output) => Version::from_output(&output.stdout).map_err(words),
        // No such program: asking again would not help.
        Err(error @ pebble::Error::Refused { status: 400..500, .. }) => Err(words(error)),
        Err(error) => return Err(error),
    };
    Ok(version.map_err(|error| hook.log(Level::Warning, error)).ok())
}

/// An error and its causes on one line.
pub(crate) fn words(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
