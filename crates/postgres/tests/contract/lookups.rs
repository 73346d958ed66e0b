//! The function with which a pooler authenticates a client.

use postgres::sql::{self, OnLookup, Query, Statement};
use postgres::{DatabaseName, Error, Owner, scram};

use super::{FORBIDDEN, Far, NO_ROLE, code, database, role, user};

/// What a pooler's lookup finds for a user: its verifiers, or the code of a refusal.
async fn finds(
    far: &Far,
    (caller, owner): (&str, &str),
    base: &DatabaseName,
    wanted: &str,
) -> Result<Vec<String>, String> {
    let session = far.session(caller, caller, base.as_str()).await;
    let refused =
        |failure: postgres::Failure| failure.code().map_or(failure.to_string(), str::to_owned);
    let session = session.map_err(refused)?;
    let query = Query::LookUp { schema: owner, wanted };
    let rows = session.query(query).await.map_err(refused)?;
    assert!(rows.iter().all(|row| row[0].as_deref() == Some(wanted)));
    Ok(rows.into_iter().filter_map(|mut row| row.remove(1)).collect())
}

/// The pooler finds who may log in and is no superuser, but those that it may.
pub(crate) async fn a_lookup_shows_ordinary_roles(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    let (shop, pooler) = (database("shop"), "pool \"er");
    for (name, roles) in [("app", ""), ("boss", "superuser"), ("chief", "superuser"), (pooler, "")]
    {
        operator.ensure_user(&user(name, roles)).await?;
    }
    operator.ensure_database(&shop, &role("app"), Owner::Sole).await?;
    assert!(!operator.has_auth_function(&shop, &role(pooler)).await?);
    assert_eq!(far.knocks(pooler, pooler, "shop").await, FORBIDDEN);
    for shown in [&[][..], &[role("boss"), role("nobody")]] {
        for _ in 0..2 {
            operator.install_auth_function(&shop, &role(pooler), shown).await?;
        }
        assert!(operator.has_auth_function(&shop, &role(pooler)).await?);
        let look = async |wanted: &str| finds(far, (pooler, pooler), &shop, wanted).await;
        let found = look("app").await;
        assert!(found.is_ok_and(|found| found.len() == 1 && scram::matches(&found[0], "app")));
        let boss = look("boss").await.map(|found| found.len());
        assert_eq!(boss, Ok(usize::from(!shown.is_empty())));
        for hidden in ["chief", "operator", "admin", "nobody", pooler] {
            assert_eq!(look(hidden).await, Ok(vec![]), "{hidden}");
        }
    }
    let stranger = operator.install_auth_function(&shop, &role("stranger"), &[]).await;
    assert_eq!(code(stranger), NO_ROLE);
    Ok(())
}

/// What a person takes from a lookup is seen, and made again.
pub(crate) async fn a_lookup_that_lacks_something_is_seen(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    let (shop, pooler) = (database("shop"), role("pooler"));
    for name in ["app", "pooler", "boss"] {
        operator.ensure_user(&user(name, "")).await?;
    }
    operator.ensure_database(&shop, &role("app"), Owner::Sole).await?;
    let inside = operator.in_database(&shop).await?;
    let seen = async || Ok::<_, Error>(inside.facts(&pooler).await?.lookup);
    assert_eq!(seen().await?, None);
    let shown = [role("boss")];
    let body = sql::lookup_body(&pooler, &shown);
    assert_ne!(body, sql::lookup_body(&pooler, &[]));
    let on = |does| Statement::Lookup { user: pooler.clone(), does };
    for damage in [
        on(OnLookup::DropSchema),
        on(OnLookup::Drop),
        on(OnLookup::CloseSchema),
        on(OnLookup::Close),
        Statement::RevokeConnect { database: shop.clone(), from: pooler.clone() },
    ] {
        operator.install_auth_function(&shop, &pooler, &shown).await?;
        assert_eq!(seen().await?.as_ref(), Some(&body), "before {}", damage.sql());
        let what = damage.sql();
        assert_eq!(far.runs("shop", &[damage]).await, Ok(()), "{what}");
        assert_eq!(seen().await?, None, "{what}");
    }
    Ok(())
}

/// No other role may look up, not even the database's owner.
pub(crate) async fn a_lookup_is_for_its_user_alone(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    let shop = database("shop");
    for name in ["app", "pooler", "other"] {
        operator.ensure_user(&user(name, "")).await?;
    }
    operator.ensure_database(&shop, &role("app"), Owner::Sole).await?;
    operator.install_auth_function(&shop, &role("pooler"), &[]).await?;
    operator.install_auth_function(&shop, &role("other"), &[]).await?;
    let found = finds(far, ("other", "other"), &shop, "app").await;
    assert_eq!(found.map(|found| found.len()), Ok(1));
    for caller in ["app", "other"] {
        let refused = finds(far, (caller, "pooler"), &shop, "app").await;
        assert_eq!(refused, Err(FORBIDDEN.to_owned()), "{caller}");
    }
    Ok(())
}

/// A lookup is taken out of one database and stays in the others.
pub(crate) async fn a_lookup_goes_with_its_database_only(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    let (shop, farm, pooler) = (database("shop"), database("farm"), role("pooler"));
    for name in ["app", "pooler"] {
        operator.ensure_user(&user(name, "")).await?;
    }
    for base in [&shop, &farm] {
        operator.ensure_database(base, &role("app"), Owner::Sole).await?;
        operator.install_auth_function(base, &pooler, &[]).await?;
    }
    for _ in 0..2 {
        operator.uninstall_auth_function(&shop, &pooler).await?;
    }
    operator.uninstall_auth_function(&database("nowhere"), &pooler).await?;
    operator.uninstall_auth_function(&shop, &role("nobody")).await?;
    assert!(!operator.has_auth_function(&shop, &pooler).await?);
    assert!(operator.has_auth_function(&farm, &pooler).await?);
    assert_eq!(far.knocks("pooler", "pooler", "shop").await, FORBIDDEN);
    let found = finds(far, ("pooler", "pooler"), &farm, "app").await;
    assert_eq!(found.map(|found| found.len()), Ok(1));
    // Another client takes over what is in the database, and the lookup is none of that.
    operator.ensure_user(&user("next", "")).await?;
    operator.ensure_database(&farm, &role("next"), Owner::Sole).await?;
    let found = finds(far, ("pooler", "pooler"), &farm, "next").await;
    assert_eq!(found.map(|found| found.len()), Ok(1));
    Ok(())
}
