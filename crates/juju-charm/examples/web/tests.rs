//! What the walk through it promises.

use juju_charm_testing::{Impossible, Relation, World};

use super::*;

fn world() -> Result<World, Impossible> {
    let world = World::new(include_str!("metadata.yaml"), "web/0")?;
    Ok(world.config_yaml(include_str!("config.yaml")))
}

#[track_caller]
fn check(world: World, status: &Status) {
    let ran = world.run(Web, &Event::ConfigChanged).unwrap();
    assert_eq!(ran.result, Ok(()));
    assert_eq!(ran.world.status().as_ref(), Some(status));
}

#[test]
fn the_status_says_what_is_missing() -> Result<(), Impossible> {
    let database = Relation::new(1, "database", "pg").remote(&[("endpoints", "pg:5432")]);
    check(world()?, &Status::blocked("Relate a database"));
    check(world()?.relation(database.clone()), &Status::waiting("for the container web"));
    let wrong = world()?.relation(database).config("port", 70_000);
    let why = "invalid value: integer `70000`, expected u16";
    check(wrong, &Status::blocked(format!("cannot use the option port: {why}")));
    Ok(())
}

#[test]
fn an_equal_decision_asks_for_the_same() {
    let decide = |port| Web::decide(&Event::Start, &Options { port }, &Some("pg:5432".to_owned()));
    assert_eq!(decide(80), decide(80));
    assert_ne!(decide(80), decide(81));
    assert!(decide(80).effects.contains(&Write::ports([80])));
}
