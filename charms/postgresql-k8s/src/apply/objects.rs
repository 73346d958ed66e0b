//! Effects on Kubernetes' objects.

use juju_charm::{Applied, Context, Level, Status};
use kubernetes_client::{Error, Resource, Service};
use serde_json::{Value, json};

use crate::gather::objects::{LOCK, patronis, unadopted};
use crate::gather::topology;
use crate::ports::Ports;
use crate::topology::{PATRONI_PORT, POSTGRESQL_PORT, Topology};
use crate::wording::{self, untrusted};

/// Where requests to the API go; the status when there is no API.
fn client(ports: &dyn Ports, hook: &mut Context) -> Result<kubernetes_client::Client, Applied> {
    ports.kubernetes().map_err(|error| {
        hook.log(Level::Error, error.to_string());
        Applied::Stop(untrusted(&topology(hook)))
    })
}

/// What follows when the API refused: the way out is a person's where rights are missing.
pub(crate) fn refused(forbidden: bool, topology: &Topology, message: impl Into<String>) -> Applied {
    let status = if forbidden { untrusted(topology) } else { Status::blocked(message) };
    Applied::Stop(status)
}

fn stop(hook: &mut Context, error: &Error, message: &str) -> Applied {
    hook.log(Level::Error, error.to_string());
    refused(error.is_forbidden(), &topology(hook), message)
}

pub(super) async fn apply_services(ports: &dyn Ports, hook: &mut Context) -> Applied {
    let client = match client(ports, hook) {
        Ok(client) => client,
        Err(applied) => return applied,
    };
    let topology = topology(hook);
    match try_apply_services(&client, &topology, &hook.unit().pod()).await {
        Ok(()) => Applied::Done,
        Err(error) => stop(hook, &error, wording::NO_SERVICES),
    }
}

async fn try_apply_services(
    client: &kubernetes_client::Client,
    topology: &Topology,
    pod: &str,
) -> Result<(), Error> {
    // The services go with the pod's owner, the application's stateful set.
    let owner = client.get(Resource::Pods, pod).await?;
    let app = topology.app.as_str();
    let name_label = "app.kubernetes.io/name";
    // This one is Juju's, which does not look after it.
    let headless = topology.headless_service();
    if client.get(Resource::Services, &headless).await?.is_none() {
        let mut service =
            Service::headless(&headless).label(name_label, app).selects(name_label, app);
        if let Some(pod) = &owner {
            service = service.owned_like(pod);
        }
        client.apply(Resource::Services, &headless, app, &service.to_value()).await?;
    }
    let roles = [(topology.primary_service(), "primary"), (topology.replicas_service(), "replica")];
    for (name, role) in roles {
        let mut service = Service::new(&name)
            .label(name_label, app)
            .selects(name_label, app)
            .selects("cluster-name", &topology.scope())
            .selects("role", role)
            .port("api", PATRONI_PORT)
            .port("database", POSTGRESQL_PORT);
        if let Some(pod) = &owner {
            service = service.owned_like(pod);
        }
        client.apply(Resource::Services, &name, app, &service.to_value()).await?;
    }
    Ok(())
}

pub(super) async fn label_pods(ports: &dyn Ports, hook: &mut Context, pods: &[String]) -> Applied {
    let client = match client(ports, hook) {
        Ok(client) => client,
        Err(applied) => return applied,
    };
    let scope = topology(hook).scope();
    let labels = json!({"metadata": {"labels": {
        "application": "patroni", "cluster-name": scope}}});
    for pod in pods {
        match client.patch_merge(Resource::Pods, pod, &labels).await {
            Ok(_) => {}
            // The pod comes back without labels and its own hook labels it then.
            Err(error) if error.is_not_found() => hook.log(Level::Info, error.to_string()),
            Err(error) => {
                return stop(hook, &error, &wording::not_labelled(&error));
            }
        }
    }
    Applied::Done
}

/// Takes the primary's label from every pod but the own. Patroni gives it back to its pod
/// should that lead again.
pub(super) async fn take_primary_label(ports: &dyn Ports, hook: &mut Context) -> Applied {
    let client = match client(ports, hook) {
        Ok(client) => client,
        Err(applied) => return applied,
    };
    let scope = topology(hook).scope();
    let labels =
        [("application", "patroni"), ("cluster-name", scope.as_str()), ("role", "primary")];
    let own = hook.unit().pod();
    let none = json!({"metadata": {"labels": {"role": null}}});
    let take = async {
        let selector = kubernetes_client::label_selector(&labels);
        for pod in client.list(Resource::Pods, &selector).await? {
            if let Some(name) = pod["metadata"]["name"].as_str().filter(|name| *name != own) {
                client.patch_merge(Resource::Pods, name, &none).await?;
            }
        }
        Ok::<(), Error>(())
    };
    if let Err(error) = take.await {
        hook.log(Level::Warning, error.to_string());
    }
    Applied::Done
}

/// Gives Patroni's objects to the owner of the own pod, the application's stateful set: otherwise
/// they would outlive the application. Marks the endpoints as locks, which they are.
pub(super) async fn adopt(ports: &dyn Ports, hook: &mut Context) {
    let adoption = async {
        let Ok(client) = ports.kubernetes() else { return Ok(()) };
        let pod = client.get(Resource::Pods, &hook.unit().pod()).await?;
        let Some(owners) = pod.map(|pod| pod["metadata"]["ownerReferences"].clone()) else {
            return Ok(());
        };
        let topology = topology(hook);
        for kind in [Resource::Endpoints, Resource::Services] {
            for object in client.list(kind, &patronis(&topology)).await? {
                let Some(name) = unadopted(kind, &object, &topology) else { continue };
                let mut owned = json!({"metadata": {"ownerReferences": owners}});
                if kind == Resource::Endpoints {
                    owned["metadata"]["annotations"] = json!({LOCK: "{}"});
                }
                client.patch_merge(kind, name, &owned).await?;
            }
        }
        Ok::<(), Error>(())
    };
    if let Err(error) = adoption.await {
        hook.log(Level::Warning, error.to_string());
    }
}

/// Removes what an earlier deployment of the same name left: its leader would be waited
/// for and its system identifier would be believed.
pub(super) async fn remove_orphaned(ports: &dyn Ports, hook: &mut Context) -> Applied {
    let client = match client(ports, hook) {
        Ok(client) => client,
        Err(applied) => return applied,
    };
    let own = hook.unit().pod();
    match try_remove_orphaned_objects(&client, &topology(hook).scope(), &own).await {
        Ok(()) => Applied::Done,
        Err(error) => stop(hook, &error, wording::NOT_REMOVED),
    }
}

async fn try_remove_orphaned_objects(
    client: &kubernetes_client::Client,
    scope: &str,
    own: &str,
) -> Result<(), Error> {
    let labels = [("application", "patroni"), ("cluster-name", scope)];
    let selector = kubernetes_client::label_selector(&labels);
    // Where Patroni runs in another pod of this deployment, the objects are not of an earlier
    // one: a leader that lost the lead before it could say so has begun the cluster.
    let is_other = |pod: &Value| {
        let metadata = &pod["metadata"];
        metadata["name"] != own
            && metadata["deletionTimestamp"].is_null()
            && metadata["annotations"]["status"].is_string()
    };
    if client.list(Resource::Pods, &selector).await?.iter().any(is_other) {
        return Ok(());
    }
    let objects = client.list(Resource::Endpoints, &selector).await?;
    // Nor are they where they belong to the application as it is now: the unit that began the
    // cluster has its data and comes back.
    let pod = client.get(Resource::Pods, own).await?.unwrap_or_default();
    let owner = &pod["metadata"]["ownerReferences"][0]["uid"];
    let is_ours = |object: &Value| {
        let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        !owner.is_null() && owners.into_iter().any(|one| one["uid"] == *owner)
    };
    if objects.iter().any(is_ours) {
        return Ok(());
    }
    for object in objects {
        if let Some(name) = object["metadata"]["name"].as_str().filter(|n| n.starts_with(scope)) {
            client.delete(Resource::Endpoints, name).await?;
        }
    }
    Ok(())
}
