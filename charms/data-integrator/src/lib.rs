//! The data-integrator charm: asks for a database and hands over the credentials.

#![warn(clippy::wildcard_enum_match_arm)]
#![cfg_attr(
    test,
    allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one among all")
)]

mod decide;
mod facts;

use juju_charm::{Decision, Error, Event, Reader, SimpleCharm, Write};

use facts::{Facts, Options};

/// The charm.
pub struct DataIntegrator;

impl SimpleCharm for DataIntegrator {
    type Options = Options;
    type Facts = Facts;

    async fn gather(&mut self, juju: &mut Reader, event: &Event) -> Result<Facts, Error> {
        facts::gather(juju, event)
    }

    fn decide(event: &Event, options: &Options, facts: &Facts) -> Decision<Write> {
        decide::decide(event, options, facts)
    }
}

#[cfg(test)]
mod tests;
