//! `juju-reboot`.

use crate::tool::Answer;
use crate::tool::call::{ToolCall, refused};
use crate::tool::session::Reboot;

impl ToolCall<'_> {
    /// Asks for the machine to start again, after the hook or `now`. A unit on Kubernetes has no
    /// machine, so the hook fails with that; what a hook that ended well has written stays.
    ///
    /// # Errors
    /// An action or a command runs.
    pub fn juju_reboot(&mut self, now: bool) -> Answer<()> {
        if self.action_get().is_ok() {
            return Err(refused("juju-reboot is not supported when running an action."));
        }
        self.session.reboot = Some(if now { Reboot::Now } else { Reboot::AfterHook });
        Ok(())
    }
}
