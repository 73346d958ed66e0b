//! The interface `pgb_peers`: what PgBouncer's units share.

use std::collections::BTreeMap;

use juju_names::{AppName, RelationId};
use serde::{Deserialize, Serialize};
use shake::Shake128;
use shake::digest::{ExtendableOutput, Update, XofReader};

use crate::{Bag, BagError, json, parsed, python, text};

/// Keys of the application's secret.
pub mod secret_keys {
    /// The text of PgBouncer's `auth_file`.
    pub const AUTH_FILE: &str = "auth-file";
    /// The password of the user who reads statistics.
    pub const MONITORING_PASSWORD: &str = "monitoring-password";
    /// The password of the user of the admin console.
    pub const ADMIN_PASSWORD: &str = "admin-password";
    /// The prefix of the keys of legacy clients.
    pub const LEGACY: &str = "legacy-";

    /// The user of a legacy client.
    pub fn legacy_user(id: juju_names::RelationId) -> String {
        format!("{LEGACY}{id}-user")
    }

    /// Its password.
    pub fn legacy_password(id: juju_names::RelationId) -> String {
        format!("{LEGACY}{id}-password")
    }
}

/// The label of the secret that the leader writes for all units.
pub fn app_secret_label(app: &AppName) -> String {
    format!("pgb-peers.{app}.app")
}

/// The label of the secret that a unit keeps for itself.
pub fn unit_secret_label(app: &AppName) -> String {
    format!("pgb-peers.{app}.unit")
}

/// The key by which a unit reports to its peers that it leaves a relation.
pub fn departing_key(endpoint: &str, id: RelationId) -> String {
    format!("{endpoint}_{id}_departing")
}

/// The application bag, written by the leader.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppBag {
    /// The leader's pod as a name in the cluster's DNS.
    pub leader_hostname: Option<String>,
    /// The part of `pgbouncer.ini` that all units share.
    pub cfg_file: Option<String>,
    /// Which client relation uses which database.
    pub databases: Option<DatabaseMap>,
    /// The port that the Service and the clients know.
    pub current_port: Option<u16>,
    /// Further databases that privileged clients may read.
    pub readonly_databases: Vec<String>,
}

/// A unit's own bag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitBag {
    /// The pod's name in the cluster's DNS.
    pub private_address: Option<String>,
    /// The digest of the database map that the unit's PgBouncer serves.
    pub databases_digest: Option<String>,
    /// The part of the `auth_file`'s name that changes with each start of the pod.
    pub userlist_nonce: Option<String>,
    /// The container was set up once.
    pub container_initialised: bool,
}

/// Which client relation uses which database: the JSON in `pgb_dbs_config`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatabaseMap {
    /// By relation.
    pub relations: BTreeMap<RelationId, MappedDatabase>,
    /// The database whose lookup function serves every database without an entry.
    pub wildcard: Option<String>,
}

/// A relation's database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappedDatabase {
    /// The database's name.
    pub name: String,
    /// The relation has the legacy interface `pgsql`.
    pub legacy: bool,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    auth_dbname: Option<String>,
    #[serde(default)]
    legacy: bool,
}

/// The key of the wildcard in the map, and its name there.
const WILDCARD: &str = "*";

impl DatabaseMap {
    /// The digest of the map's text: SHAKE-128, 16 bytes, lower-case hexadecimal.
    pub fn digest(&self) -> String {
        let mut hasher = Shake128::default();
        hasher.update(self.to_string().as_bytes());
        let mut bytes = [0; 16];
        hasher.finalize_xof().read(&mut bytes);
        format!("{:032x}", u128::from_be_bytes(bytes))
    }
}

impl std::fmt::Display for DatabaseMap {
    /// The JSON text, relations by number, the wildcard last.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut entries: Vec<String> = Vec::new();
        for (id, database) in &self.relations {
            entries.push(format!("\"{id}\": {}", python::dumps(database)));
        }
        if let Some(auth_dbname) = &self.wildcard {
            let wire = Wire {
                name: WILDCARD.to_owned(),
                auth_dbname: Some(auth_dbname.clone()),
                legacy: false,
            };
            entries.push(format!("\"{WILDCARD}\": {}", python::dumps(&wire)));
        }
        write!(f, "{{{}}}", entries.join(", "))
    }
}

impl TryFrom<BTreeMap<String, Wire>> for DatabaseMap {
    type Error = BagError;
    fn try_from(wire: BTreeMap<String, Wire>) -> Result<Self, BagError> {
        let mut map = Self::default();
        for (key, entry) in wire {
            if key == WILDCARD {
                map.wildcard = entry.auth_dbname;
                continue;
            }
            let id = key.parse().map_err(|error| BagError::new("pgb_dbs_config", error))?;
            map.relations.insert(id, MappedDatabase { name: entry.name, legacy: entry.legacy });
        }
        Ok(map)
    }
}

impl AppBag {
    /// Reads the application bag.
    ///
    /// # Errors
    /// `BagError` naming the malformed key.
    pub fn parse(bag: &Bag) -> Result<Self, BagError> {
        let wire: Option<BTreeMap<String, Wire>> = json(bag, "pgb_dbs_config")?;
        Ok(Self {
            leader_hostname: text(bag, "leader_hostname").map(str::to_owned),
            cfg_file: text(bag, "cfg_file").map(str::to_owned),
            databases: wire.map(DatabaseMap::try_from).transpose()?,
            current_port: parsed(bag, "current_port")?,
            readonly_databases: json(bag, "readonly_dbs")?.unwrap_or_default(),
        })
    }

    /// The bag's keys.
    pub fn render(&self) -> Bag {
        let mut bag = Bag::new();
        let mut put = |key: &str, value: Option<String>| {
            bag.extend(value.map(|value| (key.to_owned(), value)));
        };
        put("leader_hostname", self.leader_hostname.clone());
        put("cfg_file", self.cfg_file.clone());
        put("pgb_dbs_config", self.databases.as_ref().map(DatabaseMap::to_string));
        put("current_port", self.current_port.map(|port| port.to_string()));
        let readonly = &self.readonly_databases;
        put("readonly_dbs", (!readonly.is_empty()).then(|| python::dumps(readonly)));
        bag
    }
}

impl UnitBag {
    /// Reads a unit's bag; nothing in it can be malformed.
    pub fn parse(bag: &Bag) -> Self {
        Self {
            private_address: text(bag, "private-address").map(str::to_owned),
            databases_digest: text(bag, "pgb_dbs").map(str::to_owned),
            userlist_nonce: text(bag, "userlist_nonce").map(str::to_owned),
            container_initialised: text(bag, "container_initialised") == Some("True"),
        }
    }

    /// The bag's keys.
    pub fn render(&self) -> Bag {
        let mut bag = Bag::new();
        let mut put = |key: &str, value: Option<String>| {
            bag.extend(value.map(|value| (key.to_owned(), value)));
        };
        put("private-address", self.private_address.clone());
        put("pgb_dbs", self.databases_digest.clone());
        put("userlist_nonce", self.userlist_nonce.clone());
        put("container_initialised", self.container_initialised.then(|| "True".to_owned()));
        bag
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map() -> DatabaseMap {
        let waltz = MappedDatabase { name: "waltz".into(), legacy: false };
        let indico = MappedDatabase { name: "indico".into(), legacy: true };
        DatabaseMap {
            relations: BTreeMap::from([(RelationId(10), indico), (RelationId(7), waltz)]),
            wildcard: Some("waltz".into()),
        }
    }

    #[test]
    fn the_map_is_written_as_python_would() {
        insta::assert_snapshot!(map(), @r#"{"7": {"name": "waltz", "legacy": false}, "10": {"name": "indico", "legacy": true}, "*": {"name": "*", "auth_dbname": "waltz", "legacy": false}}"#);
        assert_eq!(DatabaseMap::default().to_string(), "{}");
    }

    #[test]
    fn digests_agree_with_python() {
        assert_eq!(DatabaseMap::default().digest(), "468067f3e2f88531db254c9c96b0e335");
        assert_eq!(map().digest(), "f9a12b6dfe3d02010876e25864f9ab8b");
    }

    #[test]
    fn the_bag_survives_a_round_trip() {
        let bag = AppBag {
            leader_hostname: Some("pgbouncer-k8s-0.pgbouncer-k8s-endpoints.m".into()),
            cfg_file: Some("[databases]\n".into()),
            databases: Some(map()),
            current_port: Some(6432),
            readonly_databases: vec!["a".into(), "b".into()],
        };
        assert_eq!(AppBag::parse(&bag.render()), Ok(bag));
        assert_eq!(AppBag::parse(&Bag::new()), Ok(AppBag::default()));
    }

    #[test]
    fn bad_values_are_named() {
        for (key, value) in
            [("pgb_dbs_config", "{"), ("pgb_dbs_config", "{\"x\": {\"name\": \"a\"}}")]
        {
            let bag = Bag::from([(key.to_owned(), value.to_owned())]);
            assert_eq!(AppBag::parse(&bag).unwrap_err().key, key);
        }
        let bag = Bag::from([("current_port".to_owned(), "x".to_owned())]);
        assert_eq!(AppBag::parse(&bag).unwrap_err().key, "current_port");
    }

    proptest! {
        #[test]
        fn any_map_survives_a_round_trip(
            relations in prop::collection::btree_map(any::<u32>(), ("\\PC*", any::<bool>()), 0..4),
            wildcard in prop::option::of("\\PC*"),
        ) {
            let relations = relations.into_iter()
                .map(|(id, (name, legacy))| (RelationId(id), MappedDatabase { name, legacy }))
                .collect();
            let databases = Some(DatabaseMap { relations, wildcard });
            let bag = AppBag { databases, ..AppBag::default() };
            prop_assert_eq!(AppBag::parse(&bag.render()), Ok(bag));
        }
    }
}
