//! Statements and queries as values, and their texts: names are quoted here and nowhere else.

mod databases;
mod extensions;
mod lookup;
mod query;
mod server;
mod statement;
mod users;

pub use databases::{POOLERS, grant_database, set_up_postgres_database};
pub use extensions::{OnExtension, Place, create_extension, exposed};
pub use lookup::{LOOKUP_FUNCTION, OnLookup, install_lookup, lookup_body, uninstall_lookup};
pub use query::Query;
pub use statement::{Attributes, Statement};
pub use users::{
    RoleState, create_access_groups, create_admin_role, drop_owned, forbid_login, holder_comment,
    holder_in, left, user_changes,
};

/// The statements as one text, a line each.
pub fn text(statements: &[Statement]) -> String {
    statements.iter().map(Statement::sql).collect::<Vec<_>>().join(";\n")
}
