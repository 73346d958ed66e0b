//! What keeps clients out of what is not theirs.

use postgres::{Error, Owner, User};

use super::{FORBIDDEN, Far, database, role, user};

/// The template of new databases is closed once and again, and who was in it holds nobody up.
pub(crate) async fn the_template_holds_nobody_up(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    operator.ensure_user(&user("app", "")).await?;
    for _ in 0..2 {
        operator.close_shared_databases().await?;
    }
    assert_eq!(far.knocks("app", "app", "template1").await, FORBIDDEN);
    assert_eq!(far.knocks("app", "app", "postgres").await, FORBIDDEN);
    let opened = ["GRANT CONNECT ON DATABASE \"template1\" TO PUBLIC".to_owned()];
    assert_eq!(far.runs("postgres", &opened).await, Ok(()));
    let session = far.login("app", "app", "template1").await?;
    operator.ensure_user(&user("next", "")).await?;
    operator.ensure_database(&database("shop"), &role("next"), Owner::Sole).await?;
    drop(session);
    assert_eq!(far.knocks("next", "next", "shop").await, "");
    operator.close_shared_databases().await?;
    assert_eq!(far.knocks("next", "next", "template1").await, FORBIDDEN);
    operator.delete_user(&role("app")).await?;
    assert!(!operator.role_exists(&role("app")).await?);
    Ok(())
}

/// A role by which its member would be somebody else is granted to nobody.
pub(crate) async fn roles_make_nobody_somebody_else(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    let groups = [
        "CREATE ROLE \"bob\" LOGIN",
        "CREATE ROLE \"root\" SUPERUSER",
        "CREATE ROLE \"team\" NOLOGIN",
        "CREATE ROLE \"readers\" NOLOGIN",
        "GRANT \"bob\" TO \"team\"",
    ];
    assert_eq!(far.runs("postgres", &groups.map(str::to_owned)).await, Ok(()));
    for (asked, is) in [("bob", "bob"), ("root", "root"), ("team", "bob")] {
        let refused = operator.ensure_user(&user("app", asked)).await.err();
        let words = refused.as_ref().and_then(Error::refused_roles).map(str::to_owned);
        assert_eq!(words.as_deref(), Some(asked));
        let told = refused.is_some_and(|error| error.to_string().contains(&format!("comes {is},")));
        assert!(told, "{asked}");
        assert!(!operator.role_exists(&role("app")).await?);
    }
    operator.ensure_user(&user("app", "readers")).await
}

/// Memberships that were asked for go with the wish, others stay.
pub(crate) async fn memberships_go_with_the_wish(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    let groups = ["keepers", "readers"].map(|name| format!("CREATE ROLE \"{name}\" NOLOGIN"));
    assert_eq!(far.runs("postgres", &groups).await, Ok(()));
    for (group, base) in [("keepers", "kept"), ("readers", "read")] {
        operator.ensure_database(&database(base), &role(group), Owner::Sole).await?;
    }
    operator.ensure_user(&user("app", "readers")).await?;
    let by_hand = ["GRANT \"keepers\" TO \"app\"".to_owned()];
    assert_eq!(far.runs("postgres", &by_hand).await, Ok(()));
    assert_eq!(far.knocks("app", "app", "read").await, "");
    for _ in 0..2 {
        let former = vec![role("readers")];
        operator.ensure_user(&User { former, ..user("app", "") }).await?;
    }
    assert_eq!(far.knocks("app", "app", "read").await, FORBIDDEN);
    assert_eq!(far.knocks("app", "app", "kept").await, "");
    Ok(())
}

/// Users of clients are taken out of each other.
pub(crate) async fn users_are_parted(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    for name in ["one", "two"] {
        operator.ensure_user(&user(name, "")).await?;
        operator.ensure_database(&database(name), &role(name), Owner::Sole).await?;
    }
    let joined = ["GRANT \"one\" TO \"two\"".to_owned()];
    assert_eq!(far.runs("postgres", &joined).await, Ok(()));
    assert_eq!(far.knocks("two", "two", "one").await, "");
    for _ in 0..2 {
        operator.part_users().await?;
    }
    assert_eq!(far.knocks("two", "two", "one").await, FORBIDDEN);
    assert_eq!(far.knocks("two", "two", "two").await, "");
    Ok(())
}
