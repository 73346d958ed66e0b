//! The files that a cluster gives each container of a pod.

use std::net::Ipv4Addr;
use std::path::Path;

use crate::address::ENGINE;
use crate::spec::PodSpec;

/// Writes `hostname`, `hosts` and `resolv.conf`.
pub(crate) fn write_etc(folder: &Path, spec: &PodSpec, address: Ipv4Addr) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let PodSpec { name, namespace, .. } = spec;
    let full = spec.full_name();
    let own = if full == *name { full } else { format!("{full} {name}") };
    std::fs::write(folder.join("hostname"), format!("{name}\n"))?;
    std::fs::write(folder.join("hosts"), format!("127.0.0.1 localhost\n{address} {own}\n"))?;
    let resolver = format!(
        "nameserver {ENGINE}\n\
         search {namespace}.svc.cluster.local svc.cluster.local cluster.local\n\
         options ndots:5\n"
    );
    std::fs::write(folder.join("resolv.conf"), resolver)
}
