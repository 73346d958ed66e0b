//! The backend and the clients, from their databags and secrets.

use juju_charm::{Bag, HookError, Own, Reader, RelationId, Revision, SecretContent, SecretQuery};
use juju_interfaces::postgresql_client::{Credentials, Offer, Request, secret_label, seen};

use juju_interfaces::BagError;
use postgres::NameError;

use crate::endpoint::Endpoint;
use crate::facts::{Backend, DatabaseRelation, Login, Peers};

use crate::names;
use crate::validate::client_user;

/// The relation to PostgreSQL; credentials are read by the leader only.
pub(super) fn backend(hook: &mut Reader, leader: bool) -> Result<Option<Backend>, HookError> {
    let Some(id) = hook.live_relations(Endpoint::Backend)?.first().copied() else {
        return Ok(None);
    };
    let app = hook.cached_remote_app(id)?;
    let bag = hook.bag(id, &app.into())?;
    let (offer, problem) = match Offer::parse(&bag) {
        Ok(offer) => (offer, None),
        Err(problem) => (Offer::default(), Some(problem)),
    };
    let given = offer.secret_user.is_some() || offer.plain.is_some();
    let mut offered = offer.endpoints.is_some() && given;
    if offered && offer.subordinated {
        offered = any_unit_ready(hook, id)?;
    }
    let mut backend = Backend {
        id,
        requested: offered || !leader || hook.cached_bag(id, Own::App)?.contains_key("database"),
        populated: true,
        problem,
        offered,
        version: offer.version.clone(),
        ca: None,
        login: None,
        server: None,
        answers: false,
        connection_budget: None,
        knows_lookup: false,
        lookup: None,
        owned_roles: None,
        databases: None,
    };
    if offered && let Some(ca) = ca(hook, id, &offer, &bag)? {
        // A server that cannot be checked is not used as if it had not asked for it.
        match postgres::check_ca(&ca) {
            Ok(()) => backend.ca = Some(ca),
            Err(error) => {
                backend.offered = false;
                backend.problem = Some(BagError::new("tls-ca", error));
            }
        }
    }
    if leader && backend.offered {
        match login(hook, id, &offer)? {
            Ok(login) => backend.login = login,
            Err(error) => backend.problem = Some(BagError::new("username", error)),
        }
    }
    Ok(Some(backend))
}

/// A subordinate PostgreSQL is ready when one of its units says so.
fn any_unit_ready(hook: &mut Reader, id: RelationId) -> Result<bool, HookError> {
    for unit in hook.remote_units(id)? {
        let bag = hook.bag(id, &unit.into())?;
        if is_ready(&bag) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a unit of a subordinate PostgreSQL says in its bag that it is ready.
pub(super) fn is_ready(bag: &Bag) -> bool {
    bag.get("state").is_some_and(|state| state == "ready")
}

/// The CA certificates of PostgreSQL, where it publishes that it uses TLS.
fn ca(
    hook: &mut Reader,
    id: RelationId,
    offer: &Offer,
    bag: &Bag,
) -> Result<Option<String>, HookError> {
    let (tls, ca) = match &offer.secret_tls {
        Some(secret) => {
            let label = secret_label(Endpoint::Backend, id, "tls");
            let query = SecretQuery::Bind { id: secret.clone(), label };
            let Some(content) = hook.secret(query, Revision::Refresh)? else { return Ok(None) };
            let text = |key: &str| content.expose(key).map(str::to_owned);
            (text("tls"), text("tls-ca"))
        }
        None => (bag.get("tls").cloned(), bag.get("tls-ca").cloned()),
    };
    let used = tls.is_some_and(|tls| tls == "True");
    Ok(ca.filter(|ca| used && !ca.is_empty()))
}

fn login(
    hook: &mut Reader,
    id: RelationId,
    offer: &Offer,
) -> Result<Result<Option<Login>, NameError>, HookError> {
    let credentials = match &offer.secret_user {
        Some(secret) => {
            let label = secret_label(Endpoint::Backend, id, "user");
            let query = SecretQuery::Bind { id: secret.clone(), label };
            read(hook.secret(query, Revision::Refresh)?)
        }
        None => offer.plain.clone(),
    };
    let (Some(credentials), Some(endpoints)) = (credentials, &offer.endpoints) else {
        return Ok(Ok(None));
    };
    let replicas = offer.read_only_endpoints.iter().flat_map(|list| list.all().to_vec());
    let auth_user = names::auth_user(&credentials.username).parse();
    let users = credentials.username.parse().and_then(|user| Ok((user, auth_user?)));
    Ok(users.map(|(username, auth_user)| {
        Some(Login {
            username,
            auth_user,
            password: credentials.password.into(),
            primary: endpoints.first().clone(),
            replicas: replicas.collect(),
        })
    }))
}

fn read(content: Option<SecretContent>) -> Option<Credentials> {
    let content = content?;
    Credentials::read(|key| content.get(key).cloned())
}

/// The clients; passwords are read only where the backend may not have all of them.
pub(super) fn clients(
    hook: &mut Reader,
    backend: Option<&Backend>,
    peers: Option<&Peers>,
    renewed: bool,
) -> Result<Vec<DatabaseRelation>, HookError> {
    let owed = |id| peers.is_some_and(|peers| peers.owes(id));
    let lost = |id| backend.is_some_and(|backend| backend.lost(&client_user(id)));
    let mut clients = Vec::new();
    for id in hook.live_relations(Endpoint::Database)? {
        let app = hook.cached_remote_app(id)?;
        let bag: Bag = hook.bag(id, &app.clone().into())?;
        let own = hook.cached_bag(id, Own::App)?;
        let mut client = DatabaseRelation {
            id,
            app,
            request: Request::parse(&bag),
            echo: seen(&bag),
            own,
            password: None,
        };
        if let Some(password) = client.own.get("password") {
            client.password = Some(password.as_str().into());
        } else if client.granted()
            && (renewed || lost(id) || owed(id) || client.former_roles().is_some())
        {
            let label = secret_label(Endpoint::Database, id, "user");
            let known = read(hook.secret(label.as_str(), Revision::Refresh)?);
            client.password = known.map(|credentials| credentials.password.into());
        }
        clients.push(client);
    }
    Ok(clients)
}
