//! The public client library of Kubernetes gets along with the API: typed objects, conflicts,
//! server-side apply, and its watcher, which lists, watches and begins anew by itself.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Endpoints;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Config, ResourceExt};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;

use crate::cluster::Cluster;

fn endpoints(cluster: &Cluster) -> Api<Endpoints> {
    let certificate = CertificateDer::from_pem_slice(cluster.ca_pem().as_bytes()).unwrap();
    let mut config = Config::new(cluster.url().parse().unwrap());
    config.root_cert = Some(vec![certificate.to_vec()]);
    config.auth_info.token = Some(cluster.token().to_owned().into());
    Api::namespaced(Client::try_from(config).unwrap(), cluster.namespace())
}

fn object(cluster: &Cluster, name: &str) -> Endpoints {
    serde_json::from_value(cluster.body(name, json!({}))).unwrap()
}

#[track_caller]
fn check_code<T: std::fmt::Debug>(answer: kube::Result<T>, code: u16) {
    match answer {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, code),
        other => panic!("{other:?} instead of {code}"),
    }
}

#[tokio::test]
async fn the_public_client_reads_and_writes() {
    let cluster = Cluster::new("kube-rs").await;
    let api = endpoints(&cluster);
    check_code(api.get("kube-rs-a").await, 404);
    let made = api.create(&PostParams::default(), &object(&cluster, "kube-rs-a")).await.unwrap();
    check_code(api.create(&PostParams::default(), &object(&cluster, "kube-rs-a")).await, 409);
    let apply = Patch::Apply(json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": { "name": "kube-rs-a", "annotations": { "leader": "a" } },
    }));
    let params = PatchParams::apply("contract").force();
    let applied = api.patch("kube-rs-a", &params, &apply).await.unwrap();
    assert_eq!(applied.annotations()["leader"], "a");
    assert_eq!(applied.labels()["contract"], "kube-rs");
    // It was made before the other write.
    check_code(api.replace("kube-rs-a", &PostParams::default(), &made).await, 409);
    let merge = Patch::Merge(json!({ "metadata": { "annotations": { "leader": null } } }));
    let merged = api.patch("kube-rs-a", &PatchParams::default(), &merge).await.unwrap();
    assert!(merged.annotations().is_empty());
    let ours = ListParams::default().labels("contract=kube-rs");
    assert_eq!(api.list(&ours).await.unwrap().items.len(), 1);
    api.delete_collection(&DeleteParams::default(), &ours).await.unwrap();
    assert!(api.list(&ours).await.unwrap().items.is_empty());
}

/// The name in the next event that is about one object.
async fn next(
    events: &mut (impl Stream<Item = watcher::Result<Event<Endpoints>>> + Unpin),
) -> String {
    let about_one = async {
        loop {
            match events.next().await.unwrap().unwrap() {
                Event::Apply(object) | Event::InitApply(object) => return object.name_any(),
                Event::Delete(object) => return format!("no {}", object.name_any()),
                Event::Init | Event::InitDone => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), about_one).await.unwrap()
}

#[tokio::test]
async fn the_public_watcher_misses_nothing() {
    let cluster = Cluster::new("kube-rs-watch").await;
    let api = endpoints(&cluster);
    let create = async |name| {
        api.create(&PostParams::default(), &object(&cluster, name)).await.unwrap();
    };
    create("kube-rs-b").await;
    let config = watcher::Config::default().labels("contract=kube-rs-watch");
    let mut events = Box::pin(watcher::watcher(api.clone(), config));
    assert_eq!(next(&mut events).await, "kube-rs-b");
    create("kube-rs-c").await;
    assert_eq!(next(&mut events).await, "kube-rs-c");
    api.delete("kube-rs-b", &DeleteParams::default()).await.unwrap();
    assert_eq!(next(&mut events).await, "no kube-rs-b");
}
