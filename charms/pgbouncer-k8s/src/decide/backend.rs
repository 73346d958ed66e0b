//! The backend: asking for it, initialising it, using it.

use charm::{Changes, Own, SecretContent, Status};
use interfaces::pgb_peers::secret_keys;
use interfaces::postgresql_client::{REQUESTABLE, Request};
use pgbouncer::Userlist;
use postgres::RoleName;
use secrecy::ExposeSecret;

use crate::effect::{Effect, Initialise};
use crate::facts::{Backend, Client, FullFacts, Login};
use crate::place;

use super::{Next, lookup, service};

/// How far the backend is; flowchart "backend database created" from top to bottom.
pub(crate) enum Step<'a> {
    /// There is none, or it offers nothing yet.
    Absent,
    /// This unit does not lead: it uses what the leader publishes.
    Follower,
    /// PgBouncer does not run yet.
    NotRunning,
    /// PostgreSQL's data is incomplete, or it does not let us in.
    NotReady,
    /// Everything is there: make the user and the functions that look passwords up.
    Initialise(Init<'a>),
    /// That was done before.
    Ready(&'a Login),
}

/// What initialising needs.
pub(crate) struct Init<'a> {
    pub(crate) login: &'a Login,
    pub(crate) auth_user: RoleName,
    /// The user whom PostgreSQL has given us.
    pub(crate) owner: RoleName,
    /// The new content of the application's secret.
    pub(crate) secret: SecretContent,
}

/// Walks the flowchart.
pub(crate) fn step<'a>(facts: &'a FullFacts, running: bool) -> Step<'a> {
    let Some(backend) = &facts.backend else { return Step::Absent };
    if !backend.offered {
        return Step::Absent;
    }
    if !facts.common.leader {
        return Step::Follower;
    }
    if !running {
        return Step::NotRunning;
    }
    let (Some(login), Some(_)) = (&backend.login, &backend.server) else { return Step::NotReady };
    let auth_user = place::auth_user(&login.username).parse::<RoleName>();
    let (Ok(auth_user), Ok(owner)) = (auth_user, login.username.parse()) else {
        return Step::NotReady;
    };
    if backend.knows_lookup && initialised(facts.secret.as_ref(), auth_user.as_str()) {
        return Step::Ready(login);
    }
    // After the last unit of PostgreSQL left, the relation is about to end.
    if facts.peers.is_none() || !backend.populated {
        return Step::NotReady;
    }
    // Clients that had users before get them in the same step, for which it must be known
    // where they connect.
    if facts.clients.iter().any(Client::granted) && service::endpoints(facts).is_none() {
        return Step::NotReady;
    }
    let secret = new_secret(facts, auth_user.as_str());
    Step::Initialise(Init { login, auth_user, owner, secret })
}

/// The user list knows the user who looks passwords up, by a password that works for
/// SCRAM. An md5 hash, which older charms wrote, does not.
pub(crate) fn initialised(secret: Option<&SecretContent>, auth_user: &str) -> bool {
    let list = secret.and_then(|content| content.expose(secret_keys::AUTH_FILE));
    let found = list.and_then(|text| Userlist::find(text, auth_user));
    found.is_some_and(|secret| !secret.expose_secret().starts_with("md5"))
}

/// Passwords that exist are kept. The user who looks passwords up stands in the list with
/// its plain password: PgBouncer logs in to PostgreSQL as that user, which a verifier
/// does not allow. The other two only log in to PgBouncer: their verifiers suffice.
fn new_secret(facts: &FullFacts, auth_user: &str) -> SecretContent {
    let app = facts.common.unit.app();
    let old = facts.secret.clone().unwrap_or_default();
    let keep = |key: &str, purpose: &str| match old.get(key) {
        Some(password) => password.clone(),
        None => facts.seed.password(purpose).secret(),
    };
    let stats = keep(secret_keys::MONITORING_PASSWORD, "stats");
    let admin = keep(secret_keys::ADMIN_PASSWORD, "admin");
    let mut list = Userlist::default();
    list.add(auth_user, facts.seed.password(auth_user).secret());
    for (user, password) in [(place::stats_user(app), &stats), (place::admin_user(app), &admin)] {
        let verifier = facts.seed.verifier(&user, password.expose_secret());
        list.add(user, verifier.expose().into());
    }
    old.with(secret_keys::AUTH_FILE, list.render())
        .with(secret_keys::MONITORING_PASSWORD, stats)
        .with(secret_keys::ADMIN_PASSWORD, admin)
}

/// The application's secret after this hook. Without a backend it has no user list.
pub(crate) fn secret(facts: &FullFacts, step: &Step) -> Option<SecretContent> {
    let related = facts.backend.is_some();
    match step {
        Step::Initialise(init) => Some(init.secret.clone()),
        _ if related => facts.secret.clone(),
        _ => facts.secret.as_ref().map(without_list),
    }
}

pub(crate) fn without_list(secret: &SecretContent) -> SecretContent {
    secret
        .keys()
        .filter(|key| *key != secret_keys::AUTH_FILE)
        .filter_map(|key| Some((key, secret.get(key)?.clone())))
        .collect()
}

/// Asks for a backend and initialises it.
pub(crate) fn effects(facts: &FullFacts, next: &Next) -> Vec<Effect> {
    let mut effects = Vec::new();
    if !facts.common.leader {
        return effects;
    }
    if let Some(backend) = &facts.backend {
        effects.extend(ask(backend));
    }
    if let Step::Initialise(init) = &next.step {
        effects
            .push(Effect::Announce(Status::maintenance("Initialising backend-database relation")));
        effects.push(initialise(facts, next, init));
    }
    effects
}

/// Keeps the application's secret. It says that the backend is initialised, so it comes after
/// everything that is part of that.
pub(crate) fn keep(facts: &FullFacts, next: &Next) -> Option<Effect> {
    let secret = next.secret.as_ref().filter(|secret| !secret.is_empty())?;
    let differs = facts.common.leader && facts.secret.as_ref() != Some(secret);
    differs.then(|| Effect::PeerSecret(secret.clone()))
}

fn ask(backend: &Backend) -> Vec<Effect> {
    if backend.requested {
        return Vec::new();
    }
    let request = Request {
        database: Some(place::OWN_DATABASE.to_owned()),
        roles: vec!["superuser".to_owned()],
        requested_secrets: Some(REQUESTABLE.map(str::to_owned).to_vec()),
        provided_secrets: vec!["mtls-cert".to_owned()],
        entity_type: None,
    };
    vec![
        Effect::Bag(backend.id, Own::App, Changes::from(request.render())),
        Effect::Bag(backend.id, Own::Unit, Changes::from(request.render_unit())),
    ]
}

fn initialise(facts: &FullFacts, next: &Next, init: &Init) -> Effect {
    let (databases, leftovers) = lookup::places(facts, &next.map);
    let list = init.secret.expose(secret_keys::AUTH_FILE).unwrap_or_default();
    let password = Userlist::find(list, init.auth_user.as_str()).unwrap_or_default();
    Effect::Initialise(Box::new(Initialise {
        auth_user: init.auth_user.clone(),
        owner: init.owner.clone(),
        password: password.into(),
        salt: facts.seed.salt(init.auth_user.as_str()),
        databases,
        leftovers,
        superusers: lookup::superusers(facts),
    }))
}
