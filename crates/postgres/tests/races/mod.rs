//! What a client does while a session with more rights looks and acts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postgres::sql::{OnExtension, Statement};
use postgres::{Client, Error, Owner};

use crate::server::{OPERATOR_PASSWORD, Server};
use crate::tapped::{Tap, Tapped};
use crate::{database, role, set_up, user};

async fn operator(server: &Server, base: &str, text: &str) -> Vec<String> {
    server.sql("operator", OPERATOR_PASSWORD, base, text).await.unwrap()
}

/// Waits, within a bound, until a query of the operator's has a row.
async fn until(server: &Server, query: &str) {
    for _ in 0..200 {
        if !operator(server, "shop", query).await.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no row of {query}");
}

const LOOK: &str = "DO 'BEGIN PERFORM pg_sleep(0.02); IF EXISTS (SELECT FROM pg_proc p \
    JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner \
    WHERE n.nspname = ''public'' AND NOT r.rolsuper) THEN RAISE EXCEPTION ''slipped in''; \
    END IF; END'";

/// Has each extension come with a look, before and after, at what its scripts find.
struct Watch;

impl Tap for Watch {
    fn statements(&self, statements: &[Statement]) -> Vec<Statement> {
        let look = || Statement::Found(LOOK.to_owned());
        let watch = |statement: &Statement| match statement {
            Statement::Extension(OnExtension::Create(..)) => {
                vec![look(), statement.clone(), look()]
            }
            _ => vec![statement.clone()],
        };
        statements.iter().flat_map(watch).collect()
    }
}

async fn begin() -> (Server, Client) {
    let server = Server::start().await;
    let client = set_up(&server).await;
    client.ensure_user(&user("app", "one", "")).await.unwrap();
    client.ensure_database(&database("shop"), &role("app"), Owner::Sole).await.unwrap();
    let options = server.options("operator", OPERATOR_PASSWORD, "shop");
    let inside = Client::over(Tapped::new(Watch), &options).await.unwrap();
    (server, inside)
}

fn refusal(made: &Result<(), Error>) -> String {
    let Err(error) = made else { return String::new() };
    format!("{error}: {:?}", std::error::Error::source(error).map(ToString::to_string))
}

const OVERLOAD: &str = "CREATE FUNCTION public.xml_valid(varchar) RETURNS bool LANGUAGE sql AS \
    'SELECT true'";

/// The operator waits for a transaction that has made something and not ended.
#[tokio::test]
async fn what_is_not_committed_yet_is_waited_for() {
    let (server, inside) = begin().await;
    let waits = "SELECT 1 FROM pg_locks WHERE relation = 'pg_proc'::regclass \
        AND mode = 'ShareRowExclusiveLock' AND granted";
    for (end, refused) in [("COMMIT", true), ("ROLLBACK", false)] {
        let open = format!(
            "BEGIN; {OVERLOAD}; DO 'BEGIN FOR i IN 1..200 LOOP EXIT WHEN EXISTS ({waits}); \
             PERFORM pg_sleep(0.02); END LOOP; END'; SELECT pg_sleep(0.3); {end}",
            waits = waits.replace('\'', "''"),
        );
        let (ended, made) = tokio::join!(server.sql("app", "one", "shop", &open), async {
            let made = "SELECT 1 FROM pg_locks WHERE locktype = 'transactionid' \
                AND mode = 'ExclusiveLock' AND pid <> pg_backend_pid()";
            until(&server, made).await;
            inside.create_extension("xml2").await
        });
        ended.unwrap();
        let told = refusal(&made);
        assert_eq!(told.contains("which a client has just made"), refused, "{end}: {told}");
        assert_eq!(made.is_err(), refused, "{end}: {told}");
        if refused {
            server.sql("app", "one", "shop", "DROP FUNCTION xml_valid(varchar)").await.unwrap();
        }
    }
}

/// A client makes overloads, and drops them, as fast as it can.
#[tokio::test]
async fn no_overload_slips_in_before_a_script() {
    let (server, inside) = begin().await;
    let over = AtomicBool::new(false);
    let client = async {
        while !over.load(Ordering::Relaxed) {
            let made = format!("{OVERLOAD}; SELECT pg_sleep(0.01)");
            server.sql("app", "one", "shop", &made).await.unwrap();
            let gone = "DROP FUNCTION public.xml_valid(varchar)";
            server.sql("app", "one", "shop", gone).await.unwrap();
        }
    };
    let operator = async {
        let (mut made, mut refused) = (0, 0);
        while made < 3 || refused < 3 {
            match inside.create_extension("xml2").await {
                Ok(()) => made += 1,
                failed => {
                    let told = refusal(&failed);
                    let ours = told.contains("a client made") || told.contains("a client has just");
                    assert!(ours, "{told}");
                    refused += 1;
                }
            }
            inside.drop_extension("xml2").await.unwrap();
            assert!(made + refused < 500, "{made} made, {refused} refused");
        }
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(client, operator);
}

/// An extension that names its schema is not made in one that a client has.
#[tokio::test]
async fn a_schema_that_an_extension_names_is_no_clients() {
    let (server, _) = begin().await;
    let schemas = ["topology".to_owned()];
    let place = postgres::sql::Place::Named { schema: schemas[0].clone(), there: true };
    let script = postgres::sql::create_extension("hstore", &place, &schemas);
    // No extension at hand names a schema; this is what is run for one that does.
    let run = |statements: &[Statement]| {
        let text = postgres::sql::text(&statements[..2]);
        let server = &server;
        async move { server.sql("operator", OPERATOR_PASSWORD, "shop", &text).await }
    };
    run(&script).await.unwrap();
    server.sql("app", "one", "shop", "CREATE SCHEMA topology").await.unwrap();
    let refused = run(&script).await.unwrap_err();
    assert!(refused.contains("what is in the schema topology"), "{refused}");
    operator(&server, "shop", "ALTER SCHEMA topology OWNER TO operator").await;
    run(&script).await.unwrap();

    // What an extension is made in stays a superuser's, whichever client comes later.
    operator(&server, "shop", "CREATE EXTENSION hstore SCHEMA topology").await;
    let client = server.operator().await;
    client.ensure_user(&user("next", "two", "")).await.unwrap();
    for (name, owner) in [("app", Owner::Sole), ("next", Owner::Shared)] {
        client.ensure_database(&database("shop"), &role(name), owner).await.unwrap();
        let rights = format!(
            "SELECT has_schema_privilege('{name}', 'topology', 'USAGE') AND NOT \
             has_schema_privilege('{name}', 'topology', 'CREATE')"
        );
        assert_eq!(operator(&server, "shop", &rights).await, ["t"], "{name}");
    }
}
