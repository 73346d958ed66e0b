//! Texts on databases and what is in them.

/// Ends the sessions that keep new databases from being copied from `template1`, where no session
/// has to work: the idle ones, and all of roles that are no superusers.
pub(super) const TEMPLATE_SESSIONS: &str = "\
SELECT pg_catalog.pg_terminate_backend(a.pid, 5000) FROM pg_catalog.pg_stat_activity a
JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
WHERE a.datname = 'template1' AND a.pid <> pg_catalog.pg_backend_pid()
  AND (NOT r.rolsuper OR pg_catalog.starts_with(a.state, 'idle'))";

/// The database in which poolers look passwords up, and in which their charms work.
pub const POOLERS: &str = "pgbouncer";

/// A query whose rows are the statements that make database `$1` a superuser's, because its owner
/// could close it, set what its sessions begin with, or drop it.
pub(super) const OWNED: &str = "\
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

/// A query whose rows are the statements that take the connected database from all but superusers,
/// a charm's own users, and those whose passwords are looked up in it.
pub(super) const LET_IN: &str = "\
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

/// A query whose rows are the statements that make user `$1` the owner of what superusers
/// own in the connected database: what an earlier user left behind.
///
/// Left out: the system's own schemas, members of extensions, and schemas with a lookup function,
/// which must stay with a superuser, as a schema must in which the script of an extension runs, and
/// what event triggers call, which runs with the rights of the session's user.
pub(super) const TAKE_OWNERSHIP: &str = "\
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
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_roles o ON o.oid = s.nspowner AND o.rolsuper
    WHERE e.extnamespace = s.oid AND s.nspname <> 'public')
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
  AND p.prorettype <> 'pg_catalog.event_trigger'::pg_catalog.regtype::pg_catalog.oid
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

/// A query whose rows are the statements that disable the event triggers of roles that are no
/// longer superusers, and those that call what such a role can change. Where servers before 17 have
/// triggers that fire always, no session of ours can turn these off, and this fires none.
pub(super) const EVENTS_OF_CLIENTS: &str = "\
SELECT pg_catalog.format('ALTER EVENT TRIGGER %I DISABLE', t.evtname)
FROM pg_catalog.pg_event_trigger t JOIN pg_catalog.pg_roles o ON o.oid = t.evtowner
JOIN pg_catalog.pg_proc p ON p.oid = t.evtfoid JOIN pg_catalog.pg_roles f ON f.oid = p.proowner
WHERE t.evtenabled <> 'D' AND NOT (o.rolsuper AND f.rolsuper) ORDER BY 1";

/// A query whose rows are the statements that let user `$1` use everything in the connected
/// database, but for what is in schemas of user `$2`.
///
/// Left out besides what [`TAKE_OWNERSHIP`] leaves out: schemas that are members of extensions, and
/// what the user owns. No client may create in a superuser's schema that has an extension. What an
/// extension revokes from PUBLIC may make its user a superuser.
pub(super) const GRANT_ON_OBJECTS: &str = "\
WITH members AS (
  SELECT c.relname AS class, d.objid
  FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.classid
  WHERE d.deptype = 'e'
), spaces AS (
  SELECT n.oid, n.nspname, n.nspname <> 'public' AND EXISTS (
    SELECT FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_roles o ON o.oid = n.nspowner AND o.rolsuper
    WHERE e.extnamespace = n.oid) AS held
  FROM pg_catalog.pg_namespace n
  WHERE NOT pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_')
    AND n.nspname <> 'information_schema'
    AND pg_catalog.pg_get_userbyid(n.nspowner) <> $2::pg_catalog.text AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_proc p
    WHERE p.pronamespace = n.oid AND p.proname = 'get_auth' AND p.prosecdef)
    AND NOT EXISTS (
    SELECT FROM members m WHERE m.class = 'pg_namespace' AND m.objid = n.oid)
)
SELECT pg_catalog.format('GRANT USAGE%s ON SCHEMA %I TO %I',
  CASE WHEN s.held THEN '' ELSE ', CREATE' END, s.nspname, $1::pg_catalog.text) FROM spaces s
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

/// The databases that are no client's and that every role may connect to.
pub(super) const OPEN: &str = "\
SELECT d.datname::pg_catalog.text FROM pg_catalog.pg_database d
WHERE d.datname IN ('postgres', 'template1') AND EXISTS (
  SELECT FROM pg_catalog.aclexplode(
    coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
  WHERE a.grantee = '0'::pg_catalog.oid) ORDER BY 1";

/// The databases that clients can have.
pub(super) const FOR_CLIENTS: &str = "\
SELECT datname::pg_catalog.text FROM pg_catalog.pg_database
WHERE NOT datistemplate AND datallowconn AND datconnlimit <> -2 ORDER BY 1";

/// The databases that can be entered.
pub(super) const ENTERABLE: &str = "\
SELECT datname::pg_catalog.text FROM pg_catalog.pg_database
WHERE datallowconn AND datconnlimit <> -2 ORDER BY 1";

/// The database of the name `$1`.
pub(super) const DATABASE: &str =
    "SELECT datname::pg_catalog.text FROM pg_catalog.pg_database WHERE datname = $1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queries_spare_the_lookup_function() {
        let guard = format!("p.proname = '{}'", crate::sql::LOOKUP_FUNCTION);
        assert!(TAKE_OWNERSHIP.contains(&guard));
        assert!(GRANT_ON_OBJECTS.contains(&guard));
    }
}
