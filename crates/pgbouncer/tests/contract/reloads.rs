//! What a reload takes, and what waits for a start.

use super::consoles::await_shown;
use super::{FOLDER, Failure, Far, LIST, PORT, ini, list, settings};

/// Databases, user lists, who may see the console: a reload takes them.
pub(crate) async fn reloads_take_what_they_can(far: &Far<'_>) -> Result<(), Failure> {
    far.populate("suite_shop", &["suite_app"]).await?;
    far.populate("suite_farm", &["suite_farmer"]).await?;
    far.begin(&far.entries(&["suite_shop"]), "").await?;
    far.await_knocks(
        PORT,
        &[
            ("suite_app", "suite_app", "suite_shop", true),
            ("suite_farmer", "suite_farmer", "suite_farm", false),
        ],
    )
    .await?;
    far.reload(&far.entries(&["suite_shop", "suite_farm"]), "").await?;
    far.await_knocks(PORT, &[("suite_farmer", "suite_farmer", "suite_farm", true)]).await?;

    // A password in another list, by another name.
    let other = "/dev/shm/suite_other";
    far.push(other, &format!("{}\n\"another\" \"another\"", list())).await?;
    let text = settings(PORT).replace("admin_users = console", "admin_users = console,another");
    let text = text.replace("auth_file = /dev/shm/suite\n", &format!("auth_file = {other}\n"));
    far.push(&ini(), &format!("{}{text}", far.entries(&["suite_shop"]))).await?;
    far.pebble.signal("SIGHUP", &["suite"]).await?;
    far.await_knocks(
        PORT,
        &[
            ("another", "another", "pgbouncer", true),
            ("suite_farmer", "suite_farmer", "suite_farm", false),
            ("suite_app", "suite_app", "suite_shop", true),
        ],
    )
    .await?;
    far.stop("suite").await?;
    far.pebble.remove_path(other, false).await?;
    Ok(())
}

/// A port and the folder of the socket wait for a start.
pub(crate) async fn restarts_take_the_rest(far: &Far<'_>) -> Result<(), Failure> {
    const OTHER: u16 = PORT + 1;
    far.populate("suite_shop", &["suite_app"]).await?;
    far.begin(&far.entries(&[]), "").await?;
    far.await_knocks(PORT, &[("suite_app", "suite_app", "suite_shop", false)]).await?;
    let text =
        settings(OTHER).replace(&format!("unix_socket_dir = {FOLDER}"), "unix_socket_dir = /tmp");
    far.push(&ini(), &format!("{}{text}", far.entries(&["suite_shop"]))).await?;
    far.pebble.signal("SIGHUP", &["suite"]).await?;
    // A login to the database shows that the file was read.
    far.await_knocks(
        PORT,
        &[
            ("suite_app", "suite_app", "suite_shop", true),
            ("console", "co\"nsole", "pgbouncer", true),
        ],
    )
    .await?;
    let other = [("suite_app", "suite_app", "suite_shop", true)];
    let closed = [("suite_app", "suite_app", "suite_shop", false)];
    far.await_knocks(OTHER, &closed).await?;
    assert!(far.starts("suite", &ini()).await?);
    far.await_knocks(OTHER, &other).await?;
    far.await_knocks(PORT, &closed).await?;
    far.stop("suite").await?;
    far.await_knocks(OTHER, &closed).await
}

/// A list that is named no more, or is not there, takes no user away; a start without one does.
pub(crate) async fn users_stay_until_there_is_another_list(far: &Far<'_>) -> Result<(), Failure> {
    far.populate("suite_shop", &["suite_app"]).await?;
    let shop = far.entries(&["suite_shop"]);
    let unlisted = settings(PORT).replace(&format!("auth_file = {LIST}\n"), "");
    for settings in [unlisted, settings(PORT)] {
        far.begin(&shop, "").await?;
        far.pebble.remove_path(LIST, false).await?;
        far.push(&ini(), &format!("{shop}{settings}server_lifetime = 60\n")).await?;
        far.pebble.signal("SIGHUP", &["suite"]).await?;
        await_shown(far, &[("server_lifetime", "60")]).await?;
        far.await_knocks(PORT, &[("console", "co\"nsole", "pgbouncer", true)]).await?;
        far.await_knocks(PORT, &[("suite_app", "suite_app", "suite_shop", true)]).await?;
        assert!(far.starts("suite", &ini()).await?, "PgBouncer did not start without a list");
        let knocks = [
            ("console", "co\"nsole", "pgbouncer", false),
            ("looker", "looker", "pgbouncer", false),
            ("suite_app", "suite_app", "suite_shop", false),
        ];
        far.await_knocks(PORT, &knocks).await?;
        far.stop("suite").await?;
    }
    Ok(())
}
