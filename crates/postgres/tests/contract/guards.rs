//! What keeps clients out of what is not theirs.

use postgres::sql::{Attributes, Statement};
use postgres::{Error, Owner, User};

use super::{DEPENDED_ON, FORBIDDEN, Far, database, role, user};

fn group(name: &str) -> Statement {
    Statement::CreateGroup(role(name))
}

fn login(name: &str, roles: &str) -> Statement {
    let User { name, roles, .. } = user(name, roles);
    let verifier = postgres::scram::verifier(name.as_str(), &[1; 16], 1);
    Statement::CreateUser { name, attributes: Attributes::from(&roles), verifier }
}

fn join(name: &str, to: &str) -> Statement {
    Statement::GrantRole { role: role(name), to: role(to) }
}

/// The template of new databases is closed once and again, and sessions in it hold nothing up.
pub(crate) async fn the_template_holds_nobody_up(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    operator.ensure_user(&user("app", "")).await?;
    for _ in 0..2 {
        operator.close_shared_databases().await?;
    }
    assert_eq!(far.knocks("app", "app", "template1").await, FORBIDDEN);
    assert_eq!(far.knocks("app", "app", "postgres").await, FORBIDDEN);
    let opened = [Statement::OpenDatabase(database("template1"))];
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

/// A role with which its member could become another user is not granted.
pub(crate) async fn roles_make_nobody_somebody_else(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    let groups = [
        login("bob", ""),
        login("root", "superuser"),
        Statement::ForbidLogin(role("root")),
        group("team"),
        group("readers"),
        join("bob", "team"),
    ];
    assert_eq!(far.runs("postgres", &groups).await, Ok(()));
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
    let groups = ["keepers", "readers"].map(group);
    assert_eq!(far.runs("postgres", &groups).await, Ok(()));
    for (group, base) in [("keepers", "kept"), ("readers", "read")] {
        operator.ensure_database(&database(base), &role(group), Owner::Sole).await?;
    }
    operator.ensure_user(&user("app", "readers")).await?;
    let by_hand = [join("keepers", "app")];
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
pub(crate) async fn user_memberships_are_revoked(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    for name in ["one", "two"] {
        operator.ensure_user(&user(name, "")).await?;
        operator.ensure_database(&database(name), &role(name), Owner::Sole).await?;
    }
    let joined = [join("one", "two")];
    assert_eq!(far.runs("postgres", &joined).await, Ok(()));
    assert_eq!(far.knocks("two", "two", "one").await, "");
    for _ in 0..2 {
        operator.revoke_user_memberships().await?;
    }
    assert_eq!(far.knocks("two", "two", "one").await, FORBIDDEN);
    assert_eq!(far.knocks("two", "two", "two").await, "");
    Ok(())
}

/// Only superusers are members of a client's user, whichever role made it and whenever.
pub(crate) async fn nobody_is_a_member_of_a_user(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    operator.ensure_user(&user("app", "createrole")).await?;
    let made = [
        group("next"),
        group("between"),
        login("root", "superuser"),
        Statement::ForbidLogin(role("root")),
        join("next", "between"),
        join("between", "app"),
        join("next", "app"),
        join("next", "root"),
    ];
    assert_eq!(far.runs("postgres", &made).await, Ok(()));
    operator.ensure_user(&user("next", "superuser")).await?;
    assert_eq!(far.groups("app").await, ["between", "relation_access"]);
    assert_eq!(far.groups("between").await, [""; 0]);
    let again = [join("next", "app")];
    assert_eq!(far.runs("postgres", &again).await, Ok(()));
    for _ in 0..2 {
        operator.ensure_user(&user("next", "")).await?;
        assert_eq!(far.groups("app").await, ["between", "relation_access"]);
        assert_eq!(far.groups("root").await, ["next"]);
    }
    Ok(())
}

/// Users of clients are taken out of each other at whichever remove, and out of the server's own
/// rights.
pub(crate) async fn user_memberships_are_revoked_at_any_remove(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    for name in ["one", "two"] {
        operator.ensure_user(&user(name, "")).await?;
        operator.ensure_database(&database(name), &role(name), Owner::Sole).await?;
    }
    let joined = [
        group("between"),
        join("one", "between"),
        join("between", "two"),
        join("pg_read_server_files", "two"),
        join("pg_monitor", "two"),
    ];
    assert_eq!(far.runs("postgres", &joined).await, Ok(()));
    assert_eq!(far.knocks("two", "two", "one").await, "");
    for _ in 0..2 {
        operator.revoke_user_memberships().await?;
        assert_eq!(far.knocks("two", "two", "one").await, FORBIDDEN);
        assert_eq!(far.groups("two").await, ["between", "pg_monitor", "relation_access"]);
        assert_eq!(far.groups("between").await, [""; 0]);
    }
    Ok(())
}

/// What a client was given on a member of an extension goes, and nothing else that it has.
pub(crate) async fn clients_have_nothing_on_extensions(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    let shop = database("shop");
    for name in ["app", "guest"] {
        operator.ensure_user(&user(name, "")).await?;
    }
    operator.ensure_database(&shop, &role("app"), Owner::Sole).await?;
    let inside = operator.in_database(&shop).await?;
    inside.create_extension("hstore").await?;
    let routine = "\"public\".\"akeys\"(\"public\".\"hstore\")";
    let given = ["app", "guest"]
        .map(|name| Statement::GrantRoutine { routine: routine.to_owned(), to: role(name) });
    assert_eq!(far.runs("shop", &given).await, Ok(()));
    let drop_guest = [Statement::DropRole(role("guest"))];
    assert_eq!(far.runs("postgres", &drop_guest).await, Err(DEPENDED_ON.to_owned()));
    for _ in 0..2 {
        inside.guard_extensions().await?;
    }
    assert_eq!(far.runs("postgres", &drop_guest).await, Ok(()));
    assert_eq!(far.knocks("app", "app", "shop").await, "");
    Ok(())
}
