//! The hook tools that are not about relations or secrets.

use serde_json::{Map, Value, json};

use super::args::Parsed;
use super::tools::{Memory, refused, usage};
use crate::{Event, Status, ToolError};

impl Memory {
    pub(super) fn unit_tool(
        &mut self,
        tool: &str,
        args: &Parsed,
        stdin: Option<&str>,
    ) -> Result<String, ToolError> {
        match tool {
            "is-leader" => Ok(json!(self.world.leader).to_string()),
            "config-get" => Ok(self.config_get(args)),
            "goal-state" => Ok(self.goal_state()),
            "network-get" => self.network_get(args),
            "status-get" => self.status_get(args),
            "status-set" => self.status_set(args),
            "application-version-set" => {
                self.world.version = args.positional(0).map(str::to_owned);
                Ok(String::new())
            }
            "opened-ports" => Ok(json!(self.world.ports).to_string()),
            "open-port" | "close-port" => Ok(self.change_port(tool, args)),
            "state-get" => Ok(self.state_get(args)),
            "state-set" => {
                self.world.state.extend(args.content(tool, stdin, 0)?);
                Ok(String::new())
            }
            "state-delete" => {
                self.world.state.remove(args.positional(0).unwrap_or_default());
                Ok(String::new())
            }
            "storage-list" | "storage-get" => self.storage_tool(tool, args),
            "resource-get" => {
                let path = args.positional(0).and_then(|name| self.world.resources.get(name));
                let path = path.ok_or_else(|| refused(tool, "could not download resource"))?;
                Ok(path.display().to_string())
            }
            "juju-log" => {
                let level = args.value("--log-level").unwrap_or("INFO").to_owned();
                let lines = args.after(0).join(" ");
                self.logs.extend(lines.lines().map(|line| (level.clone(), line.to_owned())));
                Ok(String::new())
            }
            _ => self.action_tool(tool, args),
        }
    }

    fn config_get(&self, args: &Parsed) -> String {
        let mut all: Map<String, Value> = self
            .world
            .manifest
            .options
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        all.extend(self.world.config.clone());
        match args.positional(0) {
            Some(key) => json!(all.get(key)).to_string(),
            None => Value::Object(all).to_string(),
        }
    }

    fn goal_state(&self) -> String {
        let app = self.world.unit.app();
        let unit = json!({ "status": "active", "since": "2026-11-20 10:00:00Z" });
        let units: Map<String, Value> =
            (0..self.world.planned).map(|n| (format!("{app}/{n}"), unit.clone())).collect();
        json!({ "units": units, "relations": {} }).to_string()
    }

    fn network_get(&self, args: &Parsed) -> Result<String, ToolError> {
        let binding = args.positional(0).unwrap_or_default();
        if !self.world.manifest.endpoints.contains_key(binding) {
            let message = format!("no network config found for binding {binding:?}");
            return Err(refused("network-get", message));
        }
        let address = json!({ "hostname": "", "value": "10.1.0.10", "cidr": "" });
        Ok(json!({
            "bind-addresses": [{ "mac-address": "", "interface-name": "", "addresses": [address] }],
            "egress-subnets": ["10.152.183.7/32"],
            "ingress-addresses": ["10.152.183.7"],
        })
        .to_string())
    }

    fn status_get(&self, args: &Parsed) -> Result<String, ToolError> {
        let wire = |status: &Option<Status>| match status {
            Some(status) => json!({
                "status": status.word(), "message": status.message(), "status-data": {},
            }),
            None => json!({ "status": "unknown", "message": "", "status-data": {} }),
        };
        if !args.has("--application") {
            return Ok(wire(&self.world.status).to_string());
        }
        if !self.world.leader {
            let message = "finding application status: this unit is not the leader";
            return Err(refused("status-get", message));
        }
        Ok(json!({ "application-status": wire(&self.world.app_status) }).to_string())
    }

    fn status_set(&mut self, args: &Parsed) -> Result<String, ToolError> {
        const TOOL: &str = "status-set";
        let word = args.positional(0).unwrap_or_default();
        let status = Status::from_word(word, &args.after(1).join(" ")).ok_or_else(|| {
            usage(
                TOOL,
                format!(
                    "invalid status {word:?}, expected one of [maintenance blocked waiting active]"
                ),
            )
        })?;
        if !args.has("--application") {
            self.world.status = Some(status);
        } else if self.world.leader {
            self.world.app_status = Some(status);
        } else {
            return Err(refused(TOOL, "this unit is not the leader"));
        }
        Ok(String::new())
    }

    fn change_port(&mut self, tool: &str, args: &Parsed) -> String {
        let port = args.positional(0).unwrap_or_default();
        let port = if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") };
        if tool == "open-port" {
            self.world.ports.insert(port);
        } else {
            self.world.ports.remove(&port);
        }
        String::new()
    }

    fn state_get(&self, args: &Parsed) -> String {
        match args.positional(0) {
            None | Some("-") => json!(self.world.state).to_string(),
            Some(key) => json!(self.world.state.get(key).map_or("", String::as_str)).to_string(),
        }
    }

    fn storage_tool(&self, tool: &str, args: &Parsed) -> Result<String, ToolError> {
        if tool == "storage-list" {
            let wanted = |id: &&String| match args.positional(0) {
                Some(name) => id.split('/').next() == Some(name),
                None => true,
            };
            return Ok(
                json!(self.world.storage.keys().filter(wanted).collect::<Vec<_>>()).to_string()
            );
        }
        let id = args.value("--storage").unwrap_or_default();
        let location = self.world.storage.get(id);
        let location = location.ok_or_else(|| usage(tool, "no storage instance specified"))?;
        Ok(json!({ "kind": "filesystem", "location": location }).to_string())
    }

    fn action_tool(&mut self, tool: &str, args: &Parsed) -> Result<String, ToolError> {
        let Event::Action { name, .. } = &self.event else {
            return Err(refused(tool, "not running an action"));
        };
        match tool {
            "action-get" => {
                let mut params = self.world.manifest.actions.get(name).cloned().unwrap_or_default();
                params.extend(self.params.clone());
                Ok(Value::Object(params).to_string())
            }
            "action-set" => {
                let results = args.content(tool, None, 0)?;
                match results.keys().find(|key| !valid_result(key)) {
                    Some(key) => Err(usage(
                        tool,
                        format!("key {key:?} must start and end with lowercase alphanumeric"),
                    )),
                    None => {
                        self.results.extend(results);
                        Ok(String::new())
                    }
                }
            }
            "action-fail" => {
                self.failure = Some(args.positional(0).unwrap_or("action failed").to_owned());
                Ok(String::new())
            }
            "action-log" => Ok(String::new()),
            _ => Err(refused(tool, "the world of tests has no such hook tool")),
        }
    }
}

/// Juju's grammar of result keys: `[a-z0-9](([a-z0-9-.]+)?[a-z0-9])?`.
fn valid_result(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    key.starts_with(plain)
        && key.ends_with(plain)
        && key.chars().all(|c| plain(c) || c == '-' || c == '.')
}
