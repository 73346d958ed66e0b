//! The Service in front of all units.

use juju_interfaces::Endpoints;

use crate::effect::{Effect, ServiceSpec};
use crate::facts::{FullFacts, Service, ServiceView};
use crate::names;
use crate::options::{Expose, Options};

/// Applies the Service if it is missing or differs.
pub(crate) fn effects(facts: &FullFacts) -> Vec<Effect> {
    let (true, Ok(options)) = (facts.common.leader, &facts.common.options) else {
        return Vec::new();
    };
    let applies = match &facts.service {
        Service::Absent => true,
        Service::Present(view) => differs(view, options),
        Service::Unread | Service::Forbidden | Service::Unreachable => false,
    };
    if !applies {
        return Vec::new();
    }
    let app = facts.common.unit.app();
    let annotations = wanted_annotations(options);
    vec![Effect::ApplyService(Box::new(ServiceSpec {
        name: names::service_name(app),
        app: app.clone(),
        expose: options.expose,
        port: options.listen_port,
        annotations,
    }))]
}

/// Where clients connect, once the Service is as wanted; `None` while it is unknown.
pub(crate) fn endpoints(facts: &FullFacts) -> Option<Endpoints> {
    let options = facts.common.options.as_ref().ok()?;
    match (&facts.service, options.expose) {
        (Service::Absent | Service::Present(_), Expose::ClusterIp) => {
            let (app, model) = (facts.common.unit.app(), &facts.common.model);
            Some(names::cluster_endpoint(app, model, options.listen_port).into())
        }
        (Service::Present(view), _) if !differs(view, options) => view.endpoints.clone(),
        _ => None,
    }
}

fn differs(view: &ServiceView, options: &Options) -> bool {
    let wanted = wanted_annotations(options);
    view.kind != options.expose.service_type()
        || view.port != options.listen_port
        || wanted.iter().any(|(key, value)| view.annotations.get(key) != Some(value))
}

fn wanted_annotations(options: &Options) -> std::collections::BTreeMap<String, String> {
    match options.expose {
        Expose::LoadBalancer => options.annotations.clone(),
        Expose::ClusterIp | Expose::NodePort => Default::default(),
    }
}
