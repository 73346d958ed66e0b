//! Roles: what clients' users are by their memberships, and what they have that extensions revoke
//! from PUBLIC.

use juju_names::AppName;

use crate::far::postgresql::{Cluster, READS_FILES};
use crate::world::State;

pub(super) fn check(state: &State, app: &AppName) -> Vec<String> {
    let Some(cluster) = state.far.clusters.get(app) else { return Vec::new() };
    let users = cluster.roles.keys().filter(|name| cluster.is_user(name, &["relation_access"]));
    users.flat_map(|name| of_user(cluster, name)).collect()
}

fn of_user(cluster: &Cluster, name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for other in cluster.reached(name).iter().filter(|other| *other != name) {
        let user = cluster.is_user(other, &["relation_access", "internal_access"]);
        if user || other == READS_FILES {
            wrong.push(format!("{name} is {other} too"));
        }
    }
    for (base, _) in cluster.databases.iter().filter(|(_, base)| base.extended.contains(name)) {
        wrong.push(format!("{name} has something on an extension of {base}"));
    }
    wrong
}
