//! Asks PostgreSQL's program about parameters that only it can check.

use juju_charm::{Error, ExposeSecret as _, Reader};
use pebble_client::ExecOptions;

use super::workload;
use crate::facts::Facts;
use crate::options::{Settings, option_of};
use crate::patroni_yml;

/// Turns the settings into what is wrong with them, where the server would refuse them.
///
/// The file that Patroni reads shows which parameters were checked before, so that a hook asks only
/// when they change.
pub(super) async fn check(hook: &Reader, facts: &mut Facts) -> Result<(), Error> {
    let (Ok(settings), Some(container)) = (&facts.settings, &facts.container) else {
        return Ok(());
    };
    let config = container.config.as_ref().map(|text| text.expose_secret());
    if config.is_some_and(|text| patroni_yml::is_checked(text, settings)) {
        return Ok(());
    }
    let pebble = workload(hook);
    let command = command(settings);
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    match pebble.exec(&words, &ExecOptions::default().owner("postgres", "postgres")).await {
        Ok(output) if output.success() => {}
        Ok(output) => facts.settings = Err(vec![refusal(&output.stderr)]),
        Err(error) if error.is_unreachable() => facts.container = None,
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// The server's program, asked for one parameter: it reads all the others before it answers,
/// and opens neither data nor a port.
fn command(settings: &Settings) -> Vec<String> {
    let mut words = vec![format!("{}/postgres", patroni_yml::BIN_DIR)];
    words.extend(["-C", "port"].map(str::to_owned));
    let nothing = ["config_file=/dev/null", "data_directory=/", "hba_file=/dev/null"];
    let nothing = nothing.into_iter().chain(["ident_file=/dev/null"]).map(str::to_owned);
    let asked = settings.free.iter().map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name}={text}"),
        None => format!("{name}={value}"),
    });
    words.extend(nothing.chain(asked).flat_map(|pair| ["-c".to_owned(), pair]));
    words
}

/// What the server has against a parameter, by the name of the option that set it.
fn refusal(stderr: &str) -> String {
    let fatal = stderr.lines().find_map(|line| line.split_once("FATAL:")).map(|(_, why)| why);
    let why = fatal.unwrap_or_else(|| stderr.trim().lines().last().unwrap_or("it says nothing"));
    let parameter = why.split('"').nth(1).unwrap_or_default();
    format!("cannot use the option {}: PostgreSQL says: {}", option_of(parameter), why.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stderr: &str, expected: &str) {
        assert_eq!(refusal(stderr), expected);
    }

    #[test]
    fn a_refusal_names_the_option() {
        check(
            "2026 GMT [1] LOG:  skipping\n2026 GMT [1] FATAL:  invalid value for parameter \
             \"TimeZone\": \"Mars\"\n",
            "cannot use the option request_time_zone: PostgreSQL says: invalid value for \
             parameter \"TimeZone\": \"Mars\"",
        );
        check(
            "FATAL:  unrecognized configuration parameter \"wrok_mem\"",
            "cannot use the option postgresql-settings: PostgreSQL says: unrecognized \
             configuration parameter \"wrok_mem\"",
        );
        check("", "cannot use the option postgresql-settings: PostgreSQL says: it says nothing");
    }
}
