//! What PostgreSQL's charm gives its clients, and what their users may do.

use std::collections::BTreeMap;

use juju_names::{AppName, RelationId};

use super::server::clients;
use crate::far::patroni::{Login, members, method};
use crate::far::postgresql::{Cluster, TEMPLATE};
use crate::history::Client;
use crate::juju::apps::{old_database, read_secret};
use crate::names::MODEL;
use crate::world::State;

/// A request that the server never grants.
pub(super) fn impossible(client: &Client) -> bool {
    let poolers = client.database == "pgbouncer" && client.roles != "superuser";
    !client.old && (client.database == "postgres" || poolers || client.has_bad_roles())
}

/// Every client of its own gets in and is led to the right members.
pub(super) fn check(state: &State, app: &AppName, asked: &[Client]) -> Vec<String> {
    let mut wrong = residue(state, app);
    for (index, client) in asked.iter().enumerate() {
        let name = client.app(index);
        let all = clients(state);
        let Some((id, remote)) = all.iter().find(|(_, remote)| remote.as_str() == name) else {
            continue;
        };
        if client.old {
            wrong.extend(check_old(state, app, (*id, remote), client));
            continue;
        }
        let found = offered(state, app, *id);
        match (found, impossible(client)) {
            (Some(_), true) => wrong.push(format!("{name} got what it may not have")),
            (None, false) => wrong.push(format!("{name} got no credentials in relation {id}")),
            (Some(offer), false) => {
                let lacks = offer.lacks(state, app, client);
                wrong.extend(lacks.into_iter().map(|what| format!("{name} {what}")));
            }
            (None, true) => {}
        }
    }
    wrong.extend(state.far.clusters.get(app).map(own_users).unwrap_or_default());
    wrong
}

/// The clients that have no credentials.
pub(super) fn waiting(state: &State, asked: &[Client]) -> Vec<String> {
    let Some(app) = super::server::server(state) else { return Vec::new() };
    let all = clients(state);
    let related = asked.iter().enumerate().filter_map(|(index, client)| {
        let name = client.app(index);
        let (id, _) = all.iter().find(|(_, remote)| remote.as_str() == name)?;
        let waits = match client.old {
            true => legacy(state, &app, *id).is_none(),
            false => offered(state, &app, *id).is_none(),
        };
        (waits && !impossible(client)).then_some(name)
    });
    related.map(|name| format!("{name} waits for its credentials")).collect()
}

/// What a client finds in its bag and its secret.
struct Offer {
    user: String,
    password: String,
    bag: BTreeMap<String, String>,
    secret: BTreeMap<String, String>,
}

fn offered(state: &State, app: &AppName, id: RelationId) -> Option<Offer> {
    let relation = state.model.relation(id)?;
    let bag = relation.app_bags.get(app)?.values.clone();
    let reference = bag.get("secret-user")?;
    let remote = &relation.remote(app)?.app;
    let secret = state.model.secret(&reference.parse().ok()?)?;
    if !secret.grants.iter().any(|grant| grant.app == *remote) {
        return None;
    }
    let content = read_secret(state, reference)?;
    let (user, password) = (content.get("username")?.clone(), content.get("password")?.clone());
    let (bag, secret) = (bag.as_ref().clone().into_iter(), content.into_iter());
    Some(Offer { user, password, bag: bag.collect(), secret: secret.collect() })
}

/// What a client of `db` or `db-admin` finds in the bag.
fn legacy(state: &State, app: &AppName, id: RelationId) -> Option<Offer> {
    let bag = state.model.relation(id)?.app_bags.get(app)?.values.as_ref().clone();
    let (user, password) = (bag.get("user")?.clone(), bag.get("password")?.clone());
    Some(Offer { user, password, bag: bag.into_iter().collect(), secret: BTreeMap::new() })
}

/// A legacy client gets in, is led to the right members, and reads the same in the bag of the unit
/// that leads.
fn check_old(
    state: &State,
    app: &AppName,
    (id, remote): (RelationId, &AppName),
    client: &Client,
) -> Vec<String> {
    let Some(offer) = legacy(state, app, id) else {
        return vec![format!("{remote} got no credentials in relation {id}")];
    };
    let mut wrong = Vec::new();
    let text = |key: &str| offer.bag.get(key).map(String::as_str).unwrap_or_default();
    let database = old_database(remote);
    let several = state.model.units(app).count() > 1;
    let reads = if several { "replicas" } else { "primary" };
    for (key, role) in [("master", "primary"), ("standbys", reads)] {
        let (user, password) = (&offer.user, &offer.password);
        let wanted = format!(
            "host={app}-{role}.{MODEL}.svc.cluster.local dbname={database} port=5432 user={user} \
             password={password} fallback_application_name={remote}"
        );
        if text(key) != wanted {
            wrong.push(format!("has no {key} that leads anywhere: {}", text(key)));
        }
    }
    let units = state.model.units(remote).map(|unit| unit.name.to_string());
    if units.collect::<Vec<_>>().join(",") != text("allowed-units") {
        wrong.push(format!("may come from {:?} only", text("allowed-units")));
    }
    for key in ["version", "allowed-subnets"] {
        if text(key).is_empty() && !text("allowed-units").is_empty() {
            wrong.push(format!("is not told {key}"));
        }
    }
    let leader = state.model.application(app).and_then(|app| app.leader.clone());
    let bags = leader.and_then(|leader| {
        let bag = state.model.relation(id)?.unit_bags.get(&leader)?;
        Some(offer.bag.iter().all(|(key, value)| bag.values.get(key) == Some(value)))
    });
    if bags != Some(true) {
        wrong.push("reads something else in the leader's bag".to_owned());
    }
    wrong.extend(offer.gets_in(state, app));
    if let Some(cluster) = state.far.clusters.get(app) {
        let roles = if client.is_privileged() { "superuser" } else { "" }.to_owned();
        wrong.extend(offer.rights(cluster, &Client { database, roles, ..client.clone() }));
    }
    wrong.into_iter().map(|what| format!("{remote} {what}")).collect()
}

impl Offer {
    fn lacks(&self, state: &State, app: &AppName, client: &Client) -> Vec<String> {
        let mut wrong = Vec::new();
        let text = |key: &str| self.bag.get(key).map(String::as_str).unwrap_or_default();
        if text("database") != client.database {
            wrong.push(format!("asked for {} and got {}", client.database, text("database")));
        }
        for key in ["version", "data"] {
            if text(key).is_empty() {
                wrong.push(format!("is not told {key}"));
            }
        }
        let several = state.model.units(app).count() > 1;
        let reads = if several { "replicas" } else { "primary" };
        for (key, role) in [("endpoints", "primary"), ("read-only-endpoints", reads)] {
            let host = format!("{app}-{role}.{MODEL}.svc.cluster.local:5432");
            if text(key) != host {
                wrong.push(format!("has {key} {:?}, not {host:?}", text(key)));
            }
        }
        let Self { user, password, .. } = self;
        for (key, role) in [("uris", "primary"), ("read-only-uris", reads)] {
            let begin = format!("postgresql://{user}:{password}@{app}-{role}");
            let end = format!(".{MODEL}.svc.cluster.local:5432/{}", client.database);
            let uri = self.secret.get(key).map(String::as_str).unwrap_or_default();
            if !uri.starts_with(&begin) || !uri.ends_with(&end) {
                wrong.push(format!("has no {key} that lead anywhere"));
            }
        }
        wrong.extend(self.gets_in(state, app));
        if let Some(cluster) = state.far.clusters.get(app) {
            wrong.extend(self.rights(cluster, client));
        }
        wrong
    }

    /// Whether it gets in at every member with its password, and with no other.
    fn gets_in(&self, state: &State, app: &AppName) -> Vec<String> {
        let mut wrong = Vec::new();
        let database = self.bag.get("database").map(String::as_str).unwrap_or_default();
        let login = state.far.clusters.get(app).map(|cluster| {
            let login = cluster.login(&self.user, &self.password, database);
            login.map_err(|why| why.to_string())
        });
        if let Some(Err(why)) = login {
            wrong.push(format!("cannot log in: {why}"));
        }
        for (unit, member) in members(&state.far, app) {
            let encrypted = member.speaks_tls();
            let login = Login { user: &self.user, database: Some(database), encrypted };
            match method(member, login) {
                None => wrong.push(format!("is not let in by {unit}")),
                Some("trust") => wrong.push(format!("needs no password at {unit}")),
                Some(_) => {}
            }
        }
        wrong
    }

    /// Whether its user may do what it asked for, and nothing more.
    fn rights(&self, cluster: &Cluster, client: &Client) -> Vec<String> {
        let Some(role) = cluster.roles.get(&self.user) else { return Vec::new() };
        let mut wrong = Vec::new();
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                wrong.push(what.to_owned());
            }
        };
        let asked = |word: &str| client.roles == word;
        expect(
            role.superuser == asked("superuser"),
            "is a superuser, or is none, against its wish",
        );
        let creates = asked("createdb") || asked("admin");
        expect(role.create_db == creates, "may make databases, or may not, against its wish");
        expect(role.member_of.contains("relation_access"), "is in no group of access");
        expect(role.member_of.contains("admin") == asked("admin"), "is an admin against its wish");
        let uses = cluster.databases.get(&client.database).is_some_and(|database| {
            let owns = database.owner.as_ref() == Some(&self.user);
            role.superuser || owns || database.users.contains(&self.user)
        });
        expect(uses, "may not make tables in its own database");
        let plain = !role.superuser && !asked("admin");
        let groups = role.member_of.iter();
        for group in groups.filter(|group| *group != "relation_access" && !asked(group)) {
            expect(false, &format!("is a member of {group} against its wish"));
        }
        let others = cluster.databases.keys().filter(|name| **name != client.database);
        for other in others.filter(|name| plain && cluster.may_connect(&self.user, name)) {
            expect(false, &format!("may connect to {other}"));
        }
        wrong
    }
}

/// The charm's own users may do what they are for.
fn own_users(cluster: &Cluster) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    let has = |user: &str, group: &str| {
        cluster.roles.get(user).is_some_and(|role| role.member_of.contains(group))
    };
    let superuser = |user: &str| cluster.roles.get(user).is_some_and(|role| role.superuser);
    expect(superuser("operator") && superuser("backup"), "operator or backup is no superuser");
    expect(!superuser("monitoring"), "monitoring is a superuser");
    expect(has("monitoring", "pg_monitor"), "monitoring sees no statistics");
    expect(has("admin", "pg_read_all_data"), "admins do not read everything");
    let postgres = cluster.databases.get("postgres");
    let connects = |who: &str| postgres.is_some_and(|postgres| postgres.connect.contains(who));
    expect(!connects("public"), "everybody may connect to the database postgres");
    let template = cluster.databases.get(TEMPLATE);
    let open = template.is_some_and(|template| template.connect.contains("public"));
    expect(!open, "everybody may connect to the template of new databases");
    expect(connects("admin") && connects("monitoring"), "some may not connect to postgres");
    wrong
}

/// The secrets of clients that are gone, and revisions that no consumer tracks.
fn residue(state: &State, app: &AppName) -> Vec<String> {
    let mut wrong = Vec::new();
    let own = state
        .model
        .secrets()
        .filter(|secret| matches!(&secret.owner, juju_model::Owner::App(owner) if owner == app));
    let live = clients(state);
    for secret in own {
        let label = secret.label.as_deref().unwrap_or_default();
        let of_client = label.strip_prefix("database.").and_then(|rest| rest.split('.').next());
        let id = of_client.and_then(|id| id.parse().ok()).map(RelationId);
        if id.is_some_and(|id| !live.iter().any(|(live, _)| *live == id)) {
            wrong.push(format!("the secret {label} survives its relation"));
        }
        let read = secret.tracking.values().all(|seen| seen.revision == secret.latest);
        if secret.revisions.len() > 1 && read {
            wrong.push(format!("revisions of {label} that nobody reads are kept"));
        }
    }
    wrong
}
