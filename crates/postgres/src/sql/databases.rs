//! Statements on databases and what is in them.

use crate::{DatabaseName, RoleName, quote_ident};

/// Creates a database; PostgreSQL has no `IF NOT EXISTS` for it.
pub fn create_database(name: &DatabaseName) -> String {
    format!("CREATE DATABASE {}", name.quoted())
}

/// Ends the sessions that keep new databases from being copied from `template1`, where nobody
/// has to work: those that do nothing, and all of whoever is no superuser.
pub const TEMPLATE_SESSIONS: &str = "\
SELECT pg_catalog.pg_terminate_backend(a.pid, 5000) FROM pg_catalog.pg_stat_activity a
JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
WHERE a.datname = 'template1' AND a.pid <> pg_catalog.pg_backend_pid()
  AND (NOT r.rolsuper OR pg_catalog.starts_with(a.state, 'idle'))";

/// Closes a database to everybody who was not let in by name.
pub fn close_database(name: &DatabaseName) -> String {
    format!("REVOKE ALL PRIVILEGES ON DATABASE {} FROM PUBLIC", name.quoted())
}

/// Where an extension's script may run. It runs as a superuser, and may find what is in the
/// extension's schema and in those of extensions that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The extension names its schema itself, or is not there.
    Fixed,
    /// It can be moved: its script runs in an empty schema of this name, into which nobody else
    /// may put anything, and it goes to `public` after that.
    Staged(String),
    /// It can only be made where it stays, in `public`.
    Public,
}

/// A query whose row says of the extension `$1` whether the connected database has it, which
/// schema it names, whether it can be moved, and a number that no other session has.
pub const EXTENSION: &str = "\
SELECT (a.installed_version IS NOT NULL)::pg_catalog.text, v.schema::pg_catalog.text,
  v.relocatable::pg_catalog.text, pg_catalog.pg_backend_pid()::pg_catalog.text
FROM pg_catalog.pg_available_extensions a JOIN pg_catalog.pg_available_extension_versions v
  ON v.name = a.name AND v.version = a.default_version
WHERE a.name = $1";

/// A query whose row is a function or an operator in `public` that a client made.
pub const MADE_BY_CLIENTS: &str = "\
SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
WHERE n.nspname = 'public' AND NOT r.rolsuper
UNION ALL
SELECT o.oid::pg_catalog.regoperator::pg_catalog.text
FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
JOIN pg_catalog.pg_roles r ON r.oid = o.oprowner
WHERE n.nspname = 'public' AND NOT r.rolsuper
LIMIT 1";

/// Makes an extension in the connected database.
pub fn create_extension(name: &str, place: &Place) -> Vec<String> {
    let name = quote_ident(name);
    let create = format!("CREATE EXTENSION IF NOT EXISTS {name}");
    match place {
        Place::Fixed => vec![create],
        Place::Public => vec![format!("{create} SCHEMA public")],
        Place::Staged(stage) => {
            let stage = quote_ident(stage);
            vec![
                format!("CREATE SCHEMA {stage}"),
                format!("{create} SCHEMA {stage}"),
                format!("ALTER EXTENSION {name} SET SCHEMA public"),
                format!("DROP SCHEMA {stage}"),
            ]
        }
    }
}

/// Drops an extension on which nothing depends.
pub fn drop_extension(name: &str) -> String {
    format!("DROP EXTENSION IF EXISTS {}", quote_ident(name))
}

/// Closes a database to everybody and opens it to `users`.
pub fn grant_database(name: &DatabaseName, users: &[RoleName]) -> Vec<String> {
    let mut statements = vec![close_database(name)];
    for user in users {
        let (name, user) = (name.quoted(), user.quoted());
        statements.push(format!("GRANT ALL PRIVILEGES ON DATABASE {name} TO {user}"));
    }
    statements
}

/// The database in which poolers look passwords up, and in which their charms work.
pub const POOLERS: &str = "pgbouncer";

/// A query whose rows are the statements that make database `$1` a superuser's, as whoever owned it
/// could close it, set what its sessions begin with, or drop it.
pub const OWNED: &str = "\
SELECT pg_catalog.format('ALTER DATABASE %I OWNER TO CURRENT_USER', d.datname)
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid = d.datdba
WHERE d.datname = $1 AND NOT r.rolsuper
UNION ALL
SELECT pg_catalog.format('ALTER DATABASE %I RESET ALL', d.datname)
FROM pg_catalog.pg_database d WHERE d.datname = $1 AND EXISTS (
  SELECT FROM pg_catalog.pg_db_role_setting s
  WHERE s.setdatabase = d.oid AND s.setrole = '0'::pg_catalog.oid)
UNION ALL
SELECT pg_catalog.format('ALTER DATABASE %I ALLOW_CONNECTIONS true CONNECTION LIMIT -1', d.datname)
FROM pg_catalog.pg_database d
WHERE d.datname = $1 AND (NOT d.datallowconn OR d.datconnlimit >= 0)";

/// A query whose rows are the statements that take the connected database from all but
/// superusers, a charm's own users, and those for whom passwords are looked up in it.
pub const LET_IN: &str = "\
SELECT DISTINCT pg_catalog.format(
  'REVOKE ALL PRIVILEGES ON DATABASE %I FROM %I CASCADE', d.datname, r.rolname)
FROM pg_catalog.pg_database d CROSS JOIN pg_catalog.aclexplode(d.datacl) a
JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
WHERE d.datname = pg_catalog.current_database() AND NOT r.rolsuper
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members m
    JOIN pg_catalog.pg_roles g ON g.oid = m.roleid AND g.rolname = 'internal_access'
    WHERE m.member = r.oid)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_roles o ON o.oid = p.proowner
    WHERE p.proname = 'get_auth' AND p.prosecdef AND o.rolsuper AND n.nspname = r.rolname)";

/// Closes the database `postgres` to clients; `system_users` are those that exist.
pub fn set_up_postgres_database(system_users: &[String]) -> Vec<String> {
    let mut statements = vec![
        "REVOKE ALL PRIVILEGES ON DATABASE \"postgres\" FROM PUBLIC".to_owned(),
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC".to_owned(),
    ];
    for user in system_users {
        let user = quote_ident(user);
        statements.push(format!("GRANT ALL PRIVILEGES ON DATABASE \"postgres\" TO {user}"));
    }
    statements
}

/// A query whose rows are the statements that make user `$1` the owner of what superusers
/// own in the connected database: what an earlier user left behind.
///
/// Left out: the system's own schemas, members of extensions, and schemas with a lookup
/// function, which must stay with a superuser.
pub const TAKE_OWNERSHIP: &str = "\
WITH spaces AS (
  SELECT n.oid, n.nspname, n.nspowner FROM pg_catalog.pg_namespace n
  WHERE NOT pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_')
    AND n.nspname <> 'information_schema' AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_proc p
    WHERE p.pronamespace = n.oid AND p.proname = 'get_auth' AND p.prosecdef)
), heirless AS (
  SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolsuper OR r.rolname = 'pg_database_owner'
), bound AS (
  SELECT c.relname AS class, d.objid, d.deptype
  FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.classid
  WHERE d.deptype IN ('e', 'a', 'i')
)
SELECT pg_catalog.format('ALTER SCHEMA %I OWNER TO %I', s.nspname, $1::pg_catalog.text)
FROM spaces s WHERE s.nspowner IN (SELECT oid FROM heirless)
  AND NOT EXISTS (SELECT FROM bound b
    WHERE b.class = 'pg_namespace' AND b.objid = s.oid AND b.deptype = 'e')
UNION ALL
SELECT pg_catalog.format('ALTER TABLE %I.%I OWNER TO %I',
  s.nspname, c.relname, $1::pg_catalog.text)
FROM pg_catalog.pg_class c JOIN spaces s ON s.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relowner IN (SELECT oid FROM heirless)
  AND NOT EXISTS (SELECT FROM bound b WHERE b.class = 'pg_class' AND b.objid = c.oid
    AND (b.deptype = 'e' OR c.relkind = 'S'))
UNION ALL
SELECT pg_catalog.format('ALTER ROUTINE %s OWNER TO %I',
  p.oid::pg_catalog.regprocedure, $1::pg_catalog.text)
FROM pg_catalog.pg_proc p JOIN spaces s ON s.oid = p.pronamespace
WHERE p.proowner IN (SELECT oid FROM heirless)
  AND NOT EXISTS (SELECT FROM bound b
    WHERE b.class = 'pg_proc' AND b.objid = p.oid AND b.deptype IN ('e', 'i'))
UNION ALL
SELECT pg_catalog.format('ALTER TYPE %I.%I OWNER TO %I',
  s.nspname, t.typname, $1::pg_catalog.text)
FROM pg_catalog.pg_type t JOIN spaces s ON s.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
WHERE t.typowner IN (SELECT oid FROM heirless) AND t.typtype IN ('c', 'd', 'e', 'r')
  AND (t.typrelid = 0::pg_catalog.oid OR c.relkind = 'c')
  AND NOT EXISTS (SELECT FROM bound b
    WHERE b.class = 'pg_type' AND b.objid = t.oid AND b.deptype = 'e')
UNION ALL
SELECT pg_catalog.format('ALTER LARGE OBJECT %s OWNER TO %I', l.oid, $1::pg_catalog.text)
FROM pg_catalog.pg_largeobject_metadata l WHERE l.lomowner IN (SELECT oid FROM heirless)";

/// A query whose rows are the statements that let user `$1` use everything in the connected
/// database, but for what is in schemas of user `$2`.
///
/// Left out besides what [`TAKE_OWNERSHIP`] leaves out: schemas that are members of extensions, and
/// what the user owns. What an extension keeps from everybody may make a superuser of whoever has
/// it.
pub const GRANT_ON_OBJECTS: &str = "\
WITH members AS (
  SELECT c.relname AS class, d.objid
  FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.classid
  WHERE d.deptype = 'e'
), spaces AS (
  SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n
  WHERE NOT pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_')
    AND n.nspname <> 'information_schema'
    AND pg_catalog.pg_get_userbyid(n.nspowner) <> $2::pg_catalog.text AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_proc p
    WHERE p.pronamespace = n.oid AND p.proname = 'get_auth' AND p.prosecdef)
    AND NOT EXISTS (
    SELECT FROM members m WHERE m.class = 'pg_namespace' AND m.objid = n.oid)
)
SELECT pg_catalog.format('GRANT USAGE, CREATE ON SCHEMA %I TO %I',
  s.nspname, $1::pg_catalog.text) FROM spaces s
UNION ALL
SELECT pg_catalog.format('GRANT ALL PRIVILEGES ON %s %I.%I TO %I',
  CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
  s.nspname, c.relname, $1::pg_catalog.text)
FROM pg_catalog.pg_class c JOIN spaces s ON s.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND pg_catalog.pg_get_userbyid(c.relowner) <> $1::pg_catalog.text
  AND NOT EXISTS (SELECT FROM members m WHERE m.class = 'pg_class' AND m.objid = c.oid)
UNION ALL
SELECT pg_catalog.format('GRANT ALL PRIVILEGES ON ROUTINE %s TO %I',
  p.oid::pg_catalog.regprocedure, $1::pg_catalog.text)
FROM pg_catalog.pg_proc p JOIN spaces s ON s.oid = p.pronamespace
WHERE pg_catalog.pg_get_userbyid(p.proowner) <> $1::pg_catalog.text
  AND NOT EXISTS (SELECT FROM members m WHERE m.class = 'pg_proc' AND m.objid = p.oid)";

/// A query whose rows are the statements that take from user `$1`, and from clients' users, who are
/// in `relation_access`, what they were given on members of extensions: what these let everybody
/// have they have all the same. From everybody it takes the routines of orafce that read and write
/// files as the server, wherever a table says, into which whoever writes all data writes too.
pub const HELD_ON_EXTENSIONS: &str = "\
WITH clients AS (
  SELECT r.oid, r.rolname FROM pg_catalog.pg_roles r
  WHERE r.rolname = $1::pg_catalog.text OR EXISTS (SELECT FROM pg_catalog.pg_auth_members m
    JOIN pg_catalog.pg_roles g ON g.oid = m.roleid AND g.rolname = 'relation_access'
    WHERE m.member = r.oid)
), members AS (
  SELECT c.relname AS class, d.objid
  FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.classid
  WHERE d.deptype = 'e'
), held AS (
  SELECT pg_catalog.format('SCHEMA %I', n.nspname) AS object, n.nspowner AS owner, a.grantee
  FROM pg_catalog.pg_namespace n
  JOIN members m ON m.class = 'pg_namespace' AND m.objid = n.oid
  CROSS JOIN pg_catalog.aclexplode(n.nspacl) a
  UNION ALL
  SELECT pg_catalog.format('%s %I.%I',
    CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, n.nspname, c.relname),
    c.relowner, a.grantee
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN members m ON m.class = 'pg_class' AND m.objid = c.oid
  CROSS JOIN pg_catalog.aclexplode(c.relacl) a
  UNION ALL
  SELECT pg_catalog.format('ROUTINE %s', p.oid::pg_catalog.regprocedure), p.proowner, a.grantee
  FROM pg_catalog.pg_proc p JOIN members m ON m.class = 'pg_proc' AND m.objid = p.oid
  CROSS JOIN pg_catalog.aclexplode(p.proacl) a
)
SELECT DISTINCT pg_catalog.format(
  'REVOKE ALL PRIVILEGES ON %s FROM %I CASCADE', h.object, c.rolname)
FROM held h JOIN clients c ON c.oid = h.grantee WHERE h.grantee <> h.owner
UNION ALL
SELECT pg_catalog.format(
  'REVOKE ALL PRIVILEGES ON ROUTINE %s FROM PUBLIC', p.oid::pg_catalog.regprocedure)
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN members m ON m.class = 'pg_proc' AND m.objid = p.oid
WHERE n.nspname = 'utl_file' AND EXISTS (SELECT FROM pg_catalog.aclexplode(
  coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
  WHERE a.grantee = '0'::pg_catalog.oid)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_closed_before_it_is_opened() {
        let name: DatabaseName = "shop \"b\"".parse().unwrap();
        let users = ["relation_id_4".parse().unwrap(), "admin".parse().unwrap()];
        let mut statements = vec![create_database(&name)];
        statements.extend(grant_database(&name, &users));
        insta::assert_snapshot!(statements.join("\n"), @r#"
        CREATE DATABASE "shop ""b"""
        REVOKE ALL PRIVILEGES ON DATABASE "shop ""b""" FROM PUBLIC
        GRANT ALL PRIVILEGES ON DATABASE "shop ""b""" TO "relation_id_4"
        GRANT ALL PRIVILEGES ON DATABASE "shop ""b""" TO "admin"
        "#);
    }

    #[test]
    fn the_queries_spare_the_lookup_function() {
        let guard = format!("p.proname = '{}'", crate::sql::LOOKUP_FUNCTION);
        assert!(TAKE_OWNERSHIP.contains(&guard));
        assert!(GRANT_ON_OBJECTS.contains(&guard));
    }
}
