//! Storage and resources.

use crate::tool::call::{ToolCall, refused};
use crate::tool::{Answer, StorageInfo, ToolError};

impl ToolCall<'_> {
    /// Buffered: more instances of a storage.
    ///
    /// # Errors
    /// Too much in all; whether there may be so many is looked at when the hook ends.
    pub fn storage_add(&mut self, name: &str, count: u32) -> Answer<()> {
        self.session.make_room(name.len() + 16)?;
        let asked = self.session.writes.storage.entry(name.to_owned()).or_default();
        *asked = asked.saturating_add(count);
        Ok(())
    }

    /// Storage instances of the unit, all or of one name.
    ///
    /// # Errors
    /// None so far.
    pub fn storage_list(&self, name: Option<&str>) -> Answer<Vec<String>> {
        let own = self.model.storage_of(&self.session.run.unit);
        let wanted =
            |id: &String| name.is_none_or(|name| crate::entity::hook::storage_name(id) == name);
        Ok(own.into_iter().filter(wanted).collect())
    }

    /// One storage instance.
    ///
    /// # Errors
    /// An instance that is not the unit's.
    pub fn storage_get(&self, id: &str) -> Answer<StorageInfo> {
        let own = self.model.storage_of(&self.session.run.unit).iter().any(|own| own == id);
        let instance = self.model.storage.get(id).filter(|_| own);
        let wrong =
            format!("invalid value {id:?} for option -s: storage instance {id:?} not found");
        instance.map(|instance| instance.info()).ok_or(ToolError::Usage(wrong))
    }

    /// The path of a resource's file in the charm container.
    ///
    /// # Errors
    /// A resource that the charm does not declare, or that was not given.
    pub fn resource_get(&self, name: &str) -> Answer<String> {
        let unit = &self.session.run.unit;
        let app = self.model.apps.get(unit.app());
        let Some(resource) = app.and_then(|app| app.charm.resources.get(name)) else {
            return Err(refused(format!("could not download resource: {name:?} not found")));
        };
        let given = app.and_then(|app| app.resources.as_ref());
        if given.is_some_and(|given| !given.contains(name)) {
            return Err(refused(format!("could not download resource: nobody has given {name:?}")));
        }
        let file = match (resource.kind.as_str(), &resource.filename) {
            ("oci-image", _) => "content.yaml",
            (_, Some(file)) => file,
            (_, None) => name,
        };
        Ok(format!("/var/lib/juju/agents/{}/resources/{name}/{file}", unit.tag()))
    }
}
