//! What clients try to keep, to be, and to be in the way of.

use postgres::{Client, Error, Owner, User};

use crate::server::{OPERATOR_PASSWORD, Server};
use crate::{database, role, set_up, user};

async fn operator(server: &Server, base: &str, text: &str) -> Vec<String> {
    server.sql("operator", OPERATOR_PASSWORD, base, text).await.unwrap()
}

/// Large objects in the template, an idle session there: neither keeps a role alive nor others
/// from their databases.
#[tokio::test]
async fn nobody_is_in_the_way_in_the_template() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    client.ensure_user(&user("a", "one", "")).await.unwrap();
    let refused = server.sql("a", "one", "template1", "SELECT lo_create(0)").await.unwrap_err();
    assert!(refused.contains("permission denied for database"), "{refused}");

    operator(&server, "postgres", "GRANT CONNECT ON DATABASE template1 TO PUBLIC").await;
    server.sql("a", "one", "template1", "SELECT lo_create(0)").await.unwrap();
    let idle = Client::connect(&server.options("a", "one", "template1")).await.unwrap();
    client.ensure_user(&user("b", "two", "")).await.unwrap();
    client.ensure_database(&database("shop"), &role("b"), Owner::Sole).await.unwrap();
    assert!(idle.server_version().await.is_err(), "its session has ended");
    client.delete_user(&role("a")).await.unwrap();
    assert!(!client.role_exists(&role("a")).await.unwrap());

    client.close_shared_databases().await.unwrap();
    let refused = server.sql("b", "two", "template1", "SELECT 1").await.unwrap_err();
    assert!(refused.contains("permission denied for database"), "{refused}");
}

/// A new database is a copy of what a person put into the template.
#[tokio::test]
async fn a_new_database_is_a_copy_of_the_template() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    operator(&server, "template1", "CREATE EXTENSION hstore").await;
    let idle = server.options("operator", OPERATOR_PASSWORD, "template1");
    let idle = Client::connect(&idle).await.unwrap();
    client.ensure_user(&user("a", "one", "")).await.unwrap();
    client.ensure_database(&database("shop"), &role("a"), Owner::Sole).await.unwrap();
    drop(idle);
    let inside = client.in_database(&database("shop")).await.unwrap();
    assert!(inside.extensions().await.unwrap().contains(&"hstore".to_owned()));
}

/// What only superusers own, and prepared transactions, keep no role alive.
#[tokio::test]
async fn what_a_superuser_client_leaves_keeps_its_role_from_nothing() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    let shop = database("shop");
    client.ensure_user(&user("boss", "one", "superuser")).await.unwrap();
    client.ensure_database(&shop, &role("boss"), Owner::Sole).await.unwrap();
    let made = "CREATE FUNCTION rise() RETURNS event_trigger LANGUAGE plpgsql \
          AS 'BEGIN ALTER ROLE app SUPERUSER; END'; \
        CREATE EVENT TRIGGER rises ON ddl_command_end EXECUTE FUNCTION rise(); \
        ALTER EVENT TRIGGER rises DISABLE; \
        CREATE FOREIGN DATA WRAPPER wrapper; \
        CREATE SUBSCRIPTION sub CONNECTION 'host=nowhere.invalid' PUBLICATION p \
          WITH (connect = false); \
        CREATE PUBLICATION everything FOR ALL TABLES; \
        CREATE TABLE kept AS SELECT 42 AS n";
    server.sql("boss", "one", "shop", made).await.unwrap();
    client.delete_user(&role("boss")).await.unwrap();
    assert!(!client.role_exists(&role("boss")).await.unwrap());
    assert_eq!(operator(&server, "shop", "SELECT n FROM kept").await, ["42"]);
    let none = "SELECT count(*) FROM pg_event_trigger";
    assert_eq!(operator(&server, "shop", none).await, ["0"]);
    let rest = "SELECT subenabled FROM pg_subscription";
    assert_eq!(operator(&server, "shop", rest).await, ["f"]);
}

/// A database that cannot be entered is named, and the rest of the role is gone from the others.
#[tokio::test]
async fn a_database_that_nobody_can_enter_keeps_others_from_nothing() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    client.ensure_user(&user("a", "one", "createdb")).await.unwrap();
    server.sql("a", "one", "postgres", "SELECT 1").await.unwrap_err();
    client.ensure_database(&database("shop"), &role("a"), Owner::Sole).await.unwrap();
    server.sql("a", "one", "shop", "CREATE DATABASE attic").await.unwrap();
    server.sql("a", "one", "attic", "CREATE TABLE t ()").await.unwrap();
    operator(&server, "postgres", "ALTER DATABASE attic ALLOW_CONNECTIONS false").await;
    let refused = client.delete_user(&role("a")).await.unwrap_err();
    assert!(!refused.is_transient() && refused.code() == Some("2BP01"), "{refused:?}");
    assert!(server.sql("a", "one", "shop", "SELECT 1").await.is_err(), "it is shut out");
    operator(&server, "postgres", "ALTER DATABASE attic ALLOW_CONNECTIONS true").await;
    client.delete_user(&role("a")).await.unwrap();
    assert!(!client.role_exists(&role("a")).await.unwrap());
}

/// A database whose `DROP DATABASE` was interrupted keeps no role alive: it refuses connections.
#[tokio::test]
async fn a_database_that_is_half_dropped_is_left_alone() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    client.ensure_user(&user("a", "one", "")).await.unwrap();
    client.ensure_database(&database("shop"), &role("a"), Owner::Sole).await.unwrap();
    let half = "CREATE DATABASE half; \
        UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half'";
    for statement in half.split("; ") {
        operator(&server, "postgres", statement).await;
    }
    let entered = client.in_database(&database("half")).await.map(drop).unwrap_err();
    assert_eq!(entered.code(), Some("55000"));
    for all in [client.databases().await.unwrap(), client.all_databases().await.unwrap()] {
        assert!(!all.contains(&database("half")) && all.contains(&database("shop")));
    }
    client.delete_user(&role("a")).await.unwrap();
    assert!(!client.role_exists(&role("a")).await.unwrap());
}

/// A client that made the poolers' database before a pooler came has no rights in it afterwards.
#[tokio::test]
async fn the_poolers_database_is_nobodys_else() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    let poolers = database("pgbouncer");
    client.ensure_user(&user("a", "one", "createdb")).await.unwrap();
    client.ensure_user(&user("head", "two", "admin")).await.unwrap();
    client.ensure_database(&database("shop"), &role("a"), Owner::Sole).await.unwrap();
    for made in [
        "CREATE DATABASE pgbouncer",
        "ALTER DATABASE pgbouncer SET statement_timeout = 1",
        "GRANT ALL ON DATABASE pgbouncer TO head, relation_access",
        "ALTER DATABASE pgbouncer CONNECTION LIMIT 0",
        "ALTER DATABASE pgbouncer ALLOW_CONNECTIONS false",
    ] {
        server.sql("a", "one", "shop", made).await.unwrap();
    }
    client.ensure_user(&user("boss", "boss", "superuser")).await.unwrap();
    client.ensure_user(&user("pooler", "auth", "")).await.unwrap();
    for _ in 0..2 {
        client.hold_poolers_database().await.unwrap();
        client.ensure_database(&poolers, &role("boss"), Owner::Sole).await.unwrap();
        client.install_auth_function(&poolers, &role("pooler"), &[]).await.unwrap();
        client.hold_poolers_database().await.unwrap();
    }
    for (name, password) in [("a", "one"), ("head", "two")] {
        let refused = server.sql(name, password, "pgbouncer", "SELECT 1").await.unwrap_err();
        assert!(refused.contains("permission denied for database"), "{refused}");
    }
    let refused = server.sql("a", "one", "shop", "DROP DATABASE pgbouncer").await.unwrap_err();
    assert!(refused.contains("must be owner"), "{refused}");
    let query = "SELECT username FROM pooler.get_auth($1)";
    let found = server.ask(("pooler", "auth"), "pgbouncer", query, "a").await.unwrap();
    assert_eq!(found, ["a"]);
    let set = "SELECT count(*) FROM pg_db_role_setting WHERE setdatabase <> 0";
    assert_eq!(operator(&server, "postgres", set).await, ["0"]);
}

/// A client is made a member of groups only, and of none with which it could become another user.
#[tokio::test]
async fn nobody_becomes_somebody_else_by_a_role() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    client.ensure_user(&user("relation_id_6", "six", "")).await.unwrap();
    let groups = "CREATE ROLE alice LOGIN; CREATE ROLE root SUPERUSER; CREATE ROLE team; \
        CREATE ROLE inner_team; GRANT alice TO inner_team; GRANT inner_team TO team; \
        CREATE ROLE readers; GRANT pg_read_all_data TO readers";
    operator(&server, "postgres", groups).await;
    for (name, reached) in [("alice", "alice"), ("root", "root"), ("team", "alice")] {
        let refused = client.ensure_user(&user("b", "two", name)).await.unwrap_err();
        let Error::ReachesUser { role, reached: found } = refused else { panic!("{refused:?}") };
        assert_eq!((role.as_str(), found.as_str()), (name, reached));
        assert!(!client.role_exists(&postgres_role("b")).await.unwrap(), "nothing is made");
    }
    client.ensure_user(&user("b", "two", "readers,pg_monitor,admin")).await.unwrap();
    // What is said of `pg_read_all_data` in the reference.
    let read = "SELECT count(rolpassword) > 0 FROM pg_authid";
    assert_eq!(server.sql("b", "two", "postgres", read).await.unwrap(), ["t"]);
}

fn postgres_role(name: &str) -> postgres::RoleName {
    name.parse().unwrap()
}

/// What was granted and is no longer asked for goes; what the operator has granted stays.
#[tokio::test]
async fn memberships_go_when_the_list_shrinks() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    operator(&server, "postgres", "CREATE ROLE readers; CREATE ROLE by_hand").await;
    client.ensure_user(&user("a", "one", "admin,readers")).await.unwrap();
    operator(&server, "postgres", "GRANT by_hand TO a").await;
    let shrunk =
        || User { former: vec![role("admin"), role("readers")], ..user("a", "one", "readers") };
    client.ensure_user(&shrunk()).await.unwrap();
    client.ensure_user(&shrunk()).await.unwrap();
    let groups =
        "SELECT roleid::regrole FROM pg_auth_members WHERE member = 'a'::regrole ORDER BY 1::text";
    let mut found = operator(&server, "postgres", groups).await;
    found.sort();
    assert_eq!(found, ["by_hand", "readers", "relation_access"]);
    let created = "SELECT rolcreatedb FROM pg_roles WHERE rolname = 'a'";
    assert_eq!(operator(&server, "postgres", created).await, ["f"]);
}

/// An older charm granted what a client asked for, another client's user among it.
#[tokio::test]
async fn memberships_of_users_in_each_other_are_revoked() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    for name in ["relation_id_6", "relation_id_7"] {
        client.ensure_user(&user(name, "one", "")).await.unwrap();
    }
    let joined = "CREATE ROLE team; GRANT relation_id_6, team TO relation_id_7";
    operator(&server, "postgres", joined).await;
    client.revoke_user_memberships().await.unwrap();
    let groups =
        "SELECT roleid::regrole FROM pg_auth_members WHERE member = 'relation_id_7'::regrole";
    let mut found = operator(&server, "postgres", groups).await;
    found.sort();
    assert_eq!(found, ["relation_access", "team"]);
}

/// A role with CREATEROLE makes the next client's, or one between, and is no superuser by it; what
/// an older charm granted of the server's own rights goes.
#[tokio::test]
async fn nobody_is_the_next_client_before_it_comes() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    let shop = database("shop");
    client.ensure_user(&user("relation_id_4", "one", "createrole")).await.unwrap();
    client.ensure_database(&shop, &role("relation_id_4"), Owner::Sole).await.unwrap();
    let made = "CREATE ROLE relation_id_9; CREATE ROLE between; CREATE ROLE relation_id_8; \
        GRANT relation_id_9 TO between WITH ADMIN OPTION; GRANT between TO relation_id_4; \
        GRANT relation_id_9 TO relation_id_4; GRANT relation_id_8 TO between";
    server.sql("relation_id_4", "one", "shop", made).await.unwrap();
    client.ensure_user(&user("relation_id_9", "nine", "superuser")).await.unwrap();
    let become_it = "SET ROLE relation_id_9";
    let refused = server.sql("relation_id_4", "one", "shop", become_it).await.unwrap_err();
    assert!(refused.contains("permission denied to set role"), "{refused}");

    // As an older charm left it.
    let joined = "GRANT relation_access TO relation_id_8; ALTER ROLE relation_id_8 LOGIN; \
        GRANT pg_read_server_files, pg_monitor TO relation_id_4";
    operator(&server, "postgres", joined).await;
    for _ in 0..2 {
        client.revoke_user_memberships().await.unwrap();
    }
    let refused = server.sql("relation_id_4", "one", "shop", "SET ROLE relation_id_8").await;
    assert!(refused.unwrap_err().contains("permission denied to set role"));
    let files = "SELECT pg_has_role('relation_id_4', 'pg_read_server_files', 'MEMBER'), \
        pg_has_role('relation_id_4', 'pg_monitor', 'MEMBER')";
    assert_eq!(operator(&server, "postgres", files).await, ["f"]);
    let monitors = "SELECT pg_has_role('relation_id_4', 'pg_monitor', 'MEMBER')";
    assert_eq!(operator(&server, "postgres", monitors).await, ["t"]);
}

/// Where a pooler looks passwords up is known by what only a superuser can have made.
#[tokio::test]
async fn a_lookup_is_known_and_a_clients_own_function_is_none() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    let (shop, farm) = (database("shop"), database("farm"));
    client.ensure_user(&user("a", "one", "")).await.unwrap();
    for base in [&shop, &farm] {
        client.ensure_database(base, &role("a"), Owner::Sole).await.unwrap();
    }
    let looks_like = "CREATE SCHEMA pooler; CREATE FUNCTION pooler.get_auth(text) RETURNS text \
        SECURITY DEFINER LANGUAGE sql AS 'SELECT $1'";
    server.sql("a", "one", "farm", looks_like).await.unwrap();
    client.ensure_user(&user("pgbouncer_auth_b", "auth", "")).await.unwrap();
    client.install_auth_function(&shop, &role("pgbouncer_auth_b"), &[]).await.unwrap();
    assert!(client.holds_lookup(&shop).await.unwrap());
    assert!(!client.holds_lookup(&farm).await.unwrap());
    assert!(!client.holds_lookup(&database("nowhere")).await.unwrap());
}

/// A password that an old server keeps in the old way speaks for a role too.
#[tokio::test]
async fn a_role_that_an_older_charm_made_is_known_by_its_password() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    let made = "SET password_encryption = 'md5'; CREATE ROLE older LOGIN PASSWORD 'one'";
    operator(&server, "postgres", made).await;
    assert!(!client.claim(&role("older"), Some(&"two".to_owned().into())).await.unwrap());
    assert!(client.claim(&role("older"), Some(&"one".to_owned().into())).await.unwrap());
}

/// A database that refuses sessions for a while delays the clients that own something in it, and
/// nothing else of theirs.
#[tokio::test]
async fn a_database_that_is_busy_holds_its_own_clients_up() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    for name in ["a", "b"] {
        client.ensure_user(&user(name, "one", "")).await.unwrap();
        client.ensure_database(&database(name), &role(name), Owner::Sole).await.unwrap();
    }
    operator(&server, "postgres", "CREATE DATABASE \"0\"").await;
    operator(&server, "0", "CREATE TABLE t (); ALTER TABLE t OWNER TO a").await;
    // A copy of a database by files holds it so too, for a time that grows with its size.
    let busy = "BEGIN; ALTER DATABASE \"0\" RENAME TO other; SELECT pg_sleep(60)";
    let busy = server.sql("operator", OPERATOR_PASSWORD, "postgres", busy);
    let look = async {
        while client.in_database(&database("0")).await.is_ok() {}
        client.delete_user(&role("b")).await.unwrap();
        let refused = client.delete_user(&role("a")).await.unwrap_err();
        assert!(matches!(refused, Error::Timeout { .. }), "{refused:?}");
        assert!(!client.is_lost(&refused).await);
        assert!(server.sql("a", "one", "a", "SELECT 1").await.is_err(), "it is shut out");
        let left = "SELECT datname FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid \
            WHERE refobjid = 'a'::regrole";
        assert_eq!(operator(&server, "postgres", left).await, ["0"]);
    };
    tokio::select! {
        ended = busy => panic!("{ended:?}"),
        () = look => {}
    }
    drop(server);
    let away = client.in_database(&database("a")).await.map(drop).unwrap_err();
    assert!(client.is_lost(&away).await, "{away}");
}

/// What a person's event trigger calls stays a superuser's, and those of clients are at rest.
#[tokio::test]
async fn no_client_has_what_an_event_trigger_calls() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    let shop = database("shop");
    client.ensure_user(&user("a", "one", "superuser")).await.unwrap();
    client.ensure_database(&shop, &role("a"), Owner::Sole).await.unwrap();
    let made = |name: &str| {
        format!(
            "CREATE FUNCTION {name}() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; \
             CREATE EVENT TRIGGER {name} ON ddl_command_end EXECUTE FUNCTION {name}()"
        )
    };
    server.sql("a", "one", "shop", &made("clients")).await.unwrap();
    operator(&server, "shop", &made("persons")).await;
    client.ensure_user(&user("a", "one", "")).await.unwrap();
    for _ in 0..2 {
        client.ensure_database(&shop, &role("a"), Owner::Sole).await.unwrap();
        let shown = "SELECT evtname || evtenabled::text || proowner::regrole FROM pg_event_trigger \
            JOIN pg_proc ON pg_proc.oid = evtfoid ORDER BY 1";
        let found = operator(&server, "shop", shown).await;
        assert_eq!(found, ["clientsDa", "personsOoperator"]);
    }
}
