//! Hook tools in process: argv in, bytes out.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use juju_charm::{ToolError, Tools};
use juju_hooktools::Response;
use juju_names::UnitName;

use crate::World;
use crate::fault::{Fault, Port};
use crate::mutant::{self, Changed};
use crate::ports::pebble::Socket;

/// Tools that only read, or only report to people.
const QUIET: [&str; 14] = [
    "config-get",
    "credential-get",
    "goal-state",
    "is-leader",
    "juju-log",
    "network-get",
    "opened-ports",
    "relation-get",
    "relation-ids",
    "relation-list",
    "secret-get",
    "secret-info-get",
    "state-get",
    "status-get",
];

/// The endpoint of the poolers' own relation.
const PEERS: &str = "pgb-peers";

/// The tools of one hook.
pub(crate) struct InProcess {
    pub(crate) world: Arc<World>,
    pub(crate) unit: UnitName,
}

impl Tools for InProcess {
    fn call(
        &mut self,
        tool: &str,
        args: &[&str],
        stdin: Option<&str>,
    ) -> Result<String, ToolError> {
        let what = || format!("{tool} {}", args.join(" "));
        let fault = self.world.effect(Port::Juju, what);
        let changed = match mutant::call(tool, args, stdin) {
            Some(Changed::Answered(text)) => {
                self.world.effect_done();
                return Ok(text);
            }
            Some(Changed::Made(args, stdin)) => Some((args, stdin)),
            None => self
                .once(tool, args, stdin)
                .map(|stdin| (args.iter().map(|arg| (*arg).to_owned()).collect(), Some(stdin))),
        };
        match changed {
            Some((args, stdin)) => {
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                self.answer(fault, tool, &args, stdin.as_deref(), what)
            }
            None => self.answer(fault, tool, args, stdin, what),
        }
    }

    fn call_with_file(
        &mut self,
        tool: &str,
        args: &[&str],
        content: &str,
    ) -> Result<String, ToolError> {
        self.call(tool, &[args, &["--file", "/content"]].concat(), Some(content))
    }

    fn pebble(&self, _socket: &Path) -> pebble_client::Client {
        let (world, unit) = (self.world.clone(), self.unit.clone());
        pebble_client::Client::over(Arc::new(Socket { world, unit }))
    }
}

impl InProcess {
    /// The answer to a call, unless a fault spoils it.
    fn answer(
        &self,
        fault: Option<Fault>,
        tool: &str,
        args: &[&str],
        stdin: Option<&str>,
        what: impl FnOnce() -> String,
    ) -> Result<String, ToolError> {
        let refused = |code: u8, message: String| ToolError::Refused {
            tool: tool.to_owned(),
            code: code.into(),
            message,
        };
        if fault == Some(Fault::SecretLate) && self.is_of_another(tool, args) {
            return Err(refused(1, "secret not found".to_owned()));
        }
        if fault == Some(Fault::PeersLate) && self.is_new_among_peers(tool, args) {
            self.world.effect_done();
            if mutant::needs_peers() {
                return Err(refused(1, "peer data is None".to_owned()));
            }
            return Ok("[]".to_owned());
        }
        let ran = self.run(tool, args, stdin, what);
        self.world.effect_done();
        let (output, ages) = ran.ok_or_else(|| refused(1, "no hook runs".to_owned()))?;
        if output.code != 0 {
            let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let message = message.strip_prefix("ERROR ").unwrap_or(&message).to_owned();
            return Err(refused(output.code, message));
        }
        let text = String::from_utf8(output.stdout).unwrap_or_default();
        let text = self.with_ghosts(tool, args).unwrap_or(text);
        let first = fault == Some(Fault::EmptyBag) && self.is_unseen_remote(tool, args);
        let text = mutant::read(&self.hook(), tool, &text).unwrap_or(text);
        let text = if first { "{}".to_owned() } else { text };
        if !ages {
            return Ok(text);
        }
        Ok(self.aged(tool, args, fault == Some(Fault::StaleBag), text))
    }

    /// Runs the tool; what it printed, and whether bags may be shown as they were before.
    fn run(
        &self,
        tool: &str,
        args: &[&str],
        stdin: Option<&str>,
        what: impl FnOnce() -> String,
    ) -> Option<(Response, bool)> {
        self.world.change(|state| {
            // Juju has no other way to hand results over than an argument list.
            if tool != "action-set" {
                state.gate.show(args);
            }
            let mut session = state.session.take()?;
            let now = state.now();
            let mut context = state.model.tools(&mut session, now);
            let stdin = stdin.map(str::as_bytes);
            let output = juju_hooktools::run(&mut context, tool, args, stdin);
            state.session = Some(session);
            if output.code == 0 && !QUIET.contains(&tool) {
                state.gate.write(what);
            }
            Some((output, state.read.is_some()))
        })
    }

    /// A remote bag as it was when the unit looked before, where a fault says so. The hook about a
    /// change sees it.
    fn aged(&self, tool: &str, args: &[&str], stale: bool, text: String) -> String {
        let name = args.last().copied().unwrap_or_default();
        let own = || name == self.unit.app().as_str() || name == self.unit.to_string();
        if tool != "relation-get" || own() {
            return text;
        }
        let key = (self.unit.clone(), args.join(" "));
        self.world.change(|state| {
            let told = state.session.as_ref().is_some_and(|session| {
                matches!(session.run().hook, juju_model::Hook::RelationChanged { .. })
            });
            let Some(read) = &mut state.read else { return text };
            if stale && !told {
                return read.get(&key).cloned().unwrap_or(text);
            }
            read.insert(key, text.clone());
            text
        })
    }

    /// The list of peers where some are gone and stay listed.
    fn with_ghosts(&self, tool: &str, args: &[&str]) -> Option<String> {
        if tool != "relation-list" || args.contains(&"--app") {
            return None;
        }
        let id = args.iter().find_map(|arg| arg.parse().ok())?;
        self.world.look(|state| {
            let ghosts = state.ghosts.as_ref()?.get(&self.unit)?;
            let relation = state.model.relation(id).filter(|relation| relation.is_peer())?;
            let listed = relation.scope.iter().filter(|unit| **unit != self.unit);
            let all: BTreeSet<&UnitName> = listed.chain(ghosts).collect();
            serde_json::to_string(&all).ok()
        })
    }

    /// The name of the hook that runs.
    fn hook(&self) -> String {
        let name = |state: &crate::world::State| Some(state.session.as_ref()?.run().hook.name());
        if mutant::is_planted() { self.world.look(name).unwrap_or_default() } else { String::new() }
    }

    /// Whether the call reads a secret that another application owns.
    fn is_of_another(&self, tool: &str, args: &[&str]) -> bool {
        let own = |state: &crate::world::State| {
            let id = args.iter().find_map(|arg| arg.parse().ok())?;
            Some(match &state.model.secret(&id)?.owner {
                juju_model::Owner::App(app) => app == self.unit.app(),
                juju_model::Owner::Unit(unit) => *unit == self.unit,
                juju_model::Owner::Model => false,
            })
        };
        tool == "secret-get" && self.world.look(own) == Some(false)
    }

    /// Whether the call lists the peer relation before this unit has written into it.
    fn is_new_among_peers(&self, tool: &str, args: &[&str]) -> bool {
        let wrote = |state: &crate::world::State| {
            let app = self.unit.app();
            let mut peers = state.model.relations().filter(|relation| relation.is_peer());
            let peers = peers.find(|relation| relation.ends.iter().any(|end| end.app == *app));
            let bag = peers.and_then(|peers| peers.unit_bags.get(&self.unit));
            bag.is_some_and(|bag| bag.values.contains_key("container_initialised"))
        };
        let lists = tool == "relation-ids" && args.contains(&PEERS);
        lists && !self.world.look(wrote)
    }

    /// What a bag is written with where a planted fault lets a key be written once only.
    fn once(&self, tool: &str, args: &[&str], stdin: Option<&str>) -> Option<String> {
        let key = mutant::only_once().filter(|_| tool == "relation-set")?;
        let app = args.contains(&"--app");
        let id = args.get(1)?.parse().ok()?;
        let there = self.world.look(|state| {
            let relation = state.model.relation(id)?;
            let bag = if app {
                relation.app_bags.get(self.unit.app())
            } else {
                relation.unit_bags.get(&self.unit)
            };
            Some(bag?.values.contains_key(key))
        });
        if there == Some(true) { mutant::once(stdin?) } else { None }
    }

    /// Whether the call reads the bag of a remote application before the first `changed` of
    /// its relation, when Juju may not have it yet.
    fn is_unseen_remote(&self, tool: &str, args: &[&str]) -> bool {
        let name = args.last().copied().unwrap_or_default();
        let app = args.contains(&"--app");
        if tool != "relation-get" || !app || name == self.unit.app().as_str() {
            return false;
        }
        self.world.look(|state| {
            let run = state.session.as_ref().map(|session| session.run());
            let hook = run.map(|run| run.hook.clone());
            matches!(
                hook,
                Some(
                    juju_model::Hook::RelationCreated { .. }
                        | juju_model::Hook::RelationJoined { .. }
                )
            )
        })
    }
}
