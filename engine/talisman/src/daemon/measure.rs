//! What hooks cost: runs, wall time, tool calls.

use std::collections::{BTreeMap, VecDeque};

use juju_names::UnitName;
use serde::Serialize;

/// Runs kept per hook for the median: the last ones.
const RUNS_MAX: usize = 200;

/// Runs kept for the time line.
const TIMELINE_MAX: usize = 200;

/// One run of a hook.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ran {
    /// Grows with each run.
    pub(crate) number: u64,
    pub(crate) at: jiff::Timestamp,
    pub(crate) unit: UnitName,
    pub(crate) hook: String,
    pub(crate) milliseconds: f64,
    pub(crate) calls: u64,
    pub(crate) succeeded: bool,
}

/// The cost of hooks so far, by charm and hook.
#[derive(Default)]
pub(crate) struct Measurements {
    hooks: BTreeMap<(String, String), Cost>,
    calls: BTreeMap<String, u64>,
    memory_kib: BTreeMap<String, u64>,
    timeline: VecDeque<Ran>,
    count: u64,
}

#[derive(Default)]
struct Cost {
    runs: u64,
    failed: u64,
    milliseconds: VecDeque<f64>,
    whole: VecDeque<f64>,
    tool_calls: VecDeque<u64>,
    memory_kib: u64,
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Line {
    charm: String,
    hook: String,
    runs: u64,
    failed: u64,
    wall_ms_median: f64,
    wall_ms_max: f64,
    wall_ms_last: f64,
    /// With what the engine does before and after the process.
    whole_ms_median: f64,
    tool_calls_median: u64,
    tool_calls_max: u64,
    tool_calls_last: u64,
    /// 0 unless the charm reported it.
    memory_kib_max: u64,
}

impl Measurements {
    /// Counts one call of a hook tool.
    pub(crate) fn called(&mut self, context: &str) {
        *self.calls.entry(context.to_owned()).or_default() += 1;
    }

    /// Notes what a running hook says of its memory.
    pub(crate) fn used(&mut self, context: &str, kib: u64) {
        self.memory_kib.insert(context.to_owned(), kib);
    }

    /// The last runs after one of them.
    pub(crate) fn timeline_after(&self, number: u64) -> Vec<Ran> {
        self.timeline.iter().filter(|ran| ran.number > number).cloned().collect()
    }

    /// Counts one run of a hook; its number and calls are filled in here.
    pub(crate) fn ran(&mut self, charm: &str, context: &str, mut ran: Ran) {
        let calls = self.calls.remove(context).unwrap_or_default();
        self.count += 1;
        (ran.number, ran.calls) = (self.count, calls);
        let (hook, milliseconds, succeeded) = (ran.hook.clone(), ran.milliseconds, ran.succeeded);
        if self.timeline.len() == TIMELINE_MAX {
            self.timeline.pop_front();
        }
        self.timeline.push_back(ran);
        let memory = self.memory_kib.remove(context).unwrap_or_default();
        let cost = self.hooks.entry((charm.to_owned(), hook)).or_default();
        cost.runs += 1;
        cost.memory_kib = cost.memory_kib.max(memory);
        cost.failed += u64::from(!succeeded);
        if cost.milliseconds.len() == RUNS_MAX {
            cost.milliseconds.pop_front();
            cost.tool_calls.pop_front();
        }
        cost.milliseconds.push_back(milliseconds);
        cost.tool_calls.push_back(calls);
    }

    /// Notes how long a hook took from the engine's first step to its last.
    pub(crate) fn took(&mut self, charm: &str, hook: &str, milliseconds: f64) {
        let cost = self.hooks.entry((charm.to_owned(), hook.to_owned())).or_default();
        if cost.whole.len() == RUNS_MAX {
            cost.whole.pop_front();
        }
        cost.whole.push_back(milliseconds);
    }

    /// The table as JSON.
    pub(crate) fn table(&self) -> serde_json::Value {
        let lines: Vec<Line> = self.hooks.iter().map(|(key, cost)| cost.line(key)).collect();
        serde_json::json!(lines)
    }
}

impl Cost {
    fn line(&self, (charm, hook): &(String, String)) -> Line {
        let mut times: Vec<f64> = self.milliseconds.iter().copied().collect();
        times.sort_by(f64::total_cmp);
        let mut whole: Vec<f64> = self.whole.iter().copied().collect();
        whole.sort_by(f64::total_cmp);
        let mut calls: Vec<u64> = self.tool_calls.iter().copied().collect();
        calls.sort_unstable();
        Line {
            charm: charm.clone(),
            hook: hook.clone(),
            runs: self.runs,
            failed: self.failed,
            wall_ms_median: times.get(times.len() / 2).copied().unwrap_or_default(),
            wall_ms_max: times.last().copied().unwrap_or_default(),
            wall_ms_last: self.milliseconds.back().copied().unwrap_or_default(),
            whole_ms_median: whole.get(whole.len() / 2).copied().unwrap_or_default(),
            tool_calls_median: calls.get(calls.len() / 2).copied().unwrap_or_default(),
            tool_calls_max: calls.last().copied().unwrap_or_default(),
            tool_calls_last: self.tool_calls.back().copied().unwrap_or_default(),
            memory_kib_max: self.memory_kib,
        }
    }
}
