//! Service addresses: a rule set that sends ClusterIP and node ports to endpoints.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use crate::address::{ENGINE, PodAddress, SERVICES, ServiceAddress};

/// One port of one service. Only TCP is routed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceRoute {
    /// The service's own address.
    pub cluster_ip: ServiceAddress,
    /// The port that clients use.
    pub port: u16,
    /// The port that the endpoints listen on.
    pub target_port: u16,
    /// The port of the engine's address that leads there too.
    pub node_port: Option<u16>,
    /// The address of a load balancer that leads there too.
    pub ingress: Option<ServiceAddress>,
    /// Who answers, shared by all ports of a service. Empty: connections are refused.
    pub endpoints: Arc<[PodAddress]>,
}

/// The whole rule set in nft's own language, in an order that depends on `routes` only as a set.
///
/// A pod that reaches itself through its service would see its own address as the peer and
/// drop the packet; that one case gets the engine's address as its source.
pub(crate) fn render(routes: &[ServiceRoute]) -> String {
    let routes: BTreeSet<&ServiceRoute> = routes.iter().collect();
    let mut rules = String::new();
    let mut selves = BTreeSet::new();
    for route in routes {
        let endpoints: BTreeSet<PodAddress> = route.endpoints.iter().copied().collect();
        let Some(target) = target(&endpoints, route.target_port) else { continue };
        let ServiceRoute { cluster_ip, port, node_port, ingress, .. } = route;
        for address in std::iter::once(cluster_ip).chain(ingress) {
            let _ = writeln!(rules, "    ip daddr {address} tcp dport {port} dnat to {target}");
        }
        if let Some(port) = node_port {
            let _ = writeln!(rules, "    ip daddr {ENGINE} tcp dport {port} dnat to {target}");
        }
        selves.extend(endpoints);
    }
    let selves: String = selves
        .iter()
        .map(|own| format!("    ip saddr {own} ip daddr {own} snat to {ENGINE}\n"))
        .collect();
    // The table and its chains stay, and one rule always asks for a connection's state: the
    // kernel forgets how to translate open connections when no rule needs to know them.
    format!(
        "table ip talisman {{\n}}\n\
         flush table ip talisman\n\
         table ip talisman {{\n\
         \x20 chain services {{\n{rules}  }}\n\
         \x20 chain prerouting {{\n    type nat hook prerouting priority -100;\n    jump services\n  }}\n\
         \x20 chain output {{\n    type nat hook output priority -100;\n    jump services\n  }}\n\
         \x20 chain postrouting {{\n    type nat hook postrouting priority 100;\n{selves}  }}\n\
         \x20 chain forward {{\n    type filter hook forward priority 0;\n    \
         ct state established,related accept\n{refuse}  }}\n\
         \x20 chain refuse {{\n    type filter hook output priority 0;\n{refuse}  }}\n\
         }}\n",
        refuse = format_args!(
            "    ip daddr {SERVICES} meta l4proto tcp reject with tcp reset\n    \
             ip daddr {SERVICES} reject\n"
        ),
    )
}

fn target(endpoints: &BTreeSet<PodAddress>, port: u16) -> Option<String> {
    let first = endpoints.first()?;
    if endpoints.len() == 1 {
        return Some(format!("{first}:{port}"));
    }
    let choices: Vec<String> =
        endpoints.iter().enumerate().map(|(index, own)| format!("{index} : {own}")).collect();
    Some(format!("numgen random mod {} map {{ {} }} : {port}", choices.len(), choices.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn route(node_port: Option<u16>, endpoints: &[[u8; 4]]) -> ServiceRoute {
        let service = |last| ServiceAddress::new(Ipv4Addr::new(10, 152, last, 5));
        let pods = endpoints.iter().copied().map(Ipv4Addr::from);
        ServiceRoute {
            cluster_ip: service(183).unwrap(),
            port: 5432,
            target_port: 6432,
            node_port,
            ingress: node_port.and_then(|_| service(184)),
            endpoints: pods.map(|pod| PodAddress::new(pod).unwrap()).collect(),
        }
    }

    #[test]
    fn a_service_with_two_endpoints_and_a_node_port() {
        insta::assert_snapshot!(render(&[route(Some(30001), &[[10, 1, 0, 3], [10, 1, 0, 2]])]), @r#"
        table ip talisman {
        }
        flush table ip talisman
        table ip talisman {
          chain services {
            ip daddr 10.152.183.5 tcp dport 5432 dnat to numgen random mod 2 map { 0 : 10.1.0.2, 1 : 10.1.0.3 } : 6432
            ip daddr 10.152.184.5 tcp dport 5432 dnat to numgen random mod 2 map { 0 : 10.1.0.2, 1 : 10.1.0.3 } : 6432
            ip daddr 10.1.255.1 tcp dport 30001 dnat to numgen random mod 2 map { 0 : 10.1.0.2, 1 : 10.1.0.3 } : 6432
          }
          chain prerouting {
            type nat hook prerouting priority -100;
            jump services
          }
          chain output {
            type nat hook output priority -100;
            jump services
          }
          chain postrouting {
            type nat hook postrouting priority 100;
            ip saddr 10.1.0.2 ip daddr 10.1.0.2 snat to 10.1.255.1
            ip saddr 10.1.0.3 ip daddr 10.1.0.3 snat to 10.1.255.1
          }
          chain forward {
            type filter hook forward priority 0;
            ct state established,related accept
            ip daddr 10.152.0.0/16 meta l4proto tcp reject with tcp reset
            ip daddr 10.152.0.0/16 reject
          }
          chain refuse {
            type filter hook output priority 0;
            ip daddr 10.152.0.0/16 meta l4proto tcp reject with tcp reset
            ip daddr 10.152.0.0/16 reject
          }
        }
        "#);
    }

    #[test]
    fn a_service_without_endpoints_has_no_rule() {
        assert_eq!(render(&[route(Some(30001), &[])]), render(&[]));
    }

    #[test]
    fn order_and_repetition_do_not_matter() {
        let (one, two) = (route(None, &[[10, 1, 0, 3]]), route(Some(1), &[[10, 1, 0, 2]]));
        assert_eq!(render(&[one.clone(), two.clone()]), render(&[two, one.clone(), one]));
    }
}
