//! What 5,000 clients come to, beside the bounds of Juju 4.

use juju_charm::{Event, Own, Write};

use super::decide;
use crate::decide::CLIENTS;
use crate::effect::Effect;
use crate::facts::Facts;
use crate::facts::fixture::{client, steady};

const COUNT: u32 = 5000;
/// Ids of relations are never given again.
const FIRST: u32 = 100_000;

/// What they may take in the peers' bag, which each hook of each unit reads.
const KEY_MAX: usize = 64 << 10;

#[test]
fn five_thousand_clients_fit() {
    let one =
        |number| client(FIRST + number, &format!("a_database_with_an_ordinary_name_{number}"), &[]);
    let facts = Facts { clients: (0..COUNT).map(one).collect(), ..steady() };
    let effects = decide(&Event::UpdateStatus, &facts).effects;
    let served = effects.iter().filter(|effect| matches!(effect, Effect::ServeClient(_))).count();
    assert_eq!(served, COUNT as usize);
    let known = effects.iter().find_map(|effect| match effect {
        Effect::Juju(Write::Bag { own: Own::App, changes, .. }) => {
            changes.iter().find_map(|(key, value)| (key == CLIENTS).then_some(value))
        }
        _ => None,
    });
    let size = known.map_or(0, str::len);
    println!("{COUNT} clients: {size} bytes in the peers' bag");
    assert!((1..=KEY_MAX).contains(&size), "{size}");
}
