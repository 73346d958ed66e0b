//! The replication slots of members, as the leader keeps them.

use std::collections::BTreeSet;

use juju_names::AppName;
use serde_json::Value;

use super::cycle::Cycle;
use crate::far::Far;

/// Patroni's name for the slot of a member.
pub(crate) fn of_pod(pod: &str) -> String {
    pod.replace('-', "_")
}

/// Seconds that the slot of a member stays that Patroni sees no more, where nothing says how long.
const TTL: u64 = 1800;

/// The names of the slots that are there.
pub(crate) fn present<'a>(far: &'a Far, app: &AppName) -> impl Iterator<Item = &'a str> {
    let slots = far.patroni.get(app).into_iter().flat_map(|cluster| cluster.slots.keys());
    slots.map(String::as_str)
}

/// The names of the slots that stay whether their members are there or not.
pub(crate) fn permanent(far: &Far, app: &AppName) -> BTreeSet<String> {
    super::dynamic(far, app).map(|config| entries(&config).collect()).unwrap_or_default()
}

fn entries(config: &Value) -> impl Iterator<Item = String> {
    let slots = config["slots"].as_object().into_iter().flatten();
    slots.filter(|(_, slot)| slot["type"] == "physical").map(|(name, _)| name.clone())
}

impl Cycle<'_> {
    /// Slots of members and those that are configured are there; the others go after a time.
    pub(super) fn keep_slots(&mut self) {
        let ttl = self.dcs.number("member_slots_ttl").unwrap_or(TTL);
        let members = super::known_members(self.far, &self.app);
        let members = members.iter().map(|unit| of_pod(&unit.pod()));
        let configured = self.dcs.config.iter().flat_map(entries);
        let own = of_pod(&self.pod());
        let wanted = members.chain(configured).filter(|name| *name != own).collect::<Vec<_>>();
        let now = self.now;
        let Some(cluster) = self.far.patroni.get_mut(&self.app) else { return };
        cluster.slots.extend(wanted.into_iter().map(|name| (name, now)));
        cluster.slots.retain(|name, seen| *name != own && now.abs_diff(*seen) < ttl.max(1));
    }
}
