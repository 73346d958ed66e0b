//! SQL text as pure functions: names are quoted here and nowhere else.

mod databases;
mod lookup;
mod users;

pub use databases::{
    EXTENSION, GRANT_ON_OBJECTS, HELD_ON_EXTENSIONS, LET_IN, MADE_BY_CLIENTS, OWNED, POOLERS,
    Place, TAKE_OWNERSHIP, TEMPLATE_SESSIONS, close_database, create_database, create_extension,
    drop_extension, grant_database, set_up_postgres_database,
};
pub use lookup::{LOOKUP_FUNCTION, install_lookup, uninstall_lookup};
pub use users::{
    MEMBERS, PARTING, RoleState, SYSTEM_USERS, alter_user, create_access_groups, create_admin_role,
    create_user, drop_owned, drop_user, end_sessions, forbid_login, left, rest_subscriptions,
    roll_back_prepared, tie, tied_to, user_changes,
};
