//! Statements on roles.

use crate::roles::ACCESS_GROUPS;
use crate::{ExtraRoles, RoleName, Verifier, quote_ident, quote_literal};

/// The charm's own users, in the order upstream lists them.
pub const SYSTEM_USERS: [&str; 5] = ["backup", "replication", "rewind", "operator", "monitoring"];

/// What the server says about a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleState {
    /// It may log in and is not expired.
    pub login: bool,
    /// `SUPERUSER`.
    pub superuser: bool,
    /// `CREATEDB`.
    pub create_db: bool,
    /// `CREATEROLE`.
    pub create_role: bool,
    /// What is said of it.
    pub comment: Option<String>,
    /// The roles it is a direct member of, sorted.
    pub member_of: Vec<RoleName>,
}

/// A query whose rows are the statements that end the memberships in role `$1`, but of superusers:
/// whoever may make roles makes another's before it comes, and is a member of it then. Who granted
/// is named, where it is known: servers from 16 on end nothing else.
pub const MEMBERS: &str = "\
SELECT pg_catalog.format('REVOKE %I FROM %I%s CASCADE', g.rolname, u.rolname,
  CASE WHEN b.oid IS NULL THEN '' ELSE pg_catalog.format(' GRANTED BY %I', b.rolname) END)
FROM pg_catalog.pg_auth_members m
JOIN pg_catalog.pg_roles g ON g.oid = m.roleid AND g.rolname = $1
JOIN pg_catalog.pg_roles u ON u.oid = m.member AND NOT u.rolsuper
LEFT JOIN pg_catalog.pg_roles b ON b.oid = m.grantor ORDER BY 1";

/// A query whose rows are the statements that take from clients' users, who are in
/// `relation_access`, what makes them a charm's own user or another client's, at whichever remove,
/// and what makes them as good as superusers.
pub const PARTING: &str = "\
WITH RECURSIVE clients AS (
  SELECT u.oid FROM pg_catalog.pg_roles u WHERE u.rolcanlogin AND EXISTS (
    SELECT FROM pg_catalog.pg_auth_members c
    JOIN pg_catalog.pg_roles a ON a.oid = c.roleid AND a.rolname = 'relation_access'
    WHERE c.member = u.oid)
), reached (oid) AS (
  SELECT c.oid FROM clients c
  UNION
  SELECT m.roleid FROM reached r JOIN pg_catalog.pg_auth_members m ON m.member = r.oid)
SELECT pg_catalog.format('REVOKE %I FROM %I%s CASCADE', g.rolname, u.rolname,
  CASE WHEN b.oid IS NULL THEN '' ELSE pg_catalog.format(' GRANTED BY %I', b.rolname) END)
FROM pg_catalog.pg_auth_members m JOIN reached r ON r.oid = m.member
JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
JOIN pg_catalog.pg_roles u ON u.oid = m.member
LEFT JOIN pg_catalog.pg_roles b ON b.oid = m.grantor
WHERE (g.rolcanlogin AND EXISTS (SELECT FROM pg_catalog.pg_auth_members c
    JOIN pg_catalog.pg_roles a ON a.oid = c.roleid
      AND a.rolname IN ('relation_access', 'internal_access')
    WHERE c.member = g.oid))
  OR (g.rolname IN
      ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
    AND EXISTS (SELECT FROM clients c WHERE c.oid = u.oid)) ORDER BY 1";

/// Creates a login role.
pub fn create_user(name: &RoleName, roles: &ExtraRoles, verifier: &Verifier) -> String {
    let password = quote_literal(verifier.expose());
    format!("CREATE ROLE {} LOGIN{} PASSWORD {password}", name.quoted(), attributes(roles))
}

/// Gives an existing role its attributes, and a new password when `verifier` is given.
pub fn alter_user(name: &RoleName, roles: &ExtraRoles, verifier: Option<&Verifier>) -> String {
    let password = verifier
        .map(|verifier| format!(" PASSWORD {}", quote_literal(verifier.expose())))
        .unwrap_or_default();
    format!("ALTER ROLE {} LOGIN{}{password}", name.quoted(), attributes(roles))
}

fn attributes(roles: &ExtraRoles) -> String {
    let word = |on: bool, word: &str| format!(" {}{word}", if on { "" } else { "NO" });
    word(roles.superuser, "SUPERUSER")
        + &word(roles.create_db, "CREATEDB")
        + &word(roles.create_role, "CREATEROLE")
}

/// The statements that lead from `current` to `wanted`; empty when nothing differs.
///
/// `verifier` is given when the stored one does not fit the password.
pub fn user_changes(
    name: &RoleName,
    current: Option<&RoleState>,
    wanted: &ExtraRoles,
    verifier: Option<&Verifier>,
) -> Vec<String> {
    let mut statements = Vec::new();
    match (current, verifier) {
        (None, Some(verifier)) => statements.push(create_user(name, wanted, verifier)),
        (None, None) => {}
        (Some(state), verifier) => {
            let attributes = (state.login, state.superuser, state.create_db, state.create_role);
            let expected = (true, wanted.superuser, wanted.create_db, wanted.create_role);
            if verifier.is_some() || attributes != expected {
                statements.push(alter_user(name, wanted, verifier));
            }
        }
    }
    let has = |role: &RoleName| current.is_some_and(|state| state.member_of.contains(role));
    for role in wanted.member_of.iter().filter(|role| !has(role)) {
        statements.push(format!("GRANT {} TO {}", role.quoted(), name.quoted()));
    }
    statements
}

/// The statements that end the memberships in `former` groups that are not `wanted` any more.
pub fn left(
    name: &RoleName,
    current: &RoleState,
    wanted: &ExtraRoles,
    former: &[RoleName],
) -> Vec<String> {
    let ends =
        |role: &&RoleName| current.member_of.contains(role) && !wanted.member_of.contains(role);
    let revoke = |role: &RoleName| format!("REVOKE {} FROM {}", role.quoted(), name.quoted());
    former.iter().filter(ends).map(revoke).collect()
}

/// Rolls back a transaction of this identifier that somebody has prepared in the connected
/// database.
pub fn roll_back_prepared(transaction: &str) -> String {
    format!("ROLLBACK PREPARED {}", quote_literal(transaction))
}

/// Says of a role that it goes when `owner` goes.
pub fn tie(name: &RoleName, owner: &RoleName) -> String {
    format!("COMMENT ON ROLE {} IS {}", name.quoted(), quote_literal(&tied_to(owner)))
}

/// What the comment on a role says that goes with `owner`.
pub fn tied_to(owner: &RoleName) -> String {
    format!("goes with the role {owner}")
}

/// Lets a role in no more; its databases go to the connected user.
pub fn forbid_login(name: &RoleName) -> Vec<String> {
    let databases = format!(
        "DECLARE d pg_catalog.name; BEGIN FOR d IN SELECT datname FROM pg_catalog.pg_database \
         WHERE pg_catalog.pg_get_userbyid(datdba) = {} LOOP EXECUTE pg_catalog.format(\
         'ALTER DATABASE %I OWNER TO CURRENT_USER', d); END LOOP; END",
        quote_literal(name.as_str())
    );
    vec![
        format!("DO {}", quote_literal(&databases)),
        format!("ALTER ROLE {} NOLOGIN", name.quoted()),
    ]
}

/// Ends a role's sessions and waits for their end, so that nothing of it changes any more.
pub fn end_sessions(name: &RoleName) -> String {
    format!(
        "SELECT pg_catalog.pg_terminate_backend(pid, 5000) FROM pg_catalog.pg_stat_activity \
         WHERE usename = {}",
        quote_literal(name.as_str())
    )
}

/// Hands a role's subscriptions in the connected database, which only a superuser can own, to the
/// connected user, at rest: what they apply would run with its rights.
pub fn rest_subscriptions(name: &RoleName) -> String {
    let all = format!(
        "DECLARE n pg_catalog.name; BEGIN FOR n IN SELECT s.subname \
         FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid \
         WHERE d.datname = pg_catalog.current_database() \
         AND pg_catalog.pg_get_userbyid(s.subowner) = {} LOOP \
         EXECUTE pg_catalog.format('ALTER SUBSCRIPTION %I DISABLE', n); \
         EXECUTE pg_catalog.format('ALTER SUBSCRIPTION %I OWNER TO CURRENT_USER', n); END LOOP; \
         END",
        quote_literal(name.as_str())
    );
    format!("DO {}", quote_literal(&all))
}

/// Hands what a role owns in the connected database to a role that may do nothing else.
///
/// Views and functions run with their owner's rights: a superuser must not inherit those that
/// a client has made. What only a superuser can own a superuser client has made: its event
/// triggers go, because they would run what is nobody's now; its wrappers of foreign data go to
/// the connected user.
pub fn drop_owned(name: &RoleName) -> Vec<String> {
    let of_superusers = format!(
        "DECLARE n pg_catalog.name; BEGIN \
         FOR n IN SELECT evtname FROM pg_catalog.pg_event_trigger \
         WHERE pg_catalog.pg_get_userbyid(evtowner) = {owner} LOOP \
         EXECUTE pg_catalog.format('DROP EVENT TRIGGER %I', n); END LOOP; \
         FOR n IN SELECT fdwname FROM pg_catalog.pg_foreign_data_wrapper \
         WHERE pg_catalog.pg_get_userbyid(fdwowner) = {owner} LOOP EXECUTE pg_catalog.format(\
         'ALTER FOREIGN DATA WRAPPER %I OWNER TO CURRENT_USER', n); END LOOP; END",
        owner = quote_literal(name.as_str())
    );
    vec![
        format!("DO {}", quote_literal(&of_superusers)),
        format!("REASSIGN OWNED BY {} TO pg_database_owner", name.quoted()),
        format!("DROP OWNED BY {}", name.quoted()),
    ]
}

/// Removes a role that owns nothing any more.
pub fn drop_user(name: &RoleName) -> String {
    format!("DROP ROLE IF EXISTS {}", name.quoted())
}

/// The missing groups among [`ACCESS_GROUPS`] and the memberships of the system users.
///
/// `present` are the names of all roles.
pub fn create_access_groups(present: &[String]) -> Vec<String> {
    let has = |name: &str| present.iter().any(|role| role == name);
    let mut statements: Vec<String> = ACCESS_GROUPS
        .iter()
        .filter(|group| !has(group))
        .map(|group| format!("CREATE ROLE {} NOLOGIN", quote_ident(group)))
        .collect();
    if !statements.is_empty() {
        statements.extend(
            SYSTEM_USERS
                .iter()
                .filter(|user| has(user))
                .map(|user| format!("GRANT \"internal_access\" TO {}", quote_ident(user))),
        );
    }
    statements
}

/// The role `admin`: reads and writes everything, logs in never.
pub fn create_admin_role() -> Vec<String> {
    vec![
        "CREATE ROLE \"admin\" NOLOGIN".to_owned(),
        "GRANT pg_read_all_data, pg_write_all_data TO \"admin\"".to_owned(),
        "GRANT CONNECT ON DATABASE \"postgres\" TO \"admin\"".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scram::verifier;
    use proptest::prelude::*;

    fn name(text: &str) -> RoleName {
        text.parse().unwrap()
    }

    #[test]
    fn a_new_user_gets_attributes_password_and_memberships() {
        let wanted = ExtraRoles::parse("superuser,admin").unwrap();
        let made = verifier("p", &[0; 16], 1);
        let changes = user_changes(&name("relation_id_4"), None, &wanted, Some(&made));
        insta::assert_snapshot!(changes.join("\n"), @r#"
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
        assert_eq!(changes, ["ALTER ROLE \"u\" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE"]);
    }

    #[test]
    fn only_memberships_that_were_asked_for_before_end() {
        let roles = |list: &str| ExtraRoles::parse(list).unwrap().member_of;
        let state = RoleState { member_of: roles("a,b,c"), ..RoleState::default() };
        let wanted = ExtraRoles::parse("b").unwrap();
        assert_eq!(left(&name("u"), &state, &wanted, &roles("a,b,d")), ["REVOKE \"a\" FROM \"u\""]);
    }

    #[test]
    fn access_groups_are_made_once() {
        let present: Vec<String> = ["operator", "replication"].map(str::to_owned).to_vec();
        insta::assert_snapshot!(create_access_groups(&present).join("\n"), @r#"
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
            for statement in drop_owned(&name).into_iter().skip(1).chain([drop_user(&name)]) {
                prop_assert!(statement.contains(&name.quoted()));
                let outside = statement.replacen(&name.quoted(), "", 1);
                prop_assert!(!outside.contains('"'));
                prop_assert!(!outside.contains(';'));
            }
        }
    }
}
