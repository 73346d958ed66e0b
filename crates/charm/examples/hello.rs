//! The smallest charm: greets by status, to its relations, and on demand.

use charm::{Applied, Charm, Decision, Event, Hook, HookError, Own, RelationId, Status};

struct Hello;

struct Facts {
    name: String,
    loud: bool,
    relations: Vec<RelationId>,
}

enum Effect {
    Publish(RelationId, String),
    Answer(String),
}

impl Charm for Hello {
    type Facts = Facts;
    type Effect = Effect;
    type Error = HookError;

    async fn gather(&mut self, hook: &mut Hook, event: &Event) -> Result<Facts, HookError> {
        let action = matches!(event, Event::Action { .. });
        let loud = action && hook.action_params()?.get("loud") == Some(&true.into());
        let name = hook.config()?.text("name").unwrap_or_default().to_owned();
        Ok(Facts { name, loud, relations: hook.relations("greeting")? })
    }

    fn decide(event: &Event, facts: &Facts) -> Decision<Effect> {
        if facts.name.is_empty() {
            return Decision::new().status(Status::blocked("Set the option name"));
        }
        let greeting = format!("Hello, {}", facts.name);
        if let Event::Action { .. } = event {
            let text = if facts.loud { greeting.to_uppercase() } else { greeting };
            return Decision::new().effect(Effect::Answer(text));
        }
        let publish = facts.relations.iter().map(|id| Effect::Publish(*id, greeting.clone()));
        Decision::new().effects(publish).status(Status::Active(greeting.clone()))
    }

    async fn apply(&mut self, hook: &mut Hook, effect: Effect) -> Result<Applied, HookError> {
        match effect {
            Effect::Publish(id, text) => drop(hook.set_bag(id, Own::Unit, [("greeting", text)])?),
            Effect::Answer(text) => hook.action_result("greeting", text),
        }
        Ok(Applied::Done)
    }
}

fn main() -> std::process::ExitCode {
    charm::run(Hello)
}

#[cfg(test)]
#[path = "hello/tests.rs"]
mod tests;
