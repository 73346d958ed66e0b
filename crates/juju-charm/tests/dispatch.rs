//! What one dispatch does: deferral, order, commits, and the number of tool calls.

use juju_charm::{
    AppName, Applied, Cause, Charm, Context, Decision, Event, HookError, Level, Outcome, Own, Port,
    Reader, Revision, SecretContent, SecretOwner, SecretQuery, Status, UnitName,
};
use juju_charm_testing::{Impossible, Ran, Relation, World, secret_id};

const METADATA: &str = "
name: app
peers: {friends: {interface: friends}}
provides: {database: {interface: db}}
requires: {backend: {interface: db}}
containers: {web: {}}
";

type Step = fn(&mut Context) -> Result<Applied, HookError>;

/// A charm whose decision and one effect are given.
struct Scripted {
    decide: fn(&Event) -> Decision<()>,
    apply: Step,
}

struct Facts(Decision<()>);

impl Charm for Scripted {
    type Facts = Facts;
    type Effect = Step;
    type Error = HookError;

    async fn gather(&mut self, hook: &mut Reader, event: &Event) -> Result<Facts, HookError> {
        hook.log(Level::Info, event.name());
        Ok(Facts((self.decide)(event)))
    }

    fn decide(_: &Event, facts: &Facts) -> Decision<Step> {
        let Decision { effects, status, app_status, outcome } = facts.0.clone();
        let effects = effects.iter().map(|()| (|_| Ok(Applied::Done)) as Step).collect();
        Decision { effects, status, app_status, outcome }
    }

    async fn apply(&mut self, hook: &mut Context, _: Step) -> Result<Applied, HookError> {
        (self.apply)(hook)
    }
}

fn world() -> Result<World, Impossible> {
    World::new(METADATA, "app/0")
}

fn deciding(decide: fn(&Event) -> Decision<()>) -> Scripted {
    Scripted { decide, apply: |_| Ok(Applied::Done) }
}

/// Runs one step as the only effect of `update-status`.
#[track_caller]
fn apply(world: World, apply: Step) -> Ran {
    let scripted = Scripted { decide: |_| Decision::new().effect(()), apply };
    match world.run(scripted, &Event::UpdateStatus) {
        Ok(ran) => ran,
        Err(error) => panic!("{error}"),
    }
}

fn events(ran: &Ran) -> Vec<&str> {
    let info = ran.logs.iter().filter(|(level, _)| level == "INFO");
    info.map(|(_, text)| text.as_str()).collect()
}

#[test]
fn a_deferred_event_comes_back_before_the_next_until_it_is_done() -> Result<(), Impossible> {
    let later = || {
        deciding(|event| match event {
            Event::ConfigChanged => Decision::new().defer("not yet"),
            _ => Decision::new(),
        })
    };
    let ran = world()?.run(later(), &Event::ConfigChanged)?;
    assert_eq!(ran.world.deferred().iter().count(), 1);
    let ran = ran.world.run(later(), &Event::UpdateStatus)?;
    assert_eq!(events(&ran), ["config-changed", "update-status"]);
    assert_eq!(ran.calls("state-set"), 0, "nothing changed");
    let ran = ran.world.run(later(), &Event::ConfigChanged)?;
    assert_eq!(events(&ran), ["config-changed"]);
    let ran = ran.world.run(deciding(|_| Decision::new()), &Event::UpdateStatus)?;
    assert_eq!(ran.world.deferred().iter().count(), 0);
    assert_eq!((ran.calls("state-delete"), ran.calls("state-get")), (1, 1));
    Ok(())
}

#[test]
fn deferred_events_that_lack_the_same_are_tried_once() -> Result<(), Impossible> {
    let lacking = || {
        deciding(|event| match event {
            Event::ConfigChanged | Event::LeaderElected => Decision::new().defer("a primary"),
            Event::Start => Decision::new().defer("a secret"),
            _ => Decision::new(),
        })
    };
    let mut world = world()?.leader();
    for event in [Event::ConfigChanged, Event::LeaderElected, Event::Start] {
        world = world.run(lacking(), &event)?.world;
    }
    let ran = world.run(lacking(), &Event::UpdateStatus)?;
    assert_eq!(events(&ran), ["config-changed", "start", "update-status"]);
    assert_eq!(ran.world.deferred().iter().count(), 3);
    let ran = ran.world.run(deciding(|_| Decision::new()), &Event::UpdateStatus)?;
    assert_eq!(events(&ran), ["config-changed", "leader-elected", "start", "update-status"]);
    assert_eq!(ran.world.deferred().iter().count(), 0);
    Ok(())
}

#[test]
fn deferred_events_of_what_is_gone_are_dropped() -> Result<(), Box<dyn std::error::Error>> {
    let defer = || {
        deciding(|event| match event {
            Event::UpdateStatus => Decision::new(),
            _ => Decision::new().defer("never"),
        })
    };
    let relation = Relation::new(1, "database", "client").unit("client/0", &[]);
    let here = world()?.relation(relation.clone());
    let ran = here.run(defer(), &relation.joined("client/0")?)?;
    let without_unit = ran.world.clone().relation(Relation::new(1, "database", "client"));
    let without_relation = ran.world.without_relation(1);
    for world in [without_unit, without_relation] {
        let ran = world.run(defer(), &Event::UpdateStatus)?;
        assert_eq!(ran.world.deferred().iter().count(), 0);
        assert_eq!(events(&ran).last(), Some(&"update-status"));
    }
    let broken = Relation::new(2, "backend", "server");
    let ran = world()?.relation(broken.clone()).run(defer(), &broken.broken()?)?;
    let ran = ran.world.without_relation(2).run(defer(), &Event::UpdateStatus)?;
    assert_eq!(events(&ran), ["backend-relation-broken", "update-status"]);
    Ok(())
}

#[test]
fn stop_cannot_be_deferred_and_retries_nothing() -> Result<(), Impossible> {
    let defer = || deciding(|_| Decision::new().defer("never"));
    let ran = world()?.run(defer(), &Event::ConfigChanged)?;
    let ran = ran.world.run(defer(), &Event::Stop)?;
    assert_eq!(events(&ran), ["stop"]);
    assert!(ran.logs.iter().any(|(level, text)| level == "WARNING" && text.contains("never")));
    assert_eq!(ran.world.deferred().iter().count(), 1);
    Ok(())
}

#[test]
fn an_effect_may_stop_the_others_and_defer() -> Result<(), Impossible> {
    let scripted = Scripted {
        decide: |_| Decision::new().effects([(), ()]).status(Status::active()),
        apply: |hook| {
            hook.log(Level::Warning, "tried");
            let status = Some(Status::waiting("for SQL"));
            Ok(Applied::Defer { reason: "SQL is down".to_owned(), status })
        },
    };
    let ran = world()?.run(scripted, &Event::Start)?;
    assert_eq!(ran.world.status(), Some(Status::waiting("for SQL")));
    assert_eq!(ran.logs.iter().filter(|(_, text)| text == "tried").count(), 1);
    assert_eq!(ran.world.deferred().iter().count(), 1);
    Ok(())
}

#[test]
fn a_failing_hook_writes_nothing_and_says_why() -> Result<(), Impossible> {
    let world = world()?.leader().relation(Relation::new(1, "database", "client"));
    let ran = apply(world, |hook| {
        hook.set_bag(1.into_id(), Own::Unit, [("key", "value")])?;
        hook.own_bag(9.into_id(), Own::App)?;
        Ok(Applied::Done)
    });
    assert!(ran.result.is_err());
    assert!(!ran.world.unit_bag(1).contains_key("key"));
    assert!(ran.logs.iter().any(|(level, text)| level == "ERROR" && text.contains("not found")));
    Ok(())
}

/// Shorter relation ids.
trait IntoId {
    fn into_id(self) -> juju_charm::RelationId;
}

impl IntoId for u32 {
    fn into_id(self) -> juju_charm::RelationId {
        juju_charm::RelationId(self)
    }
}

#[test]
fn a_bag_is_read_once_and_written_once() -> Result<(), Impossible> {
    let relation = Relation::new(1, "database", "client").own_app(&[("keep", "1"), ("drop", "2")]);
    let step: Step = |hook| {
        let id = 1.into_id();
        hook.set_bag(id, Own::App, [("keep", "1"), ("drop", "")])?;
        hook.set_bag(id, Own::App, [("new", "3")])?;
        assert_eq!(hook.own_bag(id, Own::App)?["new"], "3");
        Ok(Applied::Done)
    };
    let ran = apply(world()?.leader().relation(relation), step);
    assert_eq!((ran.calls("relation-get"), ran.calls("relation-set")), (1, 1));
    let found: Vec<_> = ran.world.app_bag(1).into_iter().collect();
    assert_eq!(found, [("keep".to_owned(), "1".to_owned()), ("new".to_owned(), "3".to_owned())]);
    let ran = apply(ran.world, step);
    assert_eq!(ran.calls("relation-set"), 0);
    Ok(())
}

#[test]
fn only_the_leader_reaches_the_own_applications_bag() -> Result<(), Impossible> {
    let world = world()?
        .relation(Relation::new(1, "database", "client"))
        .relation(Relation::new(2, "friends", "app").own_app(&[("shared", "yes")]));
    let ran = apply(world, |hook| {
        assert!(hook.own_bag(1.into_id(), Own::App).is_err_and(|error| error.is_denied()));
        assert_eq!(hook.own_bag(2.into_id(), Own::App)?["shared"], "yes");
        hook.set_bag(2.into_id(), Own::App, [("shared", "no")])?;
        Ok(Applied::Done)
    });
    assert!(ran.result.is_err_and(|error| error.contains("cannot write")));
    Ok(())
}

#[test]
fn secrets_change_only_when_their_content_does() -> Result<(), Impossible> {
    let step: Step = |hook| {
        let content = SecretContent::new().with("password", "one");
        let id = hook.put_secret("database.1", &content, SecretOwner::App)?;
        hook.grant_secret(&id, 1.into_id())?;
        assert!(!hook.set_secret(&id, &content)?);
        Ok(Applied::Done)
    };
    let world = world()?.leader().relation(Relation::new(1, "database", "client"));
    let ran = apply(world, step);
    assert_eq!(ran.result, Ok(()));
    assert_eq!(ran.calls("secret-get"), 0);
    let ran = apply(ran.world, step);
    assert_eq!((ran.calls("secret-add"), ran.calls("secret-set")), (0, 0));
    assert_eq!(ran.world.secret_revisions("database.1"), 1);
    assert_eq!(ran.world.secret_grants("database.1"), [1.into_id()]);
    let ran = apply(ran.world, |hook| {
        let content = SecretContent::new().with("password", "two");
        hook.put_secret("database.1", &content, SecretOwner::App)?;
        // An owner's plain read stays where it was.
        let read = hook.secret("database.1", Revision::Refresh)?;
        assert_eq!(read.as_ref().and_then(|read| read.expose("password")), Some("two"));
        Ok(Applied::Done)
    });
    assert_eq!(ran.world.secret_revisions("database.1"), 2);
    let refused = apply(ran.world.follower(), step);
    assert!(refused.result.is_err());
    Ok(())
}

#[test]
fn an_observer_sees_the_new_revision_when_it_asks() -> Result<(), Impossible> {
    let id = secret_id(1);
    let world = world()?.remote_secret(&id, &[("password", "old")]);
    let ran = apply(world, |hook| {
        let query = SecretQuery::Bind { id: secret_id(1), label: "mine".to_owned() };
        assert!(hook.secret(query, Revision::Tracked)?.is_some());
        Ok(Applied::Done)
    });
    let ran = apply(ran.world.remote_secret(&id, &[("password", "new")]), |hook| {
        let mut read = |revision| {
            let content = hook.secret("mine", revision)?;
            Ok(content.and_then(|content| content.expose("password").map(str::to_owned)))
        };
        assert_eq!(read(Revision::Tracked)?.as_deref(), Some("old"));
        assert_eq!(read(Revision::Peek)?.as_deref(), Some("new"));
        assert_eq!(read(Revision::Refresh)?.as_deref(), Some("new"));
        assert_eq!(read(Revision::Tracked)?.as_deref(), Some("new"));
        Ok(Applied::Done)
    });
    assert_eq!(ran.calls("secret-get"), 3);
    let ran = apply(ran.world.denied_secret(&id), |hook| {
        assert_eq!(hook.secret(&secret_id(1), Revision::Tracked)?, None);
        assert_eq!(hook.secret(&secret_id(2), Revision::Tracked)?, None);
        Ok(Applied::Done)
    });
    assert_eq!(ran.result, Ok(()));
    Ok(())
}

#[test]
fn the_unit_reads_and_tells_what_differs() -> Result<(), Impossible> {
    let step: Step = |hook| {
        hook.set_workload_version("1.24.1")?;
        hook.set_ports(&[Port::tcp(6432)])?;
        hook.set_app_status(&Status::active())?;
        assert_eq!(hook.planned_units()?.len(), 3);
        let related = hook.related_apps("database")?;
        assert_eq!(related.iter().map(AppName::as_str).collect::<Vec<_>>(), ["client"]);
        assert_eq!(hook.related_apps("backend")?, []);
        assert_eq!(hook.network("database")?.bind_address.as_deref(), Some("10.1.0.10"));
        Ok(Applied::Done)
    };
    let relation = Relation::new(1, "database", "client").unit("client/0", &[]);
    let ran = apply(world()?.leader().planned_units(3).relation(relation), step);
    assert_eq!(ran.result, Ok(()));
    assert_eq!(
        (ran.world.version(), ran.world.ports()),
        (Some("1.24.1"), vec!["6432/tcp".to_owned()])
    );
    let ran = apply(ran.world, step);
    for tool in ["application-version-set", "open-port", "status-set", "state-set"] {
        assert_eq!(ran.calls(tool), 0, "{tool}");
    }
    Ok(())
}

#[test]
fn impossible_worlds_are_refused() -> Result<(), Box<dyn std::error::Error>> {
    #[track_caller]
    fn refused(world: World, event: &Event, words: &str) {
        let error = world.run(deciding(|_| Decision::new()), event).err();
        let text = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains(words), "{text:?}");
    }
    let relation = Relation::new(1, "database", "client").unit("client/0", &[]);
    let here = world()?.relation(relation.clone());
    refused(world()?, &relation.joined("client/0")?, "there is no relation 1");
    refused(here.clone(), &relation.joined("client/1")?, "client/1 is not in relation 1");
    refused(here.clone(), &relation.created()?, "no unit is in relation 1");
    refused(here.clone(), &relation.departing("client/0", "client/0")?, "make it departed");
    refused(world()?, &Event::LeaderElected, "does not lead");
    refused(world()?, &Event::PebbleReady { container: "db".parse()? }, "no container db");
    refused(world()?.config("x", 1), &Event::Start, "has no option");
    let id = secret_id(1);
    refused(world()?, &Event::SecretChanged { id, label: None }, "there is no secret");
    let stranger = Relation::new(3, "friends", "other");
    refused(world()?.relation(stranger), &Event::Start, "is no peer");
    assert!(World::new(METADATA, "app").is_err());
    Ok(())
}

#[test]
fn an_idle_dispatch_calls_one_tool() -> Result<(), Impossible> {
    let quiet = Scripted { decide: |_| Decision::new(), apply: |_| Ok(Applied::Done) };
    let ran = world()?.run(quiet, &Event::UpdateStatus)?;
    assert_eq!(ran.tools, ["state-get", "juju-log"]);
    assert_eq!(Decision::<()>::new().outcome, Outcome::Done);
    let unit: Result<UnitName, _> = "app/0".parse();
    assert!(unit.is_ok());
    Ok(())
}

/// Reads one own bag of relation 1 the remembered way and wants `key` to be `value`.
fn remembering(hook: &mut Context) -> Result<Applied, HookError> {
    hook.cached_bag(RELATION, Own::Unit)?;
    hook.set_bag(RELATION, Own::Unit, [("key", "value")])?;
    Ok(Applied::Done)
}

const RELATION: juju_charm::RelationId = juju_charm::RelationId(1);

#[track_caller]
fn remember(world: World, event: &Event) -> Ran {
    let scripted = Scripted { decide: |_| Decision::new().effect(()), apply: remembering };
    match world.run(scripted, event) {
        Ok(ran) => ran,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_remembered_bag_is_read_once() -> Result<(), Impossible> {
    let world = world()?.relation(Relation::new(1, "friends", "app"));
    let ran = remember(world, &Event::UpdateStatus);
    assert_eq!((ran.calls("relation-get"), ran.calls("relation-set")), (1, 1));
    let ran = remember(ran.world, &Event::UpdateStatus);
    assert_eq!(ran.world.unit_bag(1)["key"], "value");
    assert_eq!(ran.tools, ["state-get", "juju-log"]);
    Ok(())
}

#[test]
fn doubtful_events_read_the_bag_again() -> Result<(), Box<dyn std::error::Error>> {
    let relation = Relation::new(1, "friends", "app");
    let first = remember(world()?.relation(relation.clone()), &Event::UpdateStatus);
    // The event runs over a bag that was changed from outside, which is found and corrected.
    for event in [Event::ConfigChanged, Event::UpgradeCharm, relation.created()?] {
        let world = first.world.clone().without_relation(1).relation(relation.clone());
        let ran = remember(world, &event);
        assert_eq!((ran.calls("relation-get"), ran.calls("relation-set")), (1, 1), "{event:?}");
        let again = remember(ran.world, &Event::UpdateStatus);
        assert_eq!(again.calls("relation-get"), 0, "{event:?}");
    }
    Ok(())
}

#[test]
fn a_bag_that_was_not_read_on_a_doubtful_event_is_forgotten() -> Result<(), Impossible> {
    let world = world()?.relation(Relation::new(1, "friends", "app"));
    let ran = remember(world, &Event::UpdateStatus);
    let ran = ran.world.run(deciding(|_| Decision::new()), &Event::UpgradeCharm)?;
    assert_eq!(remember(ran.world, &Event::UpdateStatus).calls("relation-get"), 1);
    Ok(())
}

#[test]
fn bags_written_by_another_leader_are_read_again() -> Result<(), Impossible> {
    let leads: Step = |hook| {
        hook.cached_bag(RELATION, Own::App)?;
        Ok(Applied::Done)
    };
    let relation = Relation::new(1, "friends", "app");
    let ran = apply(world()?.leader().relation(relation), leads);
    let ran = apply(ran.world, leads);
    assert_eq!(ran.calls("relation-get"), 0);
    let ran = apply(ran.world, |hook| {
        hook.invalidate(Cause::AnotherLed)?;
        hook.cached_bag(RELATION, Own::App)?;
        Ok(Applied::Done)
    });
    assert_eq!((ran.calls("relation-get"), ran.calls("state-set")), (1, 0));
    Ok(())
}

#[test]
fn a_refused_flush_remembers_nothing() -> Result<(), Impossible> {
    let relation = Relation::new(1, "database", "client");
    // A follower may not write the application's bag: the whole hook is void.
    let ran = apply(world()?.relation(relation), |hook| {
        hook.cached_bag(RELATION, Own::Unit)?;
        hook.set_bag(RELATION, Own::Unit, [("key", "value")])?;
        hook.set_bag(RELATION, Own::App, [("key", "value")])?;
        Ok(Applied::Done)
    });
    assert!(ran.result.is_err());
    assert_eq!(remember(ran.world, &Event::UpdateStatus).calls("relation-get"), 1);
    Ok(())
}

#[test]
fn an_effect_may_ask_for_one_more_round() -> Result<(), Impossible> {
    let ran = apply(world()?, |_| Ok(Applied::Rerun));
    assert_eq!(ran.result, Ok(()));
    assert_eq!(events(&ran), ["update-status", "update-status"], "one more, not for ever");
    Ok(())
}

/// Juju leaves the model out where it lists a secret; its consumer may be in another.
#[test]
fn an_own_secret_is_always_called_by_its_model() -> Result<(), Impossible> {
    let put: Step = |hook| {
        let content = SecretContent::new().with("password", "one");
        let id = hook.put_secret("mine", &content, SecretOwner::Unit)?;
        hook.log(Level::Info, id.to_string());
        Ok(Applied::Done)
    };
    let first = apply(world()?, put);
    let again = apply(first.world.clone(), put);
    for ran in [first, again] {
        assert!(events(&ran).iter().any(|line| line.starts_with("secret://")), "{:?}", ran.logs);
    }
    Ok(())
}
