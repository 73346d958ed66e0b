//! A server that follows a primary.

use postgres::{Error, Owner, SEGMENT};

use super::{Far, WRONG_PASSWORD, code, database, role, user};

/// What may not be written where only a primary writes.
const READ_ONLY: &str = "25006";

/// A standby accepts the logins that the primary accepts, answers, and takes no writes; waiting
/// helps, for it may lead soon, or the service lead to another.
pub(crate) async fn a_standby_takes_no_writes(far: &Far) -> Result<(), Error> {
    assert_eq!(far.knocks("operator", "wrong", "postgres").await, WRONG_PASSWORD);
    let operator = far.login("operator", &far.password, "postgres").await?;
    let facts = operator.facts(&role("nobody")).await?;
    assert_eq!((facts.knows_role, facts.timeline), (false, None));
    let oldest = operator.oldest_log().await?;
    assert!(oldest.is_some_and(|at| at > 0 && at % SEGMENT == 0), "{oldest:?}");
    // Each begins with its own copy of the catalogue.
    let size = operator.databases_size().await?;
    assert!(size.is_some_and(|bytes| bytes > 1 << 20), "{size:?}");
    let roles = operator.roles().await?;
    assert!(roles.iter().any(|name| name == "operator"));
    let made = operator.ensure_user(&user("app", "")).await;
    assert!(made.as_ref().is_err_and(Error::is_transient), "{made:?}");
    assert_eq!(code(made), READ_ONLY);
    let base = database("new");
    let made = operator.ensure_database(&base, &role("operator"), Owner::Sole).await;
    assert_eq!(code(made), READ_ONLY);
    assert_eq!(code(operator.create_extension("hstore").await), READ_ONLY);
    let next = "next".to_owned().into();
    assert_eq!(code(operator.set_password(&role("operator"), &next, &[1; 16]).await), READ_ONLY);
    assert_eq!(operator.roles().await?, roles);
    Ok(())
}
