//! A charm in which a fault is planted between its decision and what it applies.

use juju_charm::{Applied, Charm, Context, Decision, Event, Reader, Status};

use super::kinds::OfKind;
use super::{Plant, is, planted};

/// The charm with the planted fault.
pub(crate) struct Planted<C>(pub(crate) C);

impl<C: Charm> Charm for Planted<C>
where
    C::Effect: OfKind,
{
    type Facts = C::Facts;
    type Effect = C::Effect;
    type Error = C::Error;

    async fn gather(&mut self, hook: &mut Reader, event: &Event) -> Result<C::Facts, C::Error> {
        self.0.gather(hook, event).await
    }

    fn decide(event: &Event, facts: &C::Facts) -> Decision<C::Effect> {
        let mut decision = C::decide(event, facts);
        planted(|plant| {
            match plant {
                Plant::Drop(kind) => decision.effects.retain(|effect| !effect.is_of(*kind)),
                Plant::First(kind) => decision.effects.sort_by_key(|effect| !effect.is_of(*kind)),
                Plant::Last(kind) => decision.effects.sort_by_key(|effect| effect.is_of(*kind)),
                Plant::AlwaysActive => decision.status = Some(Status::active()),
                _ => {}
            }
            Some(())
        });
        decision
    }

    async fn apply(&mut self, hook: &mut Context, effect: C::Effect) -> Result<Applied, C::Error> {
        let goes_on = planted(|plant| match plant {
            Plant::GoOn(kind) => Some(effect.is_of(*kind)),
            _ => None,
        });
        let ends = planted(|plant| match plant {
            Plant::Ends(kind) => Some(effect.is_of(*kind)),
            _ => None,
        });
        let applied = self.0.apply(hook, effect).await?;
        Ok(match applied {
            Applied::Stop(_)
            | Applied::Status(_)
            | Applied::Later { .. }
            | Applied::Defer { .. }
                if goes_on == Some(true) =>
            {
                Applied::Done
            }
            Applied::Status(status) | Applied::Later { status, .. } if ends == Some(true) => {
                Applied::Stop(status)
            }
            Applied::Rerun if is(&Plant::NeverAgain) => Applied::Done,
            applied => applied,
        })
    }
}
