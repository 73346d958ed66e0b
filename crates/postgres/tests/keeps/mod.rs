//! The contract, kept by the real PostgreSQL.

use std::sync::Arc;

use crate::contract::{self, Far};
use crate::server::{OPERATOR_PASSWORD, Server};

/// The way to a server.
fn far(server: &Server) -> Far {
    let options = server.options("operator", OPERATOR_PASSWORD, "postgres");
    Far {
        server: Arc::new(postgres::Network::default()),
        host: options.host,
        port: options.port,
        password: OPERATOR_PASSWORD.to_owned(),
    }
}

macro_rules! keeps {
    ($($promise:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $promise() -> Result<(), postgres::Error> {
            let server = Server::start().await;
            contract::$promise(&far(&server)).await
        }
    )*};
}

keeps!(
    logins_are_refused,
    passwords_change,
    users_are_as_wanted,
    ordinary_users_read_and_change_nothing,
    databases_are_closed_to_others,
    a_superuser_enters_where_nobody_else_may,
    extensions_come_and_go,
    sessions_are_pinned,
    the_server_tells_its_facts,
    a_lookup_shows_ordinary_roles,
    a_lookup_is_for_its_user_alone,
    a_lookup_goes_with_its_database_only,
    a_lookup_that_lacks_something_is_seen,
    a_role_goes_when_nothing_depends_on_it,
    users_go,
    tied_roles_go_too,
    the_template_holds_nobody_up,
    roles_make_nobody_somebody_else,
    memberships_go_with_the_wish,
    user_memberships_are_revoked,
    users_of_two_models_stay_apart,
    nobody_is_a_member_of_a_user,
    user_memberships_are_revoked_at_any_remove,
    clients_have_nothing_on_extensions,
);

#[tokio::test]
async fn a_standby_takes_no_writes() -> Result<(), postgres::Error> {
    let server = Server::start_standby().await;
    contract::a_standby_takes_no_writes(&far(&server)).await
}
