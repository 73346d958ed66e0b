//! What a client of `db` or `db-admin` reads, in the bags of the application and of its leader.

use juju_charm::{Bag, Changes, ExposeSecret as _, Own, SecretString, Write, databag};
use juju_interfaces::pgsql::Connection;

use crate::effect::Effect;
use crate::facts::{DatabaseRelation, Legacy};
use crate::topology::POSTGRESQL_PORT;
use crate::validate::Validated;

/// The credentials of a client.
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a SecretString,
    pub(super) database: &'a str,
}

/// What the client reads, but for the server's version; every value is what the interface promises.
pub(super) fn bag(
    facts: &Validated<'_>,
    client: &DatabaseRelation,
    legacy: &Legacy,
    login: &Login<'_>,
) -> Bag {
    let connection = |host: String| {
        let connection = Connection {
            host,
            dbname: login.database.to_owned(),
            port: POSTGRESQL_PORT,
            user: login.user.to_owned(),
            password: login.password.clone(),
            application: client.app.as_ref().map(ToString::to_string).unwrap_or_default(),
        };
        connection.render().expose_secret().to_owned()
    };
    let primary = facts.topology.primary_host();
    let units = legacy.units.iter().map(ToString::to_string).collect::<Vec<_>>();
    let subnets = legacy.subnets.iter().cloned().collect::<Vec<_>>();
    let pairs = [
        ("user", login.user.to_owned()),
        ("password", login.password.expose_secret().to_owned()),
        ("database", login.database.to_owned()),
        ("host", primary.clone()),
        ("port", POSTGRESQL_PORT.to_string()),
        ("master", connection(primary)),
        ("standbys", connection(facts.read_only_host())),
        ("allowed-units", units.join(",")),
        ("allowed-subnets", subnets.join(",")),
        ("extensions", legacy.extensions.join(",")),
        ("state", "master".to_owned()),
    ];
    pairs.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
}

/// What has changed for clients that are served: addresses, their own units, and which unit leads.
pub(super) fn refresh(facts: &Validated<'_>) -> Vec<Effect> {
    facts.clients.iter().flat_map(|client| stale(facts, client)).map(Effect::from).collect()
}

fn stale(facts: &Validated<'_>, client: &DatabaseRelation) -> Vec<Write> {
    let known = |key| databag::text(&client.offered, key);
    let (Some(legacy), Some(user), Some(password), Some(database)) =
        (&client.legacy, known("user"), known("password"), known("database"))
    else {
        return Vec::new();
    };
    let password = SecretString::from(password);
    let mut wanted = bag(facts, client, legacy, &Login { user, password: &password, database });
    wanted.extend(known("version").map(|version| ("version".to_owned(), version.to_owned())));
    let write = |(own, now): (Own, &Bag)| {
        let changes = Changes::from(wanted.clone()).against(now);
        (!changes.is_empty()).then(|| Write::bag(client.id, own, changes))
    };
    [(Own::App, &client.offered), (Own::Unit, &legacy.own)].into_iter().filter_map(write).collect()
}
