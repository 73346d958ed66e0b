//! What one unit of PostgreSQL needs of its surroundings: rights, and a volume with room. It
//! says what is missing, and goes on once it has it.

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
    engine.call(&["deploy", &charm, "--resource", &image])?;
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
    engine.wait_active(90)?;
    let owner = inside(&engine, "stat -c '%U %a' /var/lib/postgresql/data")?;
    assert_eq!(owner.trim(), "postgres 700");
    a_full_volume(&engine)?;
    engine.call(&["down", "--destroy-storage"]).ok();
    Ok(())
}
