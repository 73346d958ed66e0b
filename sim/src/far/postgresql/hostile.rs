//! What clients do where they have no business, and what they are by their memberships.

use std::collections::BTreeSet;

use super::{Cluster, READS_FILES, Role, TEMPLATE};

impl Cluster {
    /// A role and all that it is by its memberships, at whichever remove.
    pub(crate) fn reached(&self, name: &str) -> BTreeSet<String> {
        let (mut reached, mut next) = (BTreeSet::new(), vec![name.to_owned()]);
        while let Some(name) = next.pop() {
            if let Some(role) = self.roles.get(&name).filter(|_| reached.insert(name)) {
                next.extend(role.member_of.iter().cloned());
            }
        }
        reached
    }

    /// The superusers.
    pub(super) fn superusers(&self) -> BTreeSet<String> {
        let all = self.roles.iter().filter(|(_, role)| role.superuser);
        all.map(|(name, _)| name.clone()).collect()
    }

    /// Whether a role logs in and is in one of these groups.
    pub(crate) fn is_user(&self, name: &str, groups: &[&str]) -> bool {
        let role = self.roles.get(name).filter(|role| role.login);
        role.is_some_and(|role| groups.iter().any(|group| role.member_of.contains(*group)))
    }

    /// What clients try where they have no business: each owns something in the database that new
    /// ones are copied from, if it gets in, and stays there doing nothing.
    pub(crate) fn trespass(&mut self) {
        let of_client = |name: &str| name.starts_with("relation_id_") || name.contains("_user_");
        let clients = self.roles.iter().filter(|(name, role)| of_client(name) && role.login);
        let names = clients.map(|(name, _)| name.clone());
        let inside: Vec<String> = names.filter(|name| self.may_connect(name, TEMPLATE)).collect();
        if let Some(template) = self.databases.get_mut(TEMPLATE) {
            template.objects.extend(inside.iter().cloned());
            template.idle.extend(inside);
        }
    }

    /// What older charms granted: the first client is reached by all who are admins, each reads the
    /// server's files, and has something on a member of an extension.
    pub(crate) fn entangle(&mut self) {
        let clients = self.roles.keys().filter(|name| self.is_user(name, &["relation_access"]));
        let clients: Vec<String> = clients.cloned().collect();
        for name in &clients {
            if let Some(role) = self.roles.get_mut(name) {
                role.member_of.insert(READS_FILES.to_owned());
            }
            let own = self.databases.values_mut();
            for database in own.filter(|database| database.holds(name)) {
                database.extended.insert(name.clone());
            }
        }
        if let (Some(admin), Some(first)) = (self.roles.get_mut("admin"), clients.first()) {
            admin.member_of.insert(first.clone());
        }
    }

    /// What a client may do that makes roles: the next client's, before it comes, of which it is a
    /// member.
    pub(crate) fn foresee(&mut self, next: &str) {
        let clients = self.roles.keys().filter(|name| self.is_user(name, &["relation_access"]));
        let Some(client) = clients.min().cloned() else { return };
        self.roles.insert(next.to_owned(), Role::default());
        if let Some(role) = self.roles.get_mut(&client) {
            role.member_of.insert(next.to_owned());
        }
    }
}
