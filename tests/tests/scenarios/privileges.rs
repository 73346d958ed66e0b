//! Clients of the real charms try to have a superuser run what they made.

#[allow(dead_code, reason = "the suite of the crate has more of them")]
#[path = "../../../crates/postgres/tests/shadows/traps.rs"]
mod traps;
#[path = "../../../crates/postgres/tests/shadows/words.rs"]
mod words;

use anyhow::{Context, Result, ensure};
use end_to_end::pooled::{Pooled, client_url, connect, operator_url, value};
use end_to_end::root;
use serde_json::Value;
use words::Named;

const POOLER: u16 = 16532;
const SERVER: u16 = 16533;
const DIST: &str = "ubuntu@22.04-amd64.charm";

/// What a trap does here: it writes down who came. Those that may write nothing let another do it.
const TELL: &str = "PERFORM public.note(:what)";

const NOTES: &str = "\
CREATE TABLE public.caught (what text, who text); GRANT INSERT ON public.caught TO PUBLIC;
CREATE FUNCTION public.note(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.caught VALUES (what, current_user); END $$";

/// The example that was seen: for `name !~ unknown`, PostgreSQL has no operator of its own.
const EXAMPLE: &str = "\
CREATE FUNCTION public.evil(name, name) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN EXECUTE format('ALTER ROLE %I SUPERUSER', ':client'); RETURN true;
EXCEPTION WHEN insufficient_privilege THEN RETURN true; END $$;
CREATE OPERATOR public.!~ (LEFTARG = name, RIGHTARG = name, FUNCTION = public.evil)";

struct World {
    pooled: Pooled,
    runtime: tokio::runtime::Runtime,
}

impl World {
    /// The first value of one query over a connection of its own.
    fn query(&self, url: &str, sql: &str) -> Result<String> {
        self.runtime.block_on(async { value(&connect(url).await?, sql).await })
    }

    /// Another application with a database, and its way in past the pooler.
    fn client(&self, name: &str, server: &str, options: &[&str]) -> Result<String> {
        let engine = &self.pooled.engine;
        let charm = root().join(format!("dist/data-integrator_{DIST}")).display().to_string();
        let options = options.iter().flat_map(|option| ["--config", option]);
        engine.call(&["deploy", &charm, name].into_iter().chain(options).collect::<Vec<_>>())?;
        engine.call(&["integrate", name, &format!("{server}:database")])?;
        engine.wait_active(120)?;
        client_url(engine, name, SERVER)
    }

    /// Lays every trap in a database of the client's.
    fn lay(&self, url: &str, named: &Named) -> Result<()> {
        self.query(url, NOTES)?;
        self.query(url, &traps::shadows(named, "public", TELL)).context("the shadows")?;
        self.query(url, "DROP OPERATOR IF EXISTS public.!~ (name, name)")?;
        self.query(url, &EXAMPLE.replace(":client", user(url)))?;
        self.query(url, &traps::bait(TELL)).context("the bait")?;
        Ok(())
    }

    /// Only the client ran its traps, and it is what it was.
    fn check(&self, operator: &str, url: &str, when: &str) -> Result<()> {
        let sql = format!(
            "SELECT coalesce(string_agg(DISTINCT what || ' by ' || who, ', '), '') \
             FROM public.caught WHERE who <> '{}'",
            user(url)
        );
        let database = url.rsplit_once('/').unwrap().1;
        // Who looks without this is caught too.
        let pin = "options=-c%20search_path%3Dpg_catalog,pg_temp%20-c%20role%3Dnone";
        let inside = format!("{}/{database}?{pin}", operator.rsplit_once('/').unwrap().0);
        let caught = self.query(&inside, &sql)?;
        ensure!(caught.is_empty(), "{when}: {caught}");
        let superusers = "SELECT string_agg(rolname, ',' ORDER BY rolname) FROM pg_roles \
            WHERE rolsuper AND rolname NOT IN ('postgres', 'operator', 'backup')";
        let found = self.query(operator, superusers)?;
        ensure!(found == self.pooler_role(operator)?, "{when}: {found} are superusers");
        Ok(())
    }

    /// The role of the pooler's charm, which is a superuser by its own wish.
    fn pooler_role(&self, operator: &str) -> Result<String> {
        let sql = "SELECT substring(rolname FROM 'pgbouncer_auth_(.*)') FROM pg_roles \
            WHERE rolname LIKE 'pgbouncer\\_auth\\_%'";
        self.query(operator, sql)
    }
}

/// The user in a URL.
fn user(url: &str) -> &str {
    url.split([':', '/']).nth(3).unwrap_or_default()
}

/// What all our statements name: the quoted texts of the crate that has them all.
fn named() -> Result<Named> {
    let source = root().join("crates/postgres/src");
    let mut files = vec![source.join("port.rs")];
    for folder in ["sql", "sql/batches", "client"] {
        for entry in std::fs::read_dir(source.join(folder))? {
            files.push(entry?.path());
        }
    }
    files.retain(|file| file.is_file());
    let mut named = Named::default();
    for file in files {
        let text = std::fs::read_to_string(file)?.replace("\\\"", " ");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        code.split('"').skip(1).step_by(2).for_each(|quoted| named.read(quoted));
    }
    ensure!(named.words.contains("starts_with") && named.operators.contains("="), "no statements");
    Ok(named)
}

#[test]
fn no_client_becomes_a_superuser() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let world = World { pooled: Pooled::up("e2epriv", POOLER)?, runtime };
    let engine = &world.pooled.engine;
    engine.wait_active(180)?;
    let operator = operator_url(engine, "postgresql-k8s", SERVER, "postgres")?;
    let named = named()?;

    // A plain client, and another one of the same database. The third owns its databases, and
    // says where names are looked up in them.
    let plain = world.client("plain", "postgresql-k8s", &["database-name=shop"])?;
    world.lay(&plain, &named)?;
    let pooled = client_url(engine, "data-integrator", SERVER)?;
    world.lay(&pooled, &named)?;
    let maker = ["database-name=farm", "extra-user-roles=createdb"];
    let maker = world.client("maker", "postgresql-k8s", &maker)?;
    world.query(&maker, "CREATE DATABASE yard")?;
    let yard = maker.replace("/farm", "/yard");
    world.lay(&yard, &named)?;
    world.query(&yard, "ALTER DATABASE yard SET search_path = public, pg_catalog")?;
    world.query(&yard, "ALTER DATABASE yard SET role = 'none'")?;
    let all = |when: &str| -> Result<()> {
        [&plain, &pooled, &yard].iter().try_for_each(|url| world.check(&operator, url, when))
    };
    all("the traps are laid")?;

    for (name, server, database) in [
        ("second", "postgresql-k8s", "shop"),
        ("third", "postgresql-k8s", "yard"),
        ("fourth", "pgbouncer-k8s", "app"),
        ("fifth", "pgbouncer-k8s", "yard"),
    ] {
        world.client(name, server, &[&format!("database-name={database}")])?;
        all(&format!("{name} came"))?;
    }
    engine.call(&["config", "postgresql-k8s", "plugin_hstore_enable=true"])?;
    engine.wait("the extension in every database", 90, |_: &Value| {
        let sql = "SELECT count(*) FROM pg_extension WHERE extname = 'hstore'";
        world.query(&plain, sql).is_ok_and(|count| count == "1")
    })?;
    engine.wait_active(60)?;
    all("an extension was made")?;
    for name in ["second", "third", "fourth", "fifth"] {
        engine.call(&["remove-application", name])?;
    }
    engine.wait("the clients' end", 90, |status| status["applications"]["fifth"].is_null())?;
    engine.wait_active(60)?;
    all("the others went")
}
