//! The charm in worlds of Juju's making.

use juju_charm::Status;
use juju_charm_testing::{Impossible, Ran, Relation, World, secret_id};

use super::*;

type Checked = Result<(), Box<dyn std::error::Error>>;

fn world() -> Result<World, Impossible> {
    let world = World::new(include_str!("../metadata.yaml"), "data-integrator/0")?;
    Ok(world
        .leader()
        .config_yaml(include_str!("../config.yaml"))
        .actions_yaml(include_str!("../actions.yaml")))
}

fn asking() -> Result<World, Impossible> {
    Ok(world()?.config("database-name", "orders").config("extra-user-roles", "CREATEDB"))
}

fn relation() -> Relation {
    Relation::new(4, "postgresql", "pgbouncer-k8s").unit("pgbouncer-k8s/0", &[])
}

fn offered() -> Relation {
    let user = secret_id(1).to_string();
    let tls = secret_id(2).to_string();
    relation().remote(&[
        ("database", "orders"),
        ("endpoints", "pooler:6432"),
        ("read-only-endpoints", "pooler:6432"),
        ("version", "17.5"),
        ("secret-user", &user),
        ("secret-tls", &tls),
    ])
}

fn served() -> Result<World, Impossible> {
    Ok(asking()?
        .relation(offered())
        .remote_secret(
            &secret_id(1),
            &[("username", "relation_id_4"), ("password", "pw"), ("uris", "postgresql://x")],
        )
        .remote_secret(&secret_id(2), &[("tls", "False"), ("tls-ca", "none")]))
}

#[track_caller]
fn check(world: World, event: &Event, status: &Status) -> Ran {
    let ran = world.run(DataIntegrator, event).unwrap();
    assert_eq!(ran.result, Ok(()));
    assert_eq!(ran.world.status().as_ref(), Some(status));
    ran
}

#[test]
fn the_status_says_what_a_person_has_to_do() -> Checked {
    let blocked = Status::blocked("Please specify either topic, index, database name, or prefix");
    check(world()?, &Event::Start, &blocked);
    let blocked = Status::blocked("Please relate the data-integrator with the desired product");
    check(asking()?, &Event::ConfigChanged, &blocked);
    let waiting = Status::waiting("Waiting for the credentials");
    check(asking()?.relation(relation()), &Event::ConfigChanged, &waiting);
    check(served()?, &Event::ConfigChanged, &Status::active());
    let bad = relation().remote(&[("secret-user", "nonsense")]);
    let ran = asking()?.relation(bad).run(DataIntegrator, &Event::ConfigChanged)?;
    assert!(ran.world.status().is_some_and(|s| s.message().contains("secret-user")));
    Ok(())
}

#[test]
fn the_leader_asks_once_and_the_others_do_not() -> Checked {
    let world = asking()?.relation(relation());
    let waiting = Status::waiting("Waiting for the credentials");
    let ran = check(world.clone(), &relation().changed(None)?, &waiting);
    let bag = ran.world.app_bag(4);
    assert_eq!(
        (bag["database"].as_str(), bag["extra-user-roles"].as_str()),
        ("orders", "CREATEDB")
    );
    assert!(bag["requested-secrets"].contains("\"uris\""));
    let ran = check(ran.world, &Event::UpdateStatus, &waiting);
    assert_eq!(ran.calls("relation-set"), 0);
    let ran = check(world.follower(), &Event::ConfigChanged, &waiting);
    assert!(ran.world.app_bag(4).is_empty());
    Ok(())
}

#[test]
fn another_database_needs_another_relation() -> Checked {
    let ran = asking()?.relation(relation()).run(DataIntegrator, &Event::ConfigChanged)?;
    let world = ran.world.config("database-name", "other");
    let ran = world.run(DataIntegrator, &Event::ConfigChanged)?;
    assert_eq!(ran.world.app_bag(4)["database"], "orders");
    assert!(ran.world.status().is_some_and(|s| s.message().starts_with("To change database")));
    Ok(())
}

#[test]
fn the_action_shows_the_credentials() -> Checked {
    for world in [served()?, served()?.follower()] {
        let ran = world.run_action(DataIntegrator, "get-credentials", &[])?;
        assert_eq!((ran.result, ran.failure), (Ok(()), None));
        let found: Vec<String> = ran.results.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let wanted = [
            "ok=True",
            "postgresql.database=orders",
            "postgresql.endpoints=pooler:6432",
            "postgresql.password=pw",
            "postgresql.read-only-endpoints=pooler:6432",
            "postgresql.tls=False",
            "postgresql.tls-ca=none",
            "postgresql.uris=postgresql://x",
            "postgresql.username=relation_id_4",
            "postgresql.version=17.5",
        ];
        assert_eq!(found, wanted);
    }
    Ok(())
}

#[test]
fn the_action_fails_with_a_reason() -> Checked {
    let worlds = [
        (world()?, "not specified in the config"),
        (asking()?, "only after relation is created"),
        (asking()?.relation(relation()), "not there yet"),
        (served()?.denied_secret(&secret_id(1)), "not there yet"),
    ];
    for (world, words) in worlds {
        let ran = world.run_action(DataIntegrator, "get-credentials", &[])?;
        assert!(ran.failure.is_some_and(|text| text.contains(words)), "{words}");
        assert!(ran.results.is_empty());
    }
    Ok(())
}

#[test]
fn a_relation_that_ends_is_no_relation() -> Checked {
    let over = Relation::new(4, "postgresql", "pgbouncer-k8s");
    let blocked = Status::blocked("Please relate the data-integrator with the desired product");
    check(asking()?.relation(over.clone()), &over.broken()?, &blocked);
    Ok(())
}

#[test]
fn few_tools_are_called() -> Checked {
    let started = check(served()?, &Event::Start, &Status::active());
    assert!(started.tools.len() <= 10, "{:?}", started.tools);
    let steady = check(started.world, &Event::ConfigChanged, &Status::active());
    assert_eq!(
        steady.tools,
        [
            "state-get",
            "config-get",
            "relation-ids",
            "is-leader",
            "relation-get",
            "relation-list",
            "relation-get",
            "status-get",
        ]
    );
    let fresh = world()?.run(DataIntegrator, &Event::Start)?;
    assert_eq!(fresh.tools.len(), 5);
    Ok(())
}
