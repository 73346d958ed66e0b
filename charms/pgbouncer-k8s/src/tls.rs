//! This unit's certificate for its clients.
//!
//! Key and request are kept in a secret of the unit, so that a pod that is replaced serves with
//! the certificate of the one before; in the container they are in memory only.

use charm_kit::certificates::{Files, Request, Tls};
use juju_charm::{AppName, ExposeSecret as _, SecretContent, UnitName};

use crate::names;

/// Keys of the unit's secret: what was asked with, and what is served with.
const REQUEST: &str = "request";
const KEY: &str = "private-key";
const CERTIFICATE: &str = "certificate";
const CA: &str = "ca-certificate";

/// What the unit's secret says.
pub(crate) fn read(content: &SecretContent) -> Tls {
    let text = |key: &str| content.get(key).cloned();
    let request = text(REQUEST).as_ref().and_then(Request::parse);
    let plain = |key: &str| text(key).map(|text| text.expose_secret().to_owned());
    let files = match (text(KEY), plain(CERTIFICATE), plain(CA)) {
        (Some(key), Some(certificate), Some(ca)) => Some(Files { key, certificate, ca }),
        _ => None,
    };
    Tls { request, files, ..Tls::none() }
}

/// The content of the unit's secret.
pub(crate) fn content(request: &Request, files: Option<&Files>) -> SecretContent {
    let content = SecretContent::new().with(REQUEST, request.text());
    match files {
        None => content,
        Some(files) => content
            .with(KEY, files.key.clone())
            .with(CERTIFICATE, files.certificate.clone())
            .with(CA, files.ca.clone()),
    }
}

/// The names by which clients find this unit: its own, and those of the Service.
pub(crate) fn names(unit: &UnitName, model: &str) -> Vec<String> {
    let (app, pod) = (unit.app(), unit.pod());
    let service = names::service_name(app);
    let host = names::hostname(unit, model);
    let endpoints = |app: &AppName| format!("{pod}.{app}-endpoints");
    let within = [endpoints(app), pod.clone(), service.clone(), "localhost".to_owned()];
    let whole = [host, format!("{service}.{model}.svc.cluster.local")];
    whole.into_iter().chain(within).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_secret_reads_back() {
        let request =
            Request::make("pgbouncer-k8s-0", names(&fixture::unit(0), "m"), None).unwrap();
        let files = Files { key: "k".into(), certificate: "c".into(), ca: "a".into() };
        let tls = read(&content(&request, Some(&files)));
        assert_eq!(tls.request.unwrap().csr, request.csr);
        assert!(tls.files.unwrap() == files);
        assert!(read(&content(&request, None)).files.is_none());
        assert!(read(&SecretContent::new()).request.is_none());
    }

    #[test]
    fn a_unit_is_found_by_many_names() {
        insta::assert_snapshot!(names(&fixture::unit(0), "m").join(" "), @"pgbouncer-k8s-0.pgbouncer-k8s-endpoints.m.svc.cluster.local pgbouncer-k8s-service.m.svc.cluster.local pgbouncer-k8s-0.pgbouncer-k8s-endpoints pgbouncer-k8s-0 pgbouncer-k8s-service localhost");
    }
}
