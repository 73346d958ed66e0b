//! Asks processes whether they have taken their configuration.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use juju_charm::{Applied, Context, Error, Level, Status, error_chain};
use pgbouncer::Settings;
use postgres::Console;
use tokio::time::Instant;

use crate::connections::Connections;
use crate::effect::Confirm;
use crate::names;
use crate::state_keys::EFFECTIVE;
use crate::wording;

/// How long a process may take to answer.
const ANSWER: Duration = Duration::from_secs(3);
/// How long a process may take to read its file after a reload.
const READ: Duration = Duration::from_secs(2);

/// Remembers what is effective if every process says so. A reload that a process has not confirmed
/// is owed: the next hook repeats it.
pub(super) async fn confirm(
    connections: &Connections,
    hook: &mut Context,
    confirm: &Confirm,
) -> Result<Applied, Error> {
    for (index, settings) in &confirm.processes {
        let console = Console {
            address: IpAddr::V4(names::console(*index)),
            port: confirm.port,
            user: confirm.user.clone(),
            password: confirm.password.secret(),
            certificate: confirm.certificate.clone(),
            timeout: ANSWER,
        };
        let answer = ask(connections, &console, settings).await;
        let Some(status) = judge(*index, settings, &answer) else { continue };
        if let Err(error) = &answer {
            hook.log(Level::Warning, format!("{}: {}", status.message(), error_chain(error)));
        }
        hook.set_state(EFFECTIVE, Some(confirm.owed.to_text()))?;
        return Ok(Applied::Status(status));
    }
    hook.set_state(EFFECTIVE, Some(confirm.effective.to_text()))?;
    Ok(Applied::Done)
}

/// What a process shows.
type Answer = Result<BTreeMap<String, String>, postgres::Failure>;

/// Asks a process until it has these settings, or for as long as it may take to read its file.
async fn ask(connections: &Connections, console: &Console, settings: &Settings) -> Answer {
    let end = Instant::now() + READ;
    loop {
        let answer = connections.ports.settings(console).await;
        let taken = matches!(&answer, Ok(shown) if settings.difference(shown).is_none());
        if taken || Instant::now() > end {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What there is to say of a process that was asked; nothing where it has these settings.
fn judge(index: u32, settings: &Settings, answer: &Answer) -> Option<Status> {
    let Ok(shown) = answer else {
        return Some(Status::waiting(wording::process_silent(index)));
    };
    let (name, asked, shown) = settings.difference(shown)?;
    Some(Status::blocked(wording::not_taken(index, name, asked, shown)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(shown: Option<&str>, expected: Option<&Status>) {
        let mut settings = Settings::default();
        settings.set("query_wait_timeout", 60).unwrap();
        let shown = shown.map(|text| BTreeMap::from([("query_wait_timeout".into(), text.into())]));
        let answer = shown.ok_or_else(|| postgres::Failure::new(None, "connection refused"));
        assert_eq!(judge(1, &settings, &answer).as_ref(), expected);
    }

    #[test]
    fn config_changed_is_taken_no_names_process_and_setting() {
        let has = "PgBouncer process 1 has not taken query_wait_timeout=60, it has \"120\"";
        check(Some("120"), Some(&Status::blocked(has)));
        let silent = "PgBouncer process 1 does not say what it has taken";
        check(None, Some(&Status::waiting(silent)));
    }

    #[test]
    fn config_changed_is_taken_yes_has_nothing_to_say() {
        check(Some("60"), None);
    }
}
