//! What a user may do: the roles a client asks for.

use secrecy::SecretString;

use crate::{RoleName, Salt};

/// The groups that name where a role comes from; clients cannot ask for them.
pub const ACCESS_GROUPS: [&str; 3] = ["identity_access", "internal_access", "relation_access"];

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
    /// Whether the roles exist is known to the server only. A text that is no role name
    /// comes back as the error.
    ///
    /// # Errors
    /// The first entry that cannot be a role name.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut roles = Self::default();
        for entry in list.split(',').map(|entry| entry.trim().to_lowercase()) {
            match entry.as_str() {
                "" => {}
                "superuser" => roles.superuser = true,
                "createdb" => roles.create_db = true,
                "createrole" => roles.create_role = true,
                group if ACCESS_GROUPS.contains(&group) => {}
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
    /// The role with which it goes, whoever removes that one.
    pub tied_to: Option<RoleName>,
    /// The salt of a verifier that has to be made; not used while the stored one still fits.
    pub salt: Salt,
    /// What it may do.
    pub roles: ExtraRoles,
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
}
