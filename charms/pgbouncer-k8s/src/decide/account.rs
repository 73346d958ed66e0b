//! What a client gets on PostgreSQL.

use juju_charm::{AppName, Hidden, RelationId};
use postgres::Owner;

use crate::effect::Account;
use crate::facts::FullFacts;
use crate::validate::{GrantRequest, who};

use super::{Next, lookup};

/// The client that an account is for.
pub(super) struct Holder<'a> {
    pub(super) relation: RelationId,
    pub(super) app: &'a AppName,
    pub(super) password: Hidden,
    /// It has credentials already.
    pub(super) recreated: bool,
}

/// The account, where the backend is initialised.
pub(super) fn account(
    facts: &FullFacts,
    next: &Next,
    holder: Holder,
    request: GrantRequest,
) -> Option<Account> {
    let login = next.step.login()?;
    // Processes serve what the map has, so no credentials are published for anything else.
    let mapped = next.map.relations.get(&holder.relation).map(|mapped| &mapped.name);
    let is_mapped = mapped == Some(&request.database) || facts.peers.is_none();
    assert!(is_mapped, "the map lacks the relation {}", holder.relation);
    let mut others = next.map.relations.iter().filter(|(id, _)| **id != holder.relation);
    let shared = others.any(|(_, other)| other.name == request.database);
    Some(Account {
        salt: facts.seed.salt(request.user.as_str()),
        who: who(holder.app, holder.relation),
        password: holder.password,
        grantor: login.username.clone(),
        owner: if shared { Owner::Shared } else { Owner::Sole },
        lookup: lookup::for_client(facts, next, login, &request),
        peers: facts.peers.as_ref().map(|peers| peers.id),
        recreated: holder.recreated,
        request,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::databases::DatabaseMap;
    use crate::decide::backend::backend_changed;
    use crate::fixture::{self, CLIENT};
    use crate::validate::validate;

    fn made(map: DatabaseMap) -> Option<Account> {
        let facts = fixture::ready();
        let next = Next {
            valid: validate(&facts),
            running: true,
            step: backend_changed(&facts, true),
            secret: None,
            digest: map.digest(),
            map,
            readonly: Vec::new(),
            shared: None,
            container: None,
            unwritable: None,
        };
        let app = fixture::app();
        let password = "hidden".into();
        let holder = Holder { relation: CLIENT, app: &app, password, recreated: false };
        let database = "waltz".parse().unwrap();
        let request = GrantRequest::legacy("waltz".parse().unwrap(), database, false);
        account(&facts, &next, holder, request)
    }

    #[test]
    fn a_client_in_the_map_has_an_account() {
        assert!(made(fixture::map(&[(CLIENT.0, "waltz")])).is_some());
    }

    #[test]
    #[should_panic(expected = "the map lacks the relation 7")]
    fn a_client_that_the_map_lacks_has_no_account() {
        made(fixture::map(&[(CLIENT.0, "polka")]));
    }
}
