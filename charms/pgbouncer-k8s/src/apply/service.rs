//! Applies the Service.

use std::time::Duration;

use charm::{Applied, Hook, Level, Status};
use interfaces::Endpoints;
use kubernetes::{Resource, Service, ServiceType};
use tokio::time::Instant;

use crate::decide::status;
use crate::effect::ServiceSpec;
use crate::gather::service::{APP_LABEL, reachable};
use crate::gather::workload::words;
use crate::operator::PgBouncer;
use crate::options::Expose;

/// How long a new Service may take until it works.
const START: Duration = Duration::from_secs(3);

/// Applies the Service, and waits a moment for it to work where the spec says so.
pub(super) async fn apply(charm: &PgBouncer, hook: &mut Hook, spec: &ServiceSpec) -> Applied {
    let Some(client) = &charm.kubernetes else { return Applied::Done };
    let result = async {
        let pod = client.get(Resource::Pods, &hook.unit().pod()).await?.unwrap_or_default();
        let service = Service::new(&spec.name)
            .label(APP_LABEL, spec.app.as_str())
            .selects(APP_LABEL, spec.app.as_str())
            .port("pgbouncer", spec.port)
            .service_type(match spec.expose {
                Expose::ClusterIp => ServiceType::ClusterIp,
                Expose::NodePort => ServiceType::NodePort,
                Expose::LoadBalancer => ServiceType::LoadBalancer,
            })
            .annotations(spec.annotations.clone())
            .owned_like(&pod);
        let value = service.to_value();
        client.apply(Resource::Services, &spec.name, spec.app.as_str(), &value).await
    };
    match result.await {
        Ok(_) => {}
        Err(error) if error.is_forbidden() => {
            hook.log(Level::Warning, words(&error));
            return Applied::Status(Status::blocked(status::no_trust(spec.app.as_str())));
        }
        Err(error) => {
            hook.log(Level::Warning, words(&error));
            return Applied::Status(Status::maintenance(status::SERVICE_COMING));
        }
    }
    match &spec.probe {
        Some((endpoints, status)) if !works(charm, endpoints).await => {
            Applied::Status(status.clone())
        }
        // What a node port or a load balancer got is known only now.
        _ => Applied::Again,
    }
}

async fn works(charm: &PgBouncer, endpoints: &Endpoints) -> bool {
    let end = Instant::now() + START;
    while Instant::now() < end {
        if reachable(charm, endpoints).await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}
