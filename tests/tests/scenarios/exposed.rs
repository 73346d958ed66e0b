//! The pooler's service as seen from outside the cluster.

use anyhow::{Context, Result, ensure};
use end_to_end::pooled::{Pooled, connect, value};

/// Scenarios 31 and 32.
#[test]
fn the_service_is_reached_from_outside() -> Result<()> {
    let world = Pooled::up("e2eexp", 16439)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let endpoints = || -> Result<String> {
        let shown = world.engine.action("data-integrator/0", "get-credentials")?;
        Ok(shown["postgresql"]["endpoints"].as_str().context("no endpoints")?.to_owned())
    };
    // From this machine a node port is a loopback port of the same number.
    let ask = |port: &str| -> Result<String> {
        let url = world.url.replace(":16439/", &format!(":{port}/"));
        runtime.block_on(async { value(&connect(&url).await?, "SELECT 42").await })
    };
    let exposed = |kind: &str| -> Result<String> {
        let before = endpoints()?;
        world.configure(&[&format!("expose-external={kind}")])?;
        world.engine.wait("other endpoints", 60, |_| endpoints().is_ok_and(|now| now != before))?;
        endpoints()
    };

    opened_ports_are_the_services(&world)?;

    let inside = format!("pgbouncer-k8s-service.{}.svc.cluster.local:6432", model(&world)?);
    assert_eq!(endpoints()?, inside);

    let nodes = exposed("nodeport")?;
    let (_, port) = nodes.split_once(':').context("no port")?;
    assert_eq!(ask(port)?, "42", "from outside through {nodes}");
    world.engine.delete_pod("pgbouncer-k8s/0", "pgbouncer-k8s/0")?;
    world.engine.wait_active(90)?;
    let (_, port) = nodes.split_once(':').context("no port")?;
    assert_eq!(ask(port)?, "42", "from outside through {nodes} after the pod was replaced");

    let balanced = exposed("loadbalancer")?;
    ensure!(balanced != nodes && balanced.ends_with(":6432"), "{nodes}, then {balanced}");
    assert_eq!(ask(port)?, "42", "the load balancer's node port");
    let (user, rest) = world.url.split_once('@').context("no user")?;
    let (_, database) = rest.split_once('/').context("no database")?;
    let url = format!("{user}@{balanced}/{database}");
    let namespace = format!("tlsm-{}", "e2eexp");
    let answer = std::process::Command::new("ip")
        .args(["netns", "exec", &namespace, "psql", "-XAtc", "SELECT 42", &url])
        .output()?;
    let said = String::from_utf8_lossy(&answer.stderr);
    assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "42", "{balanced}: {said}");

    assert_eq!(exposed("false")?, inside);
    ensure!(ask(port).is_err(), "the node port is still open");
    Ok(())
}

/// The ports that a charm opens are those of Juju's service, at the address that the status shows.
fn opened_ports_are_the_services(world: &Pooled) -> Result<()> {
    let opened = |app: &str, ports: &[u16]| -> Result<()> {
        let path = format!("services/{app}");
        let service = world.engine.kubernetes("pgbouncer-k8s/0", "GET", &path, "")?;
        let found = service["spec"]["ports"].as_array().context("no ports")?.iter();
        let found: Vec<&str> = found.filter_map(|port| port["name"].as_str()).collect();
        let names: Vec<String> = ports.iter().map(|port| format!("juju-{port}-tcp")).collect();
        let names = if ports.is_empty() { vec!["placeholder".to_owned()] } else { names };
        assert_eq!(found, names, "{app}");
        let status = world.engine.status()?;
        let address = status["applications"][app]["address"].as_str().context("no address")?;
        for port in ports {
            let reach =
                format!("import socket; socket.create_connection(('{address}', {port}), 5)");
            let reach = format!("python3 -c {}", end_to_end::kubernetes::quoted(&reach));
            world.engine.call(&["ssh", "pgbouncer-k8s/0", &reach])?;
        }
        Ok(())
    };
    opened("postgresql-k8s", &[5432, 8008])?;
    opened("pgbouncer-k8s", &[])
}

fn model(world: &Pooled) -> Result<String> {
    let status = world.engine.status()?;
    Ok(status["model"]["name"].as_str().context("no model")?.to_owned())
}
