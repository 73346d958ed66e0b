//! The gate through which every effect of a hook goes: counted, and spoilt where asked.

use super::{Fault, Occurs, Port};

/// How many effects there were on each port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Effects([u32; 5]);

impl Effects {
    /// Those on one port.
    pub(crate) fn on(self, port: Port) -> u32 {
        self.0[port as usize]
    }
}

/// A fault for one hook: which, and at which of the effects that it can strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injection {
    /// What happens.
    pub fault: Fault,
    /// The number of the effect, from 0, among those of the fault's port.
    pub at: u32,
}

/// The payload with which a killed hook unwinds.
pub(crate) struct Killed;

/// No password is as short as this, in bytes.
pub(crate) const SHORT: usize = 8;

/// Counts one hook's effects and strikes them.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    plan: Option<Injection>,
    /// Effects so far, by port and in all.
    seen: Effects,
    all: u32,
    /// Whether the fault has struck.
    struck: bool,
    /// How many writes changed something outside.
    pub(crate) written: u32,
    /// What they were, where a trace is wanted.
    pub(crate) writes: Option<Vec<String>>,
    /// What stood in argument lists, a line each.
    pub(crate) shown: String,
    /// Kept for the trace.
    pub(crate) lines: Option<Vec<String>>,
}

impl Gate {
    /// The gate of a new hook.
    pub(crate) fn open(&mut self, plan: Option<Injection>) {
        let fresh = |kept: &mut Option<Vec<String>>| kept.take().map(|_| Vec::new());
        let (lines, writes) = (fresh(&mut self.lines), fresh(&mut self.writes));
        *self = Self { plan, lines, writes, ..Self::default() };
    }

    /// The effects of the hook so far.
    pub(crate) fn effects(&self) -> u32 {
        self.all
    }

    /// The effects so far that a fault of this kind could have struck.
    pub(crate) fn seen(&self) -> Effects {
        self.seen
    }

    /// The fault that has struck.
    pub(crate) fn struck(&self) -> Option<Fault> {
        self.plan.filter(|_| self.struck).map(|plan| plan.fault)
    }

    /// Counts an effect; the fault that strikes it.
    pub(crate) fn pass(&mut self, port: Port, what: impl FnOnce() -> String) -> Option<Fault> {
        let own = &mut self.seen.0[port as usize];
        let (own_number, number) = (*own, self.all);
        *own += 1;
        self.all += 1;
        let strikes = self.plan.filter(|plan| match plan.fault.spec().occurs {
            Occurs::At(wanted) => wanted == port && plan.at == own_number,
            Occurs::From(wanted) => wanted == port && plan.at <= own_number,
            Occurs::AtAny | Occurs::Between | Occurs::Throughout => plan.at == number,
        });
        self.struck |= strikes.is_some();
        if let Some(lines) = &mut self.lines {
            let struck = strikes.map_or(String::new(), |plan| format!(" !{}", plan.fault.name()));
            lines.push(format!("{number:>3} {port:?}: {}{struck}", what()));
        }
        strikes.map(|plan| plan.fault)
    }

    /// Notes an argument list; what is too short for a password is left out.
    pub(crate) fn show(&mut self, args: &[&str]) {
        for arg in args.iter().filter(|arg| arg.len() > SHORT) {
            self.shown.push_str(arg);
            self.shown.push('\n');
        }
    }

    /// Notes a write that changed something.
    pub(crate) fn write(&mut self, what: impl FnOnce() -> String) {
        self.written += 1;
        if let Some(writes) = &mut self.writes {
            writes.push(what());
        }
    }
}
