//! Tools that mean little on Kubernetes.

use juju_model::ToolCall;

use crate::input::{Input, Printed};

/// `credential-get`: for trusted applications.
pub(crate) fn credential_get(tools: &mut ToolCall, input: &Input) -> Printed {
    input.at_most(0)?;
    let credential = tools.credential_get()?;
    input.print(&credential)
}

/// `juju-reboot`: taken, though a pod has no machine, for which the hook fails at its end.
pub(crate) fn juju_reboot(tools: &mut ToolCall, input: &Input) -> Printed {
    input.at_most(0)?;
    tools.juju_reboot(input.parsed.on("now"))?;
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use crate::stage::{At, check, check_at};

    #[test]
    fn only_the_trusted_get_a_credential() {
        let denied =
            "cannot access cloud credentials: getting model credentials: permission denied";
        check(&["credential-get"], 1, "", denied);
        check(&["credential-get", "x"], 2, "", "unrecognized args: [\"x\"]");
    }

    #[test]
    fn hooks_may_ask_for_a_reboot() {
        check(&["juju-reboot", "--now"], 0, "", "");
        let action = "juju-reboot is not supported when running an action.";
        check_at(At::Action, &["juju-reboot"], 1, "", action);
    }
}
