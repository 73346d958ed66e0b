//! Addresses of an instance: who gets which, decided without looking at the machine.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The engine's own address in the instance's network: API, names and node ports.
pub const ENGINE: Ipv4Addr = Ipv4Addr::new(10, 1, 255, 1);

/// The network that service addresses (ClusterIP) come from.
pub const SERVICES: &str = "10.152.0.0/16";

/// The address of a service or its load balancer: never a pod's, the engine's, or one outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceAddress(Ipv4Addr);

impl ServiceAddress {
    /// Takes an address of the network of services; none for another.
    pub fn new(address: Ipv4Addr) -> Option<Self> {
        matches!(address.octets(), [10, 152, _, _]).then_some(Self(address))
    }
}

impl std::fmt::Display for ServiceAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// An address that a pod may have. An instance's network has no other hosts for a service to lead
/// to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodAddress(Ipv4Addr);

impl PodAddress {
    /// Takes an address of the network of pods; none for another.
    pub fn new(address: Ipv4Addr) -> Option<Self> {
        (FIRST..=LAST).contains(&u32::from(address)).then_some(Self(address))
    }
}

impl std::fmt::Display for PodAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

const FIRST: u32 = u32::from_be_bytes([10, 1, 0, 2]);
const LAST: u32 = u32::from_be_bytes([10, 1, 254, 254]);

/// The next free pod address after `last`, round and round, so that an address is not
/// used again at once. `None` when every address is taken.
pub(crate) fn next(last: Option<Ipv4Addr>, used: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
    let size = LAST - FIRST + 1;
    let start = match last.map(u32::from) {
        Some(bits) if (FIRST..LAST).contains(&bits) => bits + 1 - FIRST,
        _ => 0,
    };
    (0..size)
        .map(|step| Ipv4Addr::from(FIRST + (start + step) % size))
        .find(|address| !used.contains(address))
}

/// Name of the engine's end of a pod's link: at most 15 characters, one per address.
pub(crate) fn link(address: Ipv4Addr) -> String {
    format!("veth{:08x}", u32::from(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(last: Option<&str>, used: &[&str], expected: &str) {
        let used = used.iter().map(|text| text.parse().unwrap()).collect();
        let last = last.map(|text| text.parse().unwrap());
        assert_eq!(next(last, &used), Some(expected.parse().unwrap()));
    }

    #[test]
    fn addresses_go_round() {
        check(None, &[], "10.1.0.2");
        check(Some("10.1.0.2"), &[], "10.1.0.3");
        check(Some("10.1.0.2"), &["10.1.0.3", "10.1.0.4"], "10.1.0.5");
        check(Some("10.1.254.254"), &["10.1.0.2"], "10.1.0.3");
        check(Some("192.0.2.1"), &[], "10.1.0.2");
    }

    #[test]
    fn services_and_pods_have_networks_of_their_own() {
        let address = |text: &str| text.parse::<Ipv4Addr>().unwrap();
        for text in ["10.152.183.2", "10.152.184.2"] {
            assert!(ServiceAddress::new(address(text)).is_some(), "{text}");
            assert!(PodAddress::new(address(text)).is_none(), "{text}");
        }
        for text in ["10.1.0.2", "10.1.254.254"] {
            assert!(PodAddress::new(address(text)).is_some(), "{text}");
            assert!(ServiceAddress::new(address(text)).is_none(), "{text}");
        }
        for text in
            ["10.1.255.1", "127.0.0.1", "169.254.169.254", "0.0.0.0", "10.153.0.1", "8.8.8.8"]
        {
            assert!(PodAddress::new(address(text)).is_none(), "{text}");
            assert!(ServiceAddress::new(address(text)).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_address_is_free_and_of_the_pods(last: u32, used: Vec<u16>) {
            let used: BTreeSet<_> =
                used.into_iter().map(|low| Ipv4Addr::from((10 << 24) | (1 << 16) | u32::from(low))).collect();
            let address = next(Some(Ipv4Addr::from(last)), &used).unwrap();
            prop_assert!(!used.contains(&address));
            prop_assert!((FIRST..=LAST).contains(&u32::from(address)));
            prop_assert!(link(address).len() <= 15);
        }
    }
}
