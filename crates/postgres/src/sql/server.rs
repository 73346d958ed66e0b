//! Queries about a server as a whole.

/// All facts in one round trip. PostgreSQL before 16 knows no `reserved_connections`.
pub(super) const FACTS: &str = "\
SELECT pg_catalog.current_setting('server_version'),
  pg_catalog.current_setting('max_connections'),
  (pg_catalog.current_setting('max_connections')::pg_catalog.int4
    - pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int4
    - COALESCE(pg_catalog.current_setting('reserved_connections', true), '0')::pg_catalog.int4
  )::pg_catalog.text,
  EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1 AND rolcanlogin)::pg_catalog.text,
  CASE WHEN NOT pg_catalog.pg_is_in_recovery()
    THEN pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()) END,
  pg_catalog.array_to_json(ARRAY(SELECT r.rolname FROM pg_catalog.pg_roles r
    JOIN pg_catalog.pg_shdescription d ON d.objoid = r.oid
      AND d.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass::pg_catalog.oid
    WHERE d.description = $2 ORDER BY 1))::pg_catalog.text,
  (SELECT p.prosrc FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    JOIN pg_catalog.pg_roles o ON o.oid = p.proowner
    JOIN pg_catalog.pg_roles s ON s.oid = n.nspowner
    JOIN pg_catalog.pg_roles r ON r.rolname = n.nspname
    WHERE n.nspname = $1 AND p.proname = 'get_auth' AND p.pronargs = 1
      AND p.proargtypes[0] = 'pg_catalog.text'::pg_catalog.regtype::pg_catalog.oid
      AND l.lanname = 'sql' AND p.proretset AND p.prosecdef AND o.rolsuper AND s.rolsuper
      AND p.proconfig = ARRAY['search_path=pg_catalog, pg_temp']
      AND 'search_path=pg_catalog, pg_temp' = ANY (r.rolconfig)
      AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')
      AND pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE')
      AND pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CONNECT')
      AND p.proacl IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(p.proacl) a
        WHERE a.grantee NOT IN (o.oid, r.oid)))";

/// A query whose row is the name of the oldest segment, less its timeline.
pub(super) const OLDEST_SEGMENT: &str = "\
SELECT pg_catalog.min(pg_catalog.substr(w.name, 9, 16)) FROM pg_catalog.pg_ls_waldir() w
WHERE pg_catalog.length(w.name) = 24";

/// What all databases take, in bytes: the sum over none would be NULL, and there is always one.
pub(super) const DATABASES_SIZE: &str = "\
SELECT pg_catalog.sum(pg_catalog.pg_database_size(d.oid))::pg_catalog.text
FROM pg_catalog.pg_database d";

/// Settings with their values here and those that PostgreSQL is made with.
pub(super) const SETTINGS: &str = "\
SELECT s.name, s.setting, COALESCE(s.boot_val, '') FROM pg_catalog.pg_settings s
WHERE s.context IN ('user', 'superuser')
UNION ALL SELECT 'role', current_user::pg_catalog.text, ''
UNION ALL SELECT 'session_authorization', session_user::pg_catalog.text, ''";

/// Parameters as the server runs with them. What a session sets for itself, or a database or a role
/// for it, says nothing of the server: there it is what the server's files say.
pub(super) const PARAMETERS: &str = "\
SELECT s.name, s.setting, COALESCE(s.unit, ''), s.vartype, s.pending_restart::pg_catalog.text
FROM pg_catalog.pg_settings s
WHERE s.source IN ('default', 'configuration file', 'command line', 'global')
UNION ALL SELECT s.name, f.setting, '', 'string', 'false' FROM pg_catalog.pg_file_settings f
JOIN pg_catalog.pg_settings s ON pg_catalog.lower(s.name) = pg_catalog.lower(f.name)
WHERE f.applied AND s.source NOT IN ('default', 'configuration file', 'command line', 'global')";

/// Transactions of clients that are open now: how many, and the age of the oldest in seconds. What
/// comes through the socket is no client but the workload itself.
pub(super) const OPEN_TRANSACTIONS: &str = "\
SELECT pg_catalog.count(*)::pg_catalog.text,
  COALESCE(pg_catalog.floor(pg_catalog.max(
    EXTRACT(epoch FROM pg_catalog.now() - a.xact_start))), 0)::pg_catalog.text
FROM pg_catalog.pg_stat_activity a
WHERE a.backend_type = 'client backend' AND a.xact_start IS NOT NULL
  AND a.client_addr IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid()";

/// Slots that keep log for nobody who reads it now: the name, the bytes, the seconds. Only
/// PostgreSQL 17 knows since when; before it the column is missing, and so are the lines.
pub(super) const IDLE_SLOTS: &str = "\
SELECT s.slot_name,
  pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn)::pg_catalog.text,
  pg_catalog.floor(EXTRACT(epoch FROM pg_catalog.now() - s.since))::pg_catalog.text
FROM (SELECT r.slot_name::pg_catalog.text AS slot_name, r.restart_lsn, r.active,
    pg_catalog.jsonb_object_field_text(pg_catalog.to_jsonb(r), 'inactive_since')
      ::pg_catalog.timestamptz AS since
  FROM pg_catalog.pg_replication_slots r) s
WHERE NOT s.active AND s.restart_lsn IS NOT NULL AND s.since IS NOT NULL";

/// Statements that drop slots of standbys which keep no log any more: a standby may stream from
/// one, but nothing is kept for it again. One that is read from now cannot be dropped.
pub(super) const LOST_SLOTS: &str = "\
SELECT pg_catalog.format('SELECT pg_catalog.pg_drop_replication_slot(%L)', s.slot_name)
FROM pg_catalog.pg_replication_slots s
WHERE s.wal_status = 'lost' AND s.slot_type = 'physical' AND NOT s.active AND NOT s.temporary";
