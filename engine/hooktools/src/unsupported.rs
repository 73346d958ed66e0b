//! Tools that Kubernetes models refuse.

use crate::input::{Printed, refused};

/// `credential-get`.
pub(crate) fn credential_get() -> Printed {
    refused("credential-get on a \"caas\" model not supported")
}

/// `juju-reboot`: a pod has no machine of its own.
pub(crate) fn juju_reboot() -> Printed {
    refused("juju-reboot on a \"caas\" model not supported")
}

#[cfg(test)]
mod tests {
    use crate::fake::check;

    #[test]
    fn machines_are_not_ours() {
        check(&["credential-get"], 1, "", "credential-get on a \"caas\" model not supported");
        check(&["juju-reboot", "--now"], 1, "", "juju-reboot on a \"caas\" model not supported");
    }
}
