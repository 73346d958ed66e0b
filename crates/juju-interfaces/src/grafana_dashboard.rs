//! The interface `grafana_dashboard`, the side that has dashboards.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;
use shake::Shake256;
use shake::digest::{ExtendableOutput, Update, XofReader};

use crate::topology::Topology;
use crate::{Bag, python, xz};

/// The endpoint at which charms offer dashboards.
pub const ENDPOINT: &str = "grafana-dashboard";

/// A dashboard that cannot be offered.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the dashboard {name}: {source}")]
pub struct DashboardError {
    name: String,
    #[source]
    source: serde_json::Error,
}

#[derive(Serialize)]
struct Offer {
    templates: BTreeMap<String, Template>,
    uuid: String,
}

#[derive(Serialize)]
struct Template {
    charm: String,
    content: String,
    juju_topology: Place,
    inject_dropdowns: bool,
    dashboard_alt_uid: String,
}

#[derive(Serialize)]
struct Place {
    model: String,
    model_uuid: String,
    application: String,
    unit: String,
}

/// What the leader writes: dashboards, each a name and its JSON. It says the same as long as they
/// and the topology do.
///
/// # Errors
/// When one is no JSON.
pub fn app_bag(dashboards: &[(&str, &str)], topology: &Topology) -> Result<Bag, DashboardError> {
    let mut templates = BTreeMap::new();
    for (name, text) in dashboards {
        let failed = |source| DashboardError { name: (*name).to_owned(), source };
        let dashboard: Value = serde_json::from_str(text).map_err(failed)?;
        let key = format!("file:{name}");
        templates.insert(key.clone(), template(&key, &dashboard, topology));
    }
    let content = python::dumps(&templates);
    // The reader wants another word whenever it is to look again.
    let uuid = digest(&content, 16);
    Ok(Bag::from([("dashboards".to_owned(), python::dumps(&Offer { templates, uuid }))]))
}

fn template(key: &str, dashboard: &Value, topology: &Topology) -> Template {
    let Topology { model, model_uuid, application, unit, charm_name } = topology.clone();
    Template {
        content: STANDARD.encode(xz::stored(dashboard.to_string().as_bytes())),
        juju_topology: Place { model, model_uuid, application, unit },
        // Grafana's charm adds the choice of model, application and unit, and their matchers.
        inject_dropdowns: true,
        dashboard_alt_uid: digest(&format!("{charm_name}-{key}"), 8),
        charm: charm_name,
    }
}

/// So many bytes of SHAKE-256, in hexadecimal.
fn digest(text: &str, bytes: usize) -> String {
    let mut hash = Shake256::default();
    hash.update(text.as_bytes());
    let mut out = vec![0; bytes];
    hash.finalize_xof().read(&mut out);
    out.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::example;

    #[test]
    fn a_bag_is_as_its_reader_expects_it() {
        let bag = app_bag(&[("web", "{ \"title\": \"Web\" }")], &example()).unwrap();
        let text = &bag["dashboards"];
        let offer: Value = serde_json::from_str(text).unwrap();
        let template = &offer["templates"]["file:web"];
        // As the reader's own library makes it of "c-file:web".
        assert_eq!(template["dashboard_alt_uid"], UID);
        assert_eq!(
            (&template["charm"], &template["inject_dropdowns"]),
            (&"c".into(), &true.into())
        );
        let place = r#"{"application":"a-b","model":"m","model_uuid":"0123456789","unit":"a-b/0"}"#;
        assert_eq!(template["juju_topology"].to_string(), place);
        let content = STANDARD.decode(template["content"].as_str().unwrap()).unwrap();
        assert_eq!(content, xz::stored(br#"{"title":"Web"}"#));
        assert_eq!(app_bag(&[("web", r#"{"title":"Web"}"#)], &example()).unwrap(), bag);
        assert_ne!(app_bag(&[("web", r#"{"title":"W"}"#)], &example()).unwrap(), bag);
    }

    #[test]
    fn one_that_is_no_json_is_named() {
        let error = app_bag(&[("web", "{")], &example()).unwrap_err().to_string();
        assert!(error.starts_with("cannot use the dashboard web: "), "{error}");
    }

    const UID: &str = "691c0992f5debf1d";
}
