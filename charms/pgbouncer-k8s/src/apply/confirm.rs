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
        let answer = ask(connections, &console, confirm.listed, settings).await;
        let Some(status) = judge(*index, settings, confirm.listed, &answer) else { continue };
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
async fn ask(
    connections: &Connections,
    console: &Console,
    listed: bool,
    settings: &Settings,
) -> Answer {
    let end = Instant::now() + READ;
    loop {
        let answer = connections.ports.settings(console).await;
        let taken = match &answer {
            Ok(shown) => settings.difference(shown).is_none(),
            Err(failure) => knows_no_user(listed, failure),
        };
        if taken || Instant::now() > end {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whether the process has had no user list since its start, and so cannot be asked. What it
/// started with is the configuration that names none.
fn knows_no_user(listed: bool, failure: &postgres::Failure) -> bool {
    !listed && failure.is_login_refused()
}

/// What there is to say of a process that was asked; nothing where it has these settings.
fn judge(index: u32, settings: &Settings, listed: bool, answer: &Answer) -> Option<Status> {
    let shown = match answer {
        Ok(shown) => shown,
        Err(failure) if knows_no_user(listed, failure) => return None,
        Err(_) => return Some(Status::waiting(wording::process_silent(index))),
    };
    let (name, asked, shown) = settings.difference(shown)?;
    Some(Status::blocked(wording::not_taken(index, name, asked, shown)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a process answers: its query_wait_timeout, or a refusal with or without an SQLSTATE.
    enum Answered {
        Shows(&'static str),
        Refuses(&'static str),
        Breaks(&'static str),
    }
    use Answered::{Breaks, Refuses, Shows};

    #[track_caller]
    fn check(listed: bool, answer: &Answered, expected: &str) {
        let mut settings = Settings::default();
        settings.set("query_wait_timeout", 60).unwrap();
        let answer = match answer {
            Shows(text) => Ok(BTreeMap::from([("query_wait_timeout".into(), (*text).into())])),
            Refuses(text) => Err(postgres::Failure::new(Some("08P01"), *text)),
            Breaks(text) => Err(postgres::Failure::new(None, *text)),
        };
        let status = judge(1, &settings, listed, &answer);
        let said = status.map(|status| format!("{}: {}", status.word(), status.message()));
        assert_eq!(said.unwrap_or_default(), expected);
    }

    const OTHER: &str =
        "blocked: PgBouncer process 1 has not taken query_wait_timeout=60, it has \"120\"";
    const SILENT: &str = "waiting: PgBouncer process 1 does not say what it has taken";
    /// What PgBouncer says to a user that it does not know.
    const UNKNOWN: &str = "db error: FATAL: SASL authentication failed";

    #[test]
    fn config_changed_is_taken_no_names_process_and_setting() {
        check(true, &Shows("120"), OTHER);
        check(true, &Refuses(UNKNOWN), SILENT);
        check(true, &Breaks("connection refused"), SILENT);
    }

    #[test]
    fn config_changed_is_taken_yes_has_nothing_to_say() {
        check(true, &Shows("60"), "");
    }

    /// A process that lost its user list keeps its users, one that started without has none.
    #[test]
    fn a_process_without_a_user_list_is_taken_at_its_word_or_has_none() {
        check(false, &Shows("60"), "");
        check(false, &Shows("120"), OTHER);
        check(false, &Refuses(UNKNOWN), "");
        check(false, &Refuses("db error: FATAL: SSL required"), SILENT);
        check(false, &Breaks("no answer in time"), SILENT);
        check(false, &Breaks("connection refused"), SILENT);
    }
}
