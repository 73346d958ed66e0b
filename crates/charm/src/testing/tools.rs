//! The hook tools of a world: argv in, text out, by Juju's rules.

use std::cell::RefCell;
use std::rc::Rc;

use names::RelationId;
use serde_json::{Map, Value, json};

use super::args::Parsed;
use super::manifest::Role;
use super::{Relation, World};
use crate::{Bag, Changes, Event, ToolError, Tools};

/// The largest databag, in bytes.
const BAG_MAX: usize = 16 << 20;

/// A world while a hook runs in it.
#[derive(Clone)]
pub(super) struct Memory {
    pub(super) world: World,
    pub(super) event: Event,
    pub(super) params: Map<String, Value>,
    pub(super) calls: Vec<String>,
    pub(super) logs: Vec<(String, String)>,
    pub(super) results: Bag,
    pub(super) failure: Option<String>,
}

/// A call that was understood and refused.
pub(super) fn refused(tool: &str, message: impl Into<String>) -> ToolError {
    ToolError::Refused { tool: tool.to_owned(), code: 1, message: message.into() }
}

/// A wrong argument.
pub(super) fn usage(tool: &str, message: impl Into<String>) -> ToolError {
    ToolError::Refused { tool: tool.to_owned(), code: 2, message: message.into() }
}

impl Tools for Rc<RefCell<Memory>> {
    fn call(
        &mut self,
        tool: &str,
        args: &[&str],
        stdin: Option<&str>,
    ) -> Result<String, ToolError> {
        self.borrow_mut().call(tool, args, stdin)
    }

    fn call_with_file(
        &mut self,
        tool: &str,
        args: &[&str],
        content: &str,
    ) -> Result<String, ToolError> {
        self.call(tool, &[args, &["--file", "/content"]].concat(), Some(content))
    }
}

impl Memory {
    pub(super) fn new(world: World, event: Event, params: Map<String, Value>) -> Self {
        Self {
            world,
            event,
            params,
            calls: Vec::new(),
            logs: Vec::new(),
            results: Bag::new(),
            failure: None,
        }
    }

    fn call(
        &mut self,
        tool: &str,
        args: &[&str],
        stdin: Option<&str>,
    ) -> Result<String, ToolError> {
        self.calls.push(tool.to_owned());
        let args = Parsed::parse(tool, args)?;
        match tool {
            "relation-ids" => Ok(self.relation_ids(&args)),
            "relation-list" => self.relation_list(&args),
            "relation-get" => self.relation_get(&args),
            "relation-set" => self.relation_set(&args, stdin),
            "secret-get" | "secret-info-get" | "secret-add" | "secret-set" | "secret-grant"
            | "secret-remove" => self.secret_tool(tool, &args, stdin),
            _ => self.unit_tool(tool, &args, stdin),
        }
    }

    fn relation_ids(&self, args: &Parsed) -> String {
        let endpoint = args.positional(0).unwrap_or_default();
        let ids: Vec<String> = self
            .world
            .relations
            .values()
            .filter(|relation| relation.endpoint == endpoint)
            .map(|relation| format!("{endpoint}:{}", relation.id))
            .collect();
        json!(ids).to_string()
    }

    pub(super) fn relation_of(&self, tool: &str, args: &Parsed) -> Result<RelationId, ToolError> {
        let wrong = |text: &str, why: &str| {
            usage(tool, format!("invalid value {text:?} for option -r: {why}"))
        };
        let id = match (args.value("--relation"), &self.event) {
            (Some(text), _) => text.parse().map_err(|_| wrong(text, "invalid relation id"))?,
            (None, Event::Relation(relation)) => relation.id,
            (None, _) => return Err(usage(tool, "no relation id specified")),
        };
        if self.world.relations.contains_key(&id) {
            Ok(id)
        } else {
            Err(wrong(&id.to_string(), "relation not found"))
        }
    }

    fn relation(&self, tool: &str, args: &Parsed) -> Result<&Relation, ToolError> {
        let id = self.relation_of(tool, args)?;
        self.world.relations.get(&id).ok_or_else(|| usage(tool, "relation not found"))
    }

    fn relation_list(&self, args: &Parsed) -> Result<String, ToolError> {
        let relation = self.relation("relation-list", args)?;
        if args.has("--app") {
            return Ok(json!(relation.remote_app).to_string());
        }
        Ok(json!(relation.units.keys().collect::<Vec<_>>()).to_string())
    }

    fn relation_get(&self, args: &Parsed) -> Result<String, ToolError> {
        const TOOL: &str = "relation-get";
        let relation = self.relation(TOOL, args)?;
        let target =
            args.positional(1).ok_or_else(|| usage(TOOL, "no unit or application specified"))?;
        let app = target.split('/').next().unwrap_or(target);
        let denied = || refused(TOOL, "permission denied");
        let peer = self.role(relation) == Some(Role::Peer);
        let found = if args.has("--app") {
            if app == self.world.unit.app().as_str() {
                if !peer && !self.world.leader {
                    return Err(denied());
                }
                &relation.own_app
            } else if app == relation.remote_app {
                &relation.app
            } else {
                return Err(denied());
            }
        } else if target == self.world.unit.to_string() {
            &relation.own_unit
        } else {
            let wrong =
                |_| usage(TOOL, format!("expected unit name, got application name {target:?}"));
            let unit = target.parse().map_err(wrong)?;
            let known = relation.units.get(&unit).or(relation.departed.get(&unit));
            known.ok_or_else(denied)?
        };
        Ok(match args.positional(0) {
            None | Some("-") => json!(found).to_string(),
            Some(key) => json!(found.get(key)).to_string(),
        })
    }

    fn relation_set(&mut self, args: &Parsed, stdin: Option<&str>) -> Result<String, ToolError> {
        const TOOL: &str = "relation-set";
        let id = self.relation_of(TOOL, args)?;
        let changes: Changes = args.content(TOOL, stdin, 0)?.into();
        let app = args.has("--app");
        if app && !self.world.leader {
            return Err(refused(TOOL, "cannot write relation settings"));
        }
        if let Some(relation) = self.world.relations.get_mut(&id) {
            let bag = if app { &mut relation.own_app } else { &mut relation.own_unit };
            changes.apply_to(bag);
            let size: usize = bag.iter().map(|(key, value)| key.len() + value.len()).sum();
            if size > BAG_MAX {
                let words = format!("a databag of {size} bytes: Juju keeps at most {BAG_MAX}");
                return Err(refused(TOOL, words));
            }
        }
        Ok(String::new())
    }

    fn role(&self, relation: &Relation) -> Option<Role> {
        self.world.manifest.endpoints.get(&relation.endpoint).copied()
    }
}
