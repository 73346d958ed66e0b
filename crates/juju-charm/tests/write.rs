//! What the ready writes do, and that each costs nothing where it is true already.

use juju_charm::{Decision, Error, Event, Level, Reader, SecretContent};
use juju_charm::{Port, SecretOwner, SimpleCharm, Status, Write};
use juju_charm_testing::{Impossible, Relation, World};

const METADATA: &str = "
name: app
provides: {database: {interface: db}}
containers: {web: {}}
";

/// A charm that writes what it is given.
struct Writes(Vec<Write>);

#[derive(serde::Deserialize)]
struct NoOptions {}

impl SimpleCharm for Writes {
    type Options = NoOptions;
    type Facts = Vec<Write>;

    async fn gather(&mut self, _: &mut Reader, _: &Event) -> Result<Vec<Write>, Error> {
        Ok(self.0.clone())
    }

    fn decide(_: &Event, _: &NoOptions, writes: &Vec<Write>) -> Decision<Write> {
        Decision::new().effects(writes.clone()).status(Status::active())
    }
}

/// Applies the write twice: first it calls these tools, then none of them.
#[track_caller]
fn check(write: &Write, tools: &[&str]) -> Result<World, Impossible> {
    let world = World::new(METADATA, "app/0")?.leader();
    let world = world.relation(Relation::new(1, "database", "client"));
    let ran = world.run(Writes(vec![write.clone()]), &Event::UpdateStatus)?;
    assert_eq!(ran.result, Ok(()));
    assert!(tools.iter().all(|tool| ran.calls(tool) == 1), "{:?}", ran.tools);
    let again = ran.world.run(Writes(vec![write.clone()]), &Event::UpdateStatus)?;
    assert!(tools.iter().all(|tool| again.calls(tool) == 0), "{:?}", again.tools);
    Ok(again.world)
}

#[test]
fn a_write_leaves_once() -> Result<(), Impossible> {
    let relation = juju_charm::RelationId(1);
    let world = check(&Write::unit_bag(relation, [("key", "value")]), &["relation-set"])?;
    assert_eq!(world.unit_bag(1)["key"], "value");
    let world = check(&Write::app_bag(relation, [("key", "value")]), &["relation-set"])?;
    assert_eq!(world.app_bag(1)["key"], "value");
    check(&Write::ports([80, 443]), &[])?;
    check(&Write::Ports(vec![Port::tcp(80)]), &["open-port"])?;
    check(&Write::Version("1.2".to_owned()), &["application-version-set"])?;
    let world = check(&Write::State("key".into(), Some("value".into())), &["state-set"])?;
    assert_eq!(world.state_value("key"), Some("value"));
    let secret = Write::Secret {
        label: "user".to_owned(),
        content: SecretContent::new().with("password", "hidden"),
        owner: SecretOwner::App,
        granted: Some((relation, "secret-user".to_owned())),
    };
    assert!(!format!("{secret:?}").contains("hidden"));
    let world = check(&secret, &["secret-add", "secret-grant", "relation-set"])?;
    assert!(world.app_bag(1)["secret-user"].starts_with("secret://"));
    assert!(!format!("{:?}", Write::result("password", "hidden")).contains("hidden"));
    assert!(!format!("{:?}", Write::file("web", "/key", "hidden")).contains("hidden"));
    Ok(())
}

#[test]
fn a_container_that_is_not_there_yet_is_waited_for() -> Result<(), Impossible> {
    let writes = [
        Write::layer("web", juju_charm::Layer::default()),
        Write::file("web", "/etc/web", "content"),
        Write::Log(Level::Info, "the others go on".to_owned()),
    ];
    for write in &writes[..2] {
        let world = World::new(METADATA, "app/0")?;
        let ran = world.run(Writes(vec![write.clone(), writes[2].clone()]), &Event::Start)?;
        assert_eq!(ran.world.status(), Some(Status::waiting("for the container web")));
        assert_eq!(ran.calls("juju-log"), 1);
    }
    Ok(())
}

#[test]
#[should_panic(expected = "is not absolute")]
fn a_file_has_an_absolute_path() {
    drop(check(&Write::file("web", "web.ini", "text"), &[]));
}
