//! What clients ask for that is not theirs: each is refused by name, and no other waits.

use anyhow::{Context, Result, ensure};
use end_to_end::pooled::{Pooled, client_url, connect, operator_url, value};
use end_to_end::root;
use serde_json::Value;

const OPERATOR: u16 = 16451;
const DIRECT: u16 = 16452;
const SERVER: &str = "postgresql-k8s";
const POOLER: &str = "pgbouncer-k8s";

struct World {
    pooled: Pooled,
    operator: String,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn call(&self, args: &[&str]) -> Result<String> {
        self.pooled.engine.call(args)
    }

    fn query(&self, url: &str, sql: &str) -> Result<String> {
        let asked = async { value(&connect(url).await?, sql).await };
        self.runtime.block_on(asked).with_context(|| sql.to_owned())
    }

    /// Why the server or the pooler refuses a query.
    fn refused(&self, url: &str, sql: &str) -> Result<String> {
        let error = self.query(url, sql).err().with_context(|| format!("{sql} succeeded"))?;
        Ok(format!("{error:?}"))
    }

    /// Deploys a client that asks a provider for this database and these roles.
    fn client(&self, app: &str, provider: &str, database: &str, roles: &str) -> Result<()> {
        let charm = root().join("dist/data-integrator_ubuntu@22.04-amd64.charm");
        let charm = charm.display().to_string();
        let (database, roles) =
            (format!("database-name={database}"), format!("extra-user-roles={roles}"));
        let mut args = vec!["deploy", &charm, app, "--config", &database];
        if !roles.ends_with('=') {
            args.extend(["--config", &roles]);
        }
        self.call(&args)?;
        self.call(&["integrate", app, &format!("{provider}:database")]).map(drop)
    }

    fn remove(&self, app: &str) -> Result<()> {
        self.call(&["remove-application", app, "--no-prompt"]).map(drop)
    }

    /// Waits until the provider is blocked with all these words.
    fn blocked(&self, provider: &str, words: &[&str]) -> Result<()> {
        let unit = format!("{provider}/0");
        let said = |status: &Value| {
            let status = &status["applications"][provider]["units"][&unit]["workload-status"];
            let message = status["message"].as_str().unwrap_or_default().to_owned();
            status["current"] == "blocked" && words.iter().all(|word| message.contains(word))
        };
        self.pooled.engine.wait(&format!("{provider} blocked: {words:?}"), 90, said).map(drop)
    }

    /// Waits until a client's unit has its credentials.
    fn served(&self, app: &str) -> Result<()> {
        let unit = format!("{app}/0");
        let active = |status: &Value| {
            let unit = &status["applications"][app]["units"][&unit];
            unit["workload-status"]["current"] == "active"
        };
        self.pooled.engine.wait(&format!("{app} served"), 90, active).map(drop)
    }

    /// Waits until the server answers so.
    fn await_answer(&self, sql: &str, wanted: &str) -> Result<()> {
        let right = |_: &Value| self.query(&self.operator, sql).is_ok_and(|found| found == wanted);
        self.pooled.engine.wait(&format!("{sql}: {wanted}"), 90, right).map(drop)
    }
}

/// The user in a URL.
fn user(url: &str) -> Result<&str> {
    url.split([':', '/']).nth(3).context("no user")
}

#[test]
fn nobody_gets_what_is_somebody_elses() -> Result<()> {
    let pooled = Pooled::up("e2ecli", 16450)?;
    pooled.engine.call(&["model-config", "update-status-hook-interval=5s"])?;
    let operator = operator_url(&pooled.engine, SERVER, OPERATOR, "postgres")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let world = World { pooled, operator, runtime };
    the_database_of_the_poolers(&world)?;
    roles_of_others(&world)?;
    roles_follow_the_list(&world)?;
    names_taken_by_suffix(&world)?;
    the_template(&world)
}

fn the_database_of_the_poolers(world: &World) -> Result<()> {
    world.client("thief", SERVER, "pgbouncer", "")?;
    world.blocked(SERVER, &["thief (relation", "the database pgbouncer is the poolers'"])?;
    world.client("direct", SERVER, "shop", "")?;
    world.served("direct")?;
    let schemas = "SELECT count(*)::text FROM pg_roles WHERE rolname LIKE 'relation_id_%' \
                   AND has_database_privilege(rolname, 'pgbouncer', 'CREATE') AND NOT rolsuper";
    assert_eq!(world.query(&world.operator, schemas)?, "0");
    world.remove("thief")?;
    world.pooled.engine.wait_active(90).map(drop)
}

fn roles_of_others(world: &World) -> Result<()> {
    let victim = world.pooled.user().to_owned();
    for (provider, database) in [(SERVER, "farm"), (POOLER, "barn")] {
        world.client("spy", provider, database, &victim)?;
        world.blocked(provider, &["invalid role(s) for extra user roles", "spy", &victim])?;
        world.remove("spy")?;
        world.pooled.engine.wait_active(90)?;
        let gone = |status: &Value| status["applications"]["spy"].is_null();
        world.pooled.engine.wait("the spy gone", 60, gone)?;
    }
    world
        .query(&world.operator, "CREATE ROLE alice LOGIN; CREATE ROLE team; GRANT alice TO team")?;
    world.client("spy", POOLER, "barn", "team")?;
    world.blocked(POOLER, &["spy", "alice"])?;
    world.remove("spy")?;
    world.pooled.engine.wait_active(90)?;
    let members = format!(
        "SELECT count(*)::text FROM pg_auth_members WHERE roleid IN ('{victim}'::regrole, \
         'alice'::regrole, 'team'::regrole) AND member::regrole::text LIKE 'relation_id_%'"
    );
    assert_eq!(world.query(&world.operator, &members)?, "0");
    Ok(())
}

fn roles_follow_the_list(world: &World) -> Result<()> {
    for (app, provider, database) in [("lesser", SERVER, "less"), ("fewer", POOLER, "few")] {
        world.client(app, provider, database, "admin,pg_monitor")?;
        world.served(app)?;
        let url = client_url(&world.pooled.engine, app, DIRECT)?;
        let groups = format!(
            "SELECT string_agg(roleid::regrole::text, ',' ORDER BY roleid::regrole::text) \
             FROM pg_auth_members WHERE member = '{}'::regrole",
            user(&url)?
        );
        world.await_answer(&groups, "admin,pg_monitor,relation_access")?;
        world.call(&["config", app, "extra-user-roles=pg_monitor"])?;
        world.await_answer(&groups, "pg_monitor,relation_access")?;
        world.call(&["config", app, "--reset", "extra-user-roles"])?;
        world.await_answer(&groups, "relation_access")?;
        world.pooled.engine.wait_active(90)?;
        assert_eq!(client_url(&world.pooled.engine, app, DIRECT)?, url, "the password stays");
    }
    Ok(())
}

/// The bundle's client has the database `app`.
fn names_taken_by_suffix(world: &World) -> Result<()> {
    let readonly = format!("{}_readonly", world.pooled.url);
    assert_eq!(world.query(&readonly, "SELECT current_database()")?, "app");
    world.client("suffix", POOLER, "app_readonly", "")?;
    world.blocked(POOLER, &["invalid database name", "suffix", "\"app_readonly\" is taken by"])?;
    world.client("fine", POOLER, "fine", "")?;
    world.served("fine")?;
    assert_eq!(world.query(&readonly, "SELECT current_database()")?, "app");
    world.remove("suffix")?;
    world.pooled.engine.wait_active(90)?;

    world.client("first", POOLER, "late_readonly", "")?;
    world.served("first")?;
    world.client("second", POOLER, "late", "")?;
    world.blocked(POOLER, &["second", "\"late_readonly\" is taken by first"])?;
    world.remove("first")?;
    world.served("second")?;
    world.pooled.engine.wait_active(90).map(drop)
}

/// No client connects to the template. Where it is open all the same, neither an object nor a
/// session there holds a client back, and it is closed again.
fn the_template(world: &World) -> Result<()> {
    world.call(&["forward", &DIRECT.to_string(), "postgresql-k8s-primary:5432"])?;
    let url = client_url(&world.pooled.engine, "direct", DIRECT)?;
    let (base, _) = url.rsplit_once('/').context("no database in the URL")?;
    let template = format!("{base}/template1");
    let refused = world.refused(&template, "SELECT lo_create(0)")?;
    ensure!(refused.contains("permission denied for database"), "{refused}");

    world.call(&["model-config", "update-status-hook-interval=10m"])?;
    world.query(&world.operator, "GRANT CONNECT, TEMP ON DATABASE template1 TO PUBLIC")?;
    world.query(&template, "SELECT lo_create(0)")?;
    let _idle = world.runtime.block_on(connect(&template))?;
    world.client("next", SERVER, "next", "")?;
    world.client("after", POOLER, "after", "")?;
    world.served("next")?;
    world.served("after")?;
    let left = format!("SELECT count(*)::text FROM pg_roles WHERE rolname = '{}'", user(&url)?);
    assert_eq!(world.query(&world.operator, &left)?, "1");
    world.remove("direct")?;
    world.await_answer(&left, "0")?;
    world.call(&["model-config", "update-status-hook-interval=5s"])?;
    let open = "SELECT has_database_privilege('alice', 'template1', 'CONNECT')::text";
    world.await_answer(open, "false")?;

    what_cannot_be_removed(world)
}

/// Something in a database that takes no connections.
fn what_cannot_be_removed(world: &World) -> Result<()> {
    let url = client_url(&world.pooled.engine, "next", DIRECT)?;
    let user = user(&url)?;
    world.query(&world.operator, "CREATE DATABASE attic")?;
    let attic = world.operator.replace("/postgres", "/attic");
    world.query(&attic, &format!("GRANT CREATE ON SCHEMA public TO {user}"))?;
    world.query(&world.operator, "ALTER DATABASE attic ALLOW_CONNECTIONS false")?;
    world.remove("next")?;
    world.blocked(SERVER, &["Failed to delete user", user])?;
    world.client("onward", SERVER, "onward", "")?;
    world.served("onward")?;
    world.blocked(SERVER, &["Failed to delete user", user])?;
    world.query(&world.operator, "ALTER DATABASE attic ALLOW_CONNECTIONS true")?;
    let left = format!("SELECT count(*)::text FROM pg_roles WHERE rolname = '{user}'");
    world.await_answer(&left, "0")?;
    world.pooled.engine.wait_active(90).map(drop)
}
