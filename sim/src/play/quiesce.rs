//! Rest: hooks run until nothing is due, and what is found wrong then.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use juju_names::UnitName;

use super::run::{Due, Run};
use crate::check;
use crate::far::kubernetes;
use crate::juju::hook::Ran;
use crate::world::{State, heal};

/// Rounds of update-status after the faults have stopped.
const ROUNDS: u32 = 4;

/// The most looks at what runs by itself.
const REST: u32 = 60;

impl Run {
    /// Runs hooks until nothing is due but hooks of these units.
    pub(crate) fn settle_without(&mut self, waits: impl Fn(&UnitName) -> bool) {
        for _ in 0..200 {
            let due = self.due();
            let Some((unit, due)) = due.into_iter().find(|(unit, _)| !waits(unit)) else { return };
            self.run_due(&unit, due, None);
        }
    }

    /// Runs hooks without faults until nothing is due; whether that came within a bound.
    pub(crate) fn settle(&mut self) -> bool {
        let bound = 100 + 80 * self.world.look(|state| state.units().len());
        let mut idle = BTreeSet::new();
        for _ in 0..bound {
            self.world.change(|state| {
                state.tend();
                state.retry_failed();
            });
            let again = !idle.is_empty();
            let due = self.first_due_besides(&mut idle);
            let due = due.or_else(|| if again { self.first_due() } else { None });
            let due = due.or_else(|| self.await_due());
            let Some((unit, due)) = due else { return true };
            let ran = self.run_due(&unit, due, None);
            // A hook that wrote nothing mostly causes no other hook.
            let quiet = |ran: &Ran| ran.effects > 0 && ran.written == 0 && ran.error.is_none();
            if !ran.as_ref().is_some_and(quiet) {
                idle.clear();
            }
        }
        false
    }

    /// Lets what runs by itself come to rest; a unit that has a hook due then.
    fn await_due(&mut self) -> Option<(UnitName, Due)> {
        for _ in 0..REST {
            if self.world.change(State::rests) {
                return None;
            }
            let due = self.first_due();
            if due.is_some() {
                return due;
            }
        }
        None
    }

    /// As [`Self::settle`]; what was written although nothing changed.
    pub(crate) fn settle_noting(&mut self) -> Vec<String> {
        let mut written = Vec::new();
        self.note_writes(true);
        for _ in 0..200 {
            let Some((unit, due)) = self.first_due() else { break };
            if let Some(ran) = self.run_due(&unit, due, None) {
                written.extend(ran.writes.iter().map(|line| format!("{} writes {line}", ran.name)));
            }
        }
        self.note_writes(false);
        written
    }

    /// Makes update-status due and runs it everywhere; what was written.
    pub(crate) fn round(&mut self) -> Vec<String> {
        let interval = self.world.look(|state| state.model.update_status_interval());
        let seconds = i64::try_from(interval).unwrap_or(300) + 1;
        self.world.change(|state| {
            kubernetes::balance(&state.far.kube);
            state.pass(SignedDuration::from_secs(seconds));
            state.run_patroni();
        });
        let mut written = Vec::new();
        self.note_writes(true);
        let bound = 100 + 80 * self.world.look(|state| state.units().len());
        for _ in 0..bound {
            self.world.change(|state| state.retry_failed());
            let Some((unit, due)) = self.first_due() else { break };
            if let Some(ran) = self.run_due(&unit, due, None) {
                written.extend(ran.writes.iter().map(|line| format!("{}: {line}", ran.name)));
            }
        }
        self.note_writes(false);
        written
    }

    /// Whether from now on it is noted in words what hooks write.
    fn note_writes(&self, noted: bool) {
        self.world.change(|state| state.gate.writes = noted.then(Vec::new));
    }

    /// Without faults nothing waits for update-status.
    pub(crate) fn promptly(&mut self) {
        self.settle();
        // Survivors may get no event for a peer that has gone; then they find out by themselves.
        if self.world.look(|state| state.model.has_ghosts()) {
            self.round();
            self.settle();
        }
        let clients = self.apps.clients.clone();
        let found = self.world.look(|state| check::promptly(state, &clients));
        let found = found.into_iter().map(|text| format!("before update-status: {text}"));
        self.blame(found.collect());
    }

    /// Without faults update-status finds nothing to mend either.
    pub(crate) fn leisurely(&mut self) {
        if !self.world.look(check::is_done) {
            return;
        }
        // A refresh gives no hook to units whose pods stay, and all do where the last one leads.
        if self.world.look(State::has_outdated) {
            self.round();
            self.settle();
        }
        // What a unit remembers, which words its status has, and the mark that a password was
        // changed, which stands in Patroni's file until the next hook, change nothing by themselves.
        let quiet =
            [": state-", ": status-set", "POST /v1/files /var/lib/postgresql/data/patroni.yml"];
        let written = self.round().into_iter();
        let mended = written.filter(|line| !quiet.iter().any(|words| line.contains(words)));
        self.blame(mended.map(|line| format!("only update-status writes: {line}")).collect());
    }

    /// Peace: everything comes back, everything converges, and then nothing is written.
    pub(crate) fn end(&mut self) {
        self.tell(|| "peace".to_owned());
        self.played.before_peace = self.played.hooks;
        self.world.change(|state| {
            for (app, cluster) in &mut state.far.clusters {
                cluster.up |= !state.far.patroni.contains_key(app);
            }
            heal(state);
            state.watch_backends();
            state.tend();
        });
        let mut settled = self.settle();
        for _ in 0..ROUNDS {
            let written = self.round();
            let hooks = self.played.hooks;
            settled &= self.settle();
            if written.is_empty() && self.played.hooks == hooks {
                break;
            }
        }
        if !settled {
            self.played.wrong.push("hooks do not come to an end".to_owned());
        }
        let written = self.round();
        // A unit that cannot serve tries again.
        let able = self.world.look(check::able);
        if !written.is_empty() && able {
            let lines = written.join("\n    ");
            self.played.wrong.push(format!("written although nothing changed:\n    {lines}"));
        }
        let wrong = self.world.look(|state| check::always(state, &mut self.watch, None));
        self.blame(wrong);
        let clients = self.apps.clients.clone();
        let found = self.world.look(|state| check::at_peace(state, &clients));
        self.played.wrong.extend(found);
        self.played.wrong.extend(self.world.look(check::settled));
        self.played.view = self.world.look(check::view);
    }
}
