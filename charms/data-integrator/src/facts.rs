//! What the charm knows: its options, its relation, and what the provider offers.

use juju_charm::{Bag, Error, Event, HookError, Own, Reader, RelationId, Revision, SecretContent};
use juju_interfaces::BagError;
use juju_interfaces::postgresql_client::Offer;

/// The endpoint that asks for a database.
pub(crate) const ENDPOINT: &str = "postgresql";

/// The action that shows the credentials.
pub(crate) const GET_CREDENTIALS: &str = "get-credentials";

/// The options.
#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[derive(Default)]
pub struct Options {
    database_name: String,
    extra_user_roles: String,
}

impl Options {
    /// The database to ask for.
    pub(crate) fn database(&self) -> Option<&str> {
        Some(self.database_name.trim()).filter(|name| !name.is_empty())
    }

    /// The roles that the user shall have besides.
    pub(crate) fn roles(&self) -> Vec<String> {
        let roles = self.extra_user_roles.split(',').map(str::trim);
        roles.filter(|role| !role.is_empty()).map(str::to_owned).collect()
    }
}

/// Everything else that a decision needs.
pub struct Facts {
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
pub(crate) fn gather(juju: &mut Reader, event: &Event) -> Result<Facts, Error> {
    let id = juju.live_relations(ENDPOINT)?.first().copied();
    let provider = id.map(|id| provider(juju, event, id)).transpose()?;
    Ok(Facts { provider })
}

fn provider(juju: &mut Reader, event: &Event, id: RelationId) -> Result<Provider, HookError> {
    let leader = juju.is_leader()?;
    let asked = if leader { Some(juju.own_bag(id, Own::App)?) } else { None };
    let offer = Offer::parse(&juju.remote_app_bag(id)?);
    let secrets = match (&offer, event) {
        (Ok(offer), Event::Action { name, .. }) if name == GET_CREDENTIALS => secrets(juju, offer)?,
        _ => None,
    };
    Ok(Provider { id, asked, offer, secrets })
}

fn secrets(juju: &mut Reader, offer: &Offer) -> Result<Option<Secrets>, HookError> {
    let mut read = |id: &Option<juju_charm::SecretId>| match id {
        Some(id) => juju.secret(id, Revision::Refresh),
        None => Ok(None),
    };
    let tls = read(&offer.secret_tls)?.unwrap_or_default();
    Ok(read(&offer.secret_user)?.map(|user| Secrets { user, tls }))
}
