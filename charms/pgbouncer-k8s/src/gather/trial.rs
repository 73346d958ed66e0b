//! Whether the option `pgbouncer-settings` goes with the rest, and PgBouncer's program takes it.

use juju_charm::{Error, Event, Hidden, Level, Reader, error_chain};
use pebble_client::ExecOptions;

use crate::connections::pebble;
use crate::decide::running;
use crate::facts::FullFacts;
use crate::names;
use crate::options::Options;
use crate::settings;
use crate::settings::OptionsError;

/// Has the program read each of its arguments as a configuration. One that it takes to the end has
/// nowhere to listen, so the program ends at once.
const SCRIPT: &str = "file=$(mktemp) || exit; trap 'rm -f \"$file\"' EXIT; for text; do \
    printf %s \"$text\" >\"$file\" && timeout 10 /usr/sbin/pgbouncer \"$file\" 2>&1; done";

/// Puts what was in force before in place of settings with which a process could not go on, or
/// turns the options into what is wrong with them where nothing else is known to be good.
pub(super) async fn check(
    hook: &mut Reader,
    event: &Event,
    facts: &mut FullFacts,
) -> Result<(), Error> {
    let Ok(options) = &facts.common.options else { return Ok(()) };
    let problem = match &facts.common.refused {
        Some(error) => Err(error.clone()),
        None if options.settings.is_empty() => Ok(()),
        None => match judge(hook, event, facts, options).await {
            Ok(judged) => judged,
            Err(error) if error.is_unreachable() => {
                facts.workload = None;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        },
    };
    let Err(error) = problem else { return Ok(()) };
    let before = facts.effective.settings.as_deref();
    let before = match before {
        Some(text) => settings::parse_kept(text),
        // A charm before this one did not remember them.
        None if facts.effective.layer.is_empty() => None,
        None => Some(settings::usable(&hook.config()?)),
    };
    let before = before.filter(|settings| goes(facts, settings).is_ok());
    facts.common.refused = Some(error.clone());
    match (before, &mut facts.common.options) {
        (Some(before), Ok(options)) => options.settings = before,
        (_, options) => *options = Err(error),
    }
    Ok(())
}

/// Whether settings go with what is known of certificates.
fn goes(facts: &FullFacts, settings: &[(String, String)]) -> Result<(), OptionsError> {
    let encrypts = facts.tls.steps().serves.is_some();
    let offered = facts.backend.as_ref().filter(|backend| backend.offered);
    settings::check_tls(settings, encrypts, offered.map(|backend| backend.ca.is_some()))
}

/// Whether PgBouncer could start with the settings. The first line of a configuration names the
/// version that it was checked with.
async fn judge(
    hook: &mut Reader,
    event: &Event,
    facts: &FullFacts,
    options: &Options,
) -> Result<Result<(), OptionsError>, pebble_client::Error> {
    if let Err(error) = goes(facts, &options.settings) {
        return Ok(Err(error));
    }
    let Some(workload) = facts.workload.as_ref().filter(|_| running(event, facts)) else {
        return Ok(Ok(()));
    };
    let ini = workload.files.get(&names::ini(0)).map(Hidden::expose).unwrap_or_default();
    if ini.starts_with(&settings::tried(&options.settings, facts.version())) {
        return Ok(Ok(()));
    }
    let trials = settings::trials(&options.settings);
    let command = ["sh", "-c", SCRIPT, "sh"].into_iter();
    let command: Vec<&str> = command.chain(trials.iter().map(String::as_str)).collect();
    match pebble(hook)
        .exec(&command, &ExecOptions::default().owner(names::OWNER, names::OWNER))
        .await
    {
        Ok(output) => Ok(settings::judge(&output.stdout, trials.len())),
        // An image without a shell: asking again would not help.
        Err(error @ pebble_client::Error::Refused { status: 400..500, .. }) => {
            hook.log(Level::Warning, error_chain(&error));
            Ok(Ok(()))
        }
        Err(error) => Err(error),
    }
}
