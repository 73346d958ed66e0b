//! Statements and queries as values, and their texts: names are quoted here and nowhere else.
//!
//! The texts lie by subject; [`Statement`] and [`Query`] are made of them, and what is done one after
//! the other is made of statements.

mod batches;
mod databases;
mod extensions;
mod lookup;
mod query;
mod server;
mod statement;
mod users;

pub use batches::{
    Place, create_access_groups, create_admin_role, create_extension, drop_owned, exposed,
    forbid_login, grant_database, install_lookup, left, set_up_postgres_database, uninstall_lookup,
    user_changes,
};
pub use databases::POOLERS;
pub use extensions::OnExtension;
pub use lookup::{LOOKUP_FUNCTION, OnLookup, lookup_body};
pub use query::Query;
pub use statement::{Attributes, Statement};
pub use users::{RoleState, holder_comment, holder_in};

/// The statements as one text, a line each.
pub fn text(statements: &[Statement]) -> String {
    statements.iter().map(Statement::sql).collect::<Vec<_>>().join(";\n")
}
