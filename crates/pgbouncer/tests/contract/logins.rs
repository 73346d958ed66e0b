//! Who gets in.

use postgres::sql;

use super::{Failure, Far, LOOKUP, PORT, list};

/// Names in the user list and those that the server knows; no user logs in with another's password.
pub(crate) async fn clients_prove_who_they_are(far: &Far<'_>) -> Result<(), Failure> {
    let odd = "o'\"r; --";
    far.populate("suite_shop", &["suite_app", odd]).await?;
    far.populate("suite_farm", &["suite_farmer"]).await?;
    far.operator
        .ensure_database(&"suite_shop".parse()?, &odd.parse()?, postgres::Owner::Shared)
        .await?;
    let databases = far.entries(&["suite_shop", "suite_farm"])
        + &far.entry("renamed", " dbname=suite_shop")
        + &far.entry("through", " dbname=suite_shop auth_dbname=suite_farm")
        + &format!("unasked = host={} port=5432 dbname=suite_shop\n", far.server)
        + &format!("stranger = host={} dbname=suite_shop auth_user=suite_stranger\n", far.server);
    far.begin(&databases, "").await?;
    far.await_knocks(
        PORT,
        &[
            ("suite_app", "suite_app", "suite_shop", true),
            ("suite_app", "wrong", "suite_shop", false),
            ("suite_app", "", "suite_shop", false),
            (odd, odd, "suite_shop", true),
            (odd, "suite_app", "suite_shop", false),
            ("nobody", "nobody", "suite_shop", false),
            ("suite_farmer", "suite_farmer", "suite_farm", true),
            ("suite_app", "suite_app", "suite_farm", false),
            ("suite_farmer", "suite_farmer", "suite_shop", false),
            ("suite_app", "suite_app", "renamed", true),
            ("suite_app", "suite_app", "through", true),
            ("suite_app", "wrong", "through", false),
            ("suite_app", "suite_app", "nowhere", false),
            ("suite_app", "suite_app", "unasked", false),
            ("suite_app", "suite_app", "stranger", false),
            // The lookup's own user is listed, and has its rights only.
            (LOOKUP, LOOKUP, "suite_shop", true),
            (LOOKUP, "wrong", "suite_shop", false),
        ],
    )
    .await?;
    // A user listed with a verifier can log in, but opens no server with another verifier.
    let made = |salt| postgres::scram::verifier("suite_app", &[salt; 16], 4096);
    let listed = format!("{}\n\"suite_app\" \"{}\"", list(), made(7).expose());
    far.write(&format!("{databases}{}", super::settings(PORT)), &listed).await?;
    far.pebble.signal("SIGHUP", &["suite"]).await?;
    far.stop("suite").await?;
    assert!(far.starts("suite", &super::ini()).await?);
    far.await_knocks(
        PORT,
        &[
            ("suite_farmer", "suite_farmer", "suite_farm", true),
            ("suite_app", "suite_app", "suite_shop", false),
        ],
    )
    .await?;
    far.stop("suite").await
}

/// A wildcard leads to databases that have no entry; where passwords are looked up is said once.
pub(crate) async fn a_wildcard_leads_to_every_database(far: &Far<'_>) -> Result<(), Failure> {
    far.populate("suite_shop", &["suite_app"]).await?;
    far.populate("suite_farm", &["suite_farmer"]).await?;
    far.operator
        .ensure_database(&"suite_open".parse()?, &"suite_app".parse()?, postgres::Owner::Sole)
        .await?;
    // A lookup in one database serves all, also those in which there is none.
    let lookup = far.entry("lookup", " dbname=suite_farm");
    let once = "auth_dbname = lookup\n";
    far.begin(&format!("{}{lookup}{}", far.entries(&["suite_shop"]), far.entry("*", "")), once)
        .await?;
    far.await_knocks(
        PORT,
        &[
            ("suite_app", "suite_app", "suite_shop", true),
            ("suite_app", "suite_app", "suite_open", true),
            ("suite_app", "wrong", "suite_open", false),
            ("suite_app", "suite_app", "suite_nowhere", false),
            ("suite_app", "suite_app", "suite_farm", false),
            ("suite_farmer", "suite_farmer", "suite_farm", true),
            ("suite_farmer", "suite_farmer", "suite_open", false),
            ("suite_farmer", "suite_farmer", "lookup", true),
            ("suite_app", "suite_app", "lookup", false),
        ],
    )
    .await?;
    far.stop("suite").await?;
    // Without it passwords are looked up where the client goes.
    far.begin(&format!("{}{}", far.entries(&["suite_shop"]), far.entry("*", "")), "").await?;
    far.await_knocks(
        PORT,
        &[
            ("suite_app", "suite_app", "suite_shop", true),
            ("suite_farmer", "suite_farmer", "suite_farm", true),
            ("suite_app", "suite_app", "suite_open", false),
        ],
    )
    .await?;
    far.stop("suite").await
}

/// The console opens to the users that the settings name, with the password that is listed.
pub(crate) async fn the_console_has_its_own_users(far: &Far<'_>) -> Result<(), Failure> {
    far.populate("suite_shop", &["suite_app"]).await?;
    far.begin(&format!("{}{}", far.entries(&["suite_shop"]), far.entry("*", "")), "").await?;
    far.await_knocks(
        PORT,
        &[
            ("console", "co\"nsole", "pgbouncer", true),
            ("console", "co", "pgbouncer", false),
            ("looker", "looker", "pgbouncer", true),
            ("looker", "wrong", "pgbouncer", false),
            (LOOKUP, LOOKUP, "pgbouncer", false),
            ("suite_app", "suite_app", "pgbouncer", false),
            ("suite_app", "suite_app", "suite_shop", true),
            // Listed, but unknown to the server.
            ("console", "co\"nsole", "suite_shop", false),
        ],
    )
    .await?;
    far.stop("suite").await
}

/// A new password counts at once, and who may not log in or is gone gets in no more.
pub(crate) async fn what_the_server_refuses_is_refused(far: &Far<'_>) -> Result<(), Failure> {
    let users = ["suite_app", "suite_gone", "suite_shut"];
    far.populate("suite_shop", &users).await?;
    for name in &users[1..] {
        let base = "suite_shop".parse()?;
        far.operator.ensure_database(&base, &name.parse()?, postgres::Owner::Shared).await?;
    }
    far.begin(&far.entries(&["suite_shop"]), "").await?;
    for name in users {
        far.await_knocks(PORT, &[(name, name, "suite_shop", true)]).await?;
    }
    let next = "next".to_owned().into();
    far.operator.set_password(&"suite_app".parse()?, &next, &[6; 16]).await?;
    far.operator.delete_user(&"suite_gone".parse()?).await?;
    far.operator.delete_user(&"suite_shut".parse()?).await?;
    far.await_knocks(
        PORT,
        &[
            ("suite_app", "next", "suite_shop", true),
            ("suite_app", "suite_app", "suite_shop", false),
            ("suite_gone", "suite_gone", "suite_shop", false),
            ("suite_shut", "suite_shut", "suite_shop", false),
        ],
    )
    .await?;
    // Without its lookup no user is found, also one that was logged in before.
    let lookup = LOOKUP.parse()?;
    far.operator.uninstall_auth_function(&"suite_shop".parse()?, &lookup).await?;
    assert_eq!(sql::LOOKUP_FUNCTION, "get_auth");
    far.stop("suite").await?;
    far.begin(&far.entries(&["suite_shop"]), "").await?;
    far.await_knocks(PORT, &[("suite_app", "next", "suite_shop", false)]).await?;
    far.stop("suite").await
}
