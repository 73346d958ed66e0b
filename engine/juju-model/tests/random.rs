//! Random operators, worlds and hooks: nothing panics and Juju's promises hold.
#![allow(clippy::unwrap_used, reason = "tests")]

mod driver;

use std::collections::BTreeMap;

use driver::{World, app, map, unit};
use juju_model::tools::{Revision, SecretMetadata};
use juju_model::{Hook, HookOutcome, Next};
use juju_names::{RelationId, UnitName};
use proptest::prelude::*;

const APPS: [&str; 3] = ["client", "pg", "pgb"];

/// One random thing that happens.
#[derive(Debug, Clone)]
enum Step {
    Deploy(usize, u32),
    Scale(usize, u32),
    Remove(usize),
    Integrate(usize, usize),
    Unrelate(usize, usize),
    Config(usize, u8),
    Pass(u16),
    Away(usize, u32),
    Pod(usize, u32),
    Stopping(usize, u32),
    Action(usize, u32),
    Resolve(usize, u32, bool),
    /// Runs one hook of the unit: what it does, and how it ends.
    Hook(usize, u32, u8, u8),
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let (app, number) = (0..3_usize, 0..3_u32);
    prop_oneof![
        2 => (app.clone(), 0..4_u32).prop_map(|(a, n)| Deploy(a, n)),
        2 => (app.clone(), 0..4_u32).prop_map(|(a, n)| Scale(a, n)),
        1 => app.clone().prop_map(Remove),
        3 => (app.clone(), app.clone()).prop_map(|(a, b)| Integrate(a, b)),
        1 => (app.clone(), app.clone()).prop_map(|(a, b)| Unrelate(a, b)),
        1 => (app.clone(), any::<u8>()).prop_map(|(a, v)| Config(a, v)),
        1 => any::<u16>().prop_map(Pass),
        1 => (app.clone(), number.clone()).prop_map(|(a, n)| Away(a, n)),
        2 => (app.clone(), number.clone()).prop_map(|(a, n)| Pod(a, n)),
        1 => (app.clone(), number.clone()).prop_map(|(a, n)| Stopping(a, n)),
        1 => (app.clone(), number.clone()).prop_map(|(a, n)| Action(a, n)),
        1 => (app.clone(), number.clone(), any::<bool>()).prop_map(|(a, n, r)| Resolve(a, n, r)),
        20 => (app, number, any::<u8>(), any::<u8>()).prop_map(|(a, n, w, e)| Hook(a, n, w, e)),
        2 => Just(Settle),
    ]
}

/// The relation and remote unit that each unit joined last, until `changed` follows.
#[derive(Default)]
struct Promises {
    joined: BTreeMap<(UnitName, RelationId), UnitName>,
}

impl Promises {
    /// `joined` is directly followed by `changed` for that relation on that unit.
    fn ran(&mut self, unit: &UnitName, hook: &Hook) {
        let Some(event) = hook.relation() else { return };
        let key = (unit.clone(), event.id);
        if let Some(joined) = self.joined.remove(&key) {
            let changed = Hook::RelationChanged { relation: event.clone(), unit: Some(joined) };
            assert_eq!(*hook, changed, "after joined on {unit}");
        }
        if let Hook::RelationJoined { unit: remote, .. } = hook {
            self.joined.insert(key, remote.clone());
        }
    }
}

/// Runs the unit's next hook, with writes chosen by `what` and an end chosen by `end`.
fn hook(world: &mut World, promises: &mut Promises, unit: &UnitName, what: u8, end: u8) {
    let run = match world.model.next(unit, world.now) {
        Next::Hook(run) => run,
        Next::Gone => {
            world.model.unit_gone(unit);
            promises.joined.retain(|(known, _), _| known != unit);
            return;
        }
        Next::Restart => return world.restart(unit),
        Next::Idle { .. } => return,
    };
    world.model.environment(&run);
    let mut session = world.model.begin(&run, world.now);
    let mut tools = world.model.tools(&mut session, world.now);
    let relation = RelationId(u32::from(what % 7));
    let value = what.to_string();
    let _ = tools.relation_set(relation, what.is_multiple_of(2), map(&[("k", value.as_str())]));
    let members = tools.relation_list(relation).unwrap_or_default();
    for member in members {
        assert!(tools.relation_get(relation, &juju_model::tools::Party::Unit(member)).is_ok());
    }
    let content = map(&[("key", "dg==")]);
    if what.is_multiple_of(3)
        && let Ok(id) = tools.secret_add(content, SecretMetadata::default())
    {
        let _ = tools.secret_grant(&id, relation, None);
    }
    for id in tools.secret_ids().unwrap_or_default() {
        let content = Some(map(&[("key", value.as_str())]));
        let _ = tools.secret_set(&id, content, SecretMetadata::default());
    }
    let ids: Vec<_> = tools_secrets(world);
    let mut tools = world.model.tools(&mut session, world.now);
    for id in ids {
        let _ = tools.secret_get(Some(&id), None, Revision::Refresh);
    }
    let outcome = match end % 8 {
        0 => HookOutcome::Exited(1),
        1 => HookOutcome::Killed,
        2 => HookOutcome::NotImplemented,
        _ => HookOutcome::Exited(0),
    };
    let operation = run.hook.is_operation();
    let hook = run.hook.clone();
    let done = world.model.finish(run, session, outcome, world.now);
    let good = matches!(outcome, HookOutcome::Exited(0) | HookOutcome::NotImplemented);
    if done.is_ok() && good && !operation {
        promises.ran(unit, &hook);
    }
}

fn tools_secrets(world: &World) -> Vec<juju_names::SecretId> {
    world.model.secrets().map(|secret| secret.id.clone()).collect()
}

fn apply(world: &mut World, promises: &mut Promises, step: Step) {
    let name = |a: usize, n: u32| unit(&format!("{}/{n}", APPS[a]));
    let now = world.now;
    match step {
        Step::Deploy(a, n) if world.model.application(&app(APPS[a])).is_none() => {
            world.deploy(APPS[a], n);
        }
        Step::Deploy(..) => {}
        Step::Scale(a, n) => drop(world.model.scale(now, &app(APPS[a]), n)),
        Step::Remove(a) => drop(world.model.remove_application(now, &app(APPS[a]))),
        Step::Integrate(a, b) => drop(world.model.integrate(now, APPS[a], APPS[b])),
        Step::Unrelate(a, b) => drop(world.model.remove_relation(now, APPS[a], APPS[b])),
        Step::Config(a, v) => {
            let values = map(&[("size", v.to_string().as_str())]);
            drop(world.model.set_config(now, &app(APPS[a]), values));
        }
        Step::Pass(seconds) => world.pass(i64::from(seconds)),
        Step::Away(a, n) => {
            world.model.agent_stopped(&name(a, n), now);
            world.model.unit_address(&name(a, n), None);
        }
        Step::Pod(a, n) if world.model.unit(&name(a, n)).is_some() => world.pod(&name(a, n), "b"),
        Step::Pod(..) => {}
        Step::Stopping(a, n) => world.model.pod_stopping(&name(a, n)),
        Step::Action(a, n) => {
            drop(world.model.enqueue_action(now, &name(a, n), "pause", Default::default()));
        }
        Step::Resolve(a, n, retry) => {
            // Counting a hook as done is a commit that the transcript does not see.
            drop(world.model.resolve(&name(a, n), retry));
            if !retry {
                promises.joined.clear();
            }
        }
        Step::Hook(a, n, what, end) => {
            world.model.lease_tick(now);
            hook(world, promises, &name(a, n), what, end);
        }
        Step::Settle => settle(world, promises),
    }
}

/// Repairs everything and runs all hooks well: the model must come to rest.
fn settle(world: &mut World, promises: &mut Promises) {
    world.pass(301);
    for _ in 0..600 {
        world.pods();
        let names: Vec<_> = world.model.applications().map(|app| app.name.clone()).collect();
        let units: Vec<UnitName> = names
            .iter()
            .flat_map(|app| world.model.units(app).map(|unit| unit.name.clone()))
            .collect();
        let mut busy = false;
        for unit in units {
            if !matches!(world.model.next(&unit, world.now), Next::Idle { .. }) {
                busy = true;
                hook(world, promises, &unit, 250 + 1, 7);
            }
        }
        if !busy {
            return;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn joined_is_directly_followed_by_changed(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        let mut promises = Promises::default();
        for step in steps {
            apply(&mut world, &mut promises, step);
        }
        let stored = serde_json::to_string(&world.model).unwrap();
        let again: juju_model::Model = serde_json::from_str(&stored).unwrap();
        prop_assert_eq!(serde_json::to_string(&again).unwrap(), stored);
        for app in APPS {
            let _ = world.model.remove_application(world.now, &driver::app(app));
        }
        for _ in 0..5 {
            settle(&mut world, &mut promises);
        }
        prop_assert_eq!(world.model.applications().count(), 0);
        prop_assert_eq!(world.model.relations().count(), 0);
        prop_assert_eq!(world.model.secrets().count(), 0);
    }
}
