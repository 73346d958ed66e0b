//! Every operation against a real PostgreSQL.

// The exemption for tests does not reach functions outside #[test].
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod contract;
mod extensions;
mod guarded;
mod hostile;
mod keeps;
mod many;
mod races;
mod server;
mod shadows;
mod tapped;

use std::time::Duration;

use postgres::{
    Client, DatabaseName, ExtraRoles, OpenTransactions, Owner, Readiness, RoleName, User,
};
use server::{OPERATOR_PASSWORD, Server};

fn role(name: &str) -> RoleName {
    name.parse().unwrap()
}

fn database(name: &str) -> DatabaseName {
    name.parse().unwrap()
}

fn user(name: &str, password: &str, roles: &str) -> User {
    User {
        name: role(name),
        password: password.to_owned().into(),
        salt: [3; 16],
        roles: ExtraRoles::parse(roles).unwrap(),
        holder: None,
        takes_over: false,
        former: Vec::new(),
    }
}

async fn set_up(server: &Server) -> Client {
    let client = server.operator().await;
    client.ensure_access_groups().await.unwrap();
    client.ensure_access_groups().await.unwrap();
    client.set_up_postgres_database().await.unwrap();
    client.set_up_postgres_database().await.unwrap();
    for _ in 0..2 {
        client.close_shared_databases().await.unwrap();
        client.revoke_user_memberships().await.unwrap();
    }
    client
}

#[tokio::test]
async fn a_client_gets_its_database_and_nobody_elses() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    for _ in 0..2 {
        client.ensure_user(&user("relation_id_4", "one", "")).await.unwrap();
        client.ensure_user(&user("relation_id_5", "two", "")).await.unwrap();
        let shop = database("shop");
        client.ensure_database(&shop, &role("relation_id_4"), Owner::Sole).await.unwrap();
        let farm = database("farm");
        client.ensure_database(&farm, &role("relation_id_5"), Owner::Sole).await.unwrap();
    }
    let made = "CREATE TABLE t (id serial PRIMARY KEY, v text); INSERT INTO t (v) VALUES ('x')";
    server.sql("relation_id_4", "one", "shop", made).await.unwrap();
    for (user, password, database) in
        [("relation_id_4", "one", "farm"), ("relation_id_5", "two", "postgres")]
    {
        let refused = server.sql(user, password, database, "SELECT 1").await.unwrap_err();
        assert!(refused.contains("permission denied for database"), "{refused}");
    }
    let refused = server.sql("relation_id_4", "one", "shop", "CREATE DATABASE x").await;
    assert_eq!(refused.unwrap_err(), "permission denied to create database");
    assert!(client.server_version().await.unwrap().major >= 14);
}

#[tokio::test]
async fn data_outlive_their_user_and_come_back_with_the_next() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    let shop = database("shop");
    client.ensure_user(&user("relation_id_4", "one", "")).await.unwrap();
    client.ensure_database(&shop, &role("relation_id_4"), Owner::Sole).await.unwrap();
    client.ensure_user(&user("pooler", "auth", "")).await.unwrap();
    client.install_auth_function(&shop, &role("pooler"), &[]).await.unwrap();
    let made = "CREATE TYPE mood AS ENUM ('good'); CREATE DOMAIN d AS text; \
        CREATE TYPE pair AS (a int, b int); \
        CREATE TABLE t (id serial PRIMARY KEY, k int GENERATED ALWAYS AS IDENTITY, v mood); \
        INSERT INTO t (v) VALUES ('good'); CREATE VIEW w AS SELECT * FROM t; \
        CREATE SEQUENCE own; CREATE SCHEMA \"S p\"; CREATE TABLE \"S p\".\"T b\" (); \
        CREATE FUNCTION f(int, text) RETURNS int LANGUAGE sql AS 'SELECT $1'; \
        CREATE PROCEDURE p() LANGUAGE sql AS ''; \
        CREATE TABLE parts (i int) PARTITION BY LIST (i); \
        CREATE TABLE part PARTITION OF parts FOR VALUES IN (1); \
        CREATE MATERIALIZED VIEW m AS SELECT 1 AS one; SELECT lo_create(4711)";
    server.sql("relation_id_4", "one", "shop", made).await.unwrap();

    client.delete_user(&role("relation_id_4")).await.unwrap();
    client.delete_user(&role("relation_id_4")).await.unwrap();
    assert!(server.sql("relation_id_4", "one", "shop", "SELECT 1").await.is_err());

    client.ensure_user(&user("relation_id_9", "nine", "")).await.unwrap();
    client.ensure_database(&shop, &role("relation_id_9"), Owner::Sole).await.unwrap();
    let used = "INSERT INTO t (v) VALUES ('good'); ALTER TABLE t ADD more int; \
        DROP TABLE \"S p\".\"T b\"; DROP SCHEMA \"S p\"; ALTER TYPE mood ADD VALUE 'bad'; \
        DROP FUNCTION f; DROP PROCEDURE p; DROP SEQUENCE own; DROP TABLE parts; DROP TYPE pair; \
        DROP DOMAIN d; DROP MATERIALIZED VIEW m; SELECT lo_unlink(4711)";
    server.sql("relation_id_9", "nine", "shop", used).await.unwrap();
    let count = "SELECT count(*) FROM w";
    assert_eq!(server.sql("relation_id_9", "nine", "shop", count).await.unwrap(), ["2"]);
    let lookup = "SELECT * FROM pooler.get_auth('operator')";
    assert!(server.sql("relation_id_9", "nine", "shop", lookup).await.is_err());
    let owner = "SELECT proowner::regrole FROM pg_proc WHERE proname = 'get_auth'";
    assert_eq!(server.sql("relation_id_9", "nine", "shop", owner).await.unwrap(), ["operator"]);
}

#[tokio::test]
async fn what_a_client_leaves_behind_gives_nobody_more_rights() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    let shop = database("shop");
    client.ensure_user(&user("a", "one", "createdb")).await.unwrap();
    client.ensure_database(&shop, &role("a"), Owner::Sole).await.unwrap();
    client.ensure_user(&user("b", "two", "")).await.unwrap();
    client.ensure_database(&shop, &role("b"), Owner::Shared).await.unwrap();
    let made = "CREATE VIEW trap AS SELECT rolname, rolpassword FROM pg_authid; \
        GRANT SELECT ON trap TO PUBLIC; \
        CREATE FUNCTION rise() RETURNS text SECURITY DEFINER LANGUAGE plpgsql \
        AS 'BEGIN RETURN (SELECT rolpassword FROM pg_authid LIMIT 1); END'";
    server.sql("a", "one", "shop", made).await.unwrap();
    server.sql("a", "one", "shop", "CREATE DATABASE mine").await.unwrap();
    client.delete_user(&role("a")).await.unwrap();
    for read in ["SELECT * FROM trap", "SELECT rise()"] {
        let refused = server.sql("b", "two", "shop", read).await.unwrap_err();
        assert!(refused.contains("permission denied"), "{read}: {refused}");
    }
    assert!(client.database_exists(&database("mine")).await.unwrap());
}

#[tokio::test]
async fn the_roles_held_by_another_go_with_it_and_their_data_stay() {
    let server = Server::start().await;
    let operator = set_up(&server).await;
    let (shop, pooler) = (database("shop"), role("pgbouncer_auth_boss"));
    let before = operator.roles().await.unwrap();
    operator.ensure_user(&user("boss", "one", "superuser")).await.unwrap();
    let boss = Client::connect(&server.options("boss", "one", "postgres")).await.unwrap();
    let held = |name: &str, password: &str, roles: &str| User {
        holder: Some(role("boss")),
        ..user(name, password, roles)
    };
    for _ in 0..2 {
        boss.ensure_user(&held("app", "one", "createrole")).await.unwrap();
        boss.ensure_user(&held("chief", "one", "superuser")).await.unwrap();
        boss.ensure_database(&shop, &role("app"), Owner::Sole).await.unwrap();
        boss.ensure_user(&held(pooler.as_str(), "auth", "")).await.unwrap();
        boss.install_auth_function(&shop, &pooler, &[role("chief")]).await.unwrap();
    }
    // A schema of the client's own name, with a function that only looks like the lookup.
    let made = "CREATE SCHEMA app; CREATE TABLE app.kept AS SELECT 42 AS n; \
        CREATE FUNCTION app.get_auth(text) RETURNS text SECURITY DEFINER LANGUAGE sql AS 'SELECT $1'";
    server.sql("app", "one", "shop", made).await.unwrap();
    server.sql("chief", "one", "shop", "CREATE TABLE more AS SELECT 43 AS n").await.unwrap();
    // A comment does not get the connected user removed.
    let trick = "COMMENT ON ROLE operator IS 'goes with the role boss'";
    server.sql("chief", "one", "postgres", trick).await.unwrap();

    // A removal that was cut off after its first steps is taken up again.
    let begun = "ALTER ROLE boss NOLOGIN; ALTER ROLE app NOLOGIN; \
        DROP SCHEMA pgbouncer_auth_boss CASCADE";
    server.sql("operator", OPERATOR_PASSWORD, "shop", begun).await.unwrap();
    operator.delete_user(&role("boss")).await.unwrap();
    assert_eq!(operator.roles().await.unwrap(), before);
    assert!(!operator.has_auth_function(&shop, &pooler).await.unwrap());

    let kept = "SELECT (SELECT n FROM app.kept) + (SELECT n FROM more)";
    let kept = server.sql("operator", OPERATOR_PASSWORD, "shop", kept).await;
    assert_eq!(kept.unwrap(), ["85"]);
}

#[tokio::test]
async fn a_user_that_is_as_wanted_is_not_written() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    client.ensure_user(&user("boss", "one", "superuser")).await.unwrap();
    let app = User { holder: Some(role("boss")), ..user("app", "one", "") };
    client.ensure_user(&app).await.unwrap();
    let written = "SELECT xmin FROM pg_shdescription WHERE objoid = 'app'::regrole \
        UNION ALL SELECT xmin FROM pg_authid WHERE rolname = 'app'";
    let written =
        async || server.sql("operator", OPERATOR_PASSWORD, "postgres", written).await.unwrap();
    let before = written().await;
    assert_eq!(before.len(), 2);
    client.ensure_user(&app).await.unwrap();
    assert_eq!(written().await, before);
}

/// Patroni and the exporter are in it with more rights, and pin less than we do.
#[tokio::test]
async fn nobody_makes_anything_in_the_database_postgres() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    client.ensure_user(&user("head", "one", "admin")).await.unwrap();
    for made in [
        "CREATE TABLE public.t ()",
        "CREATE TEMP TABLE t ()",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OPERATOR public.!~ (LEFTARG = name, RIGHTARG = name, FUNCTION = nameeq)",
        "ALTER DATABASE postgres SET search_path = mine",
        "ALTER ROLE operator SET search_path = mine",
        "ALTER ROLE operator IN DATABASE postgres SET search_path = mine",
    ] {
        let refused = server.sql("head", "one", "postgres", made).await.unwrap_err();
        let owner = refused.contains("must be") || refused.contains("permission denied");
        assert!(owner, "{made}: {refused}");
    }
}

#[tokio::test]
async fn two_clients_share_a_database() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    let shop = database("shop");
    client.ensure_user(&user("a", "one", "")).await.unwrap();
    client.ensure_database(&shop, &role("a"), Owner::Sole).await.unwrap();
    server.sql("a", "one", "shop", "CREATE TABLE t (v int)").await.unwrap();
    client.ensure_user(&user("b", "two", "")).await.unwrap();
    client.ensure_database(&shop, &role("b"), Owner::Shared).await.unwrap();
    server.sql("b", "two", "shop", "INSERT INTO t VALUES (1); CREATE TABLE u ()").await.unwrap();
    client.delete_user(&role("b")).await.unwrap();
    assert_eq!(server.sql("a", "one", "shop", "SELECT count(*) FROM t").await.unwrap(), ["1"]);
}

#[tokio::test]
async fn extra_roles_are_granted_and_unknown_ones_refused() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    client.ensure_user(&user("boss", "one", "SUPERUSER")).await.unwrap();
    client.ensure_user(&user("head", "two", "admin")).await.unwrap();
    server.sql("boss", "one", "postgres", "CREATE ROLE made").await.unwrap();
    server.sql("head", "two", "postgres", "CREATE DATABASE own").await.unwrap();
    let refused = client.ensure_user(&user("c", "three", "nobody,admin")).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "cannot grant roles that do not exist: nobody; ask for existing roles"
    );
    client.ensure_user(&user("boss", "one", "")).await.unwrap();
    assert!(server.sql("boss", "one", "postgres", "CREATE ROLE more").await.is_err());
    client.delete_user(&role("head")).await.unwrap();
}

#[tokio::test]
async fn a_pooler_looks_up_ordinary_roles_only() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    let (shop, pooler) = (database("shop"), role("pgbouncer \"auth\""));
    client.ensure_user(&user(pooler.as_str(), "auth", "")).await.unwrap();
    client.ensure_user(&user("app", "one", "")).await.unwrap();
    client.ensure_user(&user("boss", "one", "superuser")).await.unwrap();
    client.ensure_database(&shop, &role("app"), Owner::Sole).await.unwrap();
    let login = "CREATE ROLE group_only; CREATE ROLE copier LOGIN REPLICATION PASSWORD 'x'; \
        CREATE ROLE late LOGIN PASSWORD 'x' VALID UNTIL '2001-01-01'";
    server.sql("operator", OPERATOR_PASSWORD, "postgres", login).await.unwrap();
    server.sql("app", "one", "shop", "DROP SCHEMA public CASCADE").await.unwrap();
    for _ in 0..2 {
        client.install_auth_function(&shop, &pooler, &[]).await.unwrap();
    }
    assert!(client.has_auth_function(&shop, &pooler).await.unwrap());
    let find = async |wanted: &str| {
        let schema = pooler.quoted();
        let text = format!("SELECT password FROM {schema}.get_auth('{wanted}')");
        server.sql(pooler.as_str(), "auth", "shop", &text).await.unwrap()
    };
    let found = find("app").await;
    assert!(postgres::scram::matches(&found[0], "one"));
    for hidden in ["boss", "operator", "copier", "late", "group_only", pooler.as_str(), "none"] {
        assert!(find(hidden).await.is_empty(), "{hidden}");
    }
    client.install_auth_function(&shop, &pooler, &[role("boss")]).await.unwrap();
    assert_eq!(find("boss").await.len(), 1);
    assert!(find("operator").await.is_empty(), "a superuser that no client asked to be");
    let farm = database("farm");
    client.ensure_database(&farm, &role("app"), Owner::Shared).await.unwrap();
    client.install_auth_function(&farm, &pooler, &[]).await.unwrap();
    for _ in 0..2 {
        client.uninstall_auth_function(&shop, &pooler).await.unwrap();
    }
    assert!(!client.has_auth_function(&shop, &pooler).await.unwrap());
    let schema = pooler.quoted();
    let other = format!("SELECT password FROM {schema}.get_auth('app')");
    let found = server.sql(pooler.as_str(), "auth", "farm", &other).await.unwrap();
    assert_eq!(found.len(), 1, "the lookup in another database is lost");
    client.delete_user(&pooler).await.unwrap();
}

#[tokio::test]
async fn a_client_that_was_there_first_cannot_change_the_lookup() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    let (shop, pooler) = (database("shop"), role("pooler"));
    client.ensure_user(&user("app", "one", "")).await.unwrap();
    client.ensure_database(&shop, &role("app"), Owner::Sole).await.unwrap();
    let lies = "CREATE FUNCTION pooler.get_auth(wanted text) RETURNS TABLE (username text, \
        password text) LANGUAGE sql AS $$ SELECT wanted, 'mine' $$";
    let first = format!(
        "CREATE SCHEMA pooler; {lies}; \
         CREATE VIEW sight AS SELECT * FROM pooler.get_auth('app'); \
         CREATE FUNCTION pooler.get_auth(wanted varchar) RETURNS TABLE (username text, \
         password text) LANGUAGE sql AS $$ SELECT wanted, 'mine' $$"
    );
    server.sql("app", "one", "shop", &first).await.unwrap();
    client.ensure_user(&user("pooler", "auth", "")).await.unwrap();
    for _ in 0..2 {
        client.install_auth_function(&shop, &pooler, &[]).await.unwrap();
    }
    let asked = "SELECT password FROM pooler.get_auth($1)";
    let found = server.ask(("pooler", "auth"), "shop", asked, "app").await.unwrap();
    assert!(postgres::scram::matches(&found[0], "one"), "{found:?}");
    let moved = "ALTER DATABASE shop SET search_path = mine";
    server.sql("operator", OPERATOR_PASSWORD, "shop", moved).await.unwrap();
    let shown = server.sql("pooler", "auth", "shop", "SHOW search_path").await;
    assert_eq!(shown.unwrap(), ["pg_catalog, pg_temp"]);
    let later = ["DROP FUNCTION pooler.get_auth(text)", lies, "DROP SCHEMA pooler CASCADE"];
    for text in later {
        assert!(server.sql("app", "one", "shop", text).await.is_err(), "{text}");
    }
    let found = server.sql("pooler", "auth", "shop", "SELECT (pooler.get_auth('app')).password");
    assert!(postgres::scram::matches(&found.await.unwrap()[0], "one"));
}

#[tokio::test]
async fn passwords_never_reach_the_log() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    client.ensure_user(&user("app", "first-secret", "")).await.unwrap();
    client.ensure_user(&user("app", "second-secret", "")).await.unwrap();
    client.set_password(&role("app"), &"third-secret".to_owned().into(), &[4; 16]).await.unwrap();
    client.ensure_database(&database("shop"), &role("app"), Owner::Sole).await.unwrap();
    server.sql("app", "third-secret", "shop", "SELECT 1").await.unwrap();
    let log = server.log();
    assert!(log.contains("CREATE ROLE \"admin\""));
    for hidden in ["first-secret", "second-secret", "third-secret", "SCRAM-SHA-256$"] {
        assert!(!log.contains(hidden), "{hidden}");
    }
}

#[tokio::test]
async fn a_server_is_believed_by_its_certificate_and_its_name() {
    let (server, certificate) = Server::start_with_tls().await;
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let connect = async |host: &str, ca: String| {
        let plain = server.options("operator", OPERATOR_PASSWORD, "postgres");
        let options = postgres::ConnectOptions { host: host.to_owned(), ca: Some(ca), ..plain };
        Client::connect(&options).await.map(drop).map_err(|error| format!("{error:?}"))
    };
    assert_eq!(connect("localhost", certificate.clone()).await, Ok(()));
    let wrong_name = connect("127.0.0.1", certificate).await.unwrap_err();
    assert!(wrong_name.contains("certificate not valid for name"), "{wrong_name}");
    let wrong_ca = connect("localhost", other.cert.pem()).await.unwrap_err();
    assert!(wrong_ca.contains("certificate"), "{wrong_ca}");
    let damaged = connect("localhost", "-----BEGIN CERTIFICATE-----".to_owned()).await.unwrap_err();
    assert!(damaged.contains("unusable"), "{damaged}");
}

#[tokio::test]
async fn extensions_come_and_go_unless_something_depends_on_them() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    assert!(client.available_extensions().await.unwrap().contains(&"uuid-ossp".to_owned()));
    for _ in 0..2 {
        client.create_extension("uuid-ossp").await.unwrap();
        client.create_extension("hstore").await.unwrap();
    }
    let uses = "CREATE TABLE uses (words hstore)";
    server.sql("operator", OPERATOR_PASSWORD, "postgres", uses).await.unwrap();
    let refused = client.drop_extension("hstore").await.unwrap_err();
    assert_eq!(refused.code(), Some("2BP01"));
    let over = "DROP TABLE uses";
    server.sql("operator", OPERATOR_PASSWORD, "postgres", over).await.unwrap();
    for _ in 0..2 {
        client.drop_extension("hstore").await.unwrap();
    }
    assert_eq!(client.extensions().await.unwrap(), ["plpgsql", "uuid-ossp"]);
    let all = client.all_databases().await.unwrap();
    assert_eq!(all, [database("postgres"), database("template1")]);
    let missing = client.create_extension("no such").await.unwrap_err();
    assert!(!missing.is_transient(), "{missing}");
}

#[tokio::test]
async fn a_server_that_asks_for_a_password_is_ready_and_one_that_ends_is_away() {
    let server = Server::start().await;
    let session = server.operator().await;
    let before = server.log().matches("FATAL").count();
    for (user, database) in
        [("operator", "postgres"), ("operator", "no such database"), ("no such user", "postgres")]
    {
        assert_eq!(server.readiness(user, database).await, Readiness::Ready, "{user} {database}");
    }
    assert_eq!(server.log().matches("FATAL").count(), before, "{}", server.log());
    server.shut_down();
    for _ in 0..1200 {
        if server.readiness("operator", "postgres").await == Readiness::Away {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.readiness("operator", "postgres").await, Readiness::Away);
    assert!(server.log().contains("the database system is shutting down"), "{}", server.log());
    drop(session);
}

#[tokio::test]
async fn open_transactions_are_counted() {
    let server = Server::start().await;
    let client = server.operator().await;
    assert_eq!(client.open_transactions().await.unwrap(), OpenTransactions { count: 0, oldest: 0 });
    let session = server.session().await;
    session.batch_execute("BEGIN; SELECT 1").await.unwrap();
    assert_eq!(client.open_transactions().await.unwrap().count, 1);
    session.batch_execute("COMMIT").await.unwrap();
    assert_eq!(client.open_transactions().await.unwrap().count, 0);
}
