//! A refresh of the database's charm: which pods go, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{APP, Cluster, HEAL_BOUND, Members, UNITS};
use crate::root;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// What was seen of a refresh.
#[derive(Debug, Default)]
struct Watch {
    /// The pods by name: the uid of each, and whether it is to go.
    pods: BTreeMap<String, (String, bool)>,
    /// The uids of pods whose member has led or streamed.
    joined: BTreeSet<String>,
    /// Who led at the last look.
    leader: String,
    /// The pods in the order in which they went.
    gone: Vec<String>,
}

impl Watch {
    /// Notes how the pods are; what must not be.
    fn look(&mut self, pods: &[Value], members: &[Value]) -> Result<()> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let now: BTreeMap<String, (String, bool)> = pods
            .iter()
            .map(|pod| &pod["metadata"])
            .map(|it| (text(&it["name"]), (text(&it["uid"]), it["deletionTimestamp"].is_string())))
            .collect();
        for (pod, (uid, _)) in self.pods.iter().filter(|(_, (_, goes))| !goes) {
            let stays = now.get(pod).is_some_and(|(other, goes)| other == uid && !goes);
            if !stays {
                ensure!(self.leader != *pod, "{pod} goes while it is the primary's: {self:?}");
                self.gone.push(pod.clone());
            }
        }
        for member in members {
            let name = text(&member["name"]);
            let leads = member["role"] == "leader" && member["state"] == "running";
            if leads {
                self.leader = name.clone();
            }
            if let Some((uid, false)) = now.get(&name)
                && (leads || member["state"] == "streaming")
                // A member that went is shown for a moment as it was.
                && self.pods.get(&name).is_some_and(|(known, _)| known == uid)
            {
                self.joined.insert(uid.clone());
            }
        }
        let well = now.values().filter(|(uid, goes)| !goes && self.joined.contains(uid)).count();
        self.pods = now;
        ensure!(well + 1 >= UNITS, "two members are away at once: {self:?}");
        Ok(())
    }
}

impl Cluster {
    /// Refreshes the charm, and waits until every unit has it; the pods in the order in which they
    /// went.
    ///
    /// # Errors
    /// When two members are away at once, the primary's pod goes, or a unit is not upgraded.
    pub(super) fn refresh(&self) -> Result<Vec<String>> {
        let mut watch = Watch { leader: self.primary()?, ..Watch::default() };
        for _ in 0..2 {
            self.look(&mut watch).ok();
        }
        watch.gone.clear();
        ensure!(watch.joined.len() == UNITS, "not all follow: {watch:?}");
        let charm = root().join(format!("dist/{APP}_ubuntu@22.04-amd64.charm"));
        self.engine.call(&["refresh", APP, "--path", &charm.display().to_string()])?;
        let end = Instant::now() + 3 * HEAL_BOUND;
        while watch.gone.len() < UNITS || watch.joined.len() < 2 * UNITS {
            self.look(&mut watch)?;
            ensure!(Instant::now() < end, "the upgrade stands still: {watch:?}");
            std::thread::sleep(PAUSE);
        }
        self.engine.wait_active(90)?;
        Ok(watch.gone)
    }

    fn look(&self, watch: &mut Watch) -> Result<()> {
        let path = format!("pods?labelSelector=app.kubernetes.io%2Fname%3D{APP}");
        let pods = self.kubernetes("GET", &path, "")?;
        let pods = pods["items"].as_array().context("no pods")?;
        // One that answers shows them all.
        let shown = (0..UNITS).find_map(|number| self.cluster(&Members::pod(number)).ok());
        let members = shown.as_ref().and_then(|cluster| cluster["members"].as_array());
        watch.look(pods, members.map(Vec::as_slice).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pods(uids: [&str; 3]) -> Vec<Value> {
        let pod = |(number, uid): (usize, &str)| json!({"metadata": {"name": Members::pod(number), "uid": uid}});
        let there = uids.into_iter().enumerate().filter(|(_, uid)| !uid.is_empty());
        there.map(pod).collect()
    }

    fn members(states: [&str; 3]) -> Vec<Value> {
        let member = |(number, state): (usize, &str)| {
            let role = if number == 0 { "leader" } else { "replica" };
            json!({"name": Members::pod(number), "role": role, "state": state})
        };
        states.into_iter().enumerate().map(member).collect()
    }

    #[test]
    fn two_members_that_are_away_are_seen() {
        let mut watch = Watch { leader: Members::pod(0), ..Watch::default() };
        let all = members(["running", "streaming", "streaming"]);
        let mut look = |uids, members: &[Value]| watch.look(&pods(uids), members);
        look(["a", "b", "c"], &all).ok();
        look(["a", "b", "c"], &all).unwrap();
        look(["a", "b", ""], &all).unwrap();
        look(["a", "b", "d"], &all).unwrap();
        let joins = members(["running", "streaming", "stopped"]);
        look(["a", "b", "d"], &joins).unwrap();
        assert!(look(["a", "", "d"], &joins).is_err(), "one that is ready has not joined");
    }

    #[test]
    fn a_primary_that_goes_is_seen() {
        let mut watch = Watch { leader: Members::pod(0), ..Watch::default() };
        let all = members(["running", "streaming", "streaming"]);
        watch.look(&pods(["a", "b", "c"]), &all).ok();
        watch.look(&pods(["a", "b", "c"]), &all).unwrap();
        assert!(watch.look(&pods(["", "b", "c"]), &all).is_err());
    }
}
