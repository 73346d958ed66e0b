//! Histories: what is deployed, what people ask for, what goes wrong, in order.

mod database;
mod draw;
mod options;

pub use database::DatabaseOp;
pub(crate) use database::FORCE;
pub use draw::{Faults, draw, draw_database};
pub(crate) use options::OPTIONS;

use crate::far::postgresql::PERSON;
use crate::fault::{Fault, Injection};

/// One client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Whether it uses the legacy interface.
    pub old: bool,
    /// The database that it asks for; a legacy one asks for its own.
    pub database: String,
    /// The roles that it asks for.
    pub roles: String,
}

impl Client {
    /// The endpoint of the pooler that it uses.
    pub(crate) fn endpoint(&self) -> &'static str {
        match (self.old, self.roles.as_str()) {
            (false, _) => "database",
            (true, "superuser") => "db-admin",
            (true, _) => "db",
        }
    }

    /// Whether it may use databases that no client of the pooler asked for.
    pub(crate) fn is_privileged(&self) -> bool {
        match self.old {
            true => self.endpoint() == "db-admin",
            false => ["admin", "superuser", "createdb"].contains(&self.roles.as_str()),
        }
    }

    /// Whether it asks for a role that is not there, or with which it could become another user.
    pub(crate) fn has_bad_roles(&self) -> bool {
        !self.old && ["nosuchrole", "operator", PERSON].contains(&self.roles.as_str())
    }

    /// Whether one of the two would have a name under which the other's database is read.
    pub(crate) fn clashes(&self, index: usize, (other, of): (usize, &Self)) -> bool {
        let mine = self.asked(index);
        let theirs = of.asked(other);
        let suffixes = |client: &Self| match client.old {
            true => &["_readonly", "_standby"][..],
            false => &["_readonly"],
        };
        let takes = |name: &str, of: &str, suffixes: &[&str]| {
            suffixes.iter().any(|suffix| format!("{of}{suffix}") == name)
        };
        takes(&mine, &theirs, suffixes(of)) || takes(&theirs, &mine, suffixes(self))
    }

    /// The database that it asks for.
    fn asked(&self, index: usize) -> String {
        let app = self.app(index).parse();
        match (self.old, app) {
            (true, Ok(app)) => crate::juju::apps::old_database(&app),
            _ => self.database.clone(),
        }
    }

    /// The name of its application.
    pub(crate) fn app(&self, index: usize) -> String {
        // Juju takes a number at the end for that of a unit.
        let letter = u8::try_from(index).ok().and_then(|index| b'a'.checked_add(index));
        let letter = char::from(letter.unwrap_or(b'z'));
        if self.old { format!("old-{letter}") } else { format!("client-{letter}") }
    }
}

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Relates a client.
    Relate(usize),
    /// Ends a client's relation.
    Unrelate(usize),
    /// Relates the server.
    Backend,
    /// Ends the server's relation.
    NoBackend,
    /// Sets an option of the pooler.
    Config(&'static str, &'static str),
    /// Sets the number of poolers.
    Scale(u32),
    /// Refreshes the pooler's charm: every pod is replaced.
    Refresh,
    /// Runs an action on a pooler.
    Action(&'static str),
    /// The server gives its clients new passwords.
    Rotate,
    /// Trusts the pooler, or does so no more.
    Trust(bool),
    /// Relates a client to the server itself.
    Direct(usize),
    /// Ends such a relation.
    UnrelateDirect(usize),
    /// Something of the real PostgreSQL charm.
    Database(DatabaseOp),
    /// Removes an application; its volumes stay or go with it.
    Remove(Which, bool),
    /// Deploys one that was removed.
    Deploy(Which),
}

/// An application of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The pooler.
    Pooler,
    /// The server.
    Server,
    /// A client.
    Client(usize),
}

/// One step of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// An operator's command; one that Juju refuses changes nothing.
    Op(Op),
    /// One hook of one of the units that have one due.
    Hook(u32, Option<Injection>),
    /// A fault between two hooks.
    Strike(Fault, u32),
    /// An operator has a PgBouncer process hold its clients, or lets them go on.
    Pause(u32),
}

/// A history: the same every time it is played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// What it was drawn from; passwords follow from it too.
    pub seed: u64,
    /// Poolers at the beginning.
    pub units: u32,
    /// Units of the real PostgreSQL charm; with none the server is a made-up one.
    pub databases: u32,
    /// The clients, related or not.
    pub clients: Vec<Client>,
    /// Whether time passes only so slowly that update-status is never due.
    pub slow: bool,
    /// Whether the image is Debian's before, whose PgBouncer looks passwords up in each database.
    pub old_image: bool,
    /// Whether hooks come in an order that follows from the seed.
    pub shuffled: bool,
    /// What happens.
    pub steps: Vec<Step>,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Op(op) => write!(f, "operator: {op:?}"),
            Self::Hook(pick, None) => write!(f, "hook {pick}"),
            Self::Hook(pick, Some(injection)) => {
                write!(f, "hook {pick} with {} at {}", injection.fault.name(), injection.at)
            }
            Self::Strike(fault, pick) => write!(f, "fault: {} {pick}", fault.name()),
            Self::Pause(pick) => write!(f, "operator: PAUSE or RESUME {pick}"),
        }
    }
}
