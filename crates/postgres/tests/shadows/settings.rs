//! Whatever the owner of a database sets for its sessions, ours are as they are elsewhere.

use std::collections::BTreeMap;

use postgres::sql::Query;
use postgres::{Client, Network, Owner, SESSION_OPTIONS, Server as _};

use crate::server::{OPERATOR_PASSWORD, Server};
use crate::{database, role, user};

/// Sets whatever any role may set to something else than it is, as far as the server takes it,
/// each number to the one that is given.
const MOVE: &str = "\
DO $$
DECLARE one record; value text;
BEGIN
  FOR one IN SELECT * FROM pg_settings WHERE context = 'user' LOOP
    FOREACH value IN ARRAY CASE one.vartype
      WHEN 'bool' THEN ARRAY[CASE one.setting WHEN 'on' THEN 'off' ELSE 'on' END]
      WHEN 'enum' THEN array_remove(one.enumvals, one.setting)
      WHEN 'string' THEN ARRAY['nothing', 'app', 'C', 'Asia/Tokyo', 'german', 'pg_catalog.simple',
        'Australia']
      ELSE ARRAY[:number] END
    LOOP
      BEGIN
        EXECUTE format('ALTER DATABASE shop SET %I = %L', one.name, value);
        EXIT;
      EXCEPTION WHEN others THEN NULL;
      END;
    END LOOP;
  END LOOP;
  ALTER DATABASE shop SET role = 'app';
  ALTER DATABASE shop SET session_authorization = 'app';
  ALTER DATABASE shop SET search_path = 'public', 'pg_catalog';
END $$";

/// The settings of a session of ours, with what PostgreSQL is made with.
async fn settings(server: &Server, base: &str) -> BTreeMap<String, [String; 2]> {
    let options = server.options("operator", OPERATOR_PASSWORD, base);
    let network = Network::default();
    let session = network.connect(&options, SESSION_OPTIONS).await.unwrap();
    let rows = session.query(Query::Settings).await.unwrap();
    let text = |row: &[Option<String>], column: usize| row[column].clone().unwrap_or_default();
    rows.iter().map(|row| (text(row, 0), [text(row, 1), text(row, 2)])).collect()
}

#[tokio::test]
async fn what_a_database_sets_does_not_move_our_sessions() {
    let server = Server::start().await;
    let operator: Client = crate::set_up(&server).await;
    operator.ensure_user(&user("app", "one", "createdb")).await.unwrap();
    operator.ensure_database(&database("farm"), &role("app"), Owner::Sole).await.unwrap();
    server.sql("app", "one", "farm", "CREATE DATABASE shop").await.unwrap();
    operator.ensure_database(&database("shop"), &role("app"), Owner::Sole).await.unwrap();
    let count = "SELECT cardinality(setconfig)::text FROM pg_db_role_setting";
    for number in ["one.min_val", "'1'", "one.max_val"] {
        let moves = MOVE.replace(":number", number);
        server.sql("app", "one", "farm", &moves).await.unwrap();
        let moved = server.sql("app", "one", "farm", count).await.unwrap();
        assert!(moved[0].parse::<u32>().unwrap() > 80, "{moved:?}");
        let (elsewhere, here) = (settings(&server, "farm").await, settings(&server, "shop").await);
        assert_eq!(here["search_path"][0], "pg_catalog,pg_temp");
        for (name, [value, made]) in here {
            let expected = &elsewhere[&name][0];
            let made = if name == "timezone_abbreviations" { "Default".to_owned() } else { made };
            assert!(value == *expected || value == made, "{name} is {value}, not {expected}");
        }
        operator.ensure_database(&database("shop"), &role("app"), Owner::Sole).await.unwrap();
    }
    operator.delete_user(&role("app")).await.unwrap();
}
