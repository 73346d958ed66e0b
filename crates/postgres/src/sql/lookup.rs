//! The function that returns a role's verifier to a pooler.

use crate::{RoleName, quote_literal};

/// The function's name; its schema is named after the user who calls it.
pub const LOOKUP_FUNCTION: &str = "get_auth";

/// The schemas of lookups: one reads what only superusers may, so a client's own function, or one
/// in a schema of its owner's name, is none.
pub(super) const LOOKUPS: &str = "\
SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_roles o ON o.oid = p.proowner
WHERE p.proname = $1 AND p.prosecdef AND o.rolsuper AND o.rolname <> n.nspname ORDER BY 1";

/// The function `$2` in the schema `$1`.
pub(super) const LOOKUP: &str = "\
SELECT p.proname::pg_catalog.text FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = $1 AND p.proname = $2";

/// What is done to the lookup of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnLookup {
    /// Makes its schema, where it is not there.
    CreateSchema,
    /// Makes the schema the connected user's.
    OwnSchema,
    /// Revokes the schema from PUBLIC.
    CloseSchema,
    /// Lets the user into the schema.
    GrantSchema,
    /// Drops the function.
    Drop,
    /// Creates the function, which shows these superusers and no other.
    Create(Vec<RoleName>),
    /// Revokes the function from PUBLIC.
    Close,
    /// Lets the user call the function.
    Grant,
    /// Drops the schema with the function in it.
    DropSchema,
}

impl OnLookup {
    pub(super) fn sql(&self, auth_user: &RoleName) -> String {
        let user = auth_user.quoted();
        let function = format!("{user}.{LOOKUP_FUNCTION}");
        match self {
            Self::CreateSchema => format!("CREATE SCHEMA IF NOT EXISTS {user}"),
            Self::OwnSchema => format!("ALTER SCHEMA {user} OWNER TO CURRENT_USER"),
            Self::CloseSchema => format!("REVOKE ALL ON SCHEMA {user} FROM PUBLIC, {user}"),
            Self::GrantSchema => format!("GRANT USAGE ON SCHEMA {user} TO {user}"),
            Self::Drop => format!("DROP ROUTINE IF EXISTS {function}(pg_catalog.text) CASCADE"),
            Self::Create(superusers) => format!(
                "CREATE FUNCTION {function}(wanted pg_catalog.text) \
                 RETURNS TABLE (username pg_catalog.text, password pg_catalog.text) \
                 LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {}",
                quote_literal(&lookup_body(auth_user, superusers))
            ),
            Self::Close => {
                format!("REVOKE ALL ON FUNCTION {function}(pg_catalog.text) FROM PUBLIC, {user}")
            }
            Self::Grant => {
                format!("GRANT EXECUTE ON FUNCTION {function}(pg_catalog.text) TO {user}")
            }
            Self::DropSchema => format!("DROP SCHEMA IF EXISTS {user} CASCADE"),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::CreateSchema => "CREATE SCHEMA",
            Self::OwnSchema => "ALTER SCHEMA",
            Self::CloseSchema => "REVOKE ALL ON SCHEMA",
            Self::GrantSchema => "GRANT USAGE ON SCHEMA",
            Self::Drop => "DROP ROUTINE",
            Self::Create(_) => "CREATE FUNCTION",
            Self::Close => "REVOKE ALL ON FUNCTION",
            Self::Grant => "GRANT EXECUTE ON FUNCTION",
            Self::DropSchema => "DROP SCHEMA",
        }
    }
}

/// The text of the function; see [`super::install_lookup`].
pub fn lookup_body(auth_user: &RoleName, superusers: &[RoleName]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn superusers_that_clients_have_asked_to_be_are_shown() {
        let shown = ["relation_id_7".parse().unwrap(), "o'r".parse().unwrap()];
        let body = lookup_body(&"auth".parse().unwrap(), &shown);
        let clause = "AND (NOT a.rolsuper OR a.rolname IN ('relation_id_7', 'o''r'))";
        assert!(body.contains(clause), "{body}");
    }
}
