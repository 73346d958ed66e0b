//! Values of the command line that several verbs take.

use std::time::Duration;

use clap::ValueEnum;
use juju_names::UnitName;
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Tabular,
    Plain,
    Json,
    Yaml,
    Summary,
    #[value(aliases = ["oneline", "line"])]
    Short,
}

/// `<key>=<value>`
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("cannot read {text:?}: write <key>=<value>")),
    }
}

/// `90`, `90s`, `1.5m` or `1h`
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => f64::NAN,
    };
    number
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * seconds).ok())
        .ok_or_else(|| format!("cannot read {text:?} as a time: write, for instance, 90s or 5m"))
}

/// The unit that text names, if it is a unit's name.
pub(crate) fn unit(text: &str) -> Result<UnitName, String> {
    text.parse().map_err(|error: juju_names::NameError| error.to_string())
}

/// An option's value as it would be typed.
pub(crate) fn option_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<f64>) {
        assert_eq!(duration(text).ok().map(|found| found.as_secs_f64()), want, "{text}");
    }

    #[test]
    fn times_are_read_as_juju_writes_them() {
        check("90", Some(90.0));
        check("60.0s", Some(60.0));
        check("1.5m", Some(90.0));
        check("1h", Some(3600.0));
        check("-1s", None);
        check("soon", None);
    }
}
