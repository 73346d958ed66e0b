//! Who gets in, and what roles may do.

use postgres::sql::{self, Attributes, Statement};
use postgres::{Error, User};

use super::{FORBIDDEN, Far, NO_DATABASE, NO_LOGIN, NO_ROLE, WRONG_PASSWORD, code, role, user};

/// Who has no password that fits learns nothing else; who has it learns why not.
pub(crate) async fn logins_are_refused(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    operator.ensure_user(&user("app", "")).await?;
    assert_eq!(far.knocks("app", "app", "template1").await, "");
    assert_eq!(far.knocks("app", "wrong", "template1").await, WRONG_PASSWORD);
    assert_eq!(far.knocks("app", "", "template1").await, WRONG_PASSWORD);
    assert_eq!(far.knocks("nobody", "app", "template1").await, WRONG_PASSWORD);
    assert_eq!(far.knocks("admin", "admin", "template1").await, WRONG_PASSWORD);
    assert_eq!(far.knocks("app", "app", "nowhere").await, NO_DATABASE);
    assert_eq!(far.knocks("app", "wrong", "nowhere").await, WRONG_PASSWORD);
    assert_eq!(far.knocks("app", "app", "postgres").await, FORBIDDEN);
    let wrong = far.login("app", "wrong", "template1").await.err();
    assert!(wrong.is_some_and(|error| error.is_wrong_password() && !error.is_transient()));
    assert_eq!(far.runs("postgres", &sql::forbid_login(&role("app"))).await, Ok(()));
    assert_eq!(far.knocks("app", "app", "template1").await, NO_LOGIN);
    assert_eq!(far.knocks("app", "wrong", "template1").await, WRONG_PASSWORD);
    operator.ensure_user(&user("app", "")).await?;
    assert_eq!(far.knocks("app", "app", "template1").await, "");
    Ok(())
}

/// A password changes only where it differs, and the old one is worth nothing then.
pub(crate) async fn passwords_change(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    operator.ensure_user(&user("app", "")).await?;
    let next = User { password: "next \u{2602}".to_owned().into(), ..user("app", "") };
    for _ in 0..2 {
        operator.ensure_user(&next).await?;
    }
    assert_eq!(far.knocks("app", "next \u{2602}", "template1").await, "");
    assert_eq!(far.knocks("app", "app", "template1").await, WRONG_PASSWORD);
    let last = "la'st\\".to_owned().into();
    operator.set_password(&role("app"), &last, &[5; 16]).await?;
    operator.set_password(&role("app"), &last, &[6; 16]).await?;
    assert_eq!(far.knocks("app", "la'st\\", "template1").await, "");
    assert_eq!(code(operator.set_password(&role("nobody"), &last, &[5; 16]).await), NO_ROLE);
    Ok(())
}

/// A user has the roles that were asked for, and no more; it keeps none that is taken away.
pub(crate) async fn users_are_as_wanted(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    operator.ensure_access_groups().await?;
    operator.set_up_postgres_database().await?;
    let mut expected = operator.roles().await?;
    for group in ["admin", "identity_access", "internal_access", "relation_access"] {
        assert!(expected.iter().any(|name| name == group), "{group} is missing");
    }
    let refused = operator.ensure_user(&user("app", "nobody,admin,nothing")).await;
    let words = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(words.contains("do not exist: nobody, nothing"), "{words}");
    assert!(!operator.role_exists(&role("app")).await?);
    operator.ensure_user(&user("app", "")).await?;
    operator.ensure_user(&user("o'\"r; --", "createdb,createrole")).await?;
    operator.ensure_user(&user("head", "admin")).await?;
    expected.extend(["app", "head", "o'\"r; --"].map(str::to_owned));
    expected.sort();
    let mut found = operator.roles().await?;
    found.sort();
    assert_eq!(found, expected);
    // The role `admin` may enter this database, and who is a member may too.
    assert_eq!(far.knocks("head", "head", "postgres").await, "");
    assert_eq!(far.knocks("app", "app", "postgres").await, FORBIDDEN);

    operator.ensure_user(&user("app", "superuser")).await?;
    let app = far.login("app", "app", "postgres").await?;
    app.ensure_user(&user("made", "")).await?;
    operator.ensure_user(&user("app", "")).await?;
    assert_eq!(far.knocks("app", "app", "postgres").await, FORBIDDEN);
    assert_eq!(code(app.ensure_user(&user("more", "")).await), FORBIDDEN);
    let attributes = Attributes::from(&user("app", "").roles);
    let verifier = postgres::scram::verifier("app", &[1; 16], 1);
    let again = [Statement::CreateUser { name: role("app"), attributes, verifier }];
    assert_eq!(far.runs("postgres", &again).await, Err("42710".to_owned()));
    Ok(())
}

/// An ordinary user may ask what the pooler asks first, and may change nothing.
pub(crate) async fn ordinary_users_read_and_change_nothing(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    operator.ensure_user(&user("app", "")).await?;
    operator.ensure_user(&user("other", "")).await?;
    let app = far.login("app", "app", "template1").await?;
    let facts = app.facts(&role("other")).await?;
    assert!(facts.knows_role && facts.for_clients < facts.max_connections);
    assert!(!app.databases().await?.is_empty());
    assert_eq!(code(app.ensure_user(&user("new", "")).await), FORBIDDEN);
    assert_eq!(code(app.ensure_user(&user("other", "superuser")).await), FORBIDDEN);
    assert_eq!(code(app.delete_user(&role("other")).await), FORBIDDEN);
    let session = far.session("app", "app", "template1").await;
    let made = [Statement::CreateDatabase(super::database("mine"))];
    let refused = session.unwrap().execute(&made).await.err();
    assert_eq!(
        refused.and_then(|failure| failure.code().map(str::to_owned)).as_deref(),
        Some(FORBIDDEN)
    );
    assert_eq!(far.knocks("other", "other", "template1").await, "");
    Ok(())
}
