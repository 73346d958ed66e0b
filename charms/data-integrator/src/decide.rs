//! What to do: pure.

use charm::{Changes, Decision, Event, ExposeSecret, RelationId, SecretString, Status, databag};
use interfaces::postgresql_client::{Offer, REQUESTABLE, Request};

use crate::facts::{Facts, GET_CREDENTIALS, Provider, Secrets};

/// One outside effect.
pub(crate) enum Effect {
    /// Ask the provider, in the application's databag.
    Request(RelationId, Changes),
    /// Answer the action: result keys and values.
    Answer(Vec<(&'static str, SecretString)>),
    /// Make the action fail.
    Fail(&'static str),
}

const NOTHING_ASKED: &str = "Please specify either topic, index, database name, or prefix";
const NOT_RELATED: &str = "Please relate the data-integrator with the desired product";
const NOT_READY: &str = "Waiting for the credentials";

/// What to do about an event, given the facts.
pub(crate) fn decide(event: &Event, facts: &Facts) -> Decision<Effect> {
    match event {
        Event::Action { name, .. } if name == GET_CREDENTIALS => {
            Decision::new().effect(answer(facts))
        }
        Event::Stop | Event::Remove => Decision::new(),
        _ => Decision::new().effects(request(facts)).status(status(facts)),
    }
}

/// Asks for the database. A database that was asked for is not changed: the provider
/// has made it, and the user's credentials are for it.
fn request(facts: &Facts) -> Option<Effect> {
    let provider = facts.provider.as_ref()?;
    let asked = provider.asked.as_ref()?;
    let wanted = facts.database.clone()?;
    let database = Some(databag::text(asked, "database").map_or(wanted, str::to_owned));
    let roles = facts.roles.split(',').map(str::trim).filter(|role| !role.is_empty());
    let roles: Vec<String> = roles.map(str::to_owned).collect();
    let request = Request {
        database,
        roles: roles.clone(),
        requested_secrets: Some(REQUESTABLE.map(str::to_owned).to_vec()),
        provided_secrets: vec!["mtls-cert".to_owned()],
        ..Request::default()
    };
    let mut changes = Changes::from(request.render());
    if roles.is_empty() {
        changes = changes.remove("extra-user-roles");
    }
    let changes = changes.against(asked);
    (!changes.is_empty()).then_some(Effect::Request(provider.id, changes))
}

fn status(facts: &Facts) -> Status {
    let Some(wanted) = &facts.database else { return Status::blocked(NOTHING_ASKED) };
    let Some(provider) = &facts.provider else { return Status::blocked(NOT_RELATED) };
    let asked = provider.asked.as_ref().and_then(|bag| databag::text(bag, "database"));
    if let Some(asked) = asked.filter(|asked| asked != wanted) {
        return Status::blocked(format!(
            "To change database name: {asked}, please remove relation and add it again"
        ));
    }
    match &provider.offer {
        Err(error) => Status::blocked(error.to_string()),
        Ok(offer) if offer.secret_user.is_none() => Status::waiting(NOT_READY),
        Ok(_) => Status::active(),
    }
}

fn answer(facts: &Facts) -> Effect {
    if facts.database.is_none() {
        return Effect::Fail(
            "The database name is not specified in the config. Please specify one",
        );
    }
    match &facts.provider {
        None => Effect::Fail("The action can be run only after relation is created"),
        Some(Provider { offer: Ok(offer), secrets: Some(secrets), .. }) => {
            Effect::Answer(results(offer, secrets))
        }
        Some(_) => Effect::Fail("The credentials are not there yet. Please try again later"),
    }
}

fn results(offer: &Offer, secrets: &Secrets) -> Vec<(&'static str, SecretString)> {
    let text = |value: String| Some(SecretString::from(value));
    let all = [
        ("ok", text("True".to_owned())),
        ("postgresql.username", secrets.user.get("username").cloned()),
        ("postgresql.password", secrets.user.get("password").cloned()),
        ("postgresql.uris", secrets.user.get("uris").cloned()),
        ("postgresql.read-only-uris", secrets.user.get("read-only-uris").cloned()),
        ("postgresql.tls", secrets.tls.get("tls").cloned()),
        ("postgresql.tls-ca", secrets.tls.get("tls-ca").cloned()),
        ("postgresql.database", offer.database.clone().and_then(text)),
        ("postgresql.version", offer.version.clone().and_then(text)),
        ("postgresql.endpoints", offer.endpoints.as_ref().and_then(|e| text(e.to_string()))),
        (
            "postgresql.read-only-endpoints",
            offer.read_only_endpoints.as_ref().and_then(|e| text(e.to_string())),
        ),
    ];
    let set = all.into_iter().filter_map(|(key, value)| Some((key, value?)));
    set.filter(|(_, value)| !value.expose_secret().is_empty()).collect()
}
