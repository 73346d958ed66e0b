//! What runs in the container.

use std::collections::{BTreeMap, BTreeSet};

use juju_charm::{AppName, Error, Event, Level, Reader, SecretString, error_chain};
use pebble_client::ExecOptions;
use pgbouncer::Version;

use crate::connections::{PATIENCE, pebble};
use crate::decide::starts;
use crate::facts::{Common, Effective, Workload};
use crate::names;

/// Whether Pebble answers, and whether the container has a configuration.
pub(super) async fn configured(hook: &Reader) -> Result<(bool, bool), Error> {
    match pebble(hook).with_timeout(PATIENCE).stat(&names::ini(0)).await {
        Ok(found) => Ok((true, found.is_some())),
        Err(error) if error.is_unreachable() => Ok((false, false)),
        Err(error) => Err(error.into()),
    }
}

/// Plan, services and files; `None` where Pebble does not answer.
pub(super) async fn workload(
    hook: &mut Reader,
    event: &Event,
    common: &Common,
    nonce: Option<&str>,
    effective: &Effective,
) -> Result<Option<Workload>, Error> {
    let reported = hook.workload_version()?.and_then(|text| text.parse().ok());
    let pebble = pebble(hook).with_timeout(PATIENCE);
    let app = hook.app();
    let mut paths: Vec<String> = (0..common.processes.get()).map(names::ini).collect();
    paths.push(names::LOGROTATE_RULES.to_owned());
    paths.push(names::passfile(app));
    paths.push(names::SERVER_CA.to_owned());
    paths.push(names::AGENT_VERSION.to_owned());
    paths.push(names::agent_config(app));
    // A key may outlive its certificate: the processes go on with it while settings that need it
    // are refused.
    paths.extend([names::tls_ca(app), names::tls_certificate(app), names::tls_key(app)]);
    match read_all(&pebble, hook, event, paths, nonce, reported, effective).await {
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
    pebble: &pebble_client::Client,
    hook: &mut Reader,
    event: &Event,
    paths: Vec<String>,
    nonce: Option<&str>,
    reported: Option<Version>,
    effective: &Effective,
) -> Result<Workload, pebble_client::Error> {
    let mut workload = read(pebble, hook, paths, nonce).await?;
    workload.reported = reported;
    let runs = workload.planned.contains(&names::service(0));
    if looks(event) || !runs || effective.layer.is_empty() {
        workload.plan = Some(pebble.plan().await?);
    }
    // An older PgBouncer does not start with settings of a later one, so nothing starts before
    // it was asked.
    if matches!(event, Event::PebbleReady { .. }) || (reported.is_none() && (starts(event) || runs))
    {
        workload.version = version(pebble, hook).await?;
    }
    Ok(workload)
}

async fn read(
    pebble: &pebble_client::Client,
    hook: &Reader,
    mut paths: Vec<String>,
    nonce: Option<&str>,
) -> Result<Workload, pebble_client::Error> {
    let services = pebble.services(&[]).await?;
    let planned = services.iter().map(|s| s.name.clone()).collect();
    let active: BTreeSet<String> =
        services.into_iter().filter(|s| s.is_active()).map(|s| s.name).collect();
    let app = hook.app();
    let list = nonce.map(|nonce| names::auth_file(app, nonce));
    paths.extend(list.clone());
    let wanted: Vec<&str> = paths.iter().map(String::as_str).collect();
    let texts = pebble.pull_texts(&wanted).await?;
    let hidden = |text: String| SecretString::from(text).into();
    let files = paths.into_iter().zip(texts);
    let files: BTreeMap<_, _> =
        files.filter_map(|(path, text)| Some((path, hidden(text?)))).collect();
    let known = list.is_some_and(|path| files.contains_key(&path));
    let orphaned_files = if known { Vec::new() } else { lists(pebble, app).await? };
    Ok(Workload {
        plan: None,
        planned,
        active,
        files,
        orphaned_files,
        version: None,
        reported: None,
    })
}

/// The user lists in memory, whatever their names.
async fn lists(
    pebble: &pebble_client::Client,
    app: &AppName,
) -> Result<Vec<String>, pebble_client::Error> {
    match pebble.list_files(names::MEMORY, &names::auth_file_name(app, "*")).await {
        Ok(found) => Ok(found.into_iter().map(|file| file.path).collect()),
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// What PgBouncer's program says of itself. If that is no version, the image's is assumed.
async fn version(
    pebble: &pebble_client::Client,
    hook: &mut Reader,
) -> Result<Option<Version>, pebble_client::Error> {
    let options = ExecOptions::default().owner(names::OWNER, names::OWNER);
    let version = match pebble.exec(&["/usr/sbin/pgbouncer", "--version"], &options).await {
        Ok(output) => Version::from_output(&output.stdout).map_err(error_chain),
        // No such program: asking again would not help.
        Err(error @ pebble_client::Error::Refused { status: 400..500, .. }) => {
            Err(error_chain(error))
        }
        Err(error) => return Err(error),
    };
    Ok(version.map_err(|error| hook.log(Level::Warning, error)).ok())
}
