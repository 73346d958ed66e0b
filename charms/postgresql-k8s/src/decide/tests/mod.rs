//! Tests of the decisions: effects are compared by what they are called and what they say.

mod actions;
mod clients;
mod flowcharts;
mod healing;
mod legacy;
mod many;
mod plugins;
mod refused;
mod relations;
mod tls;
mod upgrade;
mod watch;

use juju_charm::{Decision, Event, Outcome, Write};

use crate::effect::Effect;
use crate::facts::Facts;

/// What effects say of themselves, and the results that are not secret.
fn list(decision: &Decision<Effect>) -> Vec<String> {
    let text = |effect: &Effect| match effect {
        Effect::Juju(Write::ActionResult(key, value)) if key != "password" => {
            format!("result {key}={}", value.expose())
        }
        effect => format!("{effect:?}"),
    };
    decision.effects.iter().map(text).collect()
}

fn deferred(decision: &Decision<Effect>) -> bool {
    matches!(decision.outcome, Outcome::Defer(_))
}

fn decide(event: &Event, facts: &Facts) -> Decision<Effect> {
    super::decide(event, facts)
}

fn pebble_ready() -> Event {
    Event::PebbleReady { container: "postgresql".parse().unwrap() }
}

/// Whether `first` comes before `second` among the effects.
#[track_caller]
fn check_order(decision: &Decision<Effect>, first: &str, second: &str) {
    let list = list(decision);
    let at = |wanted: &str| list.iter().position(|words| words.starts_with(wanted));
    let (a, b) = (at(first), at(second));
    assert!(a.is_some() && b.is_some() && a < b, "{first} before {second} in {list:#?}");
}

#[track_caller]
fn check_without(decision: &Decision<Effect>, unwanted: &str) {
    let list = list(decision);
    assert!(!list.iter().any(|words| words.starts_with(unwanted)), "{unwanted} in {list:#?}");
}
