//! The options of a model that Juju knows, with their defaults.

use juju_model::OptionKind;

/// An option: its name, its type, its default.
pub(crate) type ModelOption = (&'static str, OptionKind, &'static str);

/// The two that the engine acts on.
pub(crate) const ACTED_ON: [&str; 2] = ["automatically-retry-hooks", "update-status-hook-interval"];

/// Those of Juju 3.6, by name. The others are kept and shown.
pub(crate) const OPTIONS: &[ModelOption] = {
    use OptionKind::{Boolean, Int, String};
    &[
        ("agent-metadata-url", String, ""),
        ("agent-stream", String, "released"),
        ("apt-ftp-proxy", String, ""),
        ("apt-http-proxy", String, ""),
        ("apt-https-proxy", String, ""),
        ("apt-mirror", String, ""),
        ("apt-no-proxy", String, ""),
        ("automatically-retry-hooks", Boolean, "true"),
        ("backup-dir", String, ""),
        ("charmhub-url", String, "https://api.charmhub.io"),
        ("cloudinit-userdata", String, ""),
        ("container-image-metadata-defaults-disabled", Boolean, "false"),
        ("container-image-metadata-url", String, ""),
        ("container-image-stream", String, "released"),
        ("container-inherit-properties", String, ""),
        ("container-networking-method", String, ""),
        ("default-base", String, ""),
        ("default-space", String, ""),
        ("development", Boolean, "false"),
        ("disable-network-management", Boolean, "false"),
        ("disable-telemetry", Boolean, "false"),
        ("egress-subnets", String, ""),
        ("enable-os-refresh-update", Boolean, "true"),
        ("enable-os-upgrade", Boolean, "true"),
        ("fan-config", String, ""),
        ("firewall-mode", String, "instance"),
        ("ftp-proxy", String, ""),
        ("http-proxy", String, ""),
        ("https-proxy", String, ""),
        ("ignore-machine-addresses", Boolean, "false"),
        ("image-metadata-defaults-disabled", Boolean, "false"),
        ("image-metadata-url", String, ""),
        ("image-stream", String, "released"),
        ("juju-ftp-proxy", String, ""),
        ("juju-http-proxy", String, ""),
        ("juju-https-proxy", String, ""),
        ("juju-no-proxy", String, "127.0.0.1,localhost,::1"),
        ("logforward-enabled", Boolean, "false"),
        ("logging-config", String, "<root>=INFO"),
        ("logging-output", String, ""),
        ("lxd-snap-channel", String, "5.0/stable"),
        ("max-action-results-age", String, "336h"),
        ("max-action-results-size", String, "5G"),
        ("max-status-history-age", String, "336h"),
        ("max-status-history-size", String, "5G"),
        ("mode", String, "requires-prompts"),
        ("net-bond-reconfigure-delay", Int, "17"),
        ("no-proxy", String, "127.0.0.1,localhost,::1"),
        ("num-container-provision-workers", Int, "4"),
        ("num-provision-workers", Int, "16"),
        ("provisioner-harvest-mode", String, "destroyed"),
        ("proxy-ssh", Boolean, "false"),
        ("resource-tags", String, ""),
        ("saas-ingress-allow", String, "0.0.0.0/0,::/0"),
        ("secret-backend", String, "auto"),
        ("snap-http-proxy", String, ""),
        ("snap-https-proxy", String, ""),
        ("snap-store-assertions", String, ""),
        ("snap-store-proxy", String, ""),
        ("snap-store-proxy-url", String, ""),
        ("ssh-allow", String, "0.0.0.0/0,::/0"),
        ("ssl-hostname-verification", Boolean, "true"),
        ("storage-default-filesystem-source", String, "kubernetes"),
        ("test-mode", Boolean, "false"),
        ("transmit-vendor-metrics", Boolean, "true"),
        ("update-status-hook-interval", String, "5m"),
        ("workload-storage", String, "kubernetes"),
    ]
};

/// One of them.
pub(crate) fn find(name: &str) -> Option<&'static ModelOption> {
    OPTIONS.iter().find(|(known, ..)| *known == name)
}

/// A value in its option's type; text where the option is unknown.
pub(crate) fn typed(name: &str, text: &str) -> serde_json::Value {
    let typed = match find(name).map(|(_, kind, _)| kind) {
        Some(OptionKind::Boolean) => text.parse::<bool>().ok().map(Into::into),
        Some(OptionKind::Int) => text.parse::<i64>().ok().map(Into::into),
        _ => None,
    };
    typed.unwrap_or_else(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_in_order_and_of_their_types() {
        assert!(OPTIONS.is_sorted_by_key(|(name, ..)| name));
        for (name, kind, default) in OPTIONS {
            let value = typed(name, default);
            let fits = match kind {
                OptionKind::Boolean => value.is_boolean(),
                OptionKind::Int => value.is_i64(),
                _ => value.is_string(),
            };
            assert!(fits, "{name}: {value}");
        }
        assert!(ACTED_ON.iter().all(|name| find(name).is_some()));
    }
}
