//! Any list, and a watch from its version on, give the state of the end.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use kube_api::{
    DeleteOptions, Filter, Key, Kind, PatchType, Scope, Selector, Store, StoreOptions, Writer,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const SELECTORS: [&str; 4] = ["", "role=a", "role!=a", "role in (a,b)"];

#[derive(Debug, Clone)]
enum Step {
    Create(Kind, usize, Option<usize>),
    Label(Kind, usize, Option<usize>),
    Annotate(Kind, usize, u8),
    Delete(Kind, usize),
    DeleteAll(Kind, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![Just(Kind::Pod), Just(Kind::Endpoints), Just(Kind::Service)];
    let role = proptest::option::of(0..3usize);
    let at = (kind, 0..4usize);
    prop_oneof![
        (at.clone(), role.clone()).prop_map(|((kind, name), role)| Step::Create(kind, name, role)),
        (at.clone(), role).prop_map(|((kind, name), role)| Step::Label(kind, name, role)),
        (at.clone(), 0..2u8).prop_map(|((kind, name), value)| Step::Annotate(kind, name, value)),
        at.clone().prop_map(|(kind, name)| Step::Delete(kind, name)),
        at.prop_map(|(kind, selector)| Step::DeleteAll(kind, selector)),
    ]
}

fn name(index: usize) -> String {
    format!("object-{index}")
}

fn role(role: Option<usize>) -> Value {
    role.map_or(Value::Null, |role| json!(["a", "b", "c"][role]))
}

fn filter(kind: Kind, selector: usize) -> Filter {
    let selector = Selector::parse(SELECTORS[selector]).unwrap();
    Filter { selector, ..Filter::all(kind, "lab") }
}

fn writer(scope: Scope) -> Writer<'static> {
    Writer { manager: "test", scope, now: Timestamp::UNIX_EPOCH, labels: None }
}

/// Refusals are part of life here.
fn take(store: &mut Store, step: &Step) {
    let now = Timestamp::UNIX_EPOCH;
    let patch = |store: &mut Store, kind, index, metadata: Value| {
        let body = json!({ "metadata": metadata });
        let key = Key::new(kind, "lab", &name(index));
        let _ = store.patch(&key, PatchType::Strategic, &body, writer(Scope::Main));
    };
    match step {
        Step::Create(kind, index, with) => {
            let mut body = json!({ "metadata": { "name": name(*index) } });
            body["metadata"]["labels"] = json!({ "role": role(*with) });
            body["status"] = json!({ "podIP": format!("10.0.0.{}", index + 1) });
            if *kind == Kind::Service {
                body["spec"] = json!({ "ports": [{ "port": 80 }] });
                if with.is_some() {
                    body["spec"]["selector"] = json!({ "role": role(*with) });
                }
            }
            let _ = store.create(*kind, "lab", &body, writer(Scope::Whole));
        }
        Step::Label(kind, index, with) => {
            patch(store, *kind, *index, json!({ "labels": { "role": role(*with) } }));
        }
        Step::Annotate(kind, index, value) => {
            patch(store, *kind, *index, json!({ "annotations": { "a": value.to_string() } }));
        }
        Step::Delete(kind, index) => {
            let key = Key::new(*kind, "lab", &name(*index));
            let _ = store.delete(&key, &DeleteOptions::default(), now);
        }
        Step::DeleteAll(kind, selector) => {
            store.delete_collection(&filter(*kind, *selector), &DeleteOptions::default(), now);
        }
    }
}

/// What a client knows: its list, brought forward by events.
fn contents(items: &[kube_api::Object]) -> BTreeMap<String, Value> {
    let entry = |object: &kube_api::Object| {
        let value = object.value().clone();
        (value["metadata"]["name"].as_str().unwrap().to_owned(), value)
    };
    items.iter().map(entry).collect()
}

/// Applies events in small batches; each type must fit what the client knows.
fn follow(store: &Store, filter: &Filter, mut since: u64, known: &mut BTreeMap<String, Value>) {
    let mut last = since;
    while since < store.version() {
        let (lines, reached) = store.events(filter, since, 2).unwrap();
        assert!(reached > since);
        since = reached;
        for line in lines {
            let event: Value = serde_json::from_str(&line).unwrap();
            let object = event["object"].clone();
            let metadata = &object["metadata"];
            let version: u64 = metadata["resourceVersion"].as_str().unwrap().parse().unwrap();
            assert!(version > last, "versions grow");
            last = version;
            let name = metadata["name"].as_str().unwrap().to_owned();
            match event["type"].as_str().unwrap() {
                "ADDED" => assert!(known.insert(name, object).is_none()),
                "MODIFIED" => assert!(known.insert(name, object).is_some()),
                "DELETED" => assert!(known.remove(&name).is_some()),
                other => panic!("{other}"),
            }
        }
    }
}

proptest! {
    #[test]
    fn every_list_and_its_watch_lead_to_the_end(steps in prop::collection::vec(step(), 0..60)) {
        let mut store = Store::new(StoreOptions {
            cluster_ip_range: (Ipv4Addr::new(10, 9, 0, 1), 100),
            node_ports: 30000..=30010,
            history_max: 10_000,
            seed: 1,
        });
        let kinds = [Kind::Pod, Kind::Endpoints, Kind::Service];
        let filters: Vec<Filter> = kinds
            .into_iter()
            .flat_map(|kind| (0..SELECTORS.len()).map(move |selector| filter(kind, selector)))
            .collect();
        let mut lists = Vec::new();
        for step in &steps {
            lists.push(filters.iter().map(|filter| store.list(filter)).collect::<Vec<_>>());
            take(&mut store, step);
        }
        for lists in lists {
            for (filter, list) in filters.iter().zip(lists) {
                let mut known = contents(&list.items);
                follow(&store, filter, list.version, &mut known);
                prop_assert_eq!(known, contents(&store.list(filter).items));
            }
        }
    }
}
