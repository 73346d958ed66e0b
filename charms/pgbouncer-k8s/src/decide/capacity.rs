//! How many of PostgreSQL's connections each database may use, so that all together never
//! promise more than there are.

use interfaces::pgb_peers::DatabaseMap;
use pgbouncer::{Demand, Overcommitted};

use crate::databases::on_primary;
use crate::facts::FullFacts;
use crate::place;

/// Connections that are left to others: the charm's own, a person's, an exporter's.
const KEPT: u32 = 5;

/// Who shares PostgreSQL's connections; `None` where PostgreSQL did not tell how many it has.
fn demand(facts: &FullFacts, map: &DatabaseMap) -> Option<Demand> {
    let room = facts.backend.as_ref()?.room?;
    let login = facts.backend.as_ref()?.login.as_ref()?;
    let options = facts.common.options.as_ref().ok()?;
    let entries = on_primary(login, map);
    let sizes = entries.iter().filter_map(|name| options.pool_sizes.get(name));
    let processes = facts.common.processes;
    // A process has one connection at least.
    let sized: Vec<u32> = sizes.map(|size| (*size).max(processes.get())).collect();
    Some(Demand {
        connections: room.for_clients.saturating_sub(KEPT),
        units: u32::try_from(facts.others.len()).ok()?.saturating_add(1),
        processes,
        entries: u32::try_from(entries.len() - sized.len()).ok()?,
        sized: sized.iter().sum::<u32>().saturating_add(place::LOOKUP_POOL.max(processes.get())),
    })
}

/// The most connections of a database on one unit. Where there are too few for everybody,
/// each process still gets one: then the unit is blocked, not its clients.
pub(crate) fn share(facts: &FullFacts, map: &DatabaseMap) -> Option<u32> {
    let processes = facts.common.processes.get();
    Some(demand(facts, map)?.share().unwrap_or(processes))
}

/// Why PostgreSQL cannot give what is asked of it, with the numbers.
pub(crate) fn problem(facts: &FullFacts, map: &DatabaseMap) -> Option<String> {
    let most = facts.backend.as_ref()?.room?.most;
    let options = facts.common.options.as_ref().ok()?;
    let sizes = options.pool_sizes.iter().map(|(name, size)| (name.as_str(), *size));
    let asked = std::iter::once(("max_db_connections", options.max_db_connections)).chain(sizes);
    for (name, size) in asked {
        if size > most {
            return Some(format!(
                "{name}={size} is more than PostgreSQL's max_connections={most}: lower it"
            ));
        }
    }
    demand(facts, map)?.share().err().map(|error: Overcommitted| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Room;
    use crate::testing;

    fn facts(for_clients: u32, others: u32) -> FullFacts {
        let mut facts = testing::fresh();
        let room = Some(Room { most: 100, for_clients });
        facts.backend = Some(crate::facts::Backend { room, ..testing::backend() });
        facts.others = (1..=others).collect();
        facts
    }

    #[test]
    fn connections_are_shared_among_units_and_databases() {
        // 97 less 5 kept, less 4 per unit for lookups; the replicas serve `_readonly`.
        let one = testing::map(&[(7, "waltz")]);
        assert_eq!(share(&facts(97, 0), &one), Some(88));
        let two = testing::map(&[(7, "waltz"), (9, "polka")]);
        assert_eq!(share(&facts(97, 1), &two), Some(21));
        assert_eq!(problem(&facts(97, 1), &two), None);
    }

    #[test]
    fn more_than_there_is_is_named_with_the_numbers() {
        let map = testing::map(&[(7, "waltz"), (9, "polka")]);
        let said = problem(&facts(20, 3), &map).unwrap();
        assert!(said.contains("15 server connections") && said.contains("4 units"), "{said}");
        let mut asked = facts(97, 0);
        let options = asked.common.options.as_mut().unwrap();
        options.max_db_connections = 500;
        let said = problem(&asked, &map).unwrap();
        assert!(said.contains("max_db_connections=500") && said.contains("=100"), "{said}");
    }
}
