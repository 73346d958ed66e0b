//! How many of PostgreSQL's connections each database may use, so that all together never
//! promise more than there are.

use pgbouncer::{Demand, Entry, Overcommitted};

use crate::databases::DatabaseMap;
use crate::facts::FullFacts;
use crate::names;
use crate::render::databases::on_primary;
use crate::wording;

/// Connections that are left to others: the charm's own, a person's, an exporter's.
const KEPT: u32 = 5;

/// Who shares PostgreSQL's connections; `None` where PostgreSQL did not report how many it has.
fn demand(facts: &FullFacts, map: &DatabaseMap) -> Option<Demand> {
    let connection_budget = facts.backend.as_ref()?.connection_budget?;
    let login = facts.backend.as_ref()?.login.as_ref()?;
    let options = facts.common.options.as_ref().ok()?;
    let entries = on_primary(login, map);
    let sizes = entries.iter().filter_map(|entry| match entry {
        Entry::Named(name) => options.pool_sizes.get(name),
        Entry::Fallback => None,
    });
    let processes = facts.common.processes;
    // A process has one connection at least.
    let sized: Vec<u32> = sizes.map(|size| (*size).max(processes.get())).collect();
    Some(Demand {
        connections: connection_budget.for_clients.saturating_sub(KEPT),
        units: u32::try_from(facts.others.len()).unwrap_or(u32::MAX).saturating_add(1),
        processes,
        entries: u32::try_from(entries.len() - sized.len()).unwrap_or(u32::MAX),
        sized: sized.iter().sum::<u32>().saturating_add(names::LOOKUP_POOL.max(processes.get())),
    })
}

/// The most connections of a database on one unit. Where there are too few for all processes, each
/// process still gets one: then the unit is blocked, not its clients.
pub(crate) fn share(facts: &FullFacts, map: &DatabaseMap) -> Option<u32> {
    let processes = facts.common.processes.get();
    Some(demand(facts, map)?.share().unwrap_or(processes))
}

/// Why PostgreSQL cannot give what is asked of it, with the numbers.
pub(crate) fn problem(facts: &FullFacts, map: &DatabaseMap) -> Option<String> {
    let most = facts.backend.as_ref()?.connection_budget?.most;
    let options = facts.common.options.as_ref().ok()?;
    let sizes = options.pool_sizes.iter().map(|(name, size)| (name.as_str(), *size));
    let asked = std::iter::once(("max_db_connections", options.max_db_connections)).chain(sizes);
    for (name, size) in asked {
        if size > most {
            return Some(wording::too_large(name, size, most));
        }
    }
    demand(facts, map)?.share().err().map(|error: Overcommitted| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::ConnectionBudget;
    use crate::fixture;

    fn facts(for_clients: u32, others: u32) -> FullFacts {
        let mut facts = fixture::fresh();
        let connection_budget = Some(ConnectionBudget { most: 100, for_clients });
        facts.backend = Some(crate::facts::Backend { connection_budget, ..fixture::backend() });
        facts.others = (1..=others).collect();
        facts
    }

    #[test]
    fn connections_are_shared_among_units_and_databases() {
        // 97 less 5 kept, less 4 per unit for lookups; the replicas serve `_readonly`.
        let one = fixture::map(&[(7, "waltz")]);
        assert_eq!(share(&facts(97, 0), &one), Some(88));
        let two = fixture::map(&[(7, "waltz"), (9, "polka")]);
        assert_eq!(share(&facts(97, 1), &two), Some(21));
        assert_eq!(problem(&facts(97, 1), &two), None);
    }

    #[test]
    fn more_than_there_is_is_named_with_the_numbers() {
        let map = fixture::map(&[(7, "waltz"), (9, "polka")]);
        let said = problem(&facts(20, 3), &map).unwrap();
        assert!(said.contains("15 server connections") && said.contains("4 units"), "{said}");
        let mut asked = facts(97, 0);
        let options = asked.common.options.as_mut().unwrap();
        options.max_db_connections = 500;
        let said = problem(&asked, &map).unwrap();
        assert!(said.contains("max_db_connections=500") && said.contains("=100"), "{said}");
    }
}
