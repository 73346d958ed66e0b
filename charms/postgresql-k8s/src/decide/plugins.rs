//! Extensions as the options have them: the leader's part.

use juju_charm::databag;
use patroni::Cluster;

use crate::effect::{Effect, SwitchExtensions};
use crate::options::Plugins;
use crate::validate::Validated;
use crate::wording;

/// The key of the application's databag with the plugins that are on.
pub(crate) const KEY: &str = "plugins";

/// What the options ask for that is not done yet.
pub(super) fn switch(facts: &Validated<'_>, sets_up: bool) -> Option<Effect> {
    let (peer, login) = (facts.peer.as_ref()?, facts.superuser()?);
    let leads = facts.cluster.as_ref().and_then(Cluster::leader).is_some();
    if !facts.leader || !(sets_up || facts.initialised() && leads) {
        return None;
    }
    let known = Plugins::read(databag::text(&peer.app, KEY).unwrap_or_default());
    if known == facts.plugins {
        return None;
    }
    if let Some(line) = facts.plugins.problems().into_iter().next() {
        return Some(Effect::Refuse { line, status: wording::unsatisfied_plugins() });
    }
    Some(Effect::SwitchExtensions(Box::new(SwitchExtensions {
        peer: peer.id,
        on: facts.plugins.without(&known).extensions(),
        off: known.without(&facts.plugins).extensions(),
        plugins: facts.plugins.text(),
        login,
    })))
}
