//! Planted faults: what the simulator is worth is how many of them it catches.
//!
//! Effects, hook-tool calls, requests and statements are data, so a fault in the charm or
//! the framework is planted where they pass: nothing is compiled again.

mod databases;
mod effects;
mod kinds;
mod list;
mod ports;

use std::cell::{Cell, RefCell};

pub(crate) use effects::Planted;
pub use kinds::Kind;
pub use list::{all, not_planted};
pub(crate) use ports::*;

use postgres::sql::Query;

use crate::names::{POOLER, SERVER};

/// A fault in the charm or the framework, as it shows where its effects pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plant {
    /// The charm never wants this effect.
    Drop(Kind),
    /// It wants this effect before all others.
    First(Kind),
    /// It wants this effect after all others.
    Last(Kind),
    /// It goes on where this effect said to stop.
    GoOn(Kind),
    /// It ends the hook where this effect failed for one client.
    Ends(Kind),
    /// It does not gather and decide again where an effect asks for it.
    NeverAgain,
    /// It always says that everything is well.
    AlwaysActive,
    /// It does nothing in this hook.
    Ignore(&'static str),
    /// It never gets this variable.
    Unset(&'static str),
    /// A hook tool of this name, with these words, does nothing but says it did.
    Tool(&'static str, &'static str),
    /// A hook tool gives this answer.
    Answer(&'static str, &'static str, &'static str),
    /// A hook tool is called without this argument.
    Without(&'static str, &'static str),
    /// This key is never written into a databag.
    Key(&'static str),
    /// This key, once it is there, is never written again.
    KeyOnce(&'static str),
    /// In hooks of this name no databag that is read has this key.
    Blind(&'static str, &'static str),
    /// Keys that begin so are never written into a secret.
    SecretKey(&'static str),
    /// The map of databases is written without those of legacy clients.
    NoLegacy,
    /// A hook fails where the peer relation is not there yet.
    NeedsPeers,
    /// Names for reading only are made however long they become.
    LongNames,
    /// No key is ever removed from a databag.
    KeepsKeys,
    /// A request to Pebble with these words does nothing but says it did.
    Pebble(&'static str),
    /// It takes what files say for what is in force.
    Trusts,
    /// It sees no process that holds its clients.
    SeesNoPause,
    /// Every file is readable by all users.
    OpenFiles,
    /// A line that begins so is left out of every file.
    Line(&'static str),
    /// One text stands in place of another in every file.
    Text(&'static str, &'static str),
    /// A file with these words in its path is not written.
    Unwritten(&'static str),
    /// A file whose path ends so is not there for who reads it.
    Unread(&'static str),
    /// One text stands in place of another in every layer.
    Layer(&'static str, &'static str),
    /// Statements of this kind are left out.
    Sql(&'static str),
    /// A statement, a query or a login does something else than it says.
    Twist(Twist),
    /// This query finds nothing.
    Overlooks(Query<'static>),
    /// It speaks to Patroni as if it had no certificate.
    InClear,
    /// A request to Kubernetes of this method, with these words in what it sends, does
    /// nothing but says it did.
    Kubernetes(&'static str, &'static str),
    /// One text stands in place of another in what is sent to Kubernetes.
    Object(&'static str, &'static str),
    /// A refusal of Kubernetes' is taken for an object that is not there.
    Unforbidden,
    /// A request to Patroni of this method and path does nothing but says it did.
    Patroni(&'static str),
    /// A text in what is sent to Patroni becomes another.
    PatroniBody(&'static str, &'static str),
    /// This key stands in no answer of Patroni.
    Unheard(&'static str),
    /// Patroni gets no credentials.
    Anonymous,
    /// The same random numbers come in every hook.
    SameRandom,
}

/// What a statement, a query or a login may do instead of what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twist {
    /// Another user's password is changed.
    AnothersPassword,
    /// Users that are made or changed are superusers.
    AllSuperusers,
    /// They are none, for every caller.
    NoSuperusers,
    /// They may make databases.
    AllMakeDatabases,
    /// They cannot log in.
    NobodyLogsIn,
    /// The database that new ones are copied from stays open when it is to be closed.
    TemplateStaysOpen,
    /// A lookup may be called by PUBLIC.
    LookupStaysOpen,
    /// A lookup shows superusers who do not ask for it.
    LookupShowsSuperusers,
    /// A lookup hides superusers who do.
    LookupHidesSuperusers,
    /// A role is looked for in databases that are no templates.
    StandsInOrdinary,
    /// Sessions look names up wherever their database says.
    NamesAnywhere,
}

/// A charm, by its application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// pgbouncer-k8s.
    Pooler,
    /// postgresql-k8s.
    Database,
}

impl Plant {
    /// What a fault of an effect is called; none of any other.
    fn of_effect(&self) -> Option<String> {
        Some(match self {
            Self::Drop(kind) => format!("effect {} is dropped", kind.name),
            Self::First(kind) => format!("effect {} comes first", kind.name),
            Self::Last(kind) => format!("effect {} comes last", kind.name),
            Self::GoOn(kind) => format!("the failure of {} is overlooked", kind.name),
            Self::Ends(kind) => format!("the failure of {} ends the hook", kind.name),
            _ => return None,
        })
    }
}

impl Target {
    fn app(self) -> &'static str {
        match self {
            Self::Pooler => POOLER,
            Self::Database => SERVER,
        }
    }
}

/// A planted fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// What it is called.
    pub name: String,
    /// The charm in which it is.
    pub target: Target,
    /// What it does.
    pub plant: Plant,
}

thread_local! {
    static HERE: RefCell<Option<Mutant>> = const { RefCell::new(None) };
    /// Whether a hook of the charm runs in which the fault is planted.
    static RUNS: Cell<bool> = const { Cell::new(false) };
}

/// Plants a fault, or takes it away again.
pub(crate) fn plant(mutant: Option<Mutant>) {
    HERE.with(|here| *here.borrow_mut() = mutant);
    RUNS.with(|runs| runs.set(false));
}

/// A hook of this application begins.
pub(crate) fn enter(app: &str) {
    let planted =
        HERE.with(|here| here.borrow().as_ref().is_some_and(|mutant| mutant.target.app() == app));
    RUNS.with(|runs| runs.set(planted));
}

/// Looks at the planted fault from a hook of its charm; nothing where there is none.
pub(crate) fn planted<T>(look: impl FnOnce(&Plant) -> Option<T>) -> Option<T> {
    if !is_planted() {
        return None;
    }
    HERE.with(|here| here.borrow().as_ref().and_then(|mutant| look(&mutant.plant)))
}

/// Whether the planted fault is this one.
pub(crate) fn is(plant: &Plant) -> bool {
    planted(|here| (here == plant).then_some(())).is_some()
}

/// Whether a fault is planted in the charm whose hook runs.
pub(crate) fn is_planted() -> bool {
    RUNS.with(Cell::get)
}
