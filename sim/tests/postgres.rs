//! The contract of PostgreSQL, kept by the simulated one.

#[path = "../../crates/postgres/tests/contract/mod.rs"]
mod contract;

use contract::Far;
use sim::parts::{OPERATOR_PASSWORD, Parts};

macro_rules! keeps {
    ($($promise:ident),* $(,)?) => {$(
        #[test]
        fn $promise() -> Result<(), Box<dyn std::error::Error>> {
            let parts = Parts::new().ok_or("cannot make a world")?;
            let far = Far {
                server: parts.servers(),
                host: parts.primary(),
                port: 5432,
                password: OPERATOR_PASSWORD.to_owned(),
            };
            Ok(parts.run(contract::$promise(&far)).ok_or("cannot start the runtime")??)
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

#[test]
fn a_standby_takes_no_writes() -> Result<(), Box<dyn std::error::Error>> {
    let parts = Parts::members().ok_or("cannot make a cluster")?;
    let far = Far {
        server: parts.servers(),
        host: parts.replicas(),
        port: 5432,
        password: parts.password_of("operator").ok_or("nobody has a password")?,
    };
    let kept = parts.run(contract::a_standby_takes_no_writes(&far));
    Ok(kept.ok_or("cannot start the runtime")??)
}
