//! Legacy clients, on the endpoints `db` and `db-admin`.

use std::collections::{BTreeMap, BTreeSet};

use juju_charm::{HookError, Level, Own, Reader, error_chain};
use juju_interfaces::pgsql::Request;

use crate::connections::Connections;
use crate::facts::{Access, LegacyRelation};

/// The clients. Every unit reads them: each mirrors the credentials into its own bag.
pub(super) fn clients(hook: &mut Reader, leader: bool) -> Result<Vec<LegacyRelation>, HookError> {
    let mut relations = BTreeMap::new();
    for access in Access::ALL {
        let ids = hook.cached_relations(access.endpoint())?;
        relations.extend(ids.into_iter().map(|id| (id, access)));
    }
    let mut clients = Vec::new();
    for (id, access) in relations {
        let app = hook.cached_remote_app(id)?;
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
        clients.push(LegacyRelation {
            id,
            access,
            app,
            request,
            units,
            subnets,
            own_app,
            own_unit,
        });
    }
    Ok(clients)
}

/// The extensions that PostgreSQL has, where a client asks for one.
pub(super) async fn extensions(
    connections: &Connections,
    hook: &mut Reader,
    clients: &[LegacyRelation],
) -> BTreeSet<String> {
    let asked = clients.iter().any(|client| !client.request.extensions.is_empty());
    let Some(sql) = connections.sql.as_ref().filter(|_| asked) else { return BTreeSet::new() };
    match sql.extensions().await {
        Ok(found) => found.into_iter().collect(),
        Err(error) => {
            hook.log(Level::Warning, error_chain(error));
            BTreeSet::new()
        }
    }
}
