//! How long the leader's lock lives, and what has to fit into its life.

use super::Reader;

/// The options `ttl`, `loop_wait` and `retry_timeout`, in seconds, as Patroni has them.
///
/// A leader that cannot renew its lock looks, tries twice and has stopped before another member may
/// take it: Patroni makes `loop_wait + 2 * retry_timeout` fit into `ttl`, and changes what does not
/// fit with no more than a line in its log. Here such options are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Until a silent leader loses its lock.
    pub ttl: u32,
    /// Between two looks at the cluster.
    pub loop_wait: u32,
    /// The bound of one try to reach the Kubernetes API.
    pub retry_timeout: u32,
}

/// What `config.yaml` has, and why, is in the explanation of a failover.
const DEFAULT: Timing = Timing { ttl: 20, loop_wait: 1, retry_timeout: 5 };

impl Reader<'_> {
    /// The lower bounds are Patroni's own. With more than the upper ones a lost primary is
    /// missed for minutes, and a hook that waits for two looks would be in the way.
    pub(super) fn timing(&mut self) -> Timing {
        let mut seconds = |option: &str, low, high, default: u32| {
            let number = self.integer(option, low, high);
            number.and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
        };
        let timing = Timing {
            ttl: seconds("ttl", 20, 300, DEFAULT.ttl),
            loop_wait: seconds("loop_wait", 1, 10, DEFAULT.loop_wait),
            retry_timeout: seconds("retry_timeout", 3, 60, DEFAULT.retry_timeout),
        };
        let needed = timing.loop_wait + 2 * timing.retry_timeout;
        // Where one of them cannot be used at all, the others need not fit its default.
        if self.problems.is_empty() && needed > timing.ttl {
            self.problems.push(format!(
                "cannot use the options ttl, loop_wait and retry_timeout together: \
                 loop_wait + 2 * retry_timeout is {needed}, and ttl, which is {}, must not be less",
                timing.ttl
            ));
        }
        timing
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check_refused, parse};
    use super::*;
    use serde_json::json;

    #[test]
    fn the_lock_lives_as_long_as_the_options_say() {
        assert_eq!(parse(&json!({})).unwrap().timing, DEFAULT);
        let patronis_own = json!({"ttl": 30, "loop_wait": 10, "retry_timeout": 10});
        let timing = parse(&patronis_own).unwrap().timing;
        assert_eq!(timing, Timing { ttl: 30, loop_wait: 10, retry_timeout: 10 });
    }

    #[test]
    fn what_patroni_would_change_in_silence_is_refused() {
        check_refused(
            &json!({"ttl": 15}),
            "cannot use 15 for the option ttl: it is a number from 20 to 300",
        );
        check_refused(
            &json!({"loop_wait": 0}),
            "cannot use 0 for the option loop_wait: it is a number from 1 to 10",
        );
        check_refused(
            &json!({"retry_timeout": 2}),
            "cannot use 2 for the option retry_timeout: it is a number from 3 to 60",
        );
        check_refused(
            &json!({"retry_timeout": 10}),
            "cannot use the options ttl, loop_wait and retry_timeout together: \
             loop_wait + 2 * retry_timeout is 21, and ttl, which is 20, must not be less",
        );
    }
}
