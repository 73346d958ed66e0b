//! What the leader does about extensions.

use juju_charm::{Event, Status};

use super::{check_order, check_without, decide, list, pebble_ready};
use crate::effect::Effect;
use crate::facts::Facts;
use crate::facts::fixture::{new_leader, second_unit, steady};
use crate::options::Plugins;

/// A running leader that had `known` and is configured to have `wanted`.
fn reported(known: &str, wanted: &str) -> Facts {
    let mut facts = steady();
    facts.plugins = Plugins::read(wanted);
    let app = &mut facts.peer.as_mut().unwrap().app;
    app.insert("plugins".to_owned(), known.to_owned());
    facts
}

#[track_caller]
fn check(facts: &Facts, expected: &str) {
    let list = list(&decide(&Event::ConfigChanged, facts));
    let found = list.iter().find(|words| words.starts_with("extensions"));
    assert_eq!(found.map(String::as_str).unwrap_or_default(), expected);
}

#[test]
fn converge_are_extensions_as_wanted_no_switches_what_differs() {
    check(&reported("", "hstore,vector"), "extensions on hstore vector off ");
    check(&reported("hstore,cube", "cube,uuid_ossp"), "extensions on uuid-ossp off hstore");
    let first = Facts { plugins: Plugins::read("audit"), ..new_leader() };
    let decision = decide(&pebble_ready(), &first);
    check_order(&decision, "set up cluster", "extensions on pgaudit off ");
}

#[test]
fn converge_are_extensions_as_wanted_yes_changes_nothing() {
    check(&reported("hstore", "hstore"), "");
    check(&steady(), "");
    // It is the leader's part, and there has to be a primary.
    let follower = Facts { plugins: Plugins::read("hstore"), ..second_unit() };
    check(&follower, "");
    check(&Facts { cluster: None, ..reported("", "hstore") }, "");
}

#[test]
fn a_plugin_without_the_one_that_it_needs_blocks() {
    let decision = decide(&Event::ConfigChanged, &reported("", "bool_plperl"));
    check_without(&decision, "extensions");
    let blocked = Status::blocked("Unsatisfied plugin dependencies. Please check the logs");
    let line = "cannot enable the plugin bool_plperl: set plugin_plperl_enable as well";
    let refused = decision.effects.iter().any(|effect| {
        matches!(effect, Effect::Refuse { line: said, status } if said == line && *status == blocked)
    });
    assert!(refused, "{:?}", list(&decision));
}
