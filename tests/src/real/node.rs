//! A node: containerd, kubelet, kube-proxy, the scheduler and names for services.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::control_plane::{self, ControlPlane};
use super::program::{self, Program};
use super::{ADDRESS, NODE, groups, image};

/// Pods get their addresses here.
const PODS: &str = "10.1.0.0/24";
/// The image that holds a pod's namespaces.
const PAUSE: &str = "pause";

/// A node at work; dropping it ends its programs, and pods go with the namespaces.
pub struct Node {
    _programs: Vec<Program>,
}

impl Node {
    /// Starts it beside a control plane, with its files in `folder`.
    ///
    /// # Errors
    /// When a program ends, or the node is not ready in time.
    pub async fn start(folder: &Path, control_plane: &mut ControlPlane) -> Result<Self> {
        write_files(folder, &groups::make()?)?;
        let config = |name: &str| format!("--config={}", folder.join(name).display());
        let known = format!("--kubeconfig={}", folder.join("kubeconfig").display());
        let own = format!("--kubeconfig={}", folder.join("kubelet.kubeconfig").display());
        let words = |all: &[&str]| all.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let mut programs = vec![Program::start(
            folder,
            "containerd",
            &words(&["--config", &folder.join("containerd.toml").display().to_string()]),
        )?];
        import_pause(folder, &mut programs[0]).await?;
        let root = format!("--root-dir={}", folder.join("kubelet").display());
        let (address, name) =
            (format!("--node-ip={ADDRESS}"), format!("--hostname-override={NODE}"));
        let kubelet = words(&[&config("kubelet.json"), &own, &root, &address, &name]);
        programs.push(Program::start(folder, "kubelet", &kubelet)?);
        let proxy = words(&[&config("proxy.json"), &name]);
        programs.push(Program::start(folder, "kube-proxy", &proxy)?);
        let scheduler = words(&[&known, "--leader-elect=false", "--bind-address=127.0.0.1"]);
        programs.push(Program::start(folder, "kube-scheduler", &scheduler)?);
        let names = words(&["-conf", &folder.join("Corefile").display().to_string()]);
        programs.push(Program::start(folder, "coredns", &names)?);
        let ready = |node: &str| {
            let node: serde_json::Value = serde_json::from_str(node).unwrap_or_default();
            let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let ready = |one: &serde_json::Value| one["type"] == "Ready" && one["status"] == "True";
            conditions.iter().any(ready) && node["spec"]["taints"].is_null()
        };
        let path = format!("/api/v1/nodes/{NODE}");
        control_plane.until(&path, &mut programs, ready).await?;
        control_plane.create("/apis/storage.k8s.io/v1/storageclasses", &storage()).await?;
        Ok(Self { _programs: programs })
    }
}

/// The default class of volumes: folders of the node.
fn storage() -> serde_json::Value {
    json!({
        "metadata": {
            "name": "standard",
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
        },
        "provisioner": "kubernetes.io/host-path",
    })
}

/// Waits for containerd, and gives it the image that every pod needs.
async fn import_pause(folder: &Path, server: &mut Program) -> Result<()> {
    let end = std::time::Instant::now() + control_plane::READY_BOUND;
    while let Err(error) = image::containerd(folder, &["version"]) {
        server.check()?;
        anyhow::ensure!(std::time::Instant::now() < end, "{error:#}\n{}", server.last_words());
        tokio::time::sleep(control_plane::PAUSE).await;
    }
    let tree = folder.join(PAUSE);
    std::fs::create_dir_all(&tree)?;
    std::fs::copy(program::path(PAUSE), tree.join(PAUSE)).context("cannot copy the program")?;
    std::fs::set_permissions(tree.join(PAUSE), std::fs::Permissions::from_mode(0o755))?;
    image::import(folder, PAUSE, &tree, &["/pause"])
}

fn write_files(folder: &Path, group: &str) -> Result<()> {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        let failed = || format!("cannot write {}", path.display());
        std::fs::create_dir_all(path.parent().context("no folder")?).with_context(failed)?;
        std::fs::write(&path, text).with_context(failed)
    };
    let at = |name: &str| folder.join(name).display().to_string();
    let plugins = Path::new(super::BUILT).join("debian/usr/lib/cni").display().to_string();
    write(
        "containerd.toml",
        &format!(
            "version = 2\nroot = {root:?}\nstate = {state:?}\n\
             [grpc]\naddress = {socket:?}\n\
             [plugins.\"io.containerd.grpc.v1.cri\"]\n\
             sandbox_image = \"talisman.local/{PAUSE}:1\"\nrestrict_oom_score_adj = true\n\
             [plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = {plugins:?}\n\
             conf_dir = {networks:?}\n",
            root = at("containerd"),
            state = at("state"),
            socket = at("containerd.sock"),
            networks = at("networks"),
        ),
    )?;
    // Routed pairs without a bridge: what kube-proxy changed on the way is changed back.
    let network = json!({
        "cniVersion": "0.4.0", "name": "pods",
        "plugins": [{ "type": "ptp", "ipMasq": false, "mtu": 1500, "ipam": {
            "type": "host-local", "dataDir": at("leases"), "subnet": PODS,
            "routes": [{ "dst": "0.0.0.0/0" }],
        }}],
    });
    write("networks/10-pods.conflist", &network.to_string())?;
    let names = format!(
        "cluster.local:53 {{\n  bind {ADDRESS}\n  errors\n  kubernetes {{\n    kubeconfig {}\n  \
         }}\n}}\n.:53 {{\n  bind {ADDRESS}\n  errors\n}}\n",
        at("kubeconfig")
    );
    write("Corefile", &names)?;
    write("resolv.conf", "")?;
    let proxy = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "mode": "nftables", "clusterCIDR": PODS, "bindAddress": ADDRESS,
        "clientConnection": { "kubeconfig": at("kubeconfig") },
        // These are the machine's, and it keeps what it has.
        "conntrack": {
            "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
        },
    });
    write("proxy.json", &proxy.to_string())?;
    write("kubelet.json", &kubelet(folder, group).to_string())
}

fn kubelet(folder: &Path, group: &str) -> serde_json::Value {
    let at = |name: &str| folder.join(name).display().to_string();
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "authentication": {
            "anonymous": { "enabled": false }, "webhook": { "enabled": true },
            "x509": { "clientCAFile": at("apiserver.pem") },
        },
        "authorization": { "mode": "Webhook" },
        "cgroupDriver": "cgroupfs", "cgroupRoot": format!("/{group}"),
        "enforceNodeAllocatable": [], "failCgroupV1": false, "failSwapOn": false,
        "containerRuntimeEndpoint": format!("unix://{}", at("containerd.sock")),
        "clusterDNS": [ADDRESS], "clusterDomain": "cluster.local",
        "resolvConf": at("resolv.conf"),
        // The machine's disk and memory are others' too: no pod is evicted for them.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%",
            "imagefs.available": "0%", "imagefs.inodesFree": "0%",
        },
    })
}
