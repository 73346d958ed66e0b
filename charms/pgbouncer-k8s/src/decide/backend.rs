//! The backend: asking for it, initialising it, healing what was lost in it.

use juju_charm::{ExposeSecret, SecretContent, SecretOwner, SecretString, Status, Write};
use juju_interfaces::pgb_peers::{app_secret_label, secret_keys};
use juju_interfaces::postgresql_client::{REQUESTABLE, Request};
use pgbouncer::Userlist;
use postgres::{RoleName, sql};

use crate::effect::{Effect, Initialise, Lookup};
use crate::facts::{Backend, DatabaseRelation, FullFacts, Login};
use crate::names;
use crate::wording;

use super::{Next, lookup, service};

/// How far the backend is.
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
    /// The new content of the application's secret.
    pub(crate) secret: SecretContent,
    /// The password of the user who looks passwords up, which its user list has.
    password: SecretString,
}

/// The chart "backend changed", from top to bottom.
pub(crate) fn backend_changed<'a>(facts: &'a FullFacts, running: bool) -> Step<'a> {
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
    let auth_user = &login.auth_user;
    if backend.knows_lookup && initialised(facts.secret.as_ref(), auth_user) {
        return Step::Ready(login);
    }
    // After the last unit of PostgreSQL left, the relation is about to end.
    if facts.peers.is_none() || !backend.populated {
        return Step::NotReady;
    }
    // Clients that had users before get them in the same step, for which it must be known
    // where they connect.
    if facts.clients.iter().any(DatabaseRelation::granted) && service::endpoints(facts).is_none() {
        return Step::NotReady;
    }
    let password = facts.seed.password(auth_user.as_str());
    let secret = new_secret(facts, auth_user.as_str(), &password);
    Step::Initialise(Init { login, secret, password })
}

impl<'a> Step<'a> {
    /// Where the backend is, if it is initialised or is about to be.
    pub(crate) fn login(&self) -> Option<&'a Login> {
        match self {
            Self::Initialise(init) => Some(init.login),
            Self::Ready(login) => Some(login),
            Self::Absent | Self::Follower | Self::NotRunning | Self::NotReady => None,
        }
    }
}

/// The user list knows the user who looks passwords up, by a password that works for
/// SCRAM. An md5 hash, which older charms wrote, does not.
pub(crate) fn initialised(secret: Option<&SecretContent>, auth_user: &RoleName) -> bool {
    let list = secret.and_then(|content| content.expose(secret_keys::AUTH_FILE));
    let found = list.and_then(|text| Userlist::find(text, auth_user.as_str()));
    found.is_some_and(|secret| !secret.expose_secret().starts_with("md5"))
}

/// Passwords that exist are kept. The user who looks passwords up stands in the list with
/// its plain password: PgBouncer logs in to PostgreSQL as that user, which a verifier
/// does not allow. The other two only log in to PgBouncer: their verifiers suffice.
fn new_secret(facts: &FullFacts, auth_user: &str, password: &SecretString) -> SecretContent {
    let app = facts.common.unit.app();
    let old = facts.secret.clone().unwrap_or_default();
    let keep = |key: &str, purpose: &str| match old.get(key) {
        Some(password) => password.clone(),
        None => facts.seed.password(purpose),
    };
    let stats = keep(secret_keys::MONITORING_PASSWORD, "stats");
    let admin = keep(secret_keys::ADMIN_PASSWORD, "admin");
    let mut list = Userlist::default();
    list.add(auth_user, password.clone());
    for (user, password) in [(names::stats_user(app), &stats), (names::admin_user(app), &admin)] {
        let verifier = facts.seed.verifier(&user, password.expose_secret());
        list.add(user, verifier.expose().into());
    }
    old.with(secret_keys::AUTH_FILE, list.render())
        .with(secret_keys::MONITORING_PASSWORD, stats)
        .with(secret_keys::ADMIN_PASSWORD, admin)
}

/// The application's secret after this hook. Without a backend it has no user list.
pub(crate) fn secret(facts: &FullFacts, step: &Step) -> Option<SecretContent> {
    if let Step::Initialise(init) = step {
        return Some(init.secret.clone());
    }
    match facts.backend {
        Some(_) => facts.secret.clone(),
        None => facts.secret.as_ref().map(without_list),
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
        effects.extend(backend_created(backend).into_iter().map(Effect::from));
    }
    if let Step::Initialise(init) = &next.step {
        effects.push(Write::ShowStatus(Status::maintenance(wording::INITIALISING)).into());
        effects.push(initialise(facts, next, init));
    }
    effects
}

/// Keeps the application's secret. It says that the backend is initialised, so it comes after
/// everything that is part of that.
pub(crate) fn keep(facts: &FullFacts, next: &Next) -> Option<Write> {
    let secret = next.secret.as_ref().filter(|secret| !secret.is_empty())?;
    let differs = facts.common.leader && facts.secret.as_ref() != Some(secret);
    let label = app_secret_label(facts.common.unit.app());
    differs.then(|| Write::secret(label, secret.clone(), SecretOwner::App))
}

/// The chart "backend created": the leader asks for a superuser.
fn backend_created(backend: &Backend) -> Vec<Write> {
    if backend.requested {
        return Vec::new();
    }
    let request = Request {
        database: Some(names::OWN_DATABASE.to_string()),
        roles: vec!["superuser".to_owned()],
        requested_secrets: Some(REQUESTABLE.map(str::to_owned).to_vec()),
        provided_secrets: vec!["mtls-cert".to_owned()],
        entity_type: None,
    };
    vec![
        Write::app_bag(backend.id, request.render()),
        Write::unit_bag(backend.id, request.render_unit()),
    ]
}

fn initialise(facts: &FullFacts, next: &Next, init: &Init) -> Effect {
    let (databases, stale_lookups) = lookup::places(facts, &next.map);
    let Login { username, auth_user, .. } = init.login;
    Effect::Initialise(Box::new(Initialise {
        auth_user: auth_user.clone(),
        owner: username.clone(),
        password: init.password.clone().into(),
        salt: facts.seed.salt(auth_user.as_str()),
        databases,
        stale_lookups,
        superusers: lookup::superusers(&next.valid),
    }))
}

/// What makes the lookup anew where the server has another, or lost it: to a person, to a backup
/// that was read in, with a database that was made anew.
pub(crate) fn heal_lookup(facts: &FullFacts, next: &Next) -> Vec<Effect> {
    let (Step::Ready(login), Some(backend)) = (&next.step, &facts.backend) else {
        return Vec::new();
    };
    let superusers = lookup::superusers(&next.valid);
    let body = sql::lookup_body(&login.auth_user, &superusers);
    let (databases, _) = lookup::places(facts, &next.map);
    let anew = Lookup { auth_user: login.auth_user.clone(), databases, superusers };
    if backend.lookup.as_ref() == Some(&body) {
        return Vec::new();
    }
    let text = "PostgreSQL has lost the function that looks passwords up: it is made anew";
    let lost = backend.lookup.is_none().then(|| Write::warning(text).into());
    lost.into_iter().chain([Effect::InstallLookup(Box::new(anew))]).collect()
}
