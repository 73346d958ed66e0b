//! Facts that several decisions rest on, judged once a hook.

use std::ops::Deref;

use charm_kit::certificates::{Steps, Trust};
use juju_interfaces::postgresql_client::{LARGEST, Request};
use postgres::{DatabaseName, ExtraRoles, NameError};

use crate::effect::SuperuserLogin;
use crate::facts::{DatabaseRelation, Facts, Legacy};
use crate::options::Settings;
use crate::passwords::Passwords;
use crate::wording::{self, BAD_ROLES};

/// Databases that belong to the server.
const RESERVED: [&str; 3] = ["postgres", "template0", "template1"];
/// The database of the poolers, in which they look passwords up.
const POOLERS: &str = "pgbouncer";

/// The facts and what follows from them.
pub(crate) struct Validated<'a> {
    facts: &'a Facts,
    /// The application's passwords; none until the leader has made all of them.
    pub passwords: Option<Passwords>,
    /// The options or, where they cannot be used, what was in force before.
    pub settings: Option<&'a Settings>,
    /// What is to be done about the own certificate.
    pub certificate: Steps,
    /// What clients are to know of it; none before there are peers.
    pub trust: Option<Trust>,
    /// What each client asks for.
    pub requests: Vec<(&'a DatabaseRelation, Asked)>,
}

/// What a client asks for, as far as it says itself; the server knows the rest.
pub(crate) enum Asked {
    /// Nothing yet, or what this charm does not give.
    Nothing,
    /// A user and a database.
    Grant(GrantRequest),
    /// What it cannot have.
    Refused(Problem),
}

/// A user of these roles and a database.
#[derive(Clone)]
pub(crate) struct GrantRequest {
    /// The database.
    pub database: DatabaseName,
    /// The roles beside its own.
    pub roles: ExtraRoles,
    /// Whether it has all of this already.
    pub served: bool,
    /// Whether it reads credentials from a secret.
    pub in_secret: bool,
    /// Whether it reads the CA from a secret.
    pub tls_in_secret: bool,
}

/// Why a client cannot be served.
pub(crate) struct Problem {
    /// What its status begins with.
    pub status: &'static str,
    /// The reason.
    pub reason: String,
}

impl<'a> Deref for Validated<'a> {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        self.facts
    }
}

impl<'a> Validated<'a> {
    /// What was gathered.
    pub(crate) fn facts(&self) -> &'a Facts {
        self.facts
    }

    /// Judges the facts.
    pub(crate) fn new(facts: &'a Facts) -> Self {
        let certificate = facts.tls.steps();
        let asked = |client| (client, asked(facts, client));
        let requests = facts.clients.iter().map(asked).collect();
        Self {
            facts,
            passwords: facts.passwords(),
            settings: facts.settings.as_ref().ok().or(facts.in_force.as_ref()),
            trust: facts.trust(&certificate),
            certificate,
            requests,
        }
    }

    /// How the charm logs in once this hook's effects on the own certificate are true; none until
    /// there are passwords.
    pub(crate) fn superuser(&self) -> Option<SuperuserLogin> {
        let password = self.passwords.as_ref()?.operator.clone();
        Some(SuperuserLogin { password, ca: self.ca() })
    }

    /// The host at which clients read: the replicas, once there may be any.
    pub(crate) fn read_only_host(&self) -> String {
        let peers = self.peer.as_ref().map_or(0, |peer| peer.units.len());
        if peers > 1 { self.topology.replicas_host() } else { self.topology.primary_host() }
    }

    /// Whether PostgreSQL and Patroni speak TLS once this hook's effects are true.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.certificate.serves.is_some()
    }

    /// The CA that signed the server's certificate, once this hook's effects are true.
    pub(crate) fn ca(&self) -> Option<String> {
        self.certificate.ca().map(str::to_owned)
    }
}

fn asked(facts: &Facts, client: &DatabaseRelation) -> Asked {
    if let Some(problem) = client.legacy.as_ref().and_then(|legacy| refusal(facts, legacy)) {
        return Asked::Refused(problem);
    }
    match &client.request {
        Ok(Request { database: None, .. } | Request { entity_type: Some(_), .. }) => Asked::Nothing,
        Ok(request @ Request { database: Some(name), .. }) => {
            match grant_request(client, request, name) {
                Ok(grant) => Asked::Grant(grant),
                Err(problem) => Asked::Refused(problem),
            }
        }
        Err(error) => Asked::Refused(Problem::failed(client, error.to_string())),
    }
}

/// What a client of the legacy interface cannot have.
fn refusal(facts: &Facts, legacy: &Legacy) -> Option<Problem> {
    let said = legacy.extensions.iter().chain(&legacy.subnets).map(String::len).sum::<usize>();
    if said > LARGEST {
        let reason = format!("a request may have {LARGEST} bytes, and this one has {said}");
        return Some(Problem { status: wording::failed(legacy.endpoint), reason });
    }
    if legacy.asks_roles {
        let reason = "relate to the endpoint database".to_owned();
        return Some(Problem { status: wording::ROLES, reason });
    }
    let on = facts.plugins.extensions();
    let names = legacy.extensions.iter().filter_map(|wanted| wanted.split(':').next());
    let missing: Vec<&str> = names.filter(|name| !on.contains(name)).collect();
    let missing = missing.first()?;
    let reason = format!("{missing}: no option plugin_<name>_enable switches it on");
    Some(Problem { status: wording::EXTENSIONS, reason })
}

impl Problem {
    fn failed(client: &DatabaseRelation, reason: String) -> Self {
        Self { status: wording::failed(client.endpoint()), reason }
    }
}

fn grant_request(
    client: &DatabaseRelation,
    request: &Request,
    name: &str,
) -> Result<GrantRequest, Problem> {
    let database: DatabaseName =
        name.parse().map_err(|error: NameError| Problem::failed(client, error.to_string()))?;
    let roles = ExtraRoles::parse(&request.roles.join(",")).map_err(|role| Problem {
        status: BAD_ROLES,
        reason: format!("no client can be a member of {role:?}: correct extra-user-roles"),
    })?;
    if RESERVED.contains(&database.as_str()) {
        let reason = format!("the database {database} is reserved: choose another");
        return Err(Problem::failed(client, reason));
    }
    // A pooler is a superuser, and what is in this database its sessions trust.
    if database.as_str() == POOLERS && !roles.superuser {
        let reason = format!("the database {database} is the poolers': choose another");
        return Err(Problem::failed(client, reason));
    }
    Ok(GrantRequest {
        database,
        roles,
        served: client.is_served(request),
        in_secret: request.wants_in_secret("password"),
        tls_in_secret: request.wants_in_secret("tls"),
    })
}
