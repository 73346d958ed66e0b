//! A charm in which a fault is planted between its decision and what it applies.

use charm::{Applied, Charm, Decision, Event, Hook, Status};

use super::{Plant, planted};

/// The charm with the planted fault.
pub(crate) struct Planted<C>(pub(crate) C);

/// Whether an effect is of this kind: the begin of what it says of itself, without the
/// wrapper's name.
fn is<E: std::fmt::Debug>(effect: &E, kind: &str) -> bool {
    let text = format!("{effect:?}");
    let bare = text.split_once('(').map_or(text.as_str(), |(_, rest)| rest);
    let (name, word) = kind.split_once(' ').unwrap_or((kind, ""));
    let begin = bare.split(['(', ' ', ')']).next().unwrap_or_default();
    begin == name && bare.contains(word)
}

impl<C: Charm> Charm for Planted<C>
where
    C::Effect: std::fmt::Debug,
{
    type Facts = C::Facts;
    type Effect = C::Effect;
    type Error = C::Error;

    async fn gather(&mut self, hook: &mut Hook, event: &Event) -> Result<C::Facts, C::Error> {
        self.0.gather(hook, event).await
    }

    fn decide(event: &Event, facts: &C::Facts) -> Decision<C::Effect> {
        let mut decision = C::decide(event, facts);
        planted(|plant| {
            match plant {
                Plant::Drop(kind) => decision.effects.retain(|effect| !is(effect, kind)),
                Plant::First(kind) => decision.effects.sort_by_key(|effect| !is(effect, kind)),
                Plant::Last(kind) => decision.effects.sort_by_key(|effect| is(effect, kind)),
                Plant::AlwaysActive => decision.status = Some(Status::active()),
                _ => {}
            }
            Some(())
        });
        decision
    }

    async fn apply(&mut self, hook: &mut Hook, effect: C::Effect) -> Result<Applied, C::Error> {
        let goes_on = planted(|plant| match plant {
            Plant::GoOn(kind) => Some(is(&effect, kind)),
            _ => None,
        });
        let applied = self.0.apply(hook, effect).await?;
        Ok(match applied {
            Applied::Stop(_) | Applied::Status(_) if goes_on == Some(true) => Applied::Done,
            Applied::Again if planted(|p| (*p == Plant::NeverAgain).then_some(())).is_some() => {
                Applied::Done
            }
            applied => applied,
        })
    }
}
