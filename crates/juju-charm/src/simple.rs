//! A charm whose effects are the ready ones.

use std::future::Future;

use serde::de::DeserializeOwned;

use crate::{Applied, Charm, Context, Decision, Error, Event, OptionError, Reader, Write};

/// A [`Charm`] whose options are a type, and whose effects are [`Write`]s: it only reads and
/// decides.
///
/// While an option cannot be read, the unit is blocked and says which, and actions fail with the
/// same words.
pub trait SimpleCharm {
    /// The charm's options: names are those of `config.yaml`.
    type Options: DeserializeOwned;
    /// What else a decision needs to know.
    type Facts;

    /// As [`Charm::gather`].
    ///
    /// # Errors
    /// When the world cannot be read and waiting would not help.
    fn gather(
        &mut self,
        juju: &mut Reader,
        event: &Event,
    ) -> impl Future<Output = Result<Self::Facts, Error>>;

    /// As [`Charm::decide`].
    fn decide(event: &Event, options: &Self::Options, facts: &Self::Facts) -> Decision<Write>;
}

impl<C: SimpleCharm> Charm for C {
    type Facts = (Result<C::Options, OptionError>, C::Facts);
    type Effect = Write;
    type Error = Error;

    async fn gather(&mut self, juju: &mut Reader, event: &Event) -> Result<Self::Facts, Error> {
        let options = juju.config()?.read();
        Ok((options, SimpleCharm::gather(self, juju, event).await?))
    }

    fn decide(event: &Event, (options, facts): &Self::Facts) -> Decision<Write> {
        match (options, event) {
            (Ok(options), _) => C::decide(event, options, facts),
            (Err(error), Event::Action { .. }) => {
                Decision::new().effect(Write::fail(error.to_string()))
            }
            (Err(error), _) => Decision::new().status(error.into()),
        }
    }

    async fn apply(&mut self, juju: &mut Context, write: Write) -> Result<Applied, Error> {
        write.apply(juju).await
    }
}
