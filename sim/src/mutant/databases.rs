//! The faults that are planted in postgresql-k8s, by name.

use postgres::sql::Query;

use super::{Mutant, Plant, Target, Twist, kinds};

/// Hooks in which the charm does nothing.
const IGNORED: [&str; 13] = [
    "config-changed",
    "update-status",
    "leader-elected",
    "secret-changed",
    "secret-remove",
    "pgdata-storage-detaching",
    "postgresql-pebble-ready",
    "postgresql-pebble-custom-notice",
    "database-peers-relation-changed",
    "database-peers-relation-departed",
    "database-relation-changed",
    "database-relation-broken",
    "upgrade-relation-created",
];

/// Hook tools that do nothing, with words of the call.
const TOOLS: [(&str, &str); 7] = [
    ("relation-set", "--app"),
    ("relation-set", ""),
    ("secret-add", ""),
    ("secret-set", ""),
    ("secret-grant", ""),
    ("secret-remove", ""),
    ("state-delete", ""),
];

/// Wrong answers of hook tools.
const ANSWERS: [(&str, &str, &str); 9] = [
    ("is-leader", "", "true"),
    ("is-leader", "", "false"),
    ("config-get", "", "{}"),
    ("state-get", "", "{}"),
    ("secret-info-get", "", "{}"),
    ("relation-ids", "database-peers", "[]"),
    ("relation-ids", "database", "[]"),
    ("relation-list", "", "[]"),
    ("goal-state", "", "{\"units\": {}, \"relations\": {}}"),
];

/// Keys of databags.
const KEYS: [&str; 12] = [
    "endpoints",
    "cluster_initialised",
    "clients",
    "member",
    "pending-restart",
    "timeline",
    "database",
    "read-only-endpoints",
    "version",
    "secret-user",
    "data",
    "state",
];

/// Keys that change while a relation lives.
const ONCE: [&str; 5] =
    ["endpoints", "clients", "pending-restart", "timeline", "read-only-endpoints"];

/// Requests to Pebble, by words of what is asked.
const PEBBLE: [&str; 5] = ["patroni.yml", "pgpass", "/v1/layers", "replan", "/v1/signals"];

/// Lines of `patroni.yml`, by how they begin.
const LINES: [&str; 11] = [
    "# Passwords may have",
    "# Patroni may not",
    "on_role_change",
    "on_start",
    "- host replication replication 0.0.0.0/0",
    "- host all all 0.0.0.0/0",
    "- host all /^pgbouncer_auth_ 0.0.0.0/0",
    "statement_timeout",
    "max_prepared_transactions",
    "maximum_lag_on_failover",
    "synchronous_mode: true",
];

/// Texts of `patroni.yml` that lose or change their meaning.
const TEXTS: [(&str, &str, &str); 5] = [
    ("the superuser's password is that of Patroni", "username: operator", "username: rewind"),
    ("standbys log in as the operator", "username: replication", "username: operator"),
    ("nobody needs a password", "0.0.0.0/0 scram-sha-256", "0.0.0.0/0 trust"),
    ("only TLS opens the server", "- host ", "- hostssl "),
    ("PostgreSQL is not told of rewinding", "use_pg_rewind: true", "use_pg_rewind: false"),
];

/// Texts of the layer.
const LAYERS: [(&str, &str, &str); 7] = [
    ("Patroni looks for other labels", "cluster-name: patroni", "cluster-name: other"),
    ("Patroni calls its primary otherwise", "LABEL_VALUE\":\"primary", "LABEL_VALUE\":\"master"),
    ("Patroni has another scope", "PATRONI_SCOPE\":\"patroni", "PATRONI_SCOPE\":\"other"),
    ("Patroni keeps config maps", "USE_ENDPOINTS\":\"true", "USE_ENDPOINTS\":\"false"),
    ("the exporter is not started", "metrics_server", "metrics_serve"),
    ("root records another notice", "pebble notify canonical", "pebble notify other"),
    ("a check asks another port", "localhost:8008", "localhost:8009"),
];

/// Kinds of statements.
const STATEMENTS: [&str; 14] = [
    "REVOKE role",
    "CREATE ROLE",
    "ALTER ROLE",
    "GRANT role",
    "GRANT PG_READ_ALL_DATA",
    "GRANT CONNECT ON DATABASE",
    "GRANT ALL PRIVILEGES ON DATABASE",
    "GRANT USAGE",
    "REVOKE ALL PRIVILEGES ON DATABASE",
    "CREATE DATABASE",
    "ALTER SCHEMA",
    "REASSIGN OWNED BY",
    "DROP OWNED BY",
    "DROP ROLE",
];

/// What statements, queries and logins do instead of what they say.
const SQL: [(&str, Plant); 14] = [
    ("a client's database says where names are looked up", Plant::Twist(Twist::NamesAnywhere)),
    ("a role is granted that can log in", Plant::Overlooks(Query::ReachedUsers(""))),
    ("a role stays where it has something in the template", Plant::Twist(Twist::StandsInOrdinary)),
    ("the template stays open", Plant::Twist(Twist::TemplateStaysOpen)),
    ("every user is a superuser", Plant::Twist(Twist::AllSuperusers)),
    ("no user is a superuser", Plant::Twist(Twist::NoSuperusers)),
    ("every user may make databases", Plant::Twist(Twist::AllMakeDatabases)),
    ("users cannot log in", Plant::Twist(Twist::NobodyLogsIn)),
    ("another's password is changed", Plant::Twist(Twist::AnothersPassword)),
    ("nobody looks who is a client's user before it comes", Plant::Overlooks(Query::Members(""))),
    ("nobody looks which clients are somebody else", Plant::Overlooks(Query::UserMemberships)),
    ("nobody looks what clients have on extensions", Plant::Overlooks(Query::HeldOnExtensions(""))),
    ("nobody looks with what a server runs", Plant::Overlooks(Query::Parameters)),
    ("nobody looks what log a primary has", Plant::Overlooks(Query::OldestSegment)),
];

/// Requests to Kubernetes that are swallowed: the method, words of the body.
const REQUESTS: [(&str, &str, &str); 7] = [
    ("the Service of the primary is not applied", "PATCH", "postgresql-k8s-primary"),
    ("the Service of the replicas is not applied", "PATCH", "postgresql-k8s-replicas"),
    ("the headless Service is not applied", "PATCH", "\"clusterIP\":\"None\""),
    ("pods are not labelled", "PATCH", "\"cluster-name\""),
    ("objects are not adopted", "PATCH", "ownerReferences"),
    ("the primary's label stays", "PATCH", "\"role\":null"),
    ("nothing is deleted", "DELETE", ""),
];

/// Texts of objects that lose or change their meaning.
const OBJECTS: [(&str, &str, &str); 7] = [
    ("the primary's Service selects every role", "\"role\":\"primary\"", "\"any\":\"primary\""),
    ("the primary's Service selects replicas", "\"role\":\"primary\"", "\"role\":\"replica\""),
    ("the replicas' Service selects the primary", "\"role\":\"replica\"", "\"role\":\"primary\""),
    ("pods get another cluster's label", "\"cluster-name\":\"patroni", "\"cluster-name\":\"other"),
    ("objects belong to nobody", "\"ownerReferences\"", "\"finalizers\""),
    ("Endpoints are not marked as locks", "control-plane.alpha", "plane.alpha"),
    ("the Service of the database has another port", "5432", "5433"),
];

/// Requests to Patroni that are swallowed.
const ORDERS: [&str; 4] = ["PATCH /config", "POST /restart", "POST /switchover", "POST /failover"];

/// Texts of what is sent to Patroni that become others.
const BODIES: [(&str, &str, &str); 3] = [
    ("another candidate is named", "\"candidate\"", "\"other\""),
    ("no slot stays while its unit is away", "\"slots\"", "\"slits\""),
    ("the slot of a unit that has left stays", "_k8s_1\":null", "_k8s_1\":{}"),
];

/// Keys of secrets.
const SECRETS: [&str; 10] = [
    "operator-password",
    "replication-password",
    "rewind-password",
    "monitoring-password",
    "patroni-password",
    "backup-password",
    "username",
    "password",
    "uris",
    "read-only-uris",
];

/// Public issues of the charm in Python, as far as one cause gives them again.
const ISSUES: [(&str, Plant); 6] = [
    ("54 and 552, a status hides that there is no primary", Plant::AlwaysActive),
    (
        "634, the mark of an initialised cluster is lost",
        Plant::Blind("update-status", "cluster_initialised"),
    ),
    ("508, another's data on a volume are not seen", Plant::Unread("pg_control")),
    ("413, a refusal is taken for an object that is not there", Plant::Unforbidden),
    (
        "1927, who is a superuser is not known where it is asked",
        Plant::Blind("database-relation-changed", "extra-user-roles"),
    ),
    ("the application's bag is mistaken for the unit's", Plant::Without("relation-set", "--app")),
];

/// What is not planted, because nothing in this world would differ, and why.
pub(super) const LEFT_OUT: [(&str, &str); 14] = [
    (
        "postgresql-k8s: state-set  does nothing",
        "what is remembered spares reads only, and each hook does what an earlier one put off",
    ),
    (
        "postgresql-k8s: hook database-relation-departed is ignored",
        "a unit that goes has no peers any more when its clients' relations end",
    ),
    (
        "postgresql-k8s: issue: 571, a unit is never told that it is the one that leaves",
        "a unit that goes has no peers any more when its clients' relations end",
    ),
    (
        "postgresql-k8s: issue: an old revision of a secret is read",
        "Juju gives the owner's units the latest one",
    ),
    (
        "postgresql-k8s: the failure of apply services is overlooked",
        "the label of the pod, which comes next, is refused as well",
    ),
    (
        "postgresql-k8s: the failure of label is overlooked",
        "the next hook that looks at the pod labels it",
    ),
    (
        "postgresql-k8s: the failure of await member is overlooked",
        "what follows asks the member itself",
    ),
    (
        "postgresql-k8s: the failure of await primary is overlooked",
        "the set-up that follows needs the primary",
    ),
    (
        "postgresql-k8s: effect await primary is dropped",
        "the set-up logs in by the same Service, and waits for it likewise",
    ),
    (
        "postgresql-k8s: effect reload comes first",
        "Patroni reads its file in its next loop, when it is written",
    ),
    ("postgresql-k8s: effect serve comes first", "what else a hook does matters to no client"),
    ("postgresql-k8s: effect put secret comes last", "Juju keeps a hook's writes until its end"),
    (
        "postgresql-k8s: effect apply services comes last",
        "leader-elected applies them before anybody waits",
    ),
    (
        "postgresql-k8s: patroni.yml lacks # Checked by",
        "each hook then asks the server again, which changes nothing",
    ),
];

/// Every fault that is planted in the charm.
pub(super) fn all() -> Vec<Mutant> {
    let mut all = Vec::new();
    let mut add = |name: String, plant| {
        let name = format!("postgresql-k8s: {name}");
        all.push(Mutant { name, target: Target::Database, plant });
    };
    let each = |kinds: &[&'static str], plant: fn(&'static str) -> Plant| {
        kinds.iter().map(|kind| (*kind, plant(kind))).collect::<Vec<_>>()
    };
    for plant in kinds::of_database() {
        add(plant.of_effect().unwrap_or_default(), plant);
    }
    add("the charm never gathers again".to_owned(), Plant::NeverAgain);
    for (hook, plant) in each(&IGNORED, Plant::Ignore) {
        add(format!("hook {hook} is ignored"), plant);
    }
    for (tool, word) in TOOLS {
        add(format!("{tool} {word} does nothing"), Plant::Tool(tool, word));
    }
    for (tool, word, answer) in ANSWERS {
        add(format!("{tool} {word} answers {answer}"), Plant::Answer(tool, word, answer));
    }
    for (key, plant) in each(&KEYS, Plant::Key) {
        add(format!("key {key} is not written"), plant);
    }
    for (key, plant) in each(&ONCE, Plant::KeyOnce) {
        add(format!("key {key} is written once"), plant);
    }
    add("no key is removed".to_owned(), Plant::KeepsKeys);
    for (words, plant) in each(&PEBBLE, Plant::Pebble) {
        add(format!("Pebble: {words} does nothing"), plant);
    }
    add("every file is open".to_owned(), Plant::OpenFiles);
    for (line, plant) in each(&LINES, Plant::Line) {
        add(format!("patroni.yml lacks {line}"), plant);
    }
    for (words, plant) in each(&STATEMENTS, Plant::Sql) {
        add(format!("SQL: {words} is left out"), plant);
    }
    for (words, plant) in each(&ORDERS, Plant::Patroni) {
        add(format!("Patroni: {words} does nothing"), plant);
    }
    for (key, plant) in each(&SECRETS, Plant::SecretKey) {
        add(format!("secrets lack {key}"), plant);
    }
    for (name, plant) in SQL {
        add(format!("SQL: {name}"), plant);
    }
    add("Patroni: nobody says who asks".to_owned(), Plant::Anonymous);
    for (key, plant) in each(&["replication", "replication_state"], Plant::Unheard) {
        add(format!("Patroni: nobody reads {key}"), plant);
    }
    add("Patroni: passwords go in clear".to_owned(), Plant::InClear);
    for (name, from, to) in BODIES {
        add(format!("Patroni: {name}"), Plant::PatroniBody(from, to));
    }
    add("random numbers are always the same".to_owned(), Plant::SameRandom);
    let swaps = [
        ("patroni.yml", &TEXTS[..], Plant::Text as fn(&'static str, &'static str) -> Plant),
        ("the layer", &LAYERS, Plant::Layer),
        ("Kubernetes", &OBJECTS, Plant::Object),
        ("Kubernetes", &REQUESTS, Plant::Kubernetes),
    ];
    for (place, list, plant) in swaps {
        for (name, from, to) in list {
            add(format!("{place}: {name}"), plant(from, to));
        }
    }
    for (name, plant) in ISSUES {
        add(format!("issue: {name}"), plant);
    }
    all
}
