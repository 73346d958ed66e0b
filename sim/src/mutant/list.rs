//! The faults that are planted, by name.

use postgres::sql::Query;

use super::{Mutant, Plant, Target, Twist, databases, kinds};

/// Files that are not written, by words in their paths.
const UNWRITTEN: [&str; 4] = [".ini", "logrotate", ".pgpass", "/dev/shm/pgbouncer-k8s_"];

/// Hooks in which the charm does nothing.
const IGNORED: [&str; 15] = [
    "config-changed",
    "update-status",
    "leader-elected",
    "upgrade-charm",
    "secret-remove",
    "pgbouncer-pebble-ready",
    "pgbouncer-pebble-check-failed",
    "pgb-peers-relation-changed",
    "pgb-peers-relation-departed and upgrade-relation-departed",
    "backend-database-relation-joined and backend-database-relation-changed",
    "backend-database-relation-departed",
    "backend-database-relation-broken",
    "database-relation-changed",
    "database-relation-broken",
    "db-relation-broken",
];

/// Hook tools that do nothing, with words of the call.
const TOOLS: [(&str, &str); 8] = [
    ("relation-set", "--app"),
    ("relation-set", ""),
    ("secret-set", ""),
    ("secret-grant", ""),
    ("secret-remove", ""),
    ("state-set", ""),
    ("state-delete", ""),
    ("status-set", ""),
];

/// Wrong answers of hook tools.
const ANSWERS: [(&str, &str, &str); 11] = [
    ("is-leader", "", "true"),
    ("is-leader", "", "false"),
    ("config-get", "", "{}"),
    ("state-get", "", "{}"),
    ("secret-info-get", "", "{}"),
    ("relation-ids", "pgb-peers", "[]"),
    ("relation-ids", "backend-database", "[]"),
    ("relation-ids", "database", "[]"),
    ("relation-ids", "db", "[]"),
    ("relation-list", "", "[]"),
    ("relation-get", "postgresql-k8s", "{}"),
];

/// Keys of databags.
const KEYS: [&str; 22] = [
    "database",
    "endpoints",
    "read-only-endpoints",
    "version",
    "secret-user",
    "requested-secrets",
    "extra-user-roles",
    "user",
    "password",
    "host",
    "port",
    "master",
    "standbys",
    "allowed-units",
    "allowed-subnets",
    "state",
    "cfg_file",
    "pgb_dbs_config",
    "pgb_dbs",
    "leader_hostname",
    "userlist_nonce",
    "data",
];

/// Keys that change while a relation lives.
const ONCE: [&str; 7] =
    ["endpoints", "port", "master", "cfg_file", "pgb_dbs_config", "pgb_dbs", "leader_hostname"];

/// Requests to Pebble, by words of what is asked.
const PEBBLE: [&str; 9] = [
    "pgbouncer.ini",
    "/dev/shm/pgbouncer-k8s_",
    "logrotate",
    "pgpass",
    "/v1/layers",
    "replan",
    "/v1/signals",
    "restart",
    "remove",
];

/// Lines of files.
const LINES: [&str; 16] = [
    "* = ",
    "auth_query",
    "auth_file",
    "auth_dbname",
    "listen_port",
    "pool_mode",
    "max_db_connections",
    "max_prepared_statements",
    "peer_id",
    "server_reset_query",
    "so_reuseport",
    "unix_socket_dir",
    "auth_type",
    "admin_users",
    "stats_users",
    "ignore_startup_parameters",
];

/// Kinds of statements.
const STATEMENTS: [&str; 22] = [
    "REVOKE role",
    "CREATE ROLE",
    "ALTER ROLE",
    "COMMENT ON ROLE",
    "GRANT role",
    "GRANT CONNECT ON DATABASE",
    "GRANT ALL PRIVILEGES ON DATABASE",
    "GRANT USAGE",
    "GRANT USAGE ON SCHEMA",
    "GRANT EXECUTE ON FUNCTION",
    "CREATE DATABASE",
    "CREATE SCHEMA",
    "CREATE FUNCTION",
    "REVOKE ALL PRIVILEGES ON DATABASE",
    "REVOKE ALL ON FUNCTION",
    "REVOKE CONNECT ON DATABASE",
    "ALTER SCHEMA",
    "DROP OWNED BY",
    "REASSIGN OWNED BY",
    "DROP ROUTINE",
    "DROP SCHEMA",
    "DROP ROLE",
];

/// What statements, queries and logins do instead of what they say.
const SQL: [(&str, Plant); 12] = [
    ("a pooler's user asks wherever a database says", Plant::Sql("ALTER ROLE SET search_path")),
    ("a client's database says where names are looked up", Plant::Twist(Twist::NamesAnywhere)),
    ("a role is granted that can log in", Plant::Overlooks(Query::ReachedUsers(""))),
    ("a role stays where it has something in the template", Plant::Twist(Twist::StandsInOrdinary)),
    ("sessions in the template stay", Plant::Sql("SELECT pg_terminate_backend template1")),
    ("the lookup shows superusers", Plant::Twist(Twist::LookupShowsSuperusers)),
    ("the lookup hides superusers who ask for it", Plant::Twist(Twist::LookupHidesSuperusers)),
    ("every user is a superuser", Plant::Twist(Twist::AllSuperusers)),
    ("no user is a superuser", Plant::Twist(Twist::NoSuperusers)),
    ("every user may make databases", Plant::Twist(Twist::AllMakeDatabases)),
    ("users cannot log in", Plant::Twist(Twist::NobodyLogsIn)),
    ("the lookup may be called by everybody", Plant::Twist(Twist::LookupStaysOpen)),
];

/// Keys of secrets.
const SECRETS: [&str; 7] = [
    "auth-file",
    "monitoring-password",
    "admin-password",
    "legacy-",
    "username",
    "password",
    "uris",
];

/// Public issues of the charms in Python, as far as one cause gives them again.
const ISSUES: [(&str, Plant); 8] = [
    ("787, a hook cannot do without the peer relation", Plant::NeedsPeers),
    ("databases of legacy clients are lost from the map", Plant::NoLegacy),
    ("750, a name for reading only that is too long", Plant::LongNames),
    (
        "825, a unit is never told that it is the one that leaves",
        Plant::Unset("JUJU_DEPARTING_UNIT"),
    ),
    (
        "a wildcard vanishes when another client asks",
        Plant::Blind("database-relation-changed", "extra-user-roles"),
    ),
    (
        "a wildcard vanishes with a client",
        Plant::Blind("database-relation-broken", "extra-user-roles"),
    ),
    ("an old revision of a secret is read", Plant::Without("secret-get", "--refresh")),
    ("the application's bag is mistaken for the unit's", Plant::Without("relation-set", "--app")),
];

/// What is not planted, because nothing in this world would differ, and why.
const LEFT_OUT: [(&str, &str); 13] = [
    ("effect put secret comes last", "Juju keeps a hook's writes until its end"),
    (
        "effect initialise comes last",
        "a hook that finds no lookup makes it again, whatever the secret says",
    ),
    (
        "hook pgbouncer-pebble-check-recovered is ignored",
        "the hook of the failed check has seen the server, and no process dies alone here",
    ),
    (
        "effect remove client comes last",
        "whoever comes in the same hook has another user, and needs nothing of it",
    ),
    (
        "hook pgb-peers-relation-departed is ignored",
        "the same unit departs from the relation upgrade as well",
    ),
    (
        "hook backend-database-relation-changed is ignored",
        "a unit of PostgreSQL joins when there is something new to read",
    ),
    ("effect remove client comes first", "a client that is gone misses nothing"),
    ("effect remove auth comes last", "nothing in the same hook follows from it"),
    ("the failure of remove auth is overlooked", "only the words of a status say that it failed"),
    ("hook start is ignored", "pebble-ready follows and does all of it"),
    (
        "hook secret-changed is ignored",
        "each change of a secret that matters comes with one of a bag",
    ),
    (
        "SQL: ALTER ROLE NOLOGIN is left out",
        "it shuts out whoever connects while the role is removed: only real parts do both at once",
    ),
    ("Kubernetes: DELETE does nothing", "the charm deletes no object"),
];

/// What is not planted in any charm, and why.
pub fn not_planted() -> impl Iterator<Item = (&'static str, &'static str)> {
    LEFT_OUT.into_iter().chain(databases::LEFT_OUT)
}

/// Every planted fault.
pub fn all() -> Vec<Mutant> {
    let mut all = Vec::new();
    let target = Target::Pooler;
    let mut add = |name: String, plant| all.push(Mutant { name, target, plant });
    for plant in kinds::of_pooler() {
        add(plant.of_effect().unwrap_or_default(), plant);
    }
    for words in UNWRITTEN {
        add(format!("file {words} is not written"), Plant::Unwritten(words));
    }
    add("the charm never gathers again".to_owned(), Plant::NeverAgain);
    add("the status is always active".to_owned(), Plant::AlwaysActive);
    for hook in IGNORED {
        add(format!("hook {hook} is ignored"), Plant::Ignore(hook));
    }
    for (tool, word) in TOOLS {
        add(format!("{tool} {word} does nothing"), Plant::Tool(tool, word));
    }
    for (tool, word, answer) in ANSWERS {
        add(format!("{tool} {word} answers {answer}"), Plant::Answer(tool, word, answer));
    }
    for key in KEYS {
        add(format!("key {key} is not written"), Plant::Key(key));
    }
    for key in ONCE {
        add(format!("key {key} is written once"), Plant::KeyOnce(key));
    }
    add("no key is removed".to_owned(), Plant::KeepsKeys);
    for words in PEBBLE {
        add(format!("Pebble: {words} does nothing"), Plant::Pebble(words));
    }
    add("a reload that was refused goes unnoticed".to_owned(), Plant::Trusts);
    add("a pause goes unnoticed".to_owned(), Plant::SeesNoPause);
    add("every file is open".to_owned(), Plant::OpenFiles);
    for line in LINES {
        add(format!("the files lack {line}"), Plant::Line(line));
    }
    for words in STATEMENTS {
        add(format!("SQL: {words} is left out"), Plant::Sql(words));
    }
    for (name, plant) in SQL {
        add(format!("SQL: {name}"), plant);
    }
    add("Kubernetes: PATCH does nothing".to_owned(), Plant::Kubernetes("PATCH", ""));
    for key in SECRETS {
        add(format!("secrets lack {key}"), Plant::SecretKey(key));
    }
    for (name, plant) in ISSUES {
        add(format!("issue: {name}"), plant);
    }
    all.extend(databases::all());
    all
}
