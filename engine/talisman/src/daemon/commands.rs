//! Commands of `exec`: tasks of operations, kept in memory with a bound.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use juju_hooktools::wire::Response;
use juju_names::UnitName;
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// Commands that are remembered, the latest ones.
const KEPT_MAX: usize = 100;
/// Bytes of output that are remembered of all commands but the latest.
const BYTES_MAX: usize = 32 << 20;
/// What Juju calls a command among the actions.
const NAME: &str = "juju-exec";

/// A command on one unit.
pub(crate) struct Command {
    pub(crate) operation: u64,
    pub(crate) unit: UnitName,
    pub(crate) command: String,
    pub(crate) enqueued: Timestamp,
    /// When its turn came.
    pub(crate) started: Arc<OnceLock<Timestamp>>,
    /// How and when it ended.
    pub(crate) end: Option<(End, Timestamp)>,
}

/// A command that a client waits for.
pub(crate) struct Waiting {
    pub(crate) unit: UnitName,
    pub(crate) answer: oneshot::Sender<Response>,
    /// When its turn came.
    pub(crate) started: Arc<OnceLock<Timestamp>>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// It printed more than is kept.
    pub(crate) overflown: bool,
}

/// How a command ended.
pub(crate) enum End {
    /// Its process ended.
    Ran(Response),
    /// Its unit went before its turn came.
    Lost(String),
}

impl Command {
    fn bytes(&self) -> usize {
        match &self.end {
            Some((End::Ran(response), _)) => response.stdout.len() + response.stderr.len(),
            Some((End::Lost(_), _)) | None => 0,
        }
    }

    /// The command in the shape of an action.
    fn view(&self, id: u64) -> Value {
        let (status, message, results) = match &self.end {
            Some((End::Ran(response), _)) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let results = json!({
                    "return-code": response.code,
                    "stdout": text(&response.stdout),
                    "stderr": text(&response.stderr),
                });
                ("completed", "", results)
            }
            Some((End::Lost(why), _)) => ("failed", why.as_str(), json!({})),
            None if self.started.get().is_some() => ("running", "", json!({})),
            None => ("pending", "", json!({})),
        };
        json!({
            "id": id.to_string(),
            "operation": self.operation.to_string(),
            "unit": self.unit,
            "action": NAME,
            "parameters": {"command": self.command},
            "status": status,
            "message": message,
            "results": results,
            "log": [],
            "enqueued": self.enqueued,
            "started": self.started.get(),
            "completed": self.end.as_ref().map(|(_, at)| at),
        })
    }
}

/// The commands by number.
#[derive(Default)]
pub(crate) struct Commands(BTreeMap<u64, Command>);

impl Commands {
    /// Remembers a command that waits for its turn.
    pub(crate) fn add(&mut self, id: u64, command: Command) {
        self.0.insert(id, command);
    }

    /// Notes how a command ended, and forgets the oldest ones that are too many.
    pub(crate) fn end(&mut self, id: u64, end: End, now: Timestamp) {
        if let Some(command) = self.0.get_mut(&id) {
            command.end = Some((end, now));
        }
        let (mut count, mut bytes) = (0, 0);
        let mut gone = Vec::new();
        for (other, command) in self.0.iter().rev().filter(|(_, one)| one.end.is_some()) {
            count += 1;
            bytes += command.bytes();
            if *other != id && (count > KEPT_MAX || bytes > BYTES_MAX) {
                gone.push(*other);
            }
        }
        gone.iter().for_each(|id| drop(self.0.remove(id)));
    }

    /// One command in the shape of an action.
    pub(crate) fn one(&self, id: u64) -> Option<Value> {
        self.0.get(&id).map(|command| command.view(id))
    }

    /// All commands in the shape of actions.
    pub(crate) fn all(&self) -> impl Iterator<Item = Value> {
        self.0.iter().map(|(id, command)| command.view(*id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(bytes: usize) -> (Command, End) {
        let command = Command {
            operation: 1,
            unit: "a/0".parse().unwrap(),
            command: "true".to_owned(),
            enqueued: Timestamp::UNIX_EPOCH,
            started: Arc::default(),
            end: None,
        };
        (command, End::Ran(Response { code: 0, stdout: vec![b'x'; bytes], stderr: Vec::new() }))
    }

    #[track_caller]
    fn check(count: u64, bytes: usize, kept: usize) {
        let mut commands = Commands::default();
        for id in 0..count {
            let (one, end) = command(bytes);
            commands.add(id, one);
            commands.end(id, end, Timestamp::UNIX_EPOCH);
        }
        assert_eq!(commands.0.len(), kept);
        assert!(commands.one(count - 1).is_some());
    }

    #[test]
    fn the_latest_commands_are_kept() {
        check(3, 10, 3);
        check(150, 10, KEPT_MAX);
        check(5, 10 << 20, 3);
        check(2, 40 << 20, 1);
    }

    #[test]
    fn a_command_shows_how_far_it_is() {
        let mut commands = Commands::default();
        let (one, end) = command(1);
        commands.add(7, one);
        assert_eq!(commands.one(7).unwrap()["status"], "pending");
        commands.end(7, end, Timestamp::UNIX_EPOCH);
        let shown = commands.one(7).unwrap();
        assert_eq!(
            (&shown["status"], &shown["results"]["stdout"]),
            (&json!("completed"), &json!("x"))
        );
    }
}
