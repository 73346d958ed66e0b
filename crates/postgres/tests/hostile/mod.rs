//! Names, passwords and texts made to break out of their quotes, over a client's whole life.

use postgres::{
    Client, DatabaseName, ExtraRoles, NAME_BYTES_MAX, Owner, RoleName, User, quote_ident,
    quote_literal,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::server::{OPERATOR_PASSWORD, Server};
use crate::set_up;

/// What may end a quote, begin a comment, be a placeholder, or be more bytes than characters.
const PIECES: [&str; 36] = [
    "\"",
    "\"\"",
    "'",
    "''",
    ";",
    "\\",
    "\\'",
    "$$",
    "$body$",
    "$1",
    "--",
    "/*",
    "*/",
    "%",
    "%I",
    "%s",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\u{1}",
    "\u{7f}",
    "é",
    "ß",
    "漢",
    "😀",
    "e\u{301}",
    "\u{202e}",
    "A",
    "z",
    "=",
    ",",
    "{}",
    "E'",
    "U&\"",
    "\"; DROP ROLE admin; --",
];

/// Names that mean something where nothing quotes them.
const WORDS: [&str; 12] = [
    "select",
    "user",
    "current_user",
    "session_user",
    "all",
    "default",
    "null",
    "true",
    "sameuser",
    "replication",
    "get_auth",
    "pg",
];

/// Up to 63 bytes, often just that many.
fn name() -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(prop::sample::select(&PIECES[..]), 1..60);
    prop_oneof![
        1 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned),
        9 => pieces.prop_map(|pieces| {
            let mut text = pieces.concat();
            while text.len() > NAME_BYTES_MAX {
                text.pop();
            }
            text
        }),
    ]
}

/// What relations bring along, each name another one.
#[derive(Debug, Clone)]
struct Names {
    user: String,
    next: String,
    pooler: String,
    group: String,
    database: String,
    object: String,
    password: String,
}

fn names() -> impl Strategy<Value = Names> {
    let all = prop::collection::vec(name(), 7);
    all.prop_filter_map("roles and schemas need names of their own", |all| {
        let [user, next, pooler, group, database, object, password] = all.try_into().ok()?;
        // The lookup is in a schema of the pooler's name.
        let own = std::collections::BTreeSet::from([&user, &next, &pooler, &group, &object]);
        let distinct = own.len() == 5;
        distinct.then_some(Names { user, next, pooler, group, database, object, password })
    })
}

fn user(name: &str, password: &str, group: Option<&str>, owner: Option<&str>) -> User {
    let member_of: Vec<RoleName> = group.into_iter().map(|name| name.parse().unwrap()).collect();
    User {
        name: name.parse().unwrap(),
        password: password.to_owned().into(),
        salt: [7; 16],
        holder: owner.map(|name| name.parse().unwrap()),
        takes_over: false,
        roles: ExtraRoles { member_of, ..ExtraRoles::default() },
        former: Vec::new(),
    }
}

/// The roles and databases of the server.
async fn inventory(client: &Client) -> (Vec<String>, Vec<DatabaseName>) {
    (client.roles().await.unwrap(), client.databases().await.unwrap())
}

type Case = Result<(), TestCaseError>;

fn told(error: impl std::fmt::Debug) -> TestCaseError {
    TestCaseError::fail(format!("{error:?}"))
}

/// A client comes, works, goes, and another takes over what it left.
async fn life(server: &Server, client: &Client, names: &Names) -> Case {
    let Names { user: first, next, pooler, group, object, password, .. } = names;
    let before = inventory(client).await;
    let database: DatabaseName = names.database.parse().unwrap();
    let role = |name: &str| -> RoleName { name.parse().unwrap() };
    let operator = async |text: &str| {
        server.sql("operator", OPERATOR_PASSWORD, "postgres", text).await.map_err(told)
    };
    operator(&format!("CREATE ROLE {}", quote_ident(group))).await?;

    for _ in 0..2 {
        client.ensure_user(&user(first, password, Some(group), None)).await.map_err(told)?;
        client.ensure_user(&user(pooler, password, None, Some(group))).await.map_err(told)?;
        client.ensure_database(&database, &role(first), Owner::Sole).await.map_err(told)?;
        let pooler = role(pooler);
        client.install_auth_function(&database, &pooler, &[role(next)]).await.map_err(told)?;
    }
    work(server, names).await?;
    looks_up(server, names, first).await?;

    client.delete_user(&role(first)).await.map_err(told)?;
    client.ensure_user(&user(next, password, None, Some(group))).await.map_err(told)?;
    client.ensure_database(&database, &role(next), Owner::Sole).await.map_err(told)?;
    looks_up(server, names, next).await?;
    let object = quote_ident(object);
    let gone = format!("DROP TABLE {object}.{object}; DROP SCHEMA {object} CASCADE");
    server.sql(next, password, database.as_str(), &gone).await.map_err(told)?;

    // The pooler, its lookup and the second client go with the group, which holds them.
    client.delete_user(&role(group)).await.map_err(told)?;
    prop_assert!(!client.has_auth_function(&database, &role(pooler)).await.map_err(told)?);
    operator(&format!("DROP DATABASE {}", database.quoted())).await?;
    prop_assert_eq!(inventory(client).await, before);
    Ok(())
}

/// What the first client does in its database, with names as hostile inside.
async fn work(server: &Server, names: &Names) -> Case {
    let object = quote_ident(&names.object);
    let literal = quote_literal(&names.object);
    let text = format!(
        "CREATE SCHEMA {object}; CREATE TYPE {object}.{object} AS ENUM ({literal}); \
         CREATE FUNCTION {object}.{object}({object}.{object}) RETURNS text LANGUAGE sql AS \
           {body}; \
         CREATE DOMAIN {object}.d AS text; \
         ALTER TYPE {object}.{object} RENAME TO kind; \
         CREATE TABLE {object}.{object} ({object} {object}.kind, n serial); \
         INSERT INTO {object}.{object} VALUES ({literal}); \
         SELECT {object}::text FROM {object}.{object} WHERE {object} = {literal} \
           AND current_user = {user} AND current_database() = {database} \
           AND pg_has_role(current_user, {group}, 'MEMBER')",
        body = quote_literal(&format!("SELECT {literal}::text")),
        user = quote_literal(&names.user),
        database = quote_literal(&names.database),
        group = quote_literal(&names.group),
    );
    let rows = server.sql(&names.user, &names.password, &names.database, &text).await;
    prop_assert_eq!(rows.map_err(told)?, std::slice::from_ref(&names.object));
    Ok(())
}

/// The pooler logs in, finds this user, and finds neither itself nor the operator.
async fn looks_up(server: &Server, names: &Names, wanted: &str) -> Case {
    let schema = quote_ident(&names.pooler);
    for (name, found) in [(wanted, true), (&names.pooler, false), ("operator", false)] {
        let name = quote_literal(name);
        let text =
            format!("SELECT password FROM {schema}.get_auth({name}) WHERE username = {name}");
        let rows = server.sql(&names.pooler, &names.password, &names.database, &text).await;
        let rows = rows.map_err(told)?;
        prop_assert_eq!(rows.len(), usize::from(found), "{}", name);
        prop_assert!(rows.iter().all(|row| postgres::scram::matches(row, &names.password)));
    }
    Ok(())
}

#[test]
fn nothing_that_a_relation_brings_leaves_its_quotes() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (server, client) = runtime.block_on(async {
        let server = Server::start().await;
        let client = set_up(&server).await;
        (server, client)
    });
    let cases = Config { cases: 16, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(cases);
    runner
        .run(&names(), |names| runtime.block_on(life(&server, &client, &names)))
        .unwrap_or_else(|failure| panic!("{failure}"));
}
