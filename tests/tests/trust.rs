//! An application without access to the Kubernetes API says so, and goes on once it has it.

use anyhow::Result;
use end_to_end::{Talisman, root};

#[test]
fn an_untrusted_charm_is_blocked_until_it_is_trusted() -> Result<()> {
    let engine = Talisman::new("e2etrust");
    engine.call(&["up"])?;
    let charm = root().join("dist/postgresql-k8s_ubuntu@22.04-amd64.charm").display().to_string();
    let image = format!("postgresql-image={}", root().join("images/postgresql.yaml").display());
    engine.call(&["deploy", &charm, "--resource", &image])?;
    engine.wait("the trust message", 60, |status| {
        status["applications"]["postgresql-k8s"]["units"]["postgresql-k8s/0"]["workload-status"]
            ["message"]
            == "Insufficient permissions, try: `juju trust postgresql-k8s --scope=cluster`"
    })?;

    let said =
        engine.refusal(&["config", "postgresql-k8s", "experimental_max_connections=many"])?;
    for word in ["experimental_max_connections", "int", "many"] {
        assert!(said.contains(word), "{said}");
    }

    engine.call(&["trust", "postgresql-k8s", "--scope=cluster"])?;
    engine.wait_active(90)?;
    Ok(())
}
