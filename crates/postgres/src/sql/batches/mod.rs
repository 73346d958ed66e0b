//! Statements that belong together, in the order in which they run.

mod databases;
mod extensions;
mod lookup;
mod users;

pub use databases::{grant_database, set_up_postgres_database};
pub use extensions::{Place, create_extension, exposed};
pub use lookup::{install_lookup, uninstall_lookup};
pub use users::{
    create_access_groups, create_admin_role, drop_owned, forbid_login, left, user_changes,
};
