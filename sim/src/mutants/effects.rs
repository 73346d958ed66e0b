//! A charm in which a fault is planted between its decision and what it applies.

use charm::{Applied, Charm, Decision, Event, Hook, Status};

use super::{Plant, is, planted};

/// The charm with the planted fault.
pub(crate) struct Planted<C>(pub(crate) C);

/// Whether an effect is of this kind: the begin of what it says of itself, without a
/// wrapper's name, and a word in it behind `..`.
fn is_of<E: std::fmt::Debug>(effect: &E, kind: &str) -> bool {
    let text = format!("{effect:?}");
    let bare = text.strip_prefix("Deed(").unwrap_or(&text);
    let (begin, word) = kind.split_once(" .. ").unwrap_or((kind, ""));
    let rest = bare.strip_prefix(begin);
    rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric) && rest.contains(word))
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
                Plant::Drop(kind) => decision.effects.retain(|effect| !is_of(effect, kind)),
                Plant::First(kind) => decision.effects.sort_by_key(|effect| !is_of(effect, kind)),
                Plant::Last(kind) => decision.effects.sort_by_key(|effect| is_of(effect, kind)),
                Plant::AlwaysActive => decision.status = Some(Status::active()),
                _ => {}
            }
            Some(())
        });
        decision
    }

    async fn apply(&mut self, hook: &mut Hook, effect: C::Effect) -> Result<Applied, C::Error> {
        let goes_on = planted(|plant| match plant {
            Plant::GoOn(kind) => Some(is_of(&effect, kind)),
            _ => None,
        });
        let ends = planted(|plant| match plant {
            Plant::Ends(kind) => Some(is_of(&effect, kind)),
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
            Applied::Again if is(&Plant::NeverAgain) => Applied::Done,
            applied => applied,
        })
    }
}
