//! Clients with more than a server has room for at once.

use postgres::Owner;

use crate::server::Server;
use crate::{database, role, set_up, user};

/// Tables with what goes with them, some in each transaction.
const TABLES: &str = "\
DO 'BEGIN FOR i IN 1..1500 LOOP
  EXECUTE format(''CREATE TABLE t%s (id serial PRIMARY KEY, v text)'', i);
  IF i % 20 = 0 THEN COMMIT; END IF;
END LOOP; END'";

/// A server that has room for few locks, and a client that owns many tables: it comes, goes, is
/// followed by another, which shares them with a third.
#[tokio::test]
async fn a_client_goes_whatever_it_owns() {
    let settings = ["max_locks_per_transaction=10", "max_connections=10"];
    let server = Server::start_set(&settings).await;
    let client = set_up(&server).await;
    let shop = database("shop");
    client.ensure_user(&user("a", "one", "")).await.unwrap();
    client.ensure_database(&shop, &role("a"), Owner::Sole).await.unwrap();
    server.sql("a", "one", "shop", TABLES).await.unwrap();
    server.sql("a", "one", "shop", "CREATE VIEW w AS SELECT * FROM t1").await.unwrap();
    let at_once = "DO 'BEGIN FOR i IN 1..1500 LOOP \
        EXECUTE format(''LOCK TABLE t%s'', i); END LOOP; END'";
    let refused = server.sql("a", "one", "shop", at_once).await.unwrap_err();
    assert_eq!(refused, "out of shared memory", "the server has room for all");

    client.delete_user(&role("a")).await.unwrap();
    for (name, owner) in [("b", Owner::Sole), ("c", Owner::Shared)] {
        client.ensure_user(&user(name, "two", "")).await.unwrap();
        client.ensure_database(&shop, &role(name), owner).await.unwrap();
        let used = "INSERT INTO t1500 (v) VALUES (''); SELECT count(*) FROM w";
        assert_eq!(server.sql(name, "two", "shop", used).await.unwrap(), ["0"], "{name}");
    }
    for name in ["c", "b"] {
        client.delete_user(&role(name)).await.unwrap();
    }
    assert!(!client.role_exists(&role("b")).await.unwrap());
}
