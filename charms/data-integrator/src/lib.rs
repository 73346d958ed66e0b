//! The data-integrator charm: asks for a database and hands over the credentials.

mod decide;
mod facts;

use charm::{Applied, Charm, Decision, Event, ExposeSecret, Hook, HookError, Own};

use decide::Effect;
use facts::Facts;

/// The charm.
pub struct DataIntegrator;

/// What one decision knows.
pub struct Known(Facts);

/// What one decision wants done.
pub struct Deed(Effect);

impl Charm for DataIntegrator {
    type Facts = Known;
    type Effect = Deed;
    type Error = HookError;

    async fn gather(&mut self, hook: &mut Hook, event: &Event) -> Result<Known, HookError> {
        facts::gather(hook, event).map(Known)
    }

    fn decide(event: &Event, facts: &Known) -> Decision<Deed> {
        decide::decide(event, &facts.0).map(Deed)
    }

    async fn apply(&mut self, hook: &mut Hook, deed: Deed) -> Result<Applied, HookError> {
        match deed.0 {
            Effect::Request(id, changes) => drop(hook.set_bag(id, Own::App, changes)?),
            Effect::Fail(message) => hook.action_fail(message)?,
            Effect::Answer(results) => {
                for (key, value) in results {
                    hook.action_result(key, value.expose_secret());
                }
            }
        }
        Ok(Applied::Done)
    }
}

#[cfg(test)]
mod tests;
