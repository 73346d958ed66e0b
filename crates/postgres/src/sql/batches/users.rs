//! Statements on roles, in the order in which they run.

use crate::roles::{ACCESS_GROUPS, SYSTEM_USERS};
use crate::sql::{Attributes, RoleState, Statement};
use crate::{DatabaseName, ExtraRoles, RoleName, Verifier};

/// The statements that lead from `current` to `wanted`; empty when nothing differs.
///
/// `verifier` is given when the stored one does not fit the password.
pub fn user_changes(
    name: &RoleName,
    current: Option<&RoleState>,
    wanted: &ExtraRoles,
    verifier: Option<&Verifier>,
) -> Vec<Statement> {
    let mut statements = Vec::new();
    let (name, new) = (|| name.clone(), Attributes::from(wanted));
    match (current, verifier.cloned()) {
        (None, Some(verifier)) => {
            statements.push(Statement::CreateUser { name: name(), attributes: new, verifier });
        }
        (None, None) => {}
        (Some(state), verifier) => {
            let attributes = (state.login, state.superuser, state.create_db, state.create_role);
            let expected = (true, wanted.superuser, wanted.create_db, wanted.create_role);
            if verifier.is_some() || attributes != expected {
                statements.push(Statement::AlterUser { name: name(), attributes: new, verifier });
            }
        }
    }
    let has = |role: &RoleName| current.is_some_and(|state| state.member_of.contains(role));
    for role in wanted.member_of.iter().filter(|role| !has(role)) {
        statements.push(Statement::GrantRole { role: role.clone(), to: name() });
    }
    statements
}

/// The statements that end the memberships in `former` groups that are not `wanted` any more.
pub fn left(
    name: &RoleName,
    current: &RoleState,
    wanted: &ExtraRoles,
    former: &[RoleName],
) -> Vec<Statement> {
    let ends =
        |role: &&RoleName| current.member_of.contains(role) && !wanted.member_of.contains(role);
    let revoke = |role: &RoleName| Statement::RevokeRole { role: role.clone(), from: name.clone() };
    former.iter().filter(ends).map(revoke).collect()
}

/// Lets a role in no more, then hands its databases to the connected user.
pub fn forbid_login(name: &RoleName) -> [Statement; 2] {
    [Statement::ForbidLogin(name.clone()), Statement::HandDatabases(name.clone())]
}

/// Hands what else a role owns in the connected database to a role that may do nothing else.
///
/// Views and functions run with their owner's rights: a superuser must not inherit those that
/// a client has made. What only a superuser can own a superuser client has made: its wrappers of
/// foreign data go to the connected user.
pub fn drop_owned(name: &RoleName) -> [Statement; 3] {
    [
        Statement::HandWrappers(name.clone()),
        Statement::ReassignOwned(name.clone()),
        Statement::DropOwned(name.clone()),
    ]
}

/// The missing groups among [`ACCESS_GROUPS`] and the memberships of the system users.
///
/// `present` are the names of all roles.
pub fn create_access_groups(present: &[String]) -> Vec<Statement> {
    let has = |name: &&str| present.iter().any(|role| role == name);
    let missing = ACCESS_GROUPS.into_iter().filter(|group| !has(group));
    let mut statements: Vec<Statement> =
        missing.map(|group| Statement::CreateGroup(RoleName::constant(group))).collect();
    if !statements.is_empty() {
        let join = |user| Statement::GrantRole {
            role: RoleName::constant("internal_access"),
            to: RoleName::constant(user),
        };
        statements.extend(SYSTEM_USERS.into_iter().filter(has).map(join));
    }
    statements
}

/// The role `admin`: reads and writes everything, logs in never.
pub fn create_admin_role() -> [Statement; 3] {
    let admin = || RoleName::constant("admin");
    [
        Statement::CreateGroup(admin()),
        Statement::GrantAllData(admin()),
        Statement::GrantConnect { database: DatabaseName::constant("postgres"), to: admin() },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scram::verifier;
    use crate::sql::text;
    use proptest::prelude::*;

    fn name(text: &str) -> RoleName {
        text.parse().unwrap()
    }

    #[test]
    fn a_new_user_gets_attributes_password_and_memberships() {
        let wanted = ExtraRoles::parse("superuser,admin").unwrap();
        let made = verifier("p", &[0; 16], 1);
        let changes = user_changes(&name("relation_id_4"), None, &wanted, Some(&made));
        insta::assert_snapshot!(text(&changes).replace(";\n", "\n"), @r#"
        CREATE ROLE "relation_id_4" LOGIN SUPERUSER CREATEDB NOCREATEROLE PASSWORD 'SCRAM-SHA-256$1:AAAAAAAAAAAAAAAAAAAAAA==$05CNKQsNFf+Va88Umu7sdwPc0+l5o2sJP2aVUq+FQrY=:XbzHQmsySdAqmPIwzTup2LtGI8aLeAOT6RPzCsinh5g='
        GRANT "admin" TO "relation_id_4"
        "#);
    }

    #[test]
    fn a_user_that_is_as_wanted_gets_no_statement() {
        let state = RoleState { login: true, create_db: true, ..RoleState::default() };
        let wanted = ExtraRoles::parse("createdb").unwrap();
        assert!(user_changes(&name("u"), Some(&state), &wanted, None).is_empty());
    }

    #[test]
    fn a_user_that_was_shut_out_is_let_in_again() {
        let changes =
            user_changes(&name("u"), Some(&RoleState::default()), &ExtraRoles::default(), None);
        assert_eq!(text(&changes), "ALTER ROLE \"u\" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE");
    }

    #[test]
    fn only_memberships_that_were_asked_for_before_end() {
        let roles = |list: &str| ExtraRoles::parse(list).unwrap().member_of;
        let state = RoleState { member_of: roles("a,b,c"), ..RoleState::default() };
        let wanted = ExtraRoles::parse("b").unwrap();
        let left = left(&name("u"), &state, &wanted, &roles("a,b,d"));
        assert_eq!(text(&left), "REVOKE \"a\" FROM \"u\"");
    }

    #[test]
    fn access_groups_are_made_once() {
        let present: Vec<String> = ["operator", "replication"].map(str::to_owned).to_vec();
        insta::assert_snapshot!(text(&create_access_groups(&present)).replace(";\n", "\n"), @r#"
        CREATE ROLE "identity_access" NOLOGIN
        CREATE ROLE "internal_access" NOLOGIN
        CREATE ROLE "relation_access" NOLOGIN
        GRANT "internal_access" TO "replication"
        GRANT "internal_access" TO "operator"
        "#);
        let all: Vec<String> = ACCESS_GROUPS.map(str::to_owned).to_vec();
        assert!(create_access_groups(&all).is_empty());
    }

    proptest! {
        #[test]
        fn a_hostile_name_stays_inside_its_quotes(text in "[a\";' $-]{1,20}") {
            let name = name(&text);
            let all = drop_owned(&name).into_iter().skip(1);
            for statement in all.chain([Statement::DropRole(name.clone())]) {
                let statement = statement.sql();
                prop_assert!(statement.contains(&name.quoted()));
                let outside = statement.replacen(&name.quoted(), "", 1);
                prop_assert!(!outside.contains('"'));
                prop_assert!(!outside.contains(';'));
            }
        }
    }
}
