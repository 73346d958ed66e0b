//! How to test a charm: a world, an event, and the world afterwards.

use juju_charm_testing::{Impossible, Relation, World};

use super::*;

fn world() -> Result<World, Impossible> {
    let world = World::new(include_str!("metadata.yaml"), "hello/0")?;
    Ok(world
        .config_yaml(include_str!("config.yaml"))
        .actions_yaml(include_str!("actions.yaml"))
        .relation(Relation::new(1, "greeting", "guest").unit("guest/0", &[])))
}

#[test]
fn everybody_is_greeted_once() -> Result<(), Impossible> {
    let ran = world()?.run(Hello, &Event::ConfigChanged)?;
    assert_eq!(ran.result, Ok(()));
    assert_eq!(ran.world.status(), Some(Status::Active("Hello, world".to_owned())));
    assert_eq!(ran.world.unit_bag(1)["greeting"], "Hello, world");
    let again = ran.world.run(Hello, &Event::UpdateStatus)?;
    assert_eq!((again.calls("relation-set"), again.calls("status-set")), (0, 0));
    Ok(())
}

#[test]
fn nobody_cannot_be_greeted() -> Result<(), Impossible> {
    let ran = world()?.config("name", "").run(Hello, &Event::ConfigChanged)?;
    assert_eq!(ran.world.status(), Some(Status::blocked("Set the option name")));
    Ok(())
}

#[test]
fn the_action_shouts_on_demand() -> Result<(), Impossible> {
    let ran = world()?.run_action(Hello, "greet", &[("loud", true.into())])?;
    assert_eq!(ran.results["greeting"], "HELLO, WORLD");
    assert!(world()?.run_action(Hello, "unknown", &[]).is_err());
    Ok(())
}
