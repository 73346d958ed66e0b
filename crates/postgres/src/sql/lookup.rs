//! The function that tells a pooler the verifier of a role.

use crate::{DatabaseName, RoleName, quote_literal};

/// The function's name; its schema is named after the user who calls it.
pub const LOOKUP_FUNCTION: &str = "get_auth";

/// Installs the lookup for `auth_user` in the connected database, named `database`.
///
/// The function runs with its owner's rights, so its search path is pinned, every name is
/// qualified and only `auth_user` may call it. Its schema is taken from whoever made one of
/// that name before: its owner could put another function in place; what stands there in the
/// function's place goes, with whatever depends on it. `auth_user` asks in sessions of a pooler's,
/// which has no other means to pin what it looks into: the role's own setting comes before that
/// of the database, which may be a client's. It does not tell about
/// roles that may not log in, replicate or have expired, nor about `auth_user` itself, nor
/// about superusers but the `superusers` that clients have asked to be.
pub fn install_lookup(
    database: &DatabaseName,
    auth_user: &RoleName,
    superusers: &[RoleName],
) -> Vec<String> {
    let user = auth_user.quoted();
    let function = format!("{user}.{LOOKUP_FUNCTION}");
    let body = lookup_body(auth_user, superusers);
    vec![
        format!("GRANT CONNECT ON DATABASE {} TO {user}", database.quoted()),
        format!("CREATE SCHEMA IF NOT EXISTS {user}"),
        format!("ALTER SCHEMA {user} OWNER TO CURRENT_USER"),
        format!("REVOKE ALL ON SCHEMA {user} FROM PUBLIC, {user}"),
        format!("GRANT USAGE ON SCHEMA {user} TO {user}"),
        format!("ALTER ROLE {user} SET search_path = pg_catalog, pg_temp"),
        format!("DROP ROUTINE IF EXISTS {function}(pg_catalog.text) CASCADE"),
        format!(
            "CREATE FUNCTION {function}(wanted pg_catalog.text) \
             RETURNS TABLE (username pg_catalog.text, password pg_catalog.text) \
             LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {}",
            quote_literal(&body)
        ),
        format!("REVOKE ALL ON FUNCTION {function}(pg_catalog.text) FROM PUBLIC, {user}"),
        format!("GRANT EXECUTE ON FUNCTION {function}(pg_catalog.text) TO {user}"),
    ]
}

fn lookup_body(auth_user: &RoleName, superusers: &[RoleName]) -> String {
    let shown: Vec<String> = superusers.iter().map(|role| quote_literal(role.as_str())).collect();
    let hidden = match shown.is_empty() {
        true => " AND NOT a.rolsuper".to_owned(),
        false => format!(" AND (NOT a.rolsuper OR a.rolname IN ({}))", shown.join(", ")),
    };
    format!(
        "SELECT a.rolname::pg_catalog.text, a.rolpassword FROM pg_catalog.pg_authid a \
         WHERE a.rolname = $1 AND a.rolcanlogin AND NOT a.rolreplication{hidden} \
         AND a.rolname <> {} \
         AND (a.rolvaliduntil IS NULL OR a.rolvaliduntil > pg_catalog.now())",
        quote_literal(auth_user.as_str())
    )
}

/// Takes the lookup for an existing `auth_user` out of the connected database, named
/// `database`, and leaves it in others.
pub fn uninstall_lookup(database: &DatabaseName, auth_user: &RoleName) -> Vec<String> {
    let user = auth_user.quoted();
    vec![
        format!("DROP SCHEMA IF EXISTS {user} CASCADE"),
        format!("REVOKE CONNECT ON DATABASE {} FROM {user}", database.quoted()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lookup_as_installed() {
        let statements = install_lookup(&"shop".parse().unwrap(), &"it's".parse().unwrap(), &[]);
        insta::assert_snapshot!(statements.join("\n"), @r#"
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
        let shown = ["relation_id_7".parse().unwrap(), "o'r".parse().unwrap()];
        let body = lookup_body(&"auth".parse().unwrap(), &shown);
        let clause = "AND (NOT a.rolsuper OR a.rolname IN ('relation_id_7', 'o''r'))";
        assert!(body.contains(clause), "{body}");
    }
}
