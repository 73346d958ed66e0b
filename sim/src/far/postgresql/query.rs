//! The queries that the charms' SQL crate asks.

use std::collections::BTreeSet;

use postgres::sql::{LOOKUP_FUNCTION, Query};
use postgres::{Failure, Row, SEGMENT};

use super::statement::Found;
use super::{AVAILABLE, Cluster, Database, READS_FILES, SERVER_VERSION, TEMPLATE};
use crate::mutant::{self, Twist};

/// The rows that answer a query; none where a planted fault overlooks it.
pub(crate) fn answer(
    cluster: &Cluster,
    (user, database): (&str, &str),
    query: Query<'_>,
) -> Result<Vec<Row>, Failure> {
    let here = cluster.databases.get(database);
    let names: Vec<String> = match query {
        Query::Setting("server_version") => vec![SERVER_VERSION.to_owned()],
        Query::Setting(_) | Query::Settings | Query::Parameters => return Err(unknown(query)),
        Query::Facts { role, held } => return Ok(vec![facts(cluster, here, role, held)]),
        Query::OldestSegment => vec![segment(cluster.oldest)],
        Query::DatabasesSize => vec![(cluster.databases.len() << 23).to_string()],
        // Nobody's log is kept longer than another's, and a transaction ends with its statement.
        Query::IdleSlots | Query::LostSlots => Vec::new(),
        Query::OpenTransactions => return Ok(vec![vec![Some("0".to_owned()); 2]]),
        Query::RoleState(name) => return state(cluster, user, name),
        Query::Groups(name) => {
            cluster.roles.get(name).into_iter().flat_map(|role| role.member_of.clone()).collect()
        }
        Query::ReachedUsers(name) => somebody(cluster, name),
        Query::HeldRoles(comment) => held_roles(cluster, comment),
        Query::Roles => cluster.roles.keys().cloned().collect(),
        Query::Stands(name) => {
            let all = !mutant::twisted(Twist::StandsInOrdinary);
            databases(cluster, all, |database| database.holds(name))
        }
        Query::Databases => databases(cluster, false, |_| true),
        Query::AllDatabases => databases(cluster, true, |_| true),
        Query::Database(name) => {
            cluster.databases.keys().filter(|known| *known == name).cloned().collect()
        }
        Query::Open => open(cluster),
        Query::Members(name) => members(cluster, name),
        Query::UserMemberships => user_memberships(cluster),
        Query::TakeOwnership(user) => {
            let heirless = here.is_some_and(|here| here.owner.is_none());
            heirless.then(|| Found::Own(user.to_owned()).row()).into_iter().collect()
        }
        Query::GrantOnObjects { user, but_of } => {
            let theirs = here.and_then(|here| here.owner.as_deref()) == Some(but_of);
            (!theirs).then(|| Found::Use(user.to_owned()).row()).into_iter().collect()
        }
        Query::HeldOnExtensions(user) => {
            here.map(|here| held(cluster, here, user)).unwrap_or_default()
        }
        // No client makes a database, a function, a transaction that it prepares or an event
        // trigger; what it owns is one thing, which goes with REASSIGN OWNED.
        Query::LetIn
        | Query::Owned(_)
        | Query::HandOver(_)
        | Query::EventsOfClients
        | Query::Prepared(_)
        | Query::Subscribed(_)
        | Query::MadeByClients(_) => Vec::new(),
        Query::Lookups => here.map(lookups).unwrap_or_default(),
        Query::Lookup(schema) => {
            let found = here.is_some_and(|here| lookups(here).iter().any(|name| name == schema));
            found.then(|| LOOKUP_FUNCTION.to_owned()).into_iter().collect()
        }
        Query::LookUp { schema, wanted } => {
            return look_up(cluster, (user, schema), database, wanted);
        }
        Query::Extensions => {
            here.map(|here| here.extensions.iter().cloned().collect()).unwrap_or_default()
        }
        Query::AvailableExtensions => AVAILABLE.iter().map(|&name| name.to_owned()).collect(),
        Query::Extension(name) => return Ok(extension(cluster, here, name)),
    };
    Ok(names.into_iter().map(|name| vec![Some(name)]).collect())
}

fn unknown(query: Query<'_>) -> Failure {
    Failure::new(Some("0A000"), format!("no simulation of: {query:?}"))
}

/// The name of the segment of the log that begins here, less its timeline; the first has number 1.
fn segment(begins: u64) -> String {
    let number = (begins / SEGMENT).max(1);
    format!("{:08X}{:08X}", number >> 8, number & 0xff)
}

/// The databases that are no client's and that every role may connect to.
fn open(cluster: &Cluster) -> Vec<String> {
    let open = |name: &&str| {
        cluster.databases.get(*name).is_some_and(|found| found.connect.contains("public"))
    };
    ["postgres", TEMPLATE].into_iter().filter(open).map(str::to_owned).collect()
}

/// The users whose lookups are in a database.
fn lookups(here: &Database) -> Vec<String> {
    let made = here.lookups.iter().filter(|(_, lookup)| lookup.superusers.is_some());
    made.map(|(user, _)| user.clone()).collect()
}

/// What a pooler has to know of a server.
fn facts(cluster: &Cluster, here: Option<&Database>, role: &str, comment: &str) -> Row {
    let known = cluster.roles.get(role).is_some_and(|role| role.login).to_string();
    let row = [SERVER_VERSION, "100", "97", &known].map(|column| Some(column.to_owned()));
    // The name of the log's segment begins with the timeline; a standby writes none.
    let segment = format!("{:08X}0000000000000003", cluster.timeline);
    let segment = (cluster.timeline > 0).then_some(segment);
    let held = Some(serde_json::json!(held_roles(cluster, comment)).to_string());
    let lookup = here.and_then(|here| whole_lookup(here, role));
    row.into_iter().chain([segment, held, lookup]).collect()
}

/// The text of a user's lookup, if all about it but the text is as it should be.
fn whole_lookup(here: &Database, user: &str) -> Option<String> {
    let alone = BTreeSet::from([user.to_owned()]);
    let lookup = here.lookups.get(user)?;
    let enters = [user, "public"].iter().any(|who| here.connect.contains(*who));
    let right = enters && lookup.usage == alone && lookup.execute == alone;
    (right && lookup.superusers.is_some()).then(|| lookup.body.clone())
}

/// The roles with a comment.
fn held_roles(cluster: &Cluster, comment: &str) -> Vec<String> {
    let held = cluster.roles.iter().filter(|(_, role)| role.comment == comment);
    held.map(|(name, _)| name.clone()).collect()
}

/// The databases that can be entered, the template with them or not, of which something is true.
fn databases(cluster: &Cluster, all: bool, is_wanted: impl Fn(&Database) -> bool) -> Vec<String> {
    let shown = |(name, database): &(&String, &Database)| {
        !database.closed && (all || *name != TEMPLATE) && is_wanted(database)
    };
    cluster.databases.iter().filter(shown).map(|(name, _)| name.clone()).collect()
}

/// Whether an extension is there, and where it would go.
fn extension(cluster: &Cluster, here: Option<&Database>, name: &str) -> Vec<Row> {
    if !AVAILABLE.contains(&name) {
        return Vec::new();
    }
    let there = here.is_some_and(|here| here.extensions.contains(name)).to_string();
    let number = cluster.life.to_string();
    let [no, yes, none] = ["false", "true", "[]"].map(|text| Some(text.to_owned()));
    vec![vec![Some(there), None, no, yes, Some(number), none]]
}

/// The roles that a member of this one can become by it, if they can log in.
fn somebody(cluster: &Cluster, name: &str) -> Vec<String> {
    let is = |role: &super::Role| role.login || role.superuser;
    let reached = cluster.reached(name).into_iter();
    reached.filter(|name| cluster.roles.get(name).is_some_and(is)).collect()
}

/// What ends the memberships in a role, but of superusers.
fn members(cluster: &Cluster, name: &str) -> Vec<String> {
    let is_in =
        |(_, role): &(&String, &super::Role)| !role.superuser && role.member_of.contains(name);
    let revoke =
        |(member, _): (&String, &super::Role)| Found::Revoke(name.to_owned(), member.clone()).row();
    cluster.roles.iter().filter(is_in).map(revoke).collect()
}

/// What takes clients' users out of each other and out of the charm's own, at whichever remove, and
/// out of what makes them as good as superusers.
fn user_memberships(cluster: &Cluster) -> Vec<String> {
    let mut found = std::collections::BTreeSet::new();
    let clients = cluster.roles.keys().filter(|name| cluster.is_user(name, &["relation_access"]));
    for client in clients {
        for member in cluster.reached(client) {
            let groups = cluster.roles.get(&member).map(|role| &role.member_of);
            for group in groups.into_iter().flatten() {
                let user = cluster.is_user(group, &["relation_access", "internal_access"]);
                if user || (member == *client && group == READS_FILES) {
                    found.insert(Found::Revoke(group.clone(), member.clone()).row());
                }
            }
        }
    }
    found.into_iter().collect()
}

/// What takes from this user, and from clients' users, what they have on members of extensions.
fn held(cluster: &Cluster, here: &Database, user: &str) -> Vec<String> {
    let is_client = |name: &&String| {
        let role = cluster.roles.get(*name);
        *name == user || role.is_some_and(|role| role.member_of.contains("relation_access"))
    };
    let revoke = |name: &String| Found::Disentangle(name.clone()).row();
    here.extended.iter().filter(is_client).map(revoke).collect()
}

/// What the lookup in a schema returns for a user.
fn look_up(
    cluster: &Cluster,
    (user, schema): (&str, &str),
    database: &str,
    wanted: &str,
) -> Result<Vec<Row>, Failure> {
    let forbidden = || Failure::new(Some("42501"), "permission denied for schema");
    let found = cluster.look_up((user, schema), database, wanted).ok_or_else(forbidden)?;
    let row = |verifier: &str| vec![Some(wanted.to_owned()), Some(verifier.to_owned())];
    Ok(found.map(row).into_iter().collect())
}

/// The row that says how a role is, for a superuser.
fn state(cluster: &Cluster, user: &str, name: &str) -> Result<Vec<Row>, Failure> {
    if !cluster.roles.get(user).is_some_and(|user| user.superuser) {
        return Err(Failure::new(Some("42501"), "permission denied for table pg_authid"));
    }
    let Some(role) = cluster.roles.get(name) else { return Ok(Vec::new()) };
    let flags = [role.login, role.superuser, role.create_db, role.create_role];
    let mut row: Row = flags.iter().map(|flag| Some(flag.to_string())).collect();
    row.push(role.verifier.clone());
    row.push(Some(role.comment.clone()));
    Ok(vec![row])
}
