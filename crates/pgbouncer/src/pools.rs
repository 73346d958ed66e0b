//! Pool sizes derived from `max_db_connections`.

use std::num::NonZeroU32;

/// The connection limits of one PgBouncer process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSizes {
    /// `default_pool_size`: server connections per user and database.
    pub default: u32,
    /// `min_pool_size`: connections kept open.
    pub min: u32,
    /// `reserve_pool_size`: connections added under pressure.
    pub reserve: u32,
    /// `max_db_connections`: the cap per database, 0 for none.
    pub max_db_connections: u32,
}

/// The limits of each of `processes` processes that together serve one pod.
///
/// `max_db_connections` is what the operator allows per database and pod, 0 for no limit.
/// PgBouncer enforces the limit per process, so each process gets its share, rounded down
/// but at least 1 (0 would mean no limit). Charms that write the undivided number into
/// every process allow `processes` times as many connections as the operator asked for.
pub fn pool_sizes(max_db_connections: u32, processes: NonZeroU32) -> PoolSizes {
    if max_db_connections == 0 {
        return PoolSizes { default: 20, min: 10, reserve: 10, max_db_connections: 0 };
    }
    let share = |parts: u32| max_db_connections.div_ceil(processes.get().saturating_mul(parts));
    PoolSizes {
        default: share(2),
        min: share(4),
        reserve: share(4),
        max_db_connections: (max_db_connections / processes).max(1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(max: u32, processes: u32, expected: (u32, u32, u32, u32)) {
        let sizes = pool_sizes(max, NonZeroU32::new(processes).unwrap());
        let got = (sizes.default, sizes.min, sizes.reserve, sizes.max_db_connections);
        assert_eq!(got, expected, "max_db_connections={max} processes={processes}");
    }

    #[test]
    fn sizes_follow_the_table() {
        check(0, 4, (20, 10, 10, 0));
        check(100, 4, (13, 7, 7, 25));
        check(100, 2, (25, 13, 13, 50));
        check(100, 3, (17, 9, 9, 33));
        check(1, 4, (1, 1, 1, 1));
    }

    proptest! {
        #[test]
        fn pools_stay_positive_and_the_pod_stays_below_the_cap(max in 1u32.., n in 1u32..64) {
            let sizes = pool_sizes(max, NonZeroU32::new(n).unwrap());
            prop_assert!(sizes.default >= sizes.min && sizes.min >= 1);
            prop_assert_eq!(sizes.min, sizes.reserve);
            let pod = u64::from(sizes.max_db_connections) * u64::from(n);
            prop_assert!(pod <= u64::from(max.max(n)));
        }
    }
}
