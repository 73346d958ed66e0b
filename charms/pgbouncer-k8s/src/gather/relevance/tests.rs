//! Every row of the table, and what it saves.

use juju_charm::Event;
use juju_charm_testing::{Ran, Relation, World};

use crate::world::{backend, run, world};

/// Where the framework remembers planned units and issuers, and what it does.
const PLANNED: &str = "cached:planned-units";
const ISSUERS: &str = "cached:relations:certificates";
const ALONE: &str = r#"["pgbouncer-k8s/0"]"#;
const BOTH: &str = r#"["pgbouncer-k8s/0","pgbouncer-k8s/1"]"#;

const PEER: &str = "pgbouncer-k8s/1";
const SERVER: &str = "postgresql-k8s/0";

fn client() -> Relation {
    let client = Relation::new(7, "database", "waltz").remote(&[("database", "waltz")]);
    client.unit("waltz/0", &[])
}

fn peers() -> Relation {
    Relation::new(1, "pgb-peers", "pgbouncer-k8s").unit(PEER, &[])
}

/// A unit that has run before, with its peer.
fn steady(world: World) -> World {
    world.relation(peers()).state(PLANNED, BOTH).state(ISSUERS, "[]")
}

/// Whether everything was read.
fn reads(ran: &Ran) -> bool {
    ran.calls("config-get") > 0
}

/// The event costs `tools` calls where it is left out; `matters` is a world in which it is not.
#[track_caller]
fn check(event: &Event, left_out: World, tools: usize, matters: impl IntoIterator<Item = World>) {
    let ran = run(left_out, event);
    assert!(!reads(&ran), "{:?}", ran.tools);
    assert!(ran.tools.len() <= tools, "{} calls {:?}", event.name(), ran.tools);
    for world in matters {
        let ran = run(world, event);
        assert!(reads(&ran), "{} reads only {:?}", event.name(), ran.tools);
    }
}

#[test]
fn a_client_that_has_said_nothing_yet_is_not_read() {
    let old = |endpoint| Relation::new(7, endpoint, "tango");
    for (event, relation) in [
        (old("database").created(), old("database")),
        (client().joined("waltz/0"), client()),
        (client().changed(Some("waltz/0")), client()),
        (old("db").created(), old("db")),
        (old("db-admin").created(), old("db-admin")),
    ] {
        check(&event.unwrap(), steady(world().leader().relation(relation)), 1, []);
    }
}

#[test]
fn what_a_client_asks_for_the_leader_reads() {
    let event = client().changed(None).unwrap();
    let leads = steady(world().leader().relation(client()));
    check(&event, steady(world().relation(client())), 2, [leads]);
}

#[test]
fn a_units_departure_matters_to_itself() {
    let gone = client().departed("waltz/1", &[]);
    let departs = |unit| gone.departing("waltz/1", unit).unwrap();
    let world = || steady(world().leader().relation(gone.clone()));
    check(&departs("waltz/1"), world(), 1, []);
    assert!(reads(&run(world(), &departs("pgbouncer-k8s/0"))));
}

#[test]
fn a_server_that_joins_or_departs_the_leader_hears() {
    let leads = || steady(world().leader().relation(backend()));
    let event = backend().joined(SERVER).unwrap();
    check(&event, steady(world().relation(backend())), 2, [leads()]);
    let gone = backend().departed("postgresql-k8s/1", &[]);
    let departs = |unit| gone.departing("postgresql-k8s/1", unit).unwrap();
    let follows = || steady(world().relation(gone.clone()));
    let leads = steady(world().leader().relation(gone.clone()));
    check(&departs("postgresql-k8s/1"), follows(), 2, [leads]);
    assert!(reads(&run(follows(), &departs("pgbouncer-k8s/0"))));
}

/// Of a subordinate PostgreSQL only its units know that it is ready.
#[test]
fn a_subordinate_that_is_ready_makes_the_leader_look() {
    let says = |bag: &[(&str, &str)]| backend().unit(SERVER, bag);
    let event = backend().changed(Some(SERVER)).unwrap();
    let ready = || says(&[("state", "ready")]);
    let leads = steady(world().leader().relation(ready()));
    check(&event, steady(world().relation(ready())), 2, [leads]);
    for nothing in [says(&[]), says(&[("timeline", "2")])] {
        check(&event, steady(world().leader().relation(nothing)), 3, []);
    }
}

/// One that takes the number of a unit whose end was not reported does not join, it changes.
#[test]
fn a_peer_that_was_not_planned_makes_every_unit_look() {
    for event in [peers().joined(PEER), peers().changed(Some(PEER))] {
        let event = event.unwrap();
        let unknown = || steady(world()).state(PLANNED, ALONE);
        check(&event, steady(world()), 1, [unknown()]);
        assert_eq!(run(unknown(), &event).world.state_value(PLANNED), Some(BOTH));
    }
    let ghost = Relation::new(1, "pgb-peers", "pgbouncer-k8s").ghost(PEER, &[]);
    let ran = run(steady(world()).without_relation(1).relation(ghost), &Event::UpdateStatus);
    assert_eq!(ran.world.state_value(PLANNED), Some(ALONE));
}

#[test]
fn what_a_peer_serves_is_read_while_a_client_waits_for_it() {
    let event = peers().changed(Some(PEER)).unwrap();
    let waits = steady(world().leader()).state("barrier", r#"["digest",7]"#);
    // The leader publishes TLS to clients once every unit serves with it.
    let issued = steady(world().leader()).state(ISSUERS, "[9]");
    check(&event, steady(world().leader()), 1, [waits.clone(), issued]);
    check(&event, steady(world()).state(ISSUERS, "[9]"), 2, []);
    let ran = run(waits, &event);
    assert_eq!(ran.world.state_value("barrier"), None, "no client waits any more");
}

/// A client of five units comes to five poolers: how many calls of hook tools with and without
/// the table. `cargo test -p pgbouncer-k8s five_units -- --nocapture` prints them.
#[test]
fn what_the_table_saves_at_five_units() {
    let other = |n: u32| format!("pgbouncer-k8s/{n}");
    let peers = (1..5).fold(Relation::new(1, "pgb-peers", "pgbouncer-k8s"), |peers, n| {
        peers.unit(&other(n), &[])
    });
    let client = (0..5).fold(client(), |client, n| client.unit(&format!("waltz/{n}"), &[]));
    let all = |leads: bool| {
        let world = world().relation(peers.clone()).relation(backend()).relation(client.clone());
        let world = if leads { world.leader() } else { world };
        run(world, &Event::UpdateStatus).world.state(ISSUERS, "[]")
    };
    // An event of which no row speaks reads what each would read without the table.
    let unfiltered = peers.changed(None).unwrap();
    let joined = client.joined("waltz/1").unwrap();
    let changed = client.changed(Some("waltz/1")).unwrap();
    let events = [(joined, 5), (changed, 5), (client.changed(None).unwrap(), 1)];
    let (mut with, mut without, mut hooks) = (0, 0, 0);
    for (leads, poolers) in [(true, 1), (false, 4)] {
        let full = run(run(all(leads), &unfiltered).world, &unfiltered).tools.len();
        for (event, times) in &events {
            let calls = run(all(leads), event).tools.len();
            println!("leader {leads}: {} costs {calls} calls, else {full}", event.name());
            with += calls * times * poolers;
            without += full * times * poolers;
            hooks += times * poolers;
        }
    }
    println!("{hooks} hooks: {with} calls of hook tools, {without} without the table");
    assert!(with * 5 < without, "{with} of {without}");
}
