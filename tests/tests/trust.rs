//! What one unit of PostgreSQL needs of its surroundings: rights, options that the server
//! takes, and a volume with room. It says what is missing, and goes on once it has it.

use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use end_to_end::disk::SmallDisk;
use end_to_end::{Talisman, root};
use serde_json::Value;

const INSTANCE: &str = "e2etrust";

fn message(status: &Value) -> &Value {
    let units = &status["applications"]["postgresql-k8s"]["units"];
    &units["postgresql-k8s/0"]["workload-status"]["message"]
}

fn inside(engine: &Talisman, line: &str) -> Result<String> {
    engine.call(&["ssh", "--container", "postgresql", "postgresql-k8s/0", line])
}

/// Fills the volume up to its last parts of a hundred, and makes room again.
fn a_full_volume(engine: &Talisman) -> Result<()> {
    engine.call(&["model-config", "update-status-hook-interval=3s"])?;
    let filler = "/var/lib/postgresql/data/filler";
    let fill = format!(
        "free=$(df --output=avail -k /var/lib/postgresql/data | tail -n 1) && \
         fallocate -l $((free * 96 / 100))K {filler}"
    );
    inside(engine, &fill)?;
    engine.wait("the full volume in the status", 60, |status| {
        message(status) == "<10% free space on pgdata volume."
    })?;
    inside(engine, &format!("rm {filler}"))?;
    engine.wait_active(60).map(drop)
}

#[test]
fn an_untrusted_charm_is_blocked_until_it_is_trusted() -> Result<()> {
    let engine = Talisman::new(INSTANCE);
    let disk = SmallDisk::mount(INSTANCE, 512)?;
    // Before the charm comes, the volume is closed to all but root.
    let volume = format!("{}/volumes/postgresql-k8s-0/pgdata-0", disk.folder());
    std::fs::create_dir_all(&volume)?;
    std::fs::set_permissions(&volume, PermissionsExt::from_mode(0o700))?;
    engine.call(&["up"])?;
    let charm = root().join("dist/postgresql-k8s_ubuntu@22.04-amd64.charm").display().to_string();
    let image = format!("postgresql-image={}", root().join("images/postgresql.yaml").display());
    // The server would not start with this; the charm asks it before it makes a cluster.
    let bad = "request_time_zone=Mars/Olympus";
    engine.call(&["deploy", &charm, "--resource", &image, "--config", bad])?;
    engine.wait("the trust message", 60, |status| {
        message(status)
            == "Insufficient permissions, try: `juju trust postgresql-k8s --scope=cluster`"
    })?;

    let said =
        engine.refusal(&["config", "postgresql-k8s", "experimental_max_connections=many"])?;
    for word in ["experimental_max_connections", "int", "many"] {
        assert!(said.contains(word), "{said}");
    }

    engine.call(&["trust", "postgresql-k8s", "--scope=cluster"])?;
    blocked(&engine, &["request_time_zone", "Mars/Olympus"])?;
    engine.call(&["config", "postgresql-k8s", "--reset", "request_time_zone"])?;
    engine.wait_active(90)?;
    let owner = inside(&engine, "stat -c '%U %a' /var/lib/postgresql/data")?;
    assert_eq!(owner.trim(), "postgres 700");
    further_parameters_reach_the_server(&engine)?;
    a_full_volume(&engine)?;
    engine.call(&["down", "--destroy-storage"]).ok();
    Ok(())
}

/// Waits until the unit is blocked with all these words.
fn blocked(engine: &Talisman, words: &[&str]) -> Result<()> {
    engine.wait(&words.join(", "), 60, |status| {
        let shown = message(status).as_str().unwrap_or_default();
        words.iter().all(|word| shown.contains(word))
    })?;
    Ok(())
}

fn further_parameters_reach_the_server(engine: &Talisman) -> Result<()> {
    let set = |text: &str| {
        engine.call(&["config", "postgresql-k8s", &format!("postgresql-settings={text}")])
    };
    let show = |name: &str| {
        let sql = format!("SHOW {name}");
        let line = format!("su postgres -c 'psql -XAtU backup postgres -c \"{sql}\"'");
        Ok::<_, anyhow::Error>(inside(engine, &line)?.trim().to_owned())
    };
    for (text, word) in [
        ("wrok_mem=4MB", "wrok_mem"),
        ("seq_page_cost=lots", "seq_page_cost"),
        ("work_mem=4MB", "memory_work_mem"),
        ("fsync=off", "fsync"),
    ] {
        set(text)?;
        blocked(engine, &["postgresql-settings", word])?;
        assert_eq!(show("seq_page_cost")?, "1", "{text}");
    }
    set("max_wal_size=2GB; seq_page_cost=1.5\ntrack_commit_timestamp='on'")?;
    engine.wait_active(90)?;
    // The last one needs a restart of the server, which comes by itself.
    let names = ["max_wal_size", "seq_page_cost", "track_commit_timestamp"];
    for values in [["2GB", "1.5", "on"], ["1GB", "1", "off"]] {
        engine.wait(&values.join(", "), 90, |_| {
            let mut pairs = names.into_iter().zip(values);
            pairs.all(|(name, value)| show(name).is_ok_and(|found| found == value))
        })?;
        set("")?;
    }
    engine.wait_active(60)?;
    Ok(())
}
