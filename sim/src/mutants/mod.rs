//! Planted faults: what the simulator is worth is how many of them it catches.
//!
//! Effects, hook-tool calls, requests and statements are data, so a fault in the charm or
//! the framework is planted where they pass: nothing is compiled again.

mod effects;
mod list;
mod ports;
mod run;

use std::cell::RefCell;

pub(crate) use effects::Planted;
pub use list::{LEFT_OUT, all};
pub(crate) use ports::*;
pub use run::{Outcome, run, unplanted};

use crate::history::POOLER;

/// A fault in the charm or the framework, as it shows where its effects pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plant {
    /// The charm never wants this effect.
    Drop(&'static str),
    /// It wants this effect before all others.
    First(&'static str),
    /// It wants this effect after all others.
    Last(&'static str),
    /// It goes on where this effect said to stop.
    GoOn(&'static str),
    /// It does not gather and decide again where an effect asks for it.
    NeverAgain,
    /// It always says that everything is well.
    AlwaysActive,
    /// It does nothing in this hook.
    Ignore(&'static str),
    /// It is never told this variable.
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
    /// The map of databases is written without those of the old interface.
    NoLegacy,
    /// A hook fails where the peer relation is not there yet.
    NeedsPeers,
    /// Names for reading only are made however long they become.
    LongNames,
    /// No key is ever removed from a databag.
    KeepsKeys,
    /// A request to Pebble with these words does nothing but says it did.
    Pebble(&'static str),
    /// Every file may be read by everybody.
    OpenFiles,
    /// A line that begins so is left out of every file.
    Line(&'static str),
    /// A statement that begins so is left out.
    Sql(&'static str),
    /// One text stands in place of another in every statement.
    Swap(&'static str, &'static str),
    /// A request to Kubernetes of this method does nothing but says it did.
    Kubernetes(&'static str),
}

/// A planted fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// What it is called.
    pub name: String,
    /// What it does.
    pub plant: Plant,
}

thread_local! {
    static HERE: RefCell<Option<Plant>> = const { RefCell::new(None) };
}

/// Plants a fault, or takes it away again.
fn plant(plant: Option<Plant>) {
    HERE.with(|here| *here.borrow_mut() = plant);
}

/// Looks at the planted fault from code of the pooler; nothing where there is none.
pub(crate) fn planted<T>(look: impl FnOnce(&Plant) -> Option<T>) -> Option<T> {
    HERE.with(|here| here.borrow().as_ref().and_then(look))
}

/// Whether a fault is planted.
pub(crate) fn is_planted() -> bool {
    HERE.with(|here| here.borrow().is_some())
}

/// As [`planted`], in the hooks of one application.
pub(crate) fn planted_in<T>(app: &str, look: impl FnOnce(&Plant) -> Option<T>) -> Option<T> {
    if app == POOLER { planted(look) } else { None }
}
