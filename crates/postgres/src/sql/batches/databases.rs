//! Statements on databases, in the order in which they run.

use crate::sql::Statement;
use crate::{DatabaseName, RoleName};

/// Closes a database to PUBLIC and opens it to `users`.
pub fn grant_database(name: &DatabaseName, users: &[RoleName]) -> Vec<Statement> {
    let open = users
        .iter()
        .map(|user| Statement::GrantDatabase { database: name.clone(), to: user.clone() });
    [Statement::CloseDatabase(name.clone())].into_iter().chain(open).collect()
}

/// Closes the database `postgres` to clients; `system_users` are those that exist.
pub fn set_up_postgres_database(system_users: &[RoleName]) -> Vec<Statement> {
    let mut statements = grant_database(&DatabaseName::constant("postgres"), system_users);
    statements.insert(1, Statement::ClosePublicSchema);
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_closed_before_it_is_opened() {
        let name: DatabaseName = "shop \"b\"".parse().unwrap();
        let users = ["relation_id_4".parse().unwrap(), "admin".parse().unwrap()];
        let mut statements = vec![Statement::CreateDatabase(name.clone())];
        statements.extend(grant_database(&name, &users));
        insta::assert_snapshot!(crate::sql::text(&statements).replace(";\n", "\n"), @r#"
        CREATE DATABASE "shop ""b"""
        REVOKE ALL PRIVILEGES ON DATABASE "shop ""b""" FROM PUBLIC
        GRANT ALL PRIVILEGES ON DATABASE "shop ""b""" TO "relation_id_4"
        GRANT ALL PRIVILEGES ON DATABASE "shop ""b""" TO "admin"
        "#);
    }
}
