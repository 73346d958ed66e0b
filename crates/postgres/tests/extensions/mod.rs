//! What extensions revoke from PUBLIC, clients do not have either.

use postgres::Owner;

use crate::server::{OPERATOR_PASSWORD, Server};
use crate::{database, role, set_up, user};

async fn operator(server: &Server, base: &str, text: &str) -> Vec<String> {
    server.sql("operator", OPERATOR_PASSWORD, base, text).await.unwrap()
}

/// What some client has on a member of an extension.
const HELD: &str = "\
WITH acls AS (
  SELECT 'pg_class'::regclass AS class, oid, relowner AS owner, relacl AS acl FROM pg_class
  UNION ALL SELECT 'pg_proc', oid, proowner, proacl FROM pg_proc
  UNION ALL SELECT 'pg_namespace', oid, nspowner, nspacl FROM pg_namespace)
SELECT d.class::text || ' ' || coalesce(r.rolname, 'PUBLIC') FROM acls d
CROSS JOIN aclexplode(d.acl) a JOIN pg_roles r ON r.oid = a.grantee AND a.grantee <> d.owner
WHERE NOT r.rolsuper AND r.rolname !~ '^pg_' AND EXISTS (
  SELECT FROM pg_depend p WHERE p.classid = d.class AND p.objid = d.oid AND p.deptype = 'e')";

/// A stand-in for orafce: a schema with a table and a function, members of an extension that is
/// not in it.
const LIKE_ORAFCE: &str = "\
CREATE EXTENSION dblink; CREATE EXTENSION pg_stat_statements;
CREATE SCHEMA utl_file; CREATE TABLE utl_file.utl_file_dir (dir text);
CREATE SEQUENCE utl_file.counter;
CREATE FUNCTION utl_file.fopen(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION utl_file.mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
GRANT USAGE ON SCHEMA utl_file TO PUBLIC;
ALTER EXTENSION dblink ADD SCHEMA utl_file;
ALTER EXTENSION dblink ADD TABLE utl_file.utl_file_dir;
ALTER EXTENSION dblink ADD SEQUENCE utl_file.counter;
ALTER EXTENSION dblink ADD FUNCTION utl_file.fopen(text)";

const REFUSED: [&str; 4] = [
    "SELECT dblink_connect_u('dbname=postgres')",
    "INSERT INTO utl_file.utl_file_dir VALUES ('/')",
    "CREATE TABLE utl_file.mine ()",
    "SELECT nextval('utl_file.counter')",
];

/// Each client of a database has no more of an extension than PUBLIC has, whether the extension
/// comes before it or after it.
#[tokio::test]
async fn clients_have_of_extensions_what_everybody_has() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    operator(&server, "template1", LIKE_ORAFCE).await;
    let shop = database("shop");
    client.ensure_user(&user("a", "one", "")).await.unwrap();
    client.ensure_database(&shop, &role("a"), Owner::Sole).await.unwrap();
    server.sql("a", "one", "shop", "CREATE TABLE t (id serial)").await.unwrap();
    server
        .sql("a", "one", "shop", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        .await
        .unwrap();
    client.ensure_user(&user("b", "two", "")).await.unwrap();
    client.ensure_user(&user("head", "head", "admin")).await.unwrap();
    for _ in 0..2 {
        client.ensure_database(&shop, &role("b"), Owner::Shared).await.unwrap();
        client.ensure_database(&shop, &role("a"), Owner::Shared).await.unwrap();
        client.ensure_database(&shop, &role("head"), Owner::Shared).await.unwrap();
    }
    assert_eq!(operator(&server, "shop", HELD).await, [""; 0]);
    for (user, password) in [("a", "one"), ("b", "two")] {
        for refused in REFUSED {
            let refused = server.sql(user, password, "shop", refused).await.unwrap_err();
            assert!(refused.contains("permission denied for "), "{user}: {refused}");
        }
        let everybodys = "SELECT dblink_get_connections()";
        server.sql(user, password, "shop", everybodys).await.unwrap();
    }
    let own = "INSERT INTO t DEFAULT VALUES; SELECT f(); CREATE TABLE more ()";
    server.sql("b", "two", "shop", own).await.unwrap();
    // Members of `pg_write_all_data` write where the extension reads, so no client may have it
    // read.
    let opened = "SELECT utl_file.fopen('/')";
    let refused = server.sql("head", "head", "shop", opened).await.unwrap_err();
    assert_eq!(refused, "permission denied for function fopen");
    assert_eq!(operator(&server, "shop", opened).await, ["/"]);
}

/// What an older charm granted is taken back, and nothing else.
#[tokio::test]
async fn what_clients_were_given_on_extensions_is_taken_back() {
    let server = Server::start().await;
    let client = set_up(&server).await;
    let shop = database("shop");
    for name in ["a", "b"] {
        client.ensure_user(&user(name, "one", "")).await.unwrap();
        client.ensure_database(&shop, &role(name), Owner::Sole).await.unwrap();
    }
    operator(&server, "shop", LIKE_ORAFCE).await;
    let granted = "CREATE TABLE t (); CREATE ROLE team; \
        GRANT USAGE, CREATE ON SCHEMA public, utl_file TO a, b, team; \
        GRANT ALL ON ALL TABLES IN SCHEMA public, utl_file TO a, b; \
        GRANT ALL ON ALL SEQUENCES IN SCHEMA public, utl_file TO a, b; \
        GRANT ALL ON ALL ROUTINES IN SCHEMA public, utl_file TO a, b, team WITH GRANT OPTION";
    operator(&server, "shop", granted).await;
    let passed = "GRANT EXECUTE ON FUNCTION dblink_connect_u(text) TO b";
    server.sql("a", "one", "shop", passed).await.unwrap();
    assert!(operator(&server, "shop", HELD).await.len() > 20);
    let inside = client.in_database(&shop).await.unwrap();
    inside.guard_extensions().await.unwrap();
    let mut left = operator(&server, "shop", HELD).await;
    left.dedup();
    // What a person gave to a group stays.
    assert!(left.iter().all(|held| held.ends_with(" team")), "{left:?}");
    for refused in REFUSED {
        let refused = server.sql("b", "one", "shop", refused).await.unwrap_err();
        assert!(refused.contains("permission denied for "), "{refused}");
    }
    server.sql("b", "one", "shop", "SELECT * FROM t; SELECT utl_file.mine()").await.unwrap();
    let taken = || server.log().matches("REVOKE ALL PRIVILEGES ON ROUTINE public.dblink").count();
    let before = taken();
    inside.guard_extensions().await.unwrap();
    assert!(before > 0 && taken() == before, "nothing is left to be taken");
}
