//! Databases, what is in them, and what the server says of itself.

use postgres::sql::{Query, Statement};
use postgres::{Error, Owner};

use super::{FORBIDDEN, Far, code, database, role, user};

/// A client gets into its database, into those that are open to all, and into no other.
pub(crate) async fn databases_are_closed_to_others(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    let (shop, farm) = (database("shop"), database("fa'r\"m"));
    for (name, roles) in [("one", ""), ("two", ""), ("guest", ""), ("head", "admin")] {
        operator.ensure_user(&user(name, roles)).await?;
    }
    for _ in 0..2 {
        operator.ensure_database(&shop, &role("one"), Owner::Sole).await?;
        operator.ensure_database(&farm, &role("two"), Owner::Sole).await?;
        operator.ensure_database(&shop, &role("guest"), Owner::Shared).await?;
    }
    for (name, base, expected) in [
        ("one", &shop, ""),
        ("guest", &shop, ""),
        ("head", &shop, ""),
        ("two", &shop, FORBIDDEN),
        ("two", &farm, ""),
        ("head", &farm, ""),
        ("one", &farm, FORBIDDEN),
        ("guest", &farm, FORBIDDEN),
    ] {
        assert_eq!(far.knocks(name, name, base.as_str()).await, expected, "{name} in {base}");
    }
    assert!(operator.database_exists(&farm).await?);
    assert!(!operator.database_exists(&database("nowhere")).await?);
    let mut all = vec![farm, database("postgres"), shop.clone()];
    assert_eq!(operator.databases().await?, all);
    all.push(database("template1"));
    assert_eq!(operator.all_databases().await?, all);
    let again = far.runs("postgres", &[Statement::CreateDatabase(shop.clone())]).await;
    assert_eq!(again, Err("42P04".to_owned()));
    let nobody = operator.ensure_database(&shop, &role("nobody"), Owner::Sole).await;
    assert_eq!(code(nobody), super::NO_ROLE);
    Ok(())
}

/// A superuser needs no right to enter.
pub(crate) async fn a_superuser_enters_where_nobody_else_may(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    operator.ensure_user(&user("one", "")).await?;
    operator.ensure_user(&user("boss", "superuser")).await?;
    operator.ensure_database(&database("shop"), &role("one"), Owner::Sole).await?;
    for base in ["shop", "postgres", "template1"] {
        assert_eq!(far.knocks("boss", "boss", base).await, "");
        assert_eq!(far.knocks("operator", &far.password, base).await, "");
    }
    assert_eq!(far.knocks("boss", "boss", "nowhere").await, super::NO_DATABASE);
    let inside = operator.in_database(&database("shop")).await?;
    inside.facts(&role("one")).await?;
    assert!(operator.in_database(&database("nowhere")).await.is_err());
    Ok(())
}

/// Extensions belong to one database, and new ones begin with those of the template.
pub(crate) async fn extensions_come_and_go(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    assert!(operator.available_extensions().await?.iter().any(|name| name == "hstore"));
    assert_eq!(operator.extensions().await?, ["plpgsql"]);
    let template = operator.in_database(&database("template1")).await?;
    for _ in 0..2 {
        operator.create_extension("hstore").await?;
        template.create_extension("citext").await?;
    }
    assert_eq!(operator.extensions().await?, ["hstore", "plpgsql"]);
    drop(template);
    operator.ensure_user(&user("one", "")).await?;
    operator.ensure_database(&database("shop"), &role("one"), Owner::Sole).await?;
    let inside = operator.in_database(&database("shop")).await?;
    assert_eq!(inside.extensions().await?, ["citext", "plpgsql"]);
    for _ in 0..2 {
        operator.drop_extension("hstore").await?;
    }
    assert_eq!(operator.extensions().await?, ["plpgsql"]);
    assert_eq!(code(operator.create_extension("no such").await), "0A000");
    Ok(())
}

/// A primary reports its version, its connections, its timeline and whether it knows a role.
pub(crate) async fn the_server_tells_its_facts(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    let facts = operator.facts(&role("app")).await?;
    assert_eq!((facts.knows_role, facts.timeline), (false, Some(1)));
    assert!(facts.version.major >= 14 && facts.for_clients < facts.max_connections);
    assert_eq!(operator.server_version().await?, facts.version);
    operator.ensure_user(&user("app", "")).await?;
    assert!(operator.facts(&role("app")).await?.knows_role);
    Ok(())
}

/// A session holds what it was made with, whatever else there is.
pub(crate) async fn sessions_are_pinned(far: &Far) -> Result<(), Error> {
    let operator = far.operator().await?;
    operator.ensure_user(&user("app", "")).await?;
    operator.ensure_database(&database("shop"), &role("app"), Owner::Sole).await?;
    for (name, password) in [("operator", far.password.as_str()), ("app", "app")] {
        let session = far.session(name, password, "shop").await.unwrap();
        for (setting, value) in [
            ("search_path", "pg_catalog,pg_temp"),
            ("role", "none"),
            ("row_security", "off"),
            ("local_preload_libraries", ""),
        ] {
            let shown = session.query(Query::Setting(setting)).await.unwrap();
            assert_eq!(shown, [[Some(value.to_owned())]], "{setting}");
        }
    }
    Ok(())
}
