//! Legacy clients, on the endpoints `db` and `db-admin`.

use juju_charm::{Error, Own, Reader, RelationId};
use juju_interfaces::pgsql;
use juju_interfaces::postgresql_client::Request;

use crate::endpoint::Endpoint;
use crate::facts::{DatabaseRelation, Legacy};

/// The role of a client that may do everything.
const SUPERUSER: &str = "superuser";

/// Reads a client; it may name its database in the bag of its application or of any unit.
pub(super) fn client(
    hook: &mut Reader,
    endpoint: Endpoint,
    id: RelationId,
) -> Result<DatabaseRelation, Error> {
    let app = hook.cached_remote_app(id)?;
    let mut asked = pgsql::Request::parse(&hook.bag(id, &app.clone().into())?);
    let units = hook.remote_units(id)?;
    let mut subnets = std::collections::BTreeSet::new();
    for unit in &units {
        let bag = hook.bag(id, &unit.clone().into())?;
        let egress = bag.get("egress-subnets").into_iter().flat_map(|list| list.split(','));
        subnets.extend(egress.map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned));
        if asked.database.is_none() {
            asked = pgsql::Request::parse(&bag);
        }
    }
    let roles = if endpoint == Endpoint::DbAdmin { vec![SUPERUSER.to_owned()] } else { Vec::new() };
    let offered = hook.own_bag(id, Own::App)?;
    Ok(DatabaseRelation {
        id,
        app: Some(app),
        request: Ok(Request { database: asked.database, roles, ..Request::default() }),
        seen: String::new(),
        former: None,
        password: offered.get("password").map(|text| text.clone().into()),
        offered,
        legacy: Some(Legacy {
            endpoint,
            extensions: asked.extensions,
            asks_roles: asked.roles.is_some(),
            units,
            subnets,
            own: hook.own_bag(id, Own::Unit)?,
        }),
    })
}
