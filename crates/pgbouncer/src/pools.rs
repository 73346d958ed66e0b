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
/// `max_db_connections` is what the operator allows per database and pod, 0 for no limit;
/// `share` is what the server can give, where that is known. PgBouncer enforces the limit per
/// process, so each process gets its share, rounded down but at least 1 (0 would mean no
/// limit). Charms that write the undivided number into every process allow `processes` times
/// as many connections as the operator asked for.
pub fn pool_sizes(max_db_connections: u32, share: Option<u32>, processes: NonZeroU32) -> PoolSizes {
    let capped = |most: u32| (most / processes).max(1);
    let most = share.map_or(u32::MAX, capped);
    if max_db_connections == 0 {
        let max_db_connections = share.map_or(0, capped);
        return PoolSizes {
            default: most.min(20),
            min: most.min(10),
            reserve: most.min(10),
            max_db_connections,
        };
    }
    let asked = share.map_or(max_db_connections, |share| max_db_connections.min(share));
    let part = |parts: u32| asked.div_ceil(processes.get().saturating_mul(parts)).min(most);
    PoolSizes {
        default: part(2),
        min: part(4),
        reserve: part(4),
        max_db_connections: capped(asked),
    }
}

/// Who wants to share the connections of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// What the server has for clients.
    pub connections: u32,
    /// Pods.
    pub units: u32,
    /// PgBouncer processes of each pod.
    pub processes: NonZeroU32,
    /// Entries of `[databases]` that lead to the server and have no size of their own.
    pub entries: u32,
    /// The sum of the sizes, per pod, of those that have one.
    pub sized: u32,
}

/// More server connections are promised than there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot share {connections} server connections among {units} units and {databases} \
     databases: at least {needed} are needed; raise max_connections or serve fewer"
)]
pub struct Overcommitted {
    /// What the server has for clients.
    pub connections: u32,
    /// What is needed, one connection per process and entry at least.
    pub needed: u64,
    /// Pods.
    pub units: u32,
    /// Entries of `[databases]` without a size of their own.
    pub databases: u32,
}

impl Demand {
    /// The most connections of each entry without a size of its own, per pod.
    ///
    /// # Errors
    /// When a process would have none left for an entry.
    pub fn share(&self) -> Result<u32, Overcommitted> {
        let (units, entries) = (u64::from(self.units.max(1)), u64::from(self.entries));
        let processes = u64::from(self.processes.get());
        let sized = units * u64::from(self.sized);
        let needed = sized + units * entries * processes;
        if needed > u64::from(self.connections) {
            return Err(Overcommitted {
                connections: self.connections,
                needed,
                units: self.units,
                databases: self.entries,
            });
        }
        let share = (u64::from(self.connections) - sized) / (units * entries.max(1));
        Ok(u32::try_from(share).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(max: u32, processes: u32, expected: (u32, u32, u32, u32)) {
        let sizes = pool_sizes(max, None, NonZeroU32::new(processes).unwrap());
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

    #[test]
    fn what_the_server_cannot_give_is_named() {
        let processes = NonZeroU32::new(2).unwrap();
        let demand = Demand { connections: 92, units: 3, processes, entries: 16, sized: 0 };
        let said = demand.share().unwrap_err().to_string();
        assert!(said.contains("92 server connections among 3 units and 16 databases"), "{said}");
        assert!(said.contains("at least 96"), "{said}");
        assert_eq!(Demand { entries: 4, sized: 10, ..demand }.share(), Ok(5));
    }

    proptest! {
        #[test]
        fn nobody_is_promised_more_than_there_is(
            asked: u32,
            connections in 0u32..2_000,
            units in 1u32..8,
            processes in 1u32..5,
            entries in 1u32..50,
            sized in 0u32..200,
        ) {
            let processes = NonZeroU32::new(processes).unwrap();
            let demand = Demand { connections, units, processes, entries, sized };
            let Ok(share) = demand.share() else { return Ok(()) };
            let sizes = pool_sizes(asked, Some(share), processes);
            let each = u64::from(sizes.max_db_connections) * u64::from(processes.get());
            let all = u64::from(units) * (u64::from(entries) * each + u64::from(sized));
            prop_assert!(all <= u64::from(connections), "{all} of {connections}");
            prop_assert!(sizes.default <= sizes.max_db_connections && sizes.default > 0);
            prop_assert!(sizes.min <= sizes.default && sizes.reserve <= sizes.default);
        }

        #[test]
        fn pools_stay_positive_and_the_pod_stays_below_the_cap(max in 1u32.., n in 1u32..64) {
            let sizes = pool_sizes(max, None, NonZeroU32::new(n).unwrap());
            prop_assert!(sizes.default >= sizes.min && sizes.min >= 1);
            prop_assert_eq!(sizes.min, sizes.reserve);
            let pod = u64::from(sizes.max_db_connections) * u64::from(n);
            prop_assert!(pod <= u64::from(max.max(n)));
        }
    }
}
