//! What a user may do: the roles a client asks for.

use secrecy::SecretString;

use crate::{RoleName, Salt};

/// The charm's own users, in the order upstream lists them.
pub(crate) const SYSTEM_USERS: [&str; 5] =
    ["backup", "replication", "rewind", "operator", "monitoring"];

/// The groups that name where a role comes from; clients cannot ask for them.
pub const ACCESS_GROUPS: [&str; 3] = ["identity_access", "internal_access", "relation_access"];

/// Predefined roles whose members do to the machine what the server can: with them a client would
/// be a superuser that `rolsuper` does not show.
const AS_THE_SERVER: [&str; 3] =
    ["pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"];

/// Whether a role of this name is a charm's own or another client's, or as good as a superuser: no
/// client is made a member of it.
pub fn is_reserved(name: &str) -> bool {
    let numbered = |prefix: &str| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    SYSTEM_USERS.contains(&name)
        || AS_THE_SERVER.contains(&name)
        || numbered("relation_id_")
        || name.starts_with("pgbouncer_auth_")
}

/// What a client asked for in `extra-user-roles`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtraRoles {
    /// `SUPERUSER`.
    pub superuser: bool,
    /// `CREATEDB`, also part of `admin`.
    pub create_db: bool,
    /// `CREATEROLE`.
    pub create_role: bool,
    /// Existing roles to become a member of, `admin` among them, sorted.
    pub member_of: Vec<RoleName>,
}

impl ExtraRoles {
    /// Reads the comma-separated list; case is ignored and the access groups are dropped.
    ///
    /// Whether the roles exist, and whether one can log in, is known to the server only.
    ///
    /// # Errors
    /// The first entry that is no role name or is one that no client is made a member of; see
    /// [`is_reserved`].
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut roles = Self::default();
        for entry in list.split(',').map(|entry| entry.trim().to_lowercase()) {
            match entry.as_str() {
                "" => {}
                "superuser" => roles.superuser = true,
                "createdb" => roles.create_db = true,
                "createrole" => roles.create_role = true,
                group if ACCESS_GROUPS.contains(&group) => {}
                taken if is_reserved(taken) => return Err(entry),
                _ => {
                    let role: RoleName = entry.parse().map_err(|_| entry.clone())?;
                    roles.create_db |= entry == "admin";
                    roles.member_of.push(role);
                }
            }
        }
        roles.member_of.sort();
        roles.member_of.dedup();
        Ok(roles)
    }
}

/// A login role as it shall be.
pub struct User {
    /// Its name.
    pub name: RoleName,
    /// Its password; only the verifier is sent.
    pub password: SecretString,
    /// The role that it is removed with.
    pub holder: Option<RoleName>,
    /// Whether a role of this name without an owner was made by the caller, because no other charm
    /// makes such names. Otherwise its password has to be the one that is given.
    pub takes_over: bool,
    /// The salt of a verifier that has to be made; not used while the stored one still fits.
    pub salt: Salt,
    /// What it may do.
    pub roles: ExtraRoles,
    /// The roles it was made a member of before: of those that are not among `roles` it is none any
    /// more. What the operator made it a member of stays.
    pub former: Vec<RoleName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &str, superuser: bool, create_db: bool, create_role: bool, members: &[&str]) {
        let roles = ExtraRoles::parse(list).unwrap();
        assert_eq!(
            (roles.superuser, roles.create_db, roles.create_role),
            (superuser, create_db, create_role)
        );
        let names: Vec<&str> = roles.member_of.iter().map(RoleName::as_str).collect();
        assert_eq!(names, members);
    }

    #[test]
    fn lists_as_clients_write_them() {
        check("", false, false, false, &[]);
        check("SUPERUSER", true, false, false, &[]);
        check("createdb, CreateRole", false, true, true, &[]);
        check("admin", false, true, false, &["admin"]);
        check("b,a,a,relation_access", false, false, false, &["a", "b"]);
    }

    #[test]
    fn an_entry_that_no_role_can_have_is_named() {
        assert_eq!(ExtraRoles::parse(&"x".repeat(64)), Err("x".repeat(64)));
    }

    #[test]
    fn a_role_of_a_charm_or_of_another_client_is_named() {
        for name in [
            "relation_id_6",
            "pgbouncer_auth_relation_id_5",
            "operator",
            "replication",
            "pg_execute_server_program",
            "pg_read_server_files",
            "pg_write_server_files",
        ] {
            let list = format!("admin, {}", name.to_uppercase());
            assert_eq!(ExtraRoles::parse(&list), Err(name.to_owned()));
        }
        for name in ["relation_id_", "relation_id_6a", "pg_monitor", "pg_read_all_data"] {
            assert!(ExtraRoles::parse(name).is_ok(), "{name}");
        }
    }
}
