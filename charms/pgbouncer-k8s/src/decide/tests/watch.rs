//! The chart "logging changed".

use charm_kit::watch::{Keepers, Watchers};

use crate::decide::watch;
use crate::fixture;

#[track_caller]
fn check(found: &[(&str, Result<&str, &str>)], expected: &[&str]) {
    let pair = |(unit, url): &(&str, Result<&str, &str>)| {
        (unit.parse().unwrap(), url.map(str::to_owned).map_err(str::to_owned))
    };
    let logs = Some(Keepers(found.iter().map(pair).collect()));
    let watchers = Watchers { logs, ..Watchers::default() };
    let writes = watch::writes(&fixture::common(false), &watchers);
    let words: Vec<String> = writes.iter().map(|write| format!("{write:?}")).collect();
    assert_eq!(words.len(), expected.len(), "{words:?}");
    for (found, expected) in words.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn logging_changed() {
    check(&[], &["send logs of pgbouncer to []"]);
    check(&[("loki/0", Ok("http://loki"))], &["send logs of pgbouncer to [\"loki/0-"]);
    let wrong = ("loki/0", Err("it is no address"));
    check(&[wrong], &["log: logs do not go to loki/0: it is no", "send logs of pgbouncer to []"]);
}
