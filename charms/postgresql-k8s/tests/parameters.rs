//! The option `postgresql-settings` against the parameters of a real server.

// The exemption for tests does not reach functions outside #[test].
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../crates/postgres/tests/server/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod server;

use server::{OPERATOR_PASSWORD, Server};

#[tokio::test]
async fn every_parameter_of_a_server_is_taken_or_refused_by_name() {
    let server = Server::start().await;
    let names = "SELECT name FROM pg_catalog.pg_settings ORDER BY 1";
    let names = server.sql("operator", OPERATOR_PASSWORD, "postgres", names).await.unwrap();
    assert!(names.len() > 300, "{names:?}");
    let open = names.iter().filter(|name| !postgresql_k8s::is_decided(name));
    assert_eq!(open.collect::<Vec<_>>(), Vec::<&String>::new(), "decide about these");
    assert!(!postgresql_k8s::is_decided("a_parameter_of_the_future"));
}
