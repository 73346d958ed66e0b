//! Whether Juju could have produced a world and send an event in it.

use names::{ContainerName, SecretId};

use super::manifest::Role;
use super::{Impossible, Relation, World};
use crate::{Event, RelationEvent, RelationKind, SecretOwner};

/// Every reason why this cannot be.
pub(super) fn check(world: &World, event: &Event) -> Result<(), Impossible> {
    let mut wrong = world.wrong.clone();
    world.relations.values().for_each(|relation| relation_stands(world, relation, &mut wrong));
    for key in world.config.keys().filter(|key| !world.manifest.options.contains_key(*key)) {
        wrong.push(format!("config.yaml declares no option {key:?}"));
    }
    for container in world.containers.keys() {
        container_stands(world, container, &mut wrong);
    }
    for id in world.storage.keys() {
        storage_stands(world, id, &mut wrong);
    }
    event_stands(world, event, &mut wrong);
    if wrong.is_empty() { Ok(()) } else { Err(Impossible(wrong)) }
}

fn relation_stands(world: &World, relation: &Relation, wrong: &mut Vec<String>) {
    let (endpoint, app) = (&relation.endpoint, relation.remote_app.as_str());
    match world.manifest.endpoints.get(endpoint) {
        None => wrong.push(format!("metadata.yaml declares no endpoint {endpoint:?}")),
        Some(Role::Peer) if app != world.unit.app().as_str() => {
            wrong.push(format!(
                "{app:?} is no peer in {endpoint:?}: peers are units of one application"
            ));
        }
        Some(Role::Provider | Role::Requirer | Role::Peer) => {}
    }
    for unit in relation.units.keys().chain(relation.departed.keys()) {
        if unit.app().as_str() != app {
            wrong.push(format!("{unit} is no unit of {app:?} in relation {}", relation.id));
        }
        if *unit == world.unit {
            wrong.push(format!("{unit} is not its own peer in relation {}", relation.id));
        }
    }
}

fn container_stands(world: &World, container: &ContainerName, wrong: &mut Vec<String>) {
    if !world.manifest.containers.contains_key(container) {
        wrong.push(format!("metadata.yaml declares no container {container}"));
    }
}

fn storage_stands(world: &World, id: &str, wrong: &mut Vec<String>) {
    let name = id.split('/').next().unwrap_or(id);
    if !world.manifest.storage.iter().any(|known| known == name) {
        wrong.push(format!("metadata.yaml declares no storage {name:?}"));
    }
}

fn event_stands(world: &World, event: &Event, wrong: &mut Vec<String>) {
    match event {
        Event::LeaderElected if !world.leader => {
            wrong.push("leader-elected is for the leader, and this unit does not lead".to_owned());
        }
        Event::PebbleReady { container }
        | Event::PebbleCustomNotice { container, .. }
        | Event::PebbleCheckFailed { container, .. }
        | Event::PebbleCheckRecovered { container, .. } => {
            container_stands(world, container, wrong);
        }
        Event::Relation(relation) => relation_event(world, relation, wrong),
        Event::SecretChanged { id, .. } => secret_stands(world, id, false, wrong),
        Event::SecretRemove { id, .. }
        | Event::SecretRotate { id, .. }
        | Event::SecretExpired { id, .. } => secret_stands(world, id, true, wrong),
        Event::StorageAttached { id, .. } | Event::StorageDetaching { id, .. } => {
            storage_stands(world, id, wrong);
            if !world.storage.contains_key(id) {
                wrong.push(format!("there is no storage {id}"));
            }
        }
        Event::Action { name, .. } if !world.manifest.actions.contains_key(name) => {
            wrong.push(format!("actions.yaml declares no action {name:?}"));
        }
        _ => {}
    }
}

fn secret_stands(world: &World, id: &SecretId, own: bool, wrong: &mut Vec<String>) {
    match world.secrets.get(id).map(|secret| secret.owner) {
        None => wrong.push(format!("there is no {id}")),
        Some(None) if own => wrong.push(format!("{id} is another's, and only its owner is told")),
        Some(Some(_)) if !own => wrong.push(format!("{id} is an own secret: observers are told")),
        Some(Some(SecretOwner::App)) if !world.leader => {
            wrong.push(format!("{id} is the application's, and only the leader is told"));
        }
        Some(_) => {}
    }
}

fn relation_event(world: &World, event: &RelationEvent, wrong: &mut Vec<String>) {
    let RelationEvent { id, kind, .. } = event;
    let Some(relation) = world.relations.get(id) else {
        wrong.push(format!("there is no relation {id}"));
        return;
    };
    if relation.endpoint != event.endpoint.as_str() {
        wrong.push(format!(
            "relation {id} is one of {:?}, not of {}",
            relation.endpoint, event.endpoint
        ));
    }
    match &event.remote_app {
        Some(app) if relation.remote_app != app.as_str() => {
            let leads_to = &relation.remote_app;
            wrong.push(format!("relation {id} leads to {leads_to:?}, not to {app}"));
        }
        None if *kind != RelationKind::Broken => {
            wrong.push(format!("only broken may leave out the application of relation {id}"));
        }
        _ => {}
    }
    let word = kind.word();
    match (kind, &event.remote_unit) {
        (RelationKind::Joined | RelationKind::Departed, None) => {
            wrong.push(format!("{word} is about a remote unit, and names none"));
        }
        (RelationKind::Created | RelationKind::Broken, Some(unit)) => {
            wrong.push(format!("{word} is about no unit, but names {unit}"));
        }
        (RelationKind::Created | RelationKind::Broken, None) if !relation.units.is_empty() => {
            wrong.push(format!("{word} happens while no unit is in relation {id}"));
        }
        (RelationKind::Joined | RelationKind::Changed, Some(unit))
            if !relation.units.contains_key(unit) =>
        {
            wrong.push(format!("{unit} is not in relation {id}"));
        }
        (RelationKind::Departed, Some(unit)) if relation.units.contains_key(unit) => {
            wrong.push(format!("{unit} departs and is in relation {id}: make it departed"));
        }
        _ => {}
    }
    match (kind, &event.departing_unit) {
        (RelationKind::Departed, None) => {
            wrong.push("departed names a departing unit".to_owned());
        }
        (RelationKind::Departed, Some(unit))
            if *unit != world.unit && Some(unit) != event.remote_unit.as_ref() =>
        {
            wrong.push(format!("{unit} departs, but is at neither end of the event"));
        }
        (RelationKind::Departed, Some(_)) | (_, None) => {}
        (_, Some(unit)) => wrong.push(format!("{word} names {unit} as departing")),
    }
}
