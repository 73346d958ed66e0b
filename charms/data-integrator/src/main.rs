//! The data-integrator charm: asks for a database and hands over the credentials.

mod decide;
mod facts;

use std::process::ExitCode;

use charm::{Applied, Charm, Decision, Event, ExposeSecret, Hook, HookError, Own};

use decide::Effect;
use facts::Facts;

struct DataIntegrator;

impl Charm for DataIntegrator {
    type Facts = Facts;
    type Effect = Effect;
    type Error = HookError;

    async fn gather(&mut self, hook: &mut Hook, event: &Event) -> Result<Facts, HookError> {
        facts::gather(hook, event)
    }

    fn decide(event: &Event, facts: &Facts) -> Decision<Effect> {
        decide::decide(event, facts)
    }

    async fn apply(&mut self, hook: &mut Hook, effect: Effect) -> Result<Applied, HookError> {
        match effect {
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

fn main() -> ExitCode {
    charm::run(DataIntegrator)
}

#[cfg(test)]
mod tests;
