//! What a client leaves for sessions with more rights: each trap reports the role that ran it.

use super::words::Named;
use postgres::quote_literal;

/// Traps of the same names as whatever is named in statements, in a schema of the client's.
///
/// What a trap does, `tell` says, in which `:what` is the trap's name.
///
/// Which words are types, relations or functions, and which types the operands may have, the
/// server knows: those of the columns, arguments and results of whatever is named.
pub(crate) fn shadows(named: &Named, schema: &str, tell: &str) -> String {
    let list = |all: &std::collections::BTreeSet<String>| {
        all.iter().map(|one| quote_literal(one)).collect::<Vec<_>>().join(", ")
    };
    let tell = tell.replace('%', "%%").replace(":what", "%L").replace('\'', "''");
    let body = SHADOWS
        .replace(":tell", &tell)
        .replace(":words", &list(&named.words))
        .replace(":operators", &list(&named.operators))
        .replace(":schema", &quote_literal(schema));
    format!("DO {}", quote_literal(&body))
}

/// Signatures of functions differ from PostgreSQL's in one argument, those of operators in any.
/// A transaction holds a lock on each of them, for which the server has not room without end.
const SHADOWS: &str = "\
DECLARE
  words text[] := ARRAY[:words];
  types regtype[];
  one record;
  body CONSTANT text := 'BEGIN :tell; RETURN %s; END';
  made int := 0;
BEGIN
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false);
  EXECUTE format('CREATE TYPE %I.trap AS ENUM (''set'')', :schema);
  types := ARRAY(
    WITH functions AS (
      SELECT p.proargtypes, p.prorettype FROM pg_proc p
      WHERE p.proname = ANY (words) AND p.pronamespace = 'pg_catalog'::regnamespace)
    SELECT DISTINCT t.oid::regtype FROM pg_type t
    WHERE t.typtype = 'b' AND t.typname <> 'unknown' AND (
      t.typname IN ('int4', 'int8', 'numeric', 'text', 'varchar', 'name', 'regclass')
      OR t.typname = ANY (words)
      OR t.oid IN (SELECT a.atttypid FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relname = ANY (words) AND c.relnamespace = 'pg_catalog'::regnamespace)
      OR t.oid IN (SELECT unnest(proargtypes) FROM functions)
      OR t.oid IN (SELECT prorettype FROM functions))
    UNION SELECT format('%I.trap', :schema)::regtype);

  FOR one IN SELECT o.name, l.type AS l, r.type AS r,
      format('as %s %s', o.name, row_number() OVER ()) AS own, coalesce(
      (SELECT b.oprresult::regtype FROM pg_operator b JOIN pg_type t ON t.oid = b.oprresult
        WHERE b.oprname = o.name AND t.typtype = 'b'
        GROUP BY b.oprresult ORDER BY count(*) DESC, b.oprresult LIMIT 1), 'bool') AS result
    FROM (SELECT DISTINCT oprname AS name FROM pg_operator
      WHERE oprname = ANY (ARRAY[:operators]) AND oprleft <> 0) o,
      (SELECT unnest(types) UNION ALL SELECT 'anyelement'::regtype) l (type),
      (SELECT unnest(types) UNION ALL SELECT 'anyelement'::regtype) r (type)
  LOOP
    made := made + 1;
    IF made % 500 = 0 THEN COMMIT; END IF;
    EXECUTE format('CREATE FUNCTION %I.%I(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L', :schema,
      one.own, one.l, one.r, one.result, format(body,
      format('operator %s (%s, %s)', one.name, one.l, one.r),
      CASE one.result WHEN 'bool'::regtype THEN 'true' ELSE 'NULL' END));
    EXECUTE format('CREATE OPERATOR %I.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = %I.%I)',
      :schema, one.name, one.l, one.r, :schema, one.own);
  END LOOP;

  FOR one IN SELECT DISTINCT p.proname AS name, array_to_string(ARRAY(
      SELECT CASE n WHEN place THEN t.type ELSE args[n] END
      FROM generate_subscripts(args, 1) n ORDER BY n), ', ') AS list,
      (SELECT f.prorettype::regtype FROM pg_proc f JOIN pg_type k ON k.oid = f.prorettype
        WHERE f.proname = p.proname AND k.typtype = 'b' LIMIT 1) AS result
    FROM pg_proc p,
      LATERAL (SELECT ARRAY(SELECT unnest(p.proargtypes)::regtype) AS args) a,
      generate_series(0, cardinality(args)) place, unnest(types) t (type)
    WHERE p.proname = ANY (words) AND p.pronamespace = 'pg_catalog'::regnamespace
      AND p.prokind = 'f' AND cardinality(args) <= 4
      AND NOT EXISTS (SELECT FROM pg_type k WHERE k.oid = ANY (args) AND k.typtype = 'p')
      AND (place > 0 OR t.type = types[1])
  LOOP
    CONTINUE WHEN one.result IS NULL;
    made := made + 1;
    IF made % 500 = 0 THEN COMMIT; END IF;
    EXECUTE format('CREATE FUNCTION %I.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', :schema,
      one.name, one.list, one.result, format(body,
      format('function %s(%s)', one.name, one.list), 'NULL'));
  END LOOP;

  FOR one IN SELECT t.typname AS name, t.oid::regtype AS type FROM pg_type t
    WHERE t.oid = ANY (types) AND t.typnamespace = 'pg_catalog'::regnamespace
  LOOP
    EXECUTE format('CREATE FUNCTION %I.%I() RETURNS bool LANGUAGE plpgsql AS %L', :schema,
      'type ' || one.name, format(body, 'type ' || one.name, 'true'));
    EXECUTE format('CREATE DOMAIN %I.%I AS pg_catalog.%I CHECK (%I.%I())',
      :schema, one.name, one.name, :schema, 'type ' || one.name);
    EXECUTE format('CREATE FUNCTION %I.%I(%s) RETURNS %I.trap LANGUAGE plpgsql AS %L', :schema,
      'from ' || one.name, one.type, :schema,
      format(body, 'cast from ' || one.name, '''set'''));
    EXECUTE format('CREATE CAST (%s AS %I.trap) WITH FUNCTION %I.%I(%s) AS IMPLICIT',
      one.type, :schema, :schema, 'from ' || one.name, one.type);
  END LOOP;

  FOR one IN SELECT c.relname AS name FROM pg_class c
    WHERE c.relname = ANY (words) AND c.relkind IN ('r', 'v')
      AND c.relnamespace = 'pg_catalog'::regnamespace
  LOOP
    CONTINUE WHEN to_regtype(format('%I.%I', :schema, one.name)) IS NOT NULL;
    EXECUTE format('CREATE FUNCTION %I.%I() RETURNS bool LANGUAGE plpgsql AS %L', :schema,
      'relation ' || one.name, format(body, 'relation ' || one.name, 'true'));
    EXECUTE format('CREATE VIEW %I.%I AS SELECT r.*, %I.%I() FROM pg_catalog.%I r',
      :schema, one.name, :schema, 'relation ' || one.name, one.name);
  END LOOP;
END";

/// Whatever runs by itself when a client's objects are touched: in the first schema of the search
/// path.
pub(crate) fn bait(tell: &str) -> String {
    let told = |what: &str| tell.replace(":what", what);
    BAIT.replace(":argument", &told("what")).replace(":name", &told("'trigger'"))
}

const BAIT: &str = "\
CREATE FUNCTION snare(what text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$
  BEGIN :argument; RETURN true; END $$;
CREATE FUNCTION snare_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN :name; RETURN NULL; END $$;
CREATE FUNCTION snare_step(int, int) RETURNS int LANGUAGE plpgsql AS $$
  BEGIN :name; RETURN 1; END $$;
CREATE FUNCTION snare_diff(float8, float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$
  BEGIN :name; RETURN 1; END $$;
CREATE DOMAIN snared AS int CHECK (snare('domain'));
CREATE TYPE snared_range AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = snare_diff);
CREATE AGGREGATE snared_sum(int) (SFUNC = snare_step, STYPE = int);
CREATE TABLE bait (
  id serial PRIMARY KEY,
  v snared DEFAULT CASE WHEN snare('default') THEN 1 END,
  g bool GENERATED ALWAYS AS (snare('generated column')) STORED,
  r snared_range,
  CHECK (snare('constraint')));
INSERT INTO bait (r) SELECT snared_range(n, n + 1) FROM generate_series(1, 20) n;
CREATE INDEX ON bait ((snare('index') AND id > 0)) WHERE snare('predicate');
CREATE INDEX ON bait USING gist (r);
CREATE STATISTICS guess ON (snare('statistics')), id FROM bait;
CREATE TRIGGER row_trap BEFORE INSERT OR UPDATE OR DELETE ON bait
  FOR EACH ROW EXECUTE FUNCTION snare_trigger();
CREATE TRIGGER statement_trap AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON bait
  EXECUTE FUNCTION snare_trigger();
CREATE RULE insteads AS ON DELETE TO bait DO INSTEAD SELECT snare('rule');
ALTER TABLE bait ENABLE ROW LEVEL SECURITY;
ALTER TABLE bait FORCE ROW LEVEL SECURITY;
CREATE POLICY mine ON bait USING (snare('policy')) WITH CHECK (snare('policy'));
CREATE VIEW sight AS SELECT snare('view'), * FROM bait;
CREATE MATERIALIZED VIEW kept AS SELECT snare('materialized view') FROM bait;
CREATE TABLE parts (n int) PARTITION BY LIST ((CASE WHEN snare('partition') THEN n END));
CREATE TABLE part PARTITION OF parts FOR VALUES IN (1);
INSERT INTO parts VALUES (1);
CREATE FUNCTION \"f\"\"; --\"(bait) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE done() LANGUAGE sql AS '';
SELECT lo_create(4711)";

/// Event triggers, which only a superuser makes, and what they call, which is a client's.
///
/// Those of logins report roles with more rights only: a pooler's lookup has none.
pub(crate) fn events(tell: &str) -> String {
    EVENTS.replace(":event", &tell.replace(":what", "'event trigger ' || tg_event"))
}

const EVENTS: &str = "\
CREATE FUNCTION snare_event() RETURNS event_trigger LANGUAGE plpgsql AS $$
  BEGIN IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
    THEN :event; END IF; END $$;
CREATE EVENT TRIGGER starts ON ddl_command_start EXECUTE FUNCTION snare_event();
CREATE EVENT TRIGGER ends ON ddl_command_end EXECUTE FUNCTION snare_event();
CREATE EVENT TRIGGER drops ON sql_drop EXECUTE FUNCTION snare_event();
CREATE EVENT TRIGGER rewrites ON table_rewrite EXECUTE FUNCTION snare_event();
ALTER EVENT TRIGGER ends ENABLE ALWAYS;
DO $$ BEGIN
  IF current_setting('server_version_num')::int >= 170000 THEN
    CREATE EVENT TRIGGER logins ON login EXECUTE FUNCTION snare_event();
    ALTER EVENT TRIGGER logins ENABLE ALWAYS;
  END IF;
END $$";
