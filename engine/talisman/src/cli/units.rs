//! Units by name, and the way into their containers.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use juju_names::UnitName;
use serde_json::Value;

use super::values::unit;
use crate::api::{Read, Task};
use crate::client::Client;

/// A unit by name, or the leader of an application by `<application>/leader`.
pub(super) fn unit_of(status: &Value, text: &str) -> Result<UnitName> {
    let Some(app) = text.strip_suffix("/leader") else {
        return unit(text).map_err(anyhow::Error::msg);
    };
    let units = status["applications"][app]["units"].as_object();
    let leader = units.into_iter().flatten().find(|(_, unit)| unit["leader"] == true);
    let (name, _) = leader.with_context(|| format!("cannot find a leader of {app:?}"))?;
    unit(name).map_err(anyhow::Error::msg)
}

/// A command line into a container, as `kubectl exec` enters one: with the rights and bounds of
/// the container, nothing of this process open, and a terminal of the container's own. The
/// program and its arguments are to be added.
pub(super) async fn entered(
    client: &Client,
    unit: &str,
    container: Option<&str>,
    terminal: bool,
) -> Result<Command> {
    let status = client.ask(Read::Status).await?;
    let unit = unit_of(&status, unit)?;
    let container = container.unwrap_or("charm").to_owned();
    // Juju's own container starts where its agent's files are, a workload at the root.
    let folder = if container == "charm" { "/var/lib/juju" } else { "/" };
    let way = client.ask(Task::EnterContainer { unit, container }).await?;
    let (words, container): (Vec<String>, String) =
        serde_json::from_value(way).context("cannot find the container")?;
    let (program, words) = words.split_first().context("cannot find the container")?;
    let term = std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned());
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/charm/bin";
    let mut command = Command::new(program);
    command.args(words).args(["--cwd", folder]);
    for (key, value) in
        [("PATH", path), ("HOME", "/root"), ("LANG", "C.UTF-8"), ("TERM", term.as_str())]
    {
        command.args(["--env", &format!("{key}={value}")]);
    }
    if terminal {
        command.arg("--tty");
    }
    command.arg(container).stdin(Stdio::inherit());
    Ok(command)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_leader_is_found_by_its_application() {
        let status =
            json!({"applications": {"a": {"units": {"a/0": {}, "a/1": {"leader": true}}}}});
        assert_eq!(unit_of(&status, "a/leader").unwrap().to_string(), "a/1");
        assert_eq!(unit_of(&status, "a/0").unwrap().to_string(), "a/0");
        assert!(unit_of(&status, "b/leader").is_err());
    }
}
