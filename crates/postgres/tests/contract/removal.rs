//! Roles that go, and what stands in their way.

use postgres::sql::{self, Statement};
use postgres::{Error, Owner, User};

use super::{DEPENDED_ON, FORBIDDEN, Far, WRONG_PASSWORD, database, role, user};

/// A role that owns something, or has a right somewhere, does not go; rights on databases are
/// shared, what is owned is of one database.
pub(crate) async fn a_role_goes_when_nothing_depends_on_it(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    let drop_role = |name: &str| [Statement::DropRole(role(name))];
    let depended = || Err(DEPENDED_ON.to_owned());
    for name in ["app", "guest", "pooler"] {
        operator.ensure_user(&user(name, "")).await?;
    }
    let shop = database("shop");
    operator.ensure_database(&shop, &role("app"), Owner::Sole).await?;
    operator.ensure_database(&shop, &role("guest"), Owner::Shared).await?;
    operator.install_auth_function(&shop, &role("pooler"), &[]).await?;
    for name in ["app", "guest", "pooler"] {
        assert_eq!(far.runs("postgres", &drop_role(name)).await, depended(), "{name}");
        assert_eq!(far.runs("postgres", &sql::drop_owned(&role(name))).await, Ok(()));
        assert_eq!(far.knocks(name, name, "shop").await, FORBIDDEN);
        assert_eq!(far.runs("postgres", &drop_role(name)).await, depended(), "{name}");
        assert_eq!(far.runs("shop", &sql::drop_owned(&role(name))).await, Ok(()));
        assert_eq!(far.runs("postgres", &drop_role(name)).await, Ok(()), "{name}");
        assert_eq!(far.runs("postgres", &drop_role(name)).await, Ok(()));
    }
    assert_eq!(far.runs("shop", &sql::drop_owned(&role("app"))).await, Err("42704".to_owned()));
    assert_eq!(
        far.runs("postgres", &sql::forbid_login(&role("app"))).await,
        Err("42704".to_owned())
    );
    Ok(())
}

/// A user goes with its rights, its sessions and its password; its database stays, and the next
/// client takes it over.
pub(crate) async fn users_go(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    let (shop, before) = (database("shop"), operator.roles().await?);
    operator.ensure_user(&user("app", "createdb")).await?;
    operator.ensure_database(&shop, &role("app"), Owner::Sole).await?;
    let session = far.login("app", "app", "shop").await?;
    for _ in 0..2 {
        operator.delete_user(&role("app")).await?;
    }
    assert_eq!(operator.roles().await?, before);
    let gone = session.server_version().await.err();
    assert!(gone.is_some_and(|error| error.is_transient()), "the session goes on");
    assert_eq!(far.knocks("app", "app", "shop").await, WRONG_PASSWORD);
    operator.ensure_user(&user("app", "")).await?;
    assert_eq!(far.knocks("app", "app", "shop").await, FORBIDDEN);
    operator.ensure_database(&shop, &role("app"), Owner::Sole).await?;
    assert_eq!(far.knocks("app", "app", "shop").await, "");
    Ok(())
}

/// Roles held by another go with it, with their lookups; others stay.
pub(crate) async fn tied_roles_go_too(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    let (shop, before) = (database("shop"), operator.roles().await?);
    operator.ensure_user(&user("boss", "superuser")).await?;
    operator.ensure_user(&user("boss2", "superuser")).await?;
    let boss = far.login("boss", "boss", "postgres").await?;
    let held = |name: &str| User { holder: Some(role("boss")), ..user(name, "") };
    for _ in 0..2 {
        boss.ensure_user(&held("app")).await?;
        boss.ensure_user(&held("pooler")).await?;
        boss.ensure_user(&User { holder: Some(role("boss2")), ..user("kept", "") }).await?;
        boss.ensure_database(&shop, &role("app"), Owner::Sole).await?;
        boss.install_auth_function(&shop, &role("pooler"), &[]).await?;
    }
    assert_eq!(boss.facts(&role("kept")).await?.held_roles, ["app", "pooler"]);
    assert_eq!(operator.facts(&role("kept")).await?.held_roles, [""; 0]);
    operator.delete_user(&role("boss")).await?;
    assert!(!operator.has_auth_function(&shop, &role("pooler")).await?);
    operator.delete_user(&role("boss")).await?;
    let left: Vec<String> =
        operator.roles().await?.into_iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(left, ["boss2", "kept"]);
    assert_eq!(far.knocks("kept", "kept", "template1").await, "");
    Ok(())
}
