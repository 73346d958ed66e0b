//! What to do: pure.

use juju_charm::{Changes, Decision, Event, ExposeSecret, SecretString, Status, Write, databag};
use juju_interfaces::postgresql_client::{Offer, REQUESTABLE, Request};

use crate::facts::{Facts, GET_CREDENTIALS, Options, Provider, Secrets};

const NOTHING_ASKED: &str = "Please specify either topic, index, database name, or prefix";
const NOT_RELATED: &str = "Please relate the data-integrator with the desired product";
const NOT_READY: &str = "Waiting for the credentials";

/// What to do about an event, given the facts.
pub(crate) fn decide(event: &Event, options: &Options, facts: &Facts) -> Decision<Write> {
    if matches!(event, Event::Action { name, .. } if name == GET_CREDENTIALS) {
        return Decision::new().effects(answer(options, facts));
    }
    if matches!(event, Event::Stop | Event::Remove) {
        return Decision::new();
    }
    Decision::new().effects(request(options, facts)).status(status(options, facts))
}

/// Asks for the database. A database that was asked for is not changed: the provider
/// has made it, and the user's credentials are for it.
fn request(options: &Options, facts: &Facts) -> Option<Write> {
    let provider = facts.provider.as_ref()?;
    let asked = provider.asked.as_ref()?;
    let wanted = options.database()?;
    let database = Some(databag::text(asked, "database").unwrap_or(wanted).to_owned());
    let roles = options.roles();
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
    Some(Write::app_bag(provider.id, changes))
}

fn status(options: &Options, facts: &Facts) -> Status {
    let Some(wanted) = options.database() else { return Status::blocked(NOTHING_ASKED) };
    let Some(provider) = &facts.provider else { return Status::blocked(NOT_RELATED) };
    let asked = provider.asked.as_ref().and_then(|bag| databag::text(bag, "database"));
    if let Some(asked) = asked.filter(|asked| *asked != wanted) {
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

fn answer(options: &Options, facts: &Facts) -> Vec<Write> {
    let why = match &facts.provider {
        _ if options.database().is_none() => {
            "The database name is not specified in the config. Please specify one"
        }
        None => "The action can be run only after relation is created",
        Some(Provider { offer: Ok(offer), secrets: Some(secrets), .. }) => {
            return results(offer, secrets);
        }
        Some(_) => "The credentials are not there yet. Please try again later",
    };
    vec![Write::fail(why)]
}

fn results(offer: &Offer, secrets: &Secrets) -> Vec<Write> {
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
    let set = set.filter(|(_, value)| !value.expose_secret().is_empty());
    set.map(|(key, value)| Write::result(key, value)).collect()
}
