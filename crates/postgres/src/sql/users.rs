//! Texts on roles.

use crate::{RoleName, quote_literal};

/// What the server says about a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleState {
    /// It may log in and is not expired.
    pub login: bool,
    /// `SUPERUSER`.
    pub superuser: bool,
    /// `CREATEDB`.
    pub create_db: bool,
    /// `CREATEROLE`.
    pub create_role: bool,
    /// What is said of it.
    pub comment: Option<String>,
    /// The roles it is a direct member of, sorted.
    pub member_of: Vec<RoleName>,
}

/// A query whose rows are the statements that end the memberships in role `$1`, except superusers':
/// a role with CREATEROLE could make another client's role first, and be a member of it. Who
/// granted is named, where it is known: servers from 16 on end nothing else.
pub(super) const MEMBERS: &str = "\
SELECT pg_catalog.format('REVOKE %I FROM %I%s CASCADE', g.rolname, u.rolname,
  CASE WHEN b.oid IS NULL THEN '' ELSE pg_catalog.format(' GRANTED BY %I', b.rolname) END)
FROM pg_catalog.pg_auth_members m
JOIN pg_catalog.pg_roles g ON g.oid = m.roleid AND g.rolname = $1
JOIN pg_catalog.pg_roles u ON u.oid = m.member AND NOT u.rolsuper
LEFT JOIN pg_catalog.pg_roles b ON b.oid = m.grantor ORDER BY 1";

/// A query whose rows are the statements that take from clients' users, who are in
/// `relation_access`, what makes them a charm's own user or another client's, at whichever remove,
/// and what makes them as good as superusers.
pub(super) const USER_MEMBERSHIPS: &str = "\
WITH RECURSIVE clients AS (
  SELECT u.oid FROM pg_catalog.pg_roles u WHERE u.rolcanlogin AND EXISTS (
    SELECT FROM pg_catalog.pg_auth_members c
    JOIN pg_catalog.pg_roles a ON a.oid = c.roleid AND a.rolname = 'relation_access'
    WHERE c.member = u.oid)
), reached (oid) AS (
  SELECT c.oid FROM clients c
  UNION
  SELECT m.roleid FROM reached r JOIN pg_catalog.pg_auth_members m ON m.member = r.oid)
SELECT pg_catalog.format('REVOKE %I FROM %I%s CASCADE', g.rolname, u.rolname,
  CASE WHEN b.oid IS NULL THEN '' ELSE pg_catalog.format(' GRANTED BY %I', b.rolname) END)
FROM pg_catalog.pg_auth_members m JOIN reached r ON r.oid = m.member
JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
JOIN pg_catalog.pg_roles u ON u.oid = m.member
LEFT JOIN pg_catalog.pg_roles b ON b.oid = m.grantor
WHERE (g.rolcanlogin AND EXISTS (SELECT FROM pg_catalog.pg_auth_members c
    JOIN pg_catalog.pg_roles a ON a.oid = c.roleid
      AND a.rolname IN ('relation_access', 'internal_access')
    WHERE c.member = g.oid))
  OR (g.rolname IN
      ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
    AND EXISTS (SELECT FROM clients c WHERE c.oid = u.oid)) ORDER BY 1";

pub(super) const ROLE_STATE: &str = "\
SELECT (a.rolcanlogin
    AND (a.rolvaliduntil IS NULL OR a.rolvaliduntil > pg_catalog.now()))::pg_catalog.text,
  a.rolsuper::pg_catalog.text, a.rolcreatedb::pg_catalog.text,
  a.rolcreaterole::pg_catalog.text, a.rolpassword,
  pg_catalog.shobj_description(a.oid, 'pg_authid')
FROM pg_catalog.pg_authid a WHERE a.rolname = $1";

pub(super) const GROUPS: &str = "\
SELECT g.rolname::pg_catalog.text FROM pg_catalog.pg_auth_members m
JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
JOIN pg_catalog.pg_roles r ON r.oid = m.member WHERE r.rolname = $1 ORDER BY 1";

/// The roles that a member of role `$1` is by it, if any of them logs in or is a superuser: the
/// member could become it with `SET ROLE`, and has its rights without.
pub(super) const REACHED_USERS: &str = "\
WITH RECURSIVE reached (oid) AS (
  SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = $1
  UNION
  SELECT m.roleid FROM reached JOIN pg_catalog.pg_auth_members m ON m.member = reached.oid)
SELECT r.rolname::pg_catalog.text FROM reached JOIN pg_catalog.pg_roles r ON r.oid = reached.oid
WHERE r.rolcanlogin OR r.rolsuper ORDER BY 1";

pub(super) const HELD_ROLES: &str = "\
SELECT r.rolname::pg_catalog.text FROM pg_catalog.pg_roles r
JOIN pg_catalog.pg_shdescription d ON d.objoid = r.oid
  AND d.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass::pg_catalog.oid
WHERE d.description = $1 AND r.rolname <> current_user ORDER BY 1";

/// The databases in which a role has subscriptions: they are the whole server's, and can be changed
/// in theirs only.
pub(super) const SUBSCRIBED: &str = "\
SELECT DISTINCT d.datname::pg_catalog.text FROM pg_catalog.pg_subscription s
JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
WHERE pg_catalog.pg_get_userbyid(s.subowner) = $1 ORDER BY 1";

/// The databases that can be entered in which a role has anything: rights, objects, transactions
/// that it has prepared.
pub(super) const STANDS: &str = "\
SELECT d.datname::pg_catalog.text FROM pg_catalog.pg_database d
WHERE d.datallowconn AND d.datconnlimit <> -2 AND (
  EXISTS (SELECT FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid
    WHERE s.dbid = d.oid AND r.rolname = $1
      AND s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass::pg_catalog.oid)
  OR EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts x
    WHERE x.database = d.datname AND x.owner = $1)) ORDER BY 1";

/// Transactions that a role has prepared in the connected database: their locks outlive it.
pub(super) const PREPARED: &str = "\
SELECT gid FROM pg_catalog.pg_prepared_xacts
WHERE owner = $1 AND database = pg_catalog.current_database() ORDER BY 1";

/// Keeps verifiers out of the server's log for the rest of a session.
pub(super) const QUIET: &str = "SET log_statement = 'none'; SET log_min_duration_statement = -1; \
SET log_min_error_statement = 'panic'";
pub(super) const LOUD: &str = "RESET log_statement; RESET log_min_duration_statement; \
RESET log_min_error_statement";

/// The names of all roles.
pub(super) const ROLES: &str =
    "SELECT rolname::pg_catalog.text FROM pg_catalog.pg_roles ORDER BY 1";

/// What a comment begins with that names the role with which another goes.
const HELD: &str = "goes with the role ";

/// What the comment on a role says that goes with `holder`.
pub fn holder_comment(holder: &RoleName) -> String {
    format!("{HELD}{holder}")
}

/// The role that such a comment names.
pub fn holder_in(comment: &str) -> Option<RoleName> {
    comment.strip_prefix(HELD)?.parse().ok()
}

/// Hands a role's databases to the connected user.
pub(super) fn hand_databases(name: &RoleName) -> String {
    let all = format!(
        "DECLARE d pg_catalog.name; BEGIN FOR d IN SELECT datname FROM pg_catalog.pg_database \
         WHERE pg_catalog.pg_get_userbyid(datdba) = {} LOOP EXECUTE pg_catalog.format(\
         'ALTER DATABASE %I OWNER TO CURRENT_USER', d); END LOOP; END",
        quote_literal(name.as_str())
    );
    format!("DO {}", quote_literal(&all))
}

/// Ends a role's sessions.
pub(super) fn end_sessions(name: &RoleName) -> String {
    format!(
        "SELECT pg_catalog.pg_terminate_backend(pid, 5000) FROM pg_catalog.pg_stat_activity \
         WHERE usename = {}",
        quote_literal(name.as_str())
    )
}

/// Hands a role's subscriptions in the connected database to the connected user, at rest.
pub(super) fn rest_subscriptions(name: &RoleName) -> String {
    let all = format!(
        "DECLARE n pg_catalog.name; BEGIN FOR n IN SELECT s.subname \
         FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid \
         WHERE d.datname = pg_catalog.current_database() \
         AND pg_catalog.pg_get_userbyid(s.subowner) = {} LOOP \
         EXECUTE pg_catalog.format('ALTER SUBSCRIPTION %I DISABLE', n); \
         EXECUTE pg_catalog.format('ALTER SUBSCRIPTION %I OWNER TO CURRENT_USER', n); END LOOP; \
         END",
        quote_literal(name.as_str())
    );
    format!("DO {}", quote_literal(&all))
}

/// A query whose rows are the statements that hand the tables and their like that role `$1` owns
/// in the connected database to a role that may do nothing else: each is locked until its
/// transaction ends, and the server has room for so many locks.
pub(super) const HAND_OVER: &str = "\
SELECT pg_catalog.format('ALTER TABLE %I.%I OWNER TO pg_database_owner', n.nspname, c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
WHERE r.rolname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND c.relpersistence <> 't'
  AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
      AND d.objid = c.oid AND d.deptype IN ('a', 'i')))
ORDER BY c.oid";

/// Drops a role's event triggers in the connected database.
pub(super) fn drop_event_triggers(name: &RoleName) -> String {
    let all = format!(
        "DECLARE n pg_catalog.name; BEGIN \
         FOR n IN SELECT evtname FROM pg_catalog.pg_event_trigger \
         WHERE pg_catalog.pg_get_userbyid(evtowner) = {} LOOP \
         EXECUTE pg_catalog.format('DROP EVENT TRIGGER %I', n); END LOOP; END",
        quote_literal(name.as_str())
    );
    format!("DO {}", quote_literal(&all))
}

/// Hands a role's wrappers of foreign data to the connected user.
pub(super) fn hand_wrappers(name: &RoleName) -> String {
    let all = format!(
        "DECLARE n pg_catalog.name; BEGIN \
         FOR n IN SELECT fdwname FROM pg_catalog.pg_foreign_data_wrapper \
         WHERE pg_catalog.pg_get_userbyid(fdwowner) = {owner} LOOP EXECUTE pg_catalog.format(\
         'ALTER FOREIGN DATA WRAPPER %I OWNER TO CURRENT_USER', n); END LOOP; END",
        owner = quote_literal(name.as_str())
    );
    format!("DO {}", quote_literal(&all))
}
