//! What the charm knows: its options, its relation, and what the provider offers.

use charm::{Bag, Event, Hook, HookError, Own, RelationId, RelationKind, Revision, SecretContent};
use interfaces::BagError;
use interfaces::postgresql_client::Offer;

/// The endpoint that asks for a database.
pub(crate) const ENDPOINT: &str = "postgresql";

/// The action that shows the credentials.
pub(crate) const GET_CREDENTIALS: &str = "get-credentials";

/// Everything a decision needs.
pub(crate) struct Facts {
    /// The option `database-name`.
    pub(crate) database: Option<String>,
    /// The option `extra-user-roles`.
    pub(crate) roles: String,
    /// The relation, while there is one.
    pub(crate) provider: Option<Provider>,
}

/// The relation with the provider.
pub(crate) struct Provider {
    /// The relation.
    pub(crate) id: RelationId,
    /// What the application has asked for; `None` where only the leader can know.
    pub(crate) asked: Option<Bag>,
    /// What the provider offers, or why that cannot be read.
    pub(crate) offer: Result<Offer, BagError>,
    /// The content of the offered secrets, read for the action only.
    pub(crate) secrets: Option<Secrets>,
}

/// What the provider's secrets hold.
pub(crate) struct Secrets {
    /// `username`, `password`, `uris`, `read-only-uris`.
    pub(crate) user: SecretContent,
    /// `tls`, `tls-ca`.
    pub(crate) tls: SecretContent,
}

/// Reads everything once.
pub(crate) fn gather(hook: &mut Hook, event: &Event) -> Result<Facts, HookError> {
    let config = hook.config()?;
    let text = |key: &str| config.text(key).unwrap_or_default().trim().to_owned();
    let database = Some(text("database-name")).filter(|name| !name.is_empty());
    let roles = text("extra-user-roles");
    let over = event.relation(ENDPOINT).filter(|event| event.kind == RelationKind::Broken);
    let ids = hook.relations(ENDPOINT)?;
    let id = ids.into_iter().find(|id| over.is_none_or(|event| event.id != *id));
    let provider = id.map(|id| provider(hook, event, id)).transpose()?;
    Ok(Facts { database, roles, provider })
}

fn provider(hook: &mut Hook, event: &Event, id: RelationId) -> Result<Provider, HookError> {
    let leader = hook.is_leader()?;
    let asked = if leader { Some(hook.own_bag(id, Own::App)?) } else { None };
    let offer = Offer::parse(&hook.remote_app_bag(id)?);
    let secrets = match (&offer, event) {
        (Ok(offer), Event::Action { name, .. }) if name == GET_CREDENTIALS => secrets(hook, offer)?,
        _ => None,
    };
    Ok(Provider { id, asked, offer, secrets })
}

fn secrets(hook: &mut Hook, offer: &Offer) -> Result<Option<Secrets>, HookError> {
    let mut read = |id: &Option<charm::SecretId>| match id {
        Some(id) => hook.secret(id, Revision::Refresh),
        None => Ok(None),
    };
    let tls = read(&offer.secret_tls)?.unwrap_or_default();
    Ok(read(&offer.secret_user)?.map(|user| Secrets { user, tls }))
}
