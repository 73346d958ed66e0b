//! Applies the Service.

use juju_charm::{Applied, Context, Level, Status, error_chain};
use kubernetes_client::{Resource, Service, ServiceType};

use crate::connections::Connections;
use crate::effect::ServiceSpec;
use crate::names::APP_LABEL;
use crate::options::Expose;
use crate::wording;

/// Applies the Service.
pub(super) async fn apply(
    connections: &Connections,
    hook: &mut Context,
    spec: &ServiceSpec,
) -> Applied {
    let Some(client) = &connections.kubernetes else { return Applied::Done };
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
            hook.log(Level::Warning, error_chain(&error));
            return Applied::Status(Status::blocked(wording::no_trust(spec.app.as_str())));
        }
        Err(error) => {
            hook.log(Level::Warning, error_chain(&error));
            return Applied::Status(Status::maintenance(wording::SERVICE_COMING));
        }
    }
    // What a node port or a load balancer got is known only now. Whether it leads to this unit is
    // not asked: until `start` has run, Kubernetes routes nothing there.
    Applied::Rerun
}
