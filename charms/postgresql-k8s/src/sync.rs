//! How many standbys must have a commit before it is acknowledged.

use std::fmt;

/// The option `synchronous_node_count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandbyCount {
    /// Every standby.
    All,
    /// Half of the units, rounded down.
    Majority,
    /// This many.
    Number(u32),
}

impl StandbyCount {
    /// Reads the option's text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "all" => Some(Self::All),
            "majority" => Some(Self::Majority),
            text => text.parse().ok().filter(|number| *number >= 1).map(Self::Number),
        }
    }
}

impl fmt::Display for StandbyCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Majority => f.write_str("majority"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// What the dynamic configuration shall say about commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sync {
    /// How many standbys must have a commit.
    pub count: u32,
    /// Refuse to commit while no standby is there.
    pub strict: bool,
}

/// What is known about the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Members {
    /// The units the application shall have.
    pub planned: u32,
    /// The units that may be members.
    pub allowed: u32,
    /// The replicas that stream now.
    pub streaming: u32,
    /// Whether commits are refused now while no standby is there.
    pub strict_now: bool,
}

impl Sync {
    /// What the options and the members come to.
    ///
    /// Commits are not made to wait for a standby that has never been there: `strict`
    /// comes on with the first streaming replica and stays on while there may be one.
    pub(crate) fn wanted(option: StandbyCount, strict: bool, members: Members) -> Self {
        let all = members.planned.saturating_sub(1);
        let count = match option {
            StandbyCount::All => all,
            StandbyCount::Majority => members.planned / 2,
            StandbyCount::Number(n) if n < members.allowed.saturating_sub(1) => n,
            StandbyCount::Number(_) => all,
        };
        let possible = members.allowed > 1 && count > 0;
        let seen = members.streaming > 0 || members.strict_now;
        Self { count, strict: strict && possible && seen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(option: StandbyCount, units: u32, count: u32, strict: bool) {
        let members = Members {
            planned: units,
            allowed: units,
            streaming: units.saturating_sub(1),
            strict_now: false,
        };
        assert_eq!(Sync::wanted(option, true, members), Sync { count, strict });
    }

    #[test]
    fn the_table_of_upstream() {
        check(StandbyCount::All, 1, 0, false);
        check(StandbyCount::All, 2, 1, true);
        check(StandbyCount::All, 3, 2, true);
        check(StandbyCount::All, 5, 4, true);
        check(StandbyCount::Majority, 1, 0, false);
        check(StandbyCount::Majority, 2, 1, true);
        check(StandbyCount::Majority, 3, 1, true);
        check(StandbyCount::Majority, 5, 2, true);
        check(StandbyCount::Number(2), 5, 2, true);
        check(StandbyCount::Number(2), 3, 2, true);
        check(StandbyCount::Number(9), 3, 2, true);
    }

    #[test]
    fn commits_wait_for_no_standby_that_was_never_there() {
        let members = Members { planned: 2, allowed: 2, streaming: 0, strict_now: false };
        assert!(!Sync::wanted(StandbyCount::All, true, members).strict);
        let lost = Members { strict_now: true, ..members };
        assert!(Sync::wanted(StandbyCount::All, true, lost).strict);
        let alone = Members { planned: 1, allowed: 1, ..lost };
        assert!(!Sync::wanted(StandbyCount::All, true, alone).strict);
    }
}
