//! The kinds of effects, and which faults are planted in each.

use juju_charm::{Changes, Own, Write};
use pgbouncer_k8s::ContainerEffect;
use postgresql_k8s::{PatroniCommand, Roll};

use super::Plant;

/// One kind of a charm's effects.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    of: Of,
}

/// Which effects of which charm are of a kind.
#[derive(Debug, Clone, Copy)]
enum Of {
    Pooler(fn(&pgbouncer_k8s::Effect) -> bool),
    Database(fn(&postgresql_k8s::Effect) -> bool),
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Kind {}

/// An effect, which is of this kind or is not.
pub(crate) trait OfKind {
    /// Whether it is.
    fn is_of(&self, kind: Kind) -> bool;
}

impl OfKind for pgbouncer_k8s::Effect {
    fn is_of(&self, kind: Kind) -> bool {
        matches!(kind.of, Of::Pooler(is_of) if is_of(self))
    }
}

impl OfKind for postgresql_k8s::Effect {
    fn is_of(&self, kind: Kind) -> bool {
        matches!(kind.of, Of::Database(is_of) if is_of(self))
    }
}

/// The faults of effects: a row has a kind's name, the faults, and what is of the kind.
macro_rules! plants {
    ($charm:ident, $($name:literal $($plant:ident)+: $pattern:pat $(if $guard:expr)?,)+) => {{
        let mut plants = Vec::new();
        $({
            let of = Of::$charm(|effect| matches!(effect, $pattern $(if $guard)?));
            let kind = Kind { name: $name, of };
            $(plants.push(Plant::$plant(kind));)+
        })+
        plants
    }};
}

fn has(changes: &Changes, key: &str) -> bool {
    changes.iter().any(|(known, _)| known == key)
}

/// In effects of pgbouncer-k8s. What leaves at a hook's end in any order, such as bags and states,
/// comes neither too early nor too late.
pub(super) fn of_pooler() -> Vec<Plant> {
    use ContainerEffect::{MakeDirs, PushFiles, Reload, RemoveFile, Replan, Restart};
    use pgbouncer_k8s::Effect::{self, Container, Juju};
    plants! { Pooler,
        "set app" Drop: Juju(Write::Bag { own: Own::App, .. }),
        "set unit" Drop: Juju(Write::Bag { own: Own::Unit, .. }),
        "put secret" Drop: Juju(Write::Secret { .. }),
        "initialise" Drop GoOn: Effect::Initialise(_),
        "remove auth" Drop: Effect::RemoveAuth { .. },
        "make dirs" Drop Last: Container(MakeDirs(_)),
        "push" Drop Last: Container(PushFiles(_)),
        "remove file" Drop: Container(RemoveFile(_)),
        "replan" Drop First: Container(Replan(_)),
        "reload" Drop First: Container(Reload(_)),
        "restart" Drop First: Container(Restart(_)),
        "keep effective" Drop: Juju(Write::State(key, Some(_))) if key == "effective",
        "confirm" Drop: Effect::Confirm(_),
        "keep barrier" Drop: Juju(Write::State(key, Some(_))) if key == "barrier",
        "keep pause" Drop: Juju(Write::State(key, Some(_))) if key == "paused",
        "forget barrier" Drop: Juju(Write::State(key, None)) if key == "barrier",
        "apply service" Drop GoOn: Effect::ApplyService(_),
        "grant" Drop GoOn: Effect::Grant(_),
        "update uris" Drop: Effect::UpdateUris(_),
        "legacy grant" Drop GoOn: Effect::GrantLegacy(_),
        "remove client" Drop GoOn Ends: Effect::RemoveClient { .. },
        "remove orphaned users" Drop GoOn Ends: Effect::RemoveOrphanedUsers { .. },
        "remove secret" Drop: Juju(Write::RemoveSecret(label)) if label.ends_with(".user.secret"),
    }
}

/// In effects of postgresql-k8s.
pub(super) fn of_database() -> Vec<Plant> {
    use Write::Bag;
    use postgresql_k8s::Effect::{self, Juju, PatchDynamic};
    plants! { Database,
        "guard server" Drop: Effect::GuardServer { .. },
        "refuse" Drop: Effect::Refuse { .. },
        "set endpoints" Drop:
            Juju(Bag { own: Own::App, changes, .. }) if has(changes, "endpoints"),
        "set cluster_initialised" Drop First:
            Juju(Bag { own: Own::App, changes, .. }) if has(changes, "cluster_initialised"),
        "set clients" Drop: Juju(Bag { own: Own::App, changes, .. }) if has(changes, "clients"),
        "set member" Drop: Juju(Bag { own: Own::Unit, changes, .. }) if has(changes, "member"),
        "set state" Drop: Juju(Bag { own: Own::Unit, changes, .. }) if has(changes, "state"),
        "put secret" Drop: Juju(Write::Secret { .. }),
        "remove revision" Drop: Juju(Write::RemoveRevision(..)),
        "apply services" Drop: Effect::ApplyServices,
        "label" Drop Last: Effect::LabelPods(_),
        "remove orphaned objects" Drop: Effect::RemoveOrphanedObjects,
        "prepare storage" Drop: Effect::PrepareStorage,
        "push config" Drop Last: Effect::PushConfig(_),
        "refresh passfile" Drop: Effect::RefreshPassfile(_),
        "reload" Drop: Effect::Reload,
        "start workload" Drop First: Effect::StartWorkload(_),
        "await member" Drop: Effect::AwaitMember(_),
        "copy anew" Drop: Effect::CopyAnew(_),
        "remove aside" Drop: Effect::RemoveAside,
        "set up cluster" Drop GoOn: Effect::SetUpCluster { .. },
        "patch" Drop: PatchDynamic { .. },
        "patch node count" Drop:
            PatchDynamic { patch, .. } if patch.get("synchronous_node_count").is_some(),
        "patch parameters" Drop:
            PatchDynamic { patch, .. } if patch.pointer("/postgresql/parameters").is_some(),
        "patch ttl" Drop: PatchDynamic { patch, .. } if patch.get("ttl").is_some(),
        "extensions" Drop: Effect::SwitchExtensions(_),
        "serve" Drop GoOn: Effect::ServeClient(_),
        "remove client" Drop GoOn Ends: Effect::RemoveClient { .. },
        "set password" Drop Last: Effect::SetPassword { .. },
        "switch over" Drop: Effect::RunPatroniCommand { command: PatroniCommand::Switchover { .. }, .. },
        "report to clients" Drop: Effect::ReportToClients,
        "restart members" Drop: Effect::RestartMembers { .. },
        "report pending restart" Drop: Effect::ReportPendingRestart { .. },
        "hand over" Drop: Effect::HandOver { .. },
        "report timeline" Drop: Effect::ReportTimeline(_),
        "set partition" Drop: Effect::Upgrade(Roll::SetPartition { .. }),
        "switch over for an upgrade" Drop: Effect::Upgrade(Roll::SwitchOver { .. }),
        "adopt objects" Drop: Effect::AdoptObjects,
        "take primary label" Drop: Effect::TakePrimaryLabel,
        "restart" Drop: Effect::RunPatroniCommand { command: PatroniCommand::Restart, .. },
    }
}
