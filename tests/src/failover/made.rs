//! What the charm makes on an engine, as objects for a real node: its files, its services, the
//! labels of its pods and Patroni's configuration.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{APP, Cluster, Members, OnEngine, Place, UNITS, eventually};
use crate::{Talisman, root};

/// Labels that others than the charm and Juju give a pod.
const OTHERS_LABELS: [&str; 4] = [
    "role",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "controller-revision-hash",
];
/// Starts the workload as Juju does, with the files that the charm would write.
const START: &str = "\
mkdir -p /charm/container /var/lib/pebble/default/layers
chown postgres:postgres /var/lib/postgresql/data
install -o postgres -g postgres -m 600 \"/rendered/$HOSTNAME.yml\" \
    /var/lib/postgresql/data/patroni.yml
cp \"/rendered/$HOSTNAME.layer\" /var/lib/pebble/default/layers/001-charm.yaml
export PEBBLE=/var/lib/pebble/default PEBBLE_SOCKET=/charm/container/pebble.socket
exec /charm/bin/pebble run --create-dirs --http :38813
";

/// The files and objects of one application.
pub struct Made {
    /// The model's name, which is the namespace's.
    pub(super) namespace: String,
    /// The tree of the workload's image.
    pub(super) tree: PathBuf,
    /// The password of `operator`.
    pub(super) password: String,
    /// Files by name.
    files: serde_json::Map<String, Value>,
    services: Vec<Value>,
    labels: Value,
    /// Patroni's dynamic configuration.
    pub(super) configuration: Value,
}

impl Made {
    /// Deploys the charm on an engine, notes what it made there, and takes the engine down.
    ///
    /// # Errors
    /// When the units do not become active.
    pub fn on_engine(instance: &str) -> Result<Self> {
        let engine = Talisman::new(instance);
        engine.call(&["up"])?;
        let place = OnEngine { instance: instance.to_owned() };
        Cluster::deploy_on(&engine, APP, UNITS)?;
        let status = engine.wait_active(180)?;
        let mut files = serde_json::Map::new();
        for pod in (0..UNITS).map(Members::pod) {
            let text = place.inside(&pod, "cat /var/lib/postgresql/data/patroni.yml")?;
            files.insert(format!("{pod}.yml"), text.into());
            let plan = "PEBBLE_SOCKET=/charm/container/pebble.socket /charm/bin/pebble plan";
            files.insert(format!("{pod}.layer"), place.inside(&pod, plan)?.into());
        }
        let ask = "python3 -c 'import urllib.request as web; \
                   print(web.urlopen(\"http://localhost:8008/config\").read().decode())'";
        // The charm changes it as members come.
        let mut configuration = Value::Null;
        eventually("a configuration for all members", || {
            configuration = serde_json::from_str(&place.inside(&Members::pod(0), ask)?)?;
            let standbys = &configuration["synchronous_node_count"];
            ensure!(*standbys == json!(UNITS - 1), "commits wait for {standbys} standbys");
            Ok(())
        })?;
        let unit = format!("{APP}/0");
        let services = engine.kubernetes(&unit, "GET", "services", "")?;
        let services = services["items"].as_array().context("no services")?.iter();
        let ours = |service: &&Value| {
            service["metadata"]["name"].as_str().is_some_and(|name| name.starts_with(APP))
        };
        let services = services.filter(ours).map(plain).collect();
        let pod = engine.kubernetes(&unit, "GET", &format!("pods/{}", Members::pod(0)), "")?;
        let mut labels = pod["metadata"]["labels"].clone();
        if let Some(labels) = labels.as_object_mut() {
            labels.retain(|name, _| !OTHERS_LABELS.contains(&name.as_str()));
        }
        let shown = engine.action(&unit, "get-password")?;
        let password = shown["password"].as_str().context("no password")?.to_owned();
        let namespace = status["model"]["name"].as_str().context("no model")?.to_owned();
        let tree = tree(&engine)?;
        Ok(Self { namespace, tree, password, files, services, labels, configuration })
    }

    /// The service that follows the primary.
    pub(super) fn primary(&self) -> String {
        format!("{APP}-primary")
    }

    /// The objects, in the order in which they can be made, each with its collection's path.
    pub(super) fn objects(&self) -> Vec<(String, Value)> {
        let within =
            |group: &str, plural: &str| format!("/{group}/namespaces/{}/{plural}", self.namespace);
        let core = |plural: &str| within("api/v1", plural);
        let named = json!({ "metadata": { "name": APP } });
        let binding = json!({
            "metadata": { "name": APP },
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "trusted",
            },
            "subjects": [{ "kind": "ServiceAccount", "name": APP, "namespace": self.namespace }],
        });
        let mut files = named.clone();
        files["stringData"] = self.files.clone().into();
        let mut all = vec![
            ("/api/v1/namespaces".to_owned(), json!({ "metadata": { "name": self.namespace } })),
            (core("serviceaccounts"), named),
            ("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings".to_owned(), binding),
            (core("secrets"), files),
        ];
        all.extend(self.services.iter().map(|service| (core("services"), service.clone())));
        all.push((within("apis/apps/v1", "statefulsets"), self.stateful_set()));
        all
    }

    fn stateful_set(&self) -> Value {
        let data = "data";
        let container = json!({
            "name": "postgresql", "image": "talisman.local/postgresql:1",
            "command": ["sh", "-ec", START],
            "readinessProbe": { "httpGet": { "path": "/v1/health?level=ready", "port": 38813 } },
            "volumeMounts": [
                { "name": data, "mountPath": "/var/lib/postgresql/data" },
                { "name": "rendered", "mountPath": "/rendered" },
                { "name": "pebble", "mountPath": "/charm/bin/pebble", "readOnly": true },
            ],
        });
        json!({
            "metadata": { "name": APP },
            "spec": {
                "replicas": UNITS, "serviceName": format!("{APP}-endpoints"),
                "podManagementPolicy": "Parallel",
                "selector": { "matchLabels": self.labels },
                "template": {
                    "metadata": { "labels": self.labels },
                    "spec": {
                        "serviceAccountName": APP, "containers": [container],
                        "volumes": [
                            { "name": "rendered", "secret": { "secretName": APP } },
                            { "name": "pebble", "hostPath": {
                                "path": "/usr/local/lib/talisman/pebble", "type": "File",
                            }},
                        ],
                    },
                },
                "volumeClaimTemplates": [{
                    "metadata": { "name": data },
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": { "requests": { "storage": "1Gi" } },
                    },
                }],
            },
        })
    }
}

/// A service as its maker wrote it, without what the API added.
fn plain(service: &Value) -> Value {
    let (metadata, spec) = (&service["metadata"], &service["spec"]);
    let mut made = json!({
        "metadata": { "name": metadata["name"], "labels": metadata["labels"] },
        "spec": { "selector": spec["selector"], "ports": spec["ports"] },
    });
    for port in made["spec"]["ports"].as_array_mut().into_iter().flatten() {
        port.as_object_mut().map(|port| port.remove("nodePort"));
    }
    if spec["clusterIP"] == "None" {
        made["spec"]["clusterIP"] = json!("None");
        made["spec"]["publishNotReadyAddresses"] = spec["publishNotReadyAddresses"].clone();
    }
    made
}

/// The tree that the engine runs the workload from.
fn tree(engine: &Talisman) -> Result<PathBuf> {
    let definition = root().join("images/postgresql.yaml").display().to_string();
    engine.call(&["images", &definition])?;
    let shown: Value = serde_json::from_str(&engine.call(&["images", "--format", "json"])?)?;
    let builds = shown.as_array().context("no images")?.iter();
    let ours = builds.filter(|build| build["name"] == "postgresql");
    let newest = ours.max_by_key(|build| build["built"].as_str().map(str::to_owned));
    let tree = newest.context("no image of PostgreSQL")?["tree"].as_str().context("no tree")?;
    let cache = std::env::var_os("TALISMAN_CACHE").unwrap_or("/var/cache/talisman".into());
    Ok(PathBuf::from(cache).join(tree))
}
