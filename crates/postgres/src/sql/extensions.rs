//! Texts on extensions, whose scripts run as a superuser.

use crate::{quote_ident, quote_literal};

/// A query whose row says of the extension `$1` whether the connected database has it, which
/// schema it names, whether that is there, whether the extension can be moved, a number that no
/// other session has, and in which schemas those are that it needs.
pub(super) const EXTENSION: &str = "\
SELECT (a.installed_version IS NOT NULL)::pg_catalog.text, v.schema::pg_catalog.text,
  EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = v.schema)::pg_catalog.text,
  v.relocatable::pg_catalog.text, pg_catalog.pg_backend_pid()::pg_catalog.text,
  pg_catalog.array_to_json(ARRAY(SELECT n.nspname FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace AND n.nspname <> 'pg_catalog'
    WHERE e.extname = ANY (v.requires)))::pg_catalog.text
FROM pg_catalog.pg_available_extensions a JOIN pg_catalog.pg_available_extension_versions v
  ON v.name = a.name AND v.version = a.default_version
WHERE a.name = $1";

/// The extensions of the connected database.
pub(super) const THERE: &str =
    "SELECT extname::pg_catalog.text FROM pg_catalog.pg_extension ORDER BY 1";

/// The extensions that the server could make.
pub(super) const AVAILABLE: &str =
    "SELECT name::pg_catalog.text FROM pg_catalog.pg_available_extensions ORDER BY 1";

/// A query whose row is something in these schemas that a client made: a function, an operator,
/// or a schema but `public`, whose owner may put anything into it.
pub(super) fn made_by_clients(schemas: &[String]) -> String {
    let list: Vec<String> = schemas.iter().map(|name| quote_literal(name)).collect();
    let list = list.join(", ");
    format!(
        "SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text \
         FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
         JOIN pg_catalog.pg_roles r ON r.oid = p.proowner \
         WHERE n.nspname IN ({list}) AND NOT r.rolsuper \
         UNION ALL SELECT o.oid::pg_catalog.regoperator::pg_catalog.text \
         FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace \
         JOIN pg_catalog.pg_roles r ON r.oid = o.oprowner \
         WHERE n.nspname IN ({list}) AND NOT r.rolsuper \
         UNION ALL SELECT pg_catalog.format('what is in the schema %I', n.nspname) \
         FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner \
         WHERE n.nspname IN ({list}) AND n.nspname <> 'public' AND NOT r.rolsuper LIMIT 1"
    )
}

/// What is done for an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnExtension {
    /// Keeps other sessions from making or moving a function, an operator or a schema until the
    /// transaction ends.
    Lock,
    /// Refuses where a client has one in these schemas.
    ///
    /// The locks hold back sessions that begin now. A transaction that made something before has
    /// given them back already, and shows it with its end: the ends of all that were there are
    /// waited for.
    Refuse(Vec<String>),
    /// Makes a schema for it.
    CreateSchema(String),
    /// Makes it, in this schema where one is named.
    Create(String, Option<String>),
    /// Moves it to the schema `public`.
    Publish(String),
    /// Drops a schema that is empty.
    DropSchema(String),
    /// Drops it, where nothing depends on it.
    Drop(String),
}

impl OnExtension {
    pub(super) fn sql(&self) -> String {
        match self {
            Self::Lock => "LOCK TABLE pg_catalog.pg_proc, pg_catalog.pg_operator, \
                           pg_catalog.pg_namespace IN SHARE ROW EXCLUSIVE MODE"
                .to_owned(),
            Self::Refuse(schemas) => refuse(schemas),
            Self::CreateSchema(name) => format!("CREATE SCHEMA {}", quote_ident(name)),
            Self::Create(name, None) => {
                format!("CREATE EXTENSION IF NOT EXISTS {}", quote_ident(name))
            }
            Self::Create(name, Some(schema)) => {
                let (name, schema) = (quote_ident(name), quote_ident(schema));
                format!("CREATE EXTENSION IF NOT EXISTS {name} SCHEMA {schema}")
            }
            Self::Publish(name) => {
                format!("ALTER EXTENSION {} SET SCHEMA public", quote_ident(name))
            }
            Self::DropSchema(name) => format!("DROP SCHEMA {}", quote_ident(name)),
            Self::Drop(name) => format!("DROP EXTENSION IF EXISTS {}", quote_ident(name)),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Lock => "LOCK TABLE",
            Self::Refuse(_) => "DO",
            Self::CreateSchema(_) => "CREATE SCHEMA",
            Self::Create(..) => "CREATE EXTENSION",
            Self::Publish(_) => "ALTER EXTENSION",
            Self::DropSchema(_) => "DROP SCHEMA",
            Self::Drop(_) => "DROP EXTENSION",
        }
    }
}

/// A block that refuses where a client has something in these schemas.
fn refuse(schemas: &[String]) -> String {
    let running = "l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted";
    let body = format!(
        "DECLARE running pg_catalog.text[]; object pg_catalog.text; \
         BEGIN \
         running := ARRAY(SELECT l.transactionid::pg_catalog.text FROM pg_catalog.pg_locks l \
           LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
           LEFT JOIN pg_catalog.pg_prepared_xacts x ON x.transaction = l.transactionid \
           WHERE {running} AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid() \
           AND coalesce(a.datname, x.database, pg_catalog.current_database()) \
             = pg_catalog.current_database()); \
         FOR i IN 1..100 LOOP \
           EXIT WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_locks l \
             WHERE {running} AND l.transactionid::pg_catalog.text = ANY (running)); \
           IF i = 100 THEN RAISE EXCEPTION 'a transaction in this database does not end' \
             USING ERRCODE = '55P03'; END IF; \
           PERFORM pg_catalog.pg_sleep(0.05); \
         END LOOP; \
         object := ({made}); \
         IF object IS NOT NULL THEN RAISE EXCEPTION \
           'its script could run %, which a client has just made', object \
           USING ERRCODE = '42501'; END IF; \
         END",
        made = made_by_clients(schemas)
    );
    format!("DO {}", quote_literal(&body))
}

/// A query whose rows are the statements that take from user `$1`, and from clients' users, who are
/// in `relation_access`, what they were given on members of extensions: what PUBLIC has they keep.
/// From PUBLIC it takes the routines of orafce that read and write files as the server, in folders
/// named by a table that members of `pg_write_all_data` can write.
pub(super) const HELD_ON_EXTENSIONS: &str = "\
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
