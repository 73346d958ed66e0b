//! Relations and their databags.

use juju_names::{AppName, RelationId, UnitName};

use super::pairs::Pairs;
use super::{Context, HookError, Reader, malformed};
use crate::{Bag, Changes, Own, Party};

impl Reader {
    /// The live relations of an endpoint, sorted; an unknown endpoint has none.
    ///
    /// # Errors
    /// When `relation-ids` fails.
    pub fn relations(&mut self, endpoint: impl AsRef<str>) -> Result<Vec<RelationId>, HookError> {
        let endpoint = endpoint.as_ref();
        if let Some(known) = self.relations.get(endpoint) {
            return Ok(known.clone());
        }
        let doing = || format!("list the relations of {endpoint}");
        let found: Option<Vec<String>> =
            self.read(doing, "relation-ids", &["--format", "json", endpoint])?;
        let mut ids = found
            .unwrap_or_default()
            .iter()
            .map(|text| text.parse())
            .collect::<Result<Vec<RelationId>, _>>()
            .map_err(|source| malformed(doing(), "relation-ids", source))?;
        ids.sort_unstable();
        self.relations.insert(endpoint.to_owned(), ids.clone());
        Ok(ids)
    }

    /// The same without the one that is broken in this hook, which Juju may still list.
    ///
    /// # Errors
    /// As [`Reader::relations`].
    pub fn live_relations(
        &mut self,
        endpoint: impl AsRef<str>,
    ) -> Result<Vec<RelationId>, HookError> {
        let mut ids = self.relations(endpoint)?;
        ids.retain(|id| Some(*id) != self.ending);
        Ok(ids)
    }

    /// The remote units that have joined so far, sorted; for peers the other units.
    ///
    /// # Errors
    /// When the relation is unknown or `relation-list` fails.
    pub fn remote_units(&mut self, id: RelationId) -> Result<Vec<UnitName>, HookError> {
        if let Some(known) = self.members.get(&id) {
            return Ok(known.clone());
        }
        let doing = || format!("list the units of relation {id}");
        let number = id.to_string();
        let units: Option<Vec<UnitName>> =
            self.read(doing, "relation-list", &["-r", &number, "--format", "json"])?;
        let mut units = units.unwrap_or_default();
        units.sort();
        self.members.insert(id, units.clone());
        Ok(units)
    }

    /// The other units of a peer relation that have joined and are meant to be, sorted: Juju 4.0
    /// may not report a unit's end, and goes on listing it.
    ///
    /// # Errors
    /// As [`Reader::remote_units`] and [`Reader::planned_units`].
    pub fn peer_units(&mut self, id: RelationId) -> Result<Vec<UnitName>, HookError> {
        let mut units = self.remote_units(id)?;
        if !units.is_empty() {
            let planned = self.planned_units()?;
            units.retain(|unit| planned.contains(unit));
        }
        Ok(units)
    }

    /// The application at the other end; the own one for peers.
    ///
    /// # Errors
    /// When the relation is unknown or `relation-list` fails.
    pub fn remote_app(&mut self, id: RelationId) -> Result<AppName, HookError> {
        if let Some((hook, app)) = &self.environment.relation
            && *hook == id
        {
            return Ok(app.clone());
        }
        if let Some(known) = self.apps.get(&id) {
            return Ok(known.clone());
        }
        let doing = || format!("name the application of relation {id}");
        let number = id.to_string();
        let app: AppName =
            self.read(doing, "relation-list", &["-r", &number, "--app", "--format", "json"])?;
        self.apps.insert(id, app.clone());
        Ok(app)
    }

    /// The databag of a unit or an application. The own application's bag is the
    /// leader's alone, except in peer relations. A relation that the controller has removed while
    /// the agent still lists it holds nothing any more: nobody is on its other side.
    ///
    /// # Errors
    /// When the relation is unknown or the bag may not be read.
    pub fn bag(&mut self, id: RelationId, of: &Party) -> Result<Bag, HookError> {
        let key = (id, of.clone());
        if let Some(known) = self.bags.get(&key) {
            return Ok(known.clone());
        }
        let number = id.to_string();
        let (name, app) = match of {
            Party::Unit(unit) => (unit.to_string(), false),
            Party::App(app) => (app.to_string(), true),
        };
        let mut args = vec!["-r", number.as_str(), "--format", "json"];
        if app {
            args.push("--app");
        }
        args.extend(["-", name.as_str()]);
        let doing = || format!("read the databag of {name} in relation {id}");
        let found: Option<Pairs<String>> = match self.read(doing, "relation-get", &args) {
            Err(error) if error.is_relation_gone() => {
                self.gone.insert(id);
                None
            }
            answer => answer?,
        };
        let bag = Bag::from_iter(found.unwrap_or_default().0);
        self.bags.insert(key, bag.clone());
        Ok(bag)
    }

    /// The databag of the application at the other end.
    ///
    /// # Errors
    /// As [`Reader::remote_app`] and [`Reader::bag`].
    pub fn remote_app_bag(&mut self, id: RelationId) -> Result<Bag, HookError> {
        let app = self.remote_app(id)?;
        self.bag(id, &Party::App(app))
    }

    /// One of the own two databags, with own writes laid over it.
    ///
    /// # Errors
    /// As [`Reader::bag`].
    pub fn own_bag(&mut self, id: RelationId, own: Own) -> Result<Bag, HookError> {
        let party = self.own(own);
        self.bag(id, &party)
    }

    pub(super) fn own(&self, own: Own) -> Party {
        match own {
            Own::Unit => Party::Unit(self.unit().clone()),
            Own::App => Party::App(self.app().clone()),
        }
    }
}

impl Context {
    /// Wants changes in an own databag; returns whether anything differs. The
    /// differences leave as one `relation-set` per bag at the end of the hook. A relation that the
    /// controller has removed takes none.
    ///
    /// # Errors
    /// When the bag cannot be read, such as the application's by another than the leader.
    pub fn set_bag(
        &mut self,
        id: RelationId,
        own: Own,
        changes: impl Into<Changes>,
    ) -> Result<bool, HookError> {
        let party = self.own(own);
        let mut bag = self.bag(id, &party)?;
        let changes = changes.into().against(&bag);
        if changes.is_empty() || self.gone.contains(&id) {
            return Ok(false);
        }
        changes.apply_to(&mut bag);
        self.bags.insert((id, party), bag);
        self.bag_changes.entry((id, own)).or_default().merge(changes);
        Ok(true)
    }

    pub(super) fn flush_bags(&mut self) -> Result<(), HookError> {
        for ((id, own), changes) in std::mem::take(&mut self.bag_changes) {
            let number = id.to_string();
            let mut args = vec!["-r", number.as_str()];
            if own == Own::App {
                args.push("--app");
            }
            args.extend(["--file", "-"]);
            let changed = changes.iter().collect::<std::collections::BTreeMap<_, _>>();
            let content = serde_json::json!(changed).to_string();
            let doing = || format!("write the own databag of relation {id}");
            self.call(doing, "relation-set", &args, Some(&content))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
