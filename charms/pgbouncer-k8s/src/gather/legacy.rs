//! Clients of the old interface, on the endpoints `db` and `db-admin`.

use std::collections::{BTreeMap, BTreeSet};

use charm::{Event, Hook, HookError, Level, Own, RelationId};
use interfaces::pgsql::Request;

use crate::facts::{Access, Legacy};
use crate::operator::PgBouncer;

use super::{live, remote_app, workload::words};

/// The controller-state key of the live relations of the old interface.
const RELATIONS: &str = "legacy";

/// The live relations by endpoint. They come and go by events of their own, so between
/// those what was listed last still holds.
fn relations(hook: &mut Hook, event: &Event) -> Result<BTreeMap<RelationId, Access>, HookError> {
    let endpoints = Access::ALL.map(Access::endpoint);
    let moved = endpoints.into_iter().any(|endpoint| event.relation(endpoint).is_some());
    let text = hook.state(RELATIONS)?;
    let known: Option<[Vec<RelationId>; 2]> =
        text.and_then(|text| serde_json::from_str(&text).ok());
    let lists = match known {
        Some(lists) if !moved && *event != Event::UpgradeCharm => lists,
        _ => {
            let [db, admin] = endpoints;
            let lists = [live(hook, event, db)?, live(hook, event, admin)?];
            hook.set_state(RELATIONS, Some(serde_json::json!(lists).to_string()))?;
            lists
        }
    };
    let pairs = Access::ALL.into_iter().zip(lists);
    Ok(pairs.flat_map(|(access, ids)| ids.into_iter().map(move |id| (id, access))).collect())
}

/// Forgets the list, because Juju knows one of its relations no more.
pub(super) fn forget(hook: &mut Hook) -> Result<(), HookError> {
    hook.set_state(RELATIONS, None).map(drop)
}

/// The clients. Every unit reads them: each mirrors the credentials into its own bag.
pub(super) fn clients(
    hook: &mut Hook,
    event: &Event,
    leader: bool,
) -> Result<Vec<Legacy>, HookError> {
    let mut clients = Vec::new();
    for (id, access) in relations(hook, event)? {
        let app = remote_app(hook, id)?;
        let request = Request::parse(&hook.bag(id, &app.clone().into())?);
        let units: BTreeSet<_> = hook.remote_units(id)?.into_iter().collect();
        let mut subnets = BTreeSet::new();
        for unit in &units {
            let bag = hook.bag(id, &unit.clone().into())?;
            let listed = bag.get("egress-subnets").map(String::as_str).unwrap_or_default();
            let listed = listed.split(',').map(str::trim).filter(|text| !text.is_empty());
            subnets.extend(listed.map(str::to_owned));
        }
        let own_app = if leader { hook.own_bag(id, Own::App)? } else { Default::default() };
        let own_unit = hook.own_bag(id, Own::Unit)?;
        clients.push(Legacy { id, access, app, request, units, subnets, own_app, own_unit });
    }
    Ok(clients)
}

/// The extensions that PostgreSQL has, where a client asks for one.
pub(super) async fn extensions(
    charm: &PgBouncer,
    hook: &mut Hook,
    clients: &[Legacy],
) -> BTreeSet<String> {
    let asked = clients.iter().any(|client| !client.request.extensions.is_empty());
    let Some(sql) = charm.sql.as_ref().filter(|_| asked) else { return BTreeSet::new() };
    match sql.extensions().await {
        Ok(found) => found.into_iter().collect(),
        Err(error) => {
            hook.log(Level::Warning, words(error));
            BTreeSet::new()
        }
    }
}
