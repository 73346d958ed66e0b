//! Statements that install the lookup and take it away, in the order in which they run.

use crate::sql::{OnLookup, Statement};
use crate::{DatabaseName, RoleName};

/// Installs the lookup for `auth_user` in the connected database, named `database`.
///
/// The function runs with its owner's rights, so its search path is pinned, every name is qualified
/// and only `auth_user` may call it. Its schema is taken from its owner before: its owner could put
/// another function in place; what stands there in the function's place goes, with whatever depends
/// on it. `auth_user` asks in sessions of a pooler's, which has no other means to pin what it looks
/// into: the role's own setting comes before that of the database, which may be a client's. It
/// returns nothing for roles that may not log in, replicate or have expired, nor about `auth_user`
/// itself, nor about superusers but the `superusers` that clients have asked to be.
pub fn install_lookup(
    database: &DatabaseName,
    auth_user: &RoleName,
    superusers: &[RoleName],
) -> Vec<Statement> {
    let on = |does| Statement::Lookup { user: auth_user.clone(), does };
    vec![
        Statement::GrantConnect { database: database.clone(), to: auth_user.clone() },
        on(OnLookup::CreateSchema),
        on(OnLookup::OwnSchema),
        on(OnLookup::CloseSchema),
        on(OnLookup::GrantSchema),
        Statement::PinSearchPath(auth_user.clone()),
        on(OnLookup::Drop),
        on(OnLookup::Create(superusers.to_vec())),
        on(OnLookup::Close),
        on(OnLookup::Grant),
    ]
}

/// Takes the lookup for an existing `auth_user` out of the connected database, named
/// `database`, and leaves it in others.
pub fn uninstall_lookup(database: &DatabaseName, auth_user: &RoleName) -> Vec<Statement> {
    vec![
        Statement::Lookup { user: auth_user.clone(), does: OnLookup::DropSchema },
        Statement::RevokeConnect { database: database.clone(), from: auth_user.clone() },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::text;

    #[test]
    fn the_lookup_as_installed() {
        let statements = install_lookup(&"shop".parse().unwrap(), &"it's".parse().unwrap(), &[]);
        insta::assert_snapshot!(text(&statements).replace(";\n", "\n"), @r#"
        GRANT CONNECT ON DATABASE "shop" TO "it's"
        CREATE SCHEMA IF NOT EXISTS "it's"
        ALTER SCHEMA "it's" OWNER TO CURRENT_USER
        REVOKE ALL ON SCHEMA "it's" FROM PUBLIC, "it's"
        GRANT USAGE ON SCHEMA "it's" TO "it's"
        ALTER ROLE "it's" SET search_path = pg_catalog, pg_temp
        DROP ROUTINE IF EXISTS "it's".get_auth(pg_catalog.text) CASCADE
        CREATE FUNCTION "it's".get_auth(wanted pg_catalog.text) RETURNS TABLE (username pg_catalog.text, password pg_catalog.text) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT a.rolname::pg_catalog.text, a.rolpassword FROM pg_catalog.pg_authid a WHERE a.rolname = $1 AND a.rolcanlogin AND NOT a.rolreplication AND NOT a.rolsuper AND a.rolname <> ''it''''s'' AND (a.rolvaliduntil IS NULL OR a.rolvaliduntil > pg_catalog.now())'
        REVOKE ALL ON FUNCTION "it's".get_auth(pg_catalog.text) FROM PUBLIC, "it's"
        GRANT EXECUTE ON FUNCTION "it's".get_auth(pg_catalog.text) TO "it's"
        "#);
    }
}
