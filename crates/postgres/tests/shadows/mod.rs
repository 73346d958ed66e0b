//! A session with more rights than a client runs nothing that a client made.
//!
//! A client lays traps of every name and type that our statements use, then both charms do all they
//! can do around it. The traps log the role that ran them.

mod settings;
mod traps;
mod words;

use std::sync::{Arc, Mutex};

use postgres::{Client, Error, Holder, Owner, SESSION_OPTIONS, Server as _, User, sql};

use postgres::sql::{Query, Statement};

use crate::server::{OPERATOR_PASSWORD, Server};
use crate::tapped::{Tap, Tapped};
use crate::{database, role, user};
use words::Named;

/// The names to which our sessions are held.
const PIN: &str = "-c search_path=pg_catalog,pg_temp";

/// Listens, and may leave the pin away.
struct Listener {
    pinned: bool,
    heard: Mutex<Named>,
}

type Way = Tapped<Listener>;

fn way(pinned: bool) -> Arc<Way> {
    Tapped::new(Listener { pinned, heard: Mutex::default() })
}

impl Tap for Listener {
    fn settings(&self, settings: &str) -> String {
        assert!(settings.contains(PIN), "{settings}");
        if self.pinned { settings.to_owned() } else { settings.replace(PIN, "") }
    }

    fn query(&self, query: &Query) {
        self.heard.lock().unwrap().read(&query.sql());
    }

    fn statements(&self, statements: &[Statement]) -> Vec<Statement> {
        self.heard.lock().unwrap().read(&sql::text(statements));
        statements.to_vec()
    }
}

/// What a trap does here: it writes to the server's log.
const LOG: &str = "RAISE LOG 'caught in %', :what || ' by ' || current_user";

/// Where the client lays its traps: its own database, and the one in which a pooler's charm is
/// connected, should a client ever own that.
const BASES: [&str; 2] = ["shop", "pgbouncer"];

/// What the client sets for the sessions of its databases, which puts its traps first.
const HIJACK: &str = "SET search_path = public, pg_catalog";

/// One life: the server, the way in, and what there is to be shadowed.
struct Life<'a> {
    server: &'a Server,
    way: Arc<Way>,
    shadowed: Option<&'a Named>,
}

impl Life<'_> {
    async fn login(&self, user: &str, password: &str, base: &str) -> Client {
        let options = self.server.options(user, password, base);
        Client::over(self.way.clone(), &options).await.unwrap()
    }

    async fn as_client(&self, base: &str, text: &str) {
        self.server.sql("app", "one", base, text).await.unwrap();
    }

    /// The client comes, with databases of its own, and lays its traps.
    async fn begin(&self, operator: &Client) {
        operator.ensure_access_groups().await.unwrap();
        operator.set_up_postgres_database().await.unwrap();
        operator.close_shared_databases().await.unwrap();
        self.set_passwords(operator).await;
        operator.ensure_user(&user("root", "root", "superuser")).await.unwrap();
        operator.ensure_user(&user("app", "one", "createdb")).await.unwrap();
        let home = database("home");
        operator.ensure_database(&home, &role("app"), Owner::Sole).await.unwrap();
        for base in BASES {
            self.as_client("home", &format!("CREATE DATABASE {base}")).await;
            let owner = Owner::Sole;
            operator.ensure_database(&database(base), &role("app"), owner).await.unwrap();
            self.as_client(base, &traps::bait(LOG)).await;
            // The client was a superuser once.
            operator.ensure_user(&user("app", "one", "createdb,superuser")).await.unwrap();
            self.as_client(base, &traps::events(LOG)).await;
            operator.ensure_user(&user("app", "one", "createdb")).await.unwrap();
            let probe = "CREATE TABLE probe (); DROP TABLE probe";
            self.server.sql("root", "root", base, probe).await.unwrap();
            let Some(named) = self.shadowed else { continue };
            self.as_client(base, &traps::shadows(named, "public", LOG)).await;
            if self.way.tap.pinned {
                self.as_client(base, &format!("ALTER DATABASE {base} {HIJACK}")).await;
            }
        }
    }

    /// What the charm does for its own users, as it sets a cluster up and in its actions.
    async fn set_passwords(&self, operator: &Client) {
        for (name, roles) in [("backup", "superuser"), ("monitoring", "pg_monitor")] {
            operator.ensure_user(&user(name, "one", roles)).await.unwrap();
        }
        for name in ["backup", "monitoring", "operator"] {
            let next = OPERATOR_PASSWORD.to_owned().into();
            operator.set_password(&role(name), &next, &[5; 16]).await.unwrap();
        }
    }

    /// Everything that both charms do with a server.
    async fn go_on(&self, operator: &Client) {
        let (shop, pooler) = (database("shop"), role("pooler"));
        operator.ensure_user(&user("guest", "two", "")).await.unwrap();
        operator.ensure_database(&shop, &role("guest"), Owner::Shared).await.unwrap();
        operator.ensure_user(&user("boss", "boss", "superuser")).await.unwrap();
        operator.ensure_database(&database("pgbouncer"), &role("boss"), Owner::Sole).await.unwrap();
        operator.hold_poolers_database().await.unwrap();

        let boss = self.login("boss", "boss", "pgbouncer").await;
        boss.facts(&pooler).await.unwrap();
        boss.server_version().await.unwrap();
        boss.oldest_log().await.unwrap();
        boss.databases_size().await.unwrap();
        boss.parameters().await.unwrap();
        boss.idle_slots().await.unwrap();
        boss.open_transactions().await.unwrap();
        boss.drop_lost_slots().await.unwrap();
        assert!(boss.databases().await.unwrap().contains(&shop));
        let held = |name: &str| User { holder: Some(role("boss")), ..user(name, "one", "") };
        for _ in 0..2 {
            boss.ensure_user(&held("pooler")).await.unwrap();
            boss.ensure_user(&held("pooled")).await.unwrap();
            boss.ensure_database(&shop, &role("pooled"), Owner::Shared).await.unwrap();
            for base in BASES.map(database) {
                assert!(boss.database_exists(&base).await.unwrap());
                boss.install_auth_function(&base, &pooler, &[role("boss")]).await.unwrap();
                assert!(boss.has_auth_function(&base, &pooler).await.unwrap());
            }
        }
        operator.ensure_user(&user("older", "one", "")).await.unwrap();
        assert_eq!(boss.holder(&role("older")).await.unwrap(), Some(Holder::Unknown));
        assert!(boss.claim(&role("older"), Some(&"one".to_owned().into())).await.unwrap());
        operator.revoke_user_memberships().await.unwrap();
        for base in BASES {
            assert!(operator.holds_lookup(&database(base)).await.unwrap(), "{base}");
            let query = "SELECT username, password FROM pooler.get_auth($1)";
            let found = self.server.ask(("pooler", "one"), base, query, "app").await.unwrap();
            assert_eq!(found, ["app"], "{base}");
        }
        self.extensions(operator).await;
        self.set_passwords(operator).await;
        let next = "three".to_owned().into();
        operator.set_password(&role("guest"), &next, &[4; 16]).await.unwrap();
        let timeout = Error::Timeout { host: String::new(), port: 0 };
        assert!(!operator.is_lost(&timeout).await);
        assert!(operator.role_exists(&role("guest")).await.unwrap());
        boss.uninstall_auth_function(&shop, &pooler).await.unwrap();
        boss.delete_user(&role("pooled")).await.unwrap();
    }

    async fn extensions(&self, operator: &Client) {
        let available = operator.available_extensions().await.unwrap();
        let some = EXTENSIONS.into_iter().filter(|name| available.iter().any(|one| one == name));
        let some: Vec<&str> = some.collect();
        assert!(some.len() >= 4, "{some:?}");
        for base in operator.all_databases().await.unwrap() {
            let inside = operator.in_database(&base).await.unwrap();
            for name in &some {
                inside.create_extension(name).await.unwrap();
            }
            inside.guard_extensions().await.unwrap();
            assert!(inside.extensions().await.unwrap().iter().any(|name| name == "cube"));
            // Its script can run nowhere but beside what the client made.
            let made = inside.create_extension("xml2").await.map_err(|error| error.to_string());
            let trapped = BASES.contains(&base.as_str());
            let told = "its script could run ";
            assert_eq!(trapped, made.as_ref().is_err_and(|text| text.contains(told)), "{made:?}");
            assert_eq!(trapped, made.is_err());
            if trapped {
                self.looks_again(base.as_str()).await;
            }
            for name in some.iter().rev().chain(&["xml2"]) {
                inside.drop_extension(name).await.unwrap();
            }
        }
    }

    /// The look at what a client made that leaves no gap.
    async fn looks_again(&self, base: &str) {
        let options = self.server.options("operator", OPERATOR_PASSWORD, base);
        let session = self.way.connect(&options, SESSION_OPTIONS).await.unwrap();
        let public = ["public".to_owned()];
        let script = sql::create_extension("xml2", &sql::Place::Public, &public);
        let refused = session.execute(&script).await.unwrap_err();
        assert!(refused.to_string().contains("which a client has just made"), "{refused}");
    }

    /// The first client goes, another takes over, and all go.
    async fn end(&self, operator: &Client) {
        let (shop, next) = (database("shop"), role("next"));
        operator.delete_user(&role("app")).await.unwrap();
        operator.ensure_user(&user("next", "four", "")).await.unwrap();
        for _ in 0..2 {
            operator.ensure_database(&shop, &next, Owner::Sole).await.unwrap();
        }
        for name in ["guest", "boss", "next", "root"] {
            operator.delete_user(&role(name)).await.unwrap();
        }
        let left = operator.roles().await.unwrap();
        for name in ["app", "guest", "boss", "pooler", "next"] {
            assert!(!left.iter().any(|role| role == name), "{name}");
        }
    }

    async fn live(&self) {
        let operator = self.login("operator", OPERATOR_PASSWORD, "postgres").await;
        self.begin(&operator).await;
        self.go_on(&operator).await;
        self.end(&operator).await;
    }
}

/// Some that can be moved, one that needs another, and one that names its schema, which newer
/// servers do not have.
const EXTENSIONS: [&str; 5] = ["cube", "earthdistance", "hstore", "uuid-ossp", "adminpack"];

/// What all our statements name, from a life without traps: what passes the port, and what else the
/// server received.
async fn named() -> Named {
    let server = Server::start().await;
    let way = way(true);
    Life { server: &server, way: way.clone(), shadowed: None }.live().await;
    let mut named = std::mem::take(&mut *way.tap.heard.lock().unwrap());
    named.read(&server.log());
    named
}

/// Who stepped into a trap, and into which, by the server's log.
fn told(log: &str) -> Vec<(String, String)> {
    let lines = log.lines().filter_map(|line| line.split_once("LOG:  caught in "));
    let found = lines.filter_map(|(_, told)| told.rsplit_once(" by "));
    found.map(|(trap, who)| (who.to_owned(), trap.to_owned())).collect()
}

/// Who but the client itself stepped into which of its traps.
async fn caught(pinned: bool) -> Vec<(String, String)> {
    let named = named().await;
    let server = Server::start().await;
    Life { server: &server, way: way(pinned), shadowed: Some(&named) }.live().await;
    let mut caught = told(&server.log());
    assert!(caught.iter().any(|(who, _)| who == "app"), "no trap tells the log");
    let event = |(who, trap): &(String, String)| who == "root" && trap.starts_with("event trigger");
    assert!(caught.iter().any(event), "no event trigger does");
    // A superuser whose session pins nothing.
    caught.retain(|(who, _)| !["app", "root"].contains(&who.as_str()));
    caught.sort();
    caught.dedup();
    caught
}

#[tokio::test]
async fn nobody_with_more_rights_runs_what_a_client_made() {
    assert_eq!(caught(true).await, []);
}

/// The statements by themselves, in sessions that look into the schema `public` too.
#[tokio::test]
async fn statements_mean_what_pg_catalog_has() {
    assert_eq!(caught(false).await, []);
}

/// Each operation is part of the life above; a new one has to become so.
#[test]
fn every_operation_is_part_of_the_life() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/client");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut known = 0;
    for text in files.map(|path| std::fs::read_to_string(path).unwrap()) {
        for rest in text.split("pub async fn ").skip(1) {
            let name = rest.split(['(', '<']).next().unwrap();
            let called = format!("{}{name}(", if name == "over" { "Client::" } else { "." });
            assert!(name == "connect" || include_str!("mod.rs").contains(&called), "{name}");
            known += 1;
        }
    }
    assert!(known > 20, "{known}");
}
