//! Network namespaces and links: one namespace per instance, one per pod, a routed pair between.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::address::{ENGINE, SERVICES, link};
use crate::command::{CommandError, find, run};

/// Where `ip netns` keeps its namespaces.
const NAMESPACES: &str = "/run/netns";

/// Name of the namespace that all pods of `instance` hang on.
pub(crate) fn instance_namespace(instance: &str) -> String {
    format!("tlsm-{instance}")
}

/// Name of a pod's own namespace. A dot cannot occur in an instance's name.
pub(crate) fn pod_namespace(instance: &str, pod: &str) -> String {
    format!("tlsm-{instance}.{pod}")
}

/// The file that stands for a namespace.
pub(crate) fn namespace_file(namespace: &str) -> PathBuf {
    Path::new(NAMESPACES).join(namespace)
}

/// The namespaces of `instance` that exist, its pods' first.
pub(crate) fn namespaces(instance: &str) -> Vec<String> {
    let whole = instance_namespace(instance);
    let pods = pod_namespace(instance, "");
    let mut found: Vec<String> = std::fs::read_dir(NAMESPACES)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| *name == whole || name.starts_with(&pods))
        .collect();
    found.sort_by_key(|name| *name == whole);
    found
}

/// Makes the instance's namespace, with the engine's address on its loopback link.
/// Does nothing when it is there already.
pub(crate) async fn ensure_instance(instance: &str) -> Result<String, CommandError> {
    let ip = find("ip")?;
    let namespace = instance_namespace(instance);
    if !namespace_file(&namespace).exists() {
        run(&ip, &["netns", "add", &namespace], None).await?;
    }
    let batch = format!(
        "link set lo up\n\
         addr replace {ENGINE}/32 dev lo\n\
         route replace {SERVICES} dev lo src {ENGINE}\n"
    );
    run(&ip, &["-n", &namespace, "-batch", "-"], Some(&batch)).await?;
    Ok(namespace)
}

/// Makes a pod's namespace and its link to the instance's namespace.
pub(crate) async fn add_pod(
    instance: &str,
    pod: &str,
    address: Ipv4Addr,
) -> Result<(), CommandError> {
    let ip = find("ip")?;
    let (whole, own) = (instance_namespace(instance), pod_namespace(instance, pod));
    let outer = link(address);
    run(&ip, &["netns", "add", &own], None).await?;
    let batch = format!(
        "link add {outer} type veth peer name eth0 netns {own}\n\
         link set {outer} up\n\
         route add {address}/32 dev {outer} src {ENGINE}\n"
    );
    run(&ip, &["-n", &whole, "-batch", "-"], Some(&batch)).await?;
    let batch = format!(
        "link set lo up\n\
         addr add {address}/32 dev eth0\n\
         link set eth0 up\n\
         route add {ENGINE}/32 dev eth0 scope link src {address}\n\
         route add default via {ENGINE} dev eth0 src {address}\n"
    );
    run(&ip, &["-n", &own, "-batch", "-"], Some(&batch)).await?;
    Ok(())
}

/// Removes a namespace and every link in it. Does nothing when it is gone.
pub(crate) async fn remove(namespace: &str) -> Result<(), CommandError> {
    if namespace_file(namespace).exists() {
        run(&find("ip")?, &["netns", "del", namespace], None).await?;
    }
    Ok(())
}

/// Removes a pod's link, then its namespace: the link goes at once, whereas a namespace
/// lives on while anything holds it.
pub(crate) async fn remove_pod(
    instance: &str,
    pod: &str,
    address: Ipv4Addr,
) -> Result<(), CommandError> {
    let whole = instance_namespace(instance);
    if namespace_file(&whole).exists() {
        let batch = format!("link del {}\n", link(address));
        // The link is gone when its other end is.
        let _ = run(&find("ip")?, &["-n", &whole, "-batch", "-"], Some(&batch)).await;
    }
    remove(&pod_namespace(instance, pod)).await
}
