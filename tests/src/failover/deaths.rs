//! Deaths of those that hold clients, in the midst of a switchover.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::kinds::Crowd;
use super::place::unit;
use super::{Cluster, Planned};
use crate::program;

/// Who dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dies {
    /// The pooler's agent.
    Agent,
    /// The process that would end a pause for it.
    Lease,
    /// Both.
    AgentAndLease,
    /// Patroni's `before_stop`.
    BeforeStop,
    /// Patroni, with its PostgreSQL left to itself.
    Patroni,
    /// A PgBouncer process with its guardian.
    PgBouncer,
    /// A PgBouncer process is restarted.
    Restart,
}

impl Dies {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Agent,
        Self::Lease,
        Self::AgentAndLease,
        Self::BeforeStop,
        Self::Patroni,
        Self::PgBouncer,
        Self::Restart,
    ];

    /// What the processes' arguments begin with, and whether they are the primary's.
    fn pattern(self) -> (&'static str, bool) {
        match self {
            Self::Agent => ("^[^ ]*pooler-agent /[^ ]* $", false),
            Self::Lease => ("^[^ ]*pooler-agent lease ", false),
            Self::AgentAndLease => ("^[^ ]*pooler-agent \\(/[^ ]* $\\|lease \\)", false),
            Self::PgBouncer => ("^[^ ]*pooler-agent serve [^ ]*_0/", false),
            Self::Restart => ("", false),
            Self::BeforeStop => ("^[^ ]*before-stop ", true),
            Self::Patroni => ("^[^ ]*python3 [^ ]*patroni ", true),
        }
    }

    /// A line of shell that does it after so many milliseconds.
    fn line(self, after: u64) -> String {
        let (seconds, rest) = (after / 1000, after % 1000);
        let act = match self {
            Self::Restart => "pebble restart pgbouncer_0".to_owned(),
            _ => format!(
                "for p in /proc/[0-9]*; do if tr '\\0' ' ' < $p/cmdline | grep -q '{}'; \
                 then kill -9 ${{p#/proc/}}; fi; done",
                self.pattern().0
            ),
        };
        format!("sleep {seconds}.{rest:03}; {act} 2>/dev/null; true")
    }
}

impl Cluster {
    /// Hands the lead over so often under clients of every kind, each time with another death so
    /// long after the order; the longest that a client waited each time, and for whose death.
    ///
    /// # Errors
    /// When an acknowledged number is lost, or the cluster does not heal.
    pub fn deaths(&self, deaths: &[(Dies, u64)]) -> Result<Vec<(Dies, u64, Duration)>> {
        let second = self.prepare_crowd("transaction")?;
        let crowd = Crowd::start(&self.url, &second)?;
        let mut waits = Vec::new();
        for (round, (dies, after)) in deaths.iter().enumerate() {
            crowd.forget();
            let primary = self.primary()?;
            let (container, pod) = match dies.pattern().1 {
                true => ("postgresql", unit(&primary)?),
                false => ("pgbouncer", "pgbouncer-k8s/0".to_owned()),
            };
            let line = dies.line(*after);
            let mut killer = Command::new(program())
                .args(["--instance", &self.instance, "ssh", "--container", container])
                .args([&pod, &line])
                .spawn()
                .context("cannot start who kills")?;
            self.plan(Planned::Switchover, round).with_context(|| format!("{dies:?}"))?;
            ensure!(killer.wait()?.success(), "{dies:?} could not be killed");
            waits.push((*dies, *after, crowd.longest()));
        }
        crowd.end()?;
        Ok(waits)
    }
}
