//! The smallest charm: greets by status, to its relations, and on demand.

use juju_charm::{Decision, Error, Event, Reader, RelationId, SimpleCharm, Status, Write};

struct Hello;

#[derive(serde::Deserialize)]
struct Options {
    name: String,
}

struct Facts {
    loud: bool,
    relations: Vec<RelationId>,
}

impl SimpleCharm for Hello {
    type Options = Options;
    type Facts = Facts;

    async fn gather(&mut self, juju: &mut Reader, event: &Event) -> Result<Facts, Error> {
        let action = matches!(event, Event::Action { .. });
        let loud = action && juju.action_params()?.get("loud") == Some(&true.into());
        Ok(Facts { loud, relations: juju.relations("greeting")? })
    }

    fn decide(event: &Event, options: &Options, facts: &Facts) -> Decision<Write> {
        if options.name.is_empty() {
            return Decision::new().status(Status::blocked("Set the option name"));
        }
        let greeting = format!("Hello, {}", options.name);
        if let Event::Action { .. } = event {
            let text = if facts.loud { greeting.to_uppercase() } else { greeting };
            return Decision::new().effect(Write::result("greeting", text));
        }
        let publish = |id: &RelationId| Write::unit_bag(*id, [("greeting", greeting.clone())]);
        let publish: Vec<Write> = facts.relations.iter().map(publish).collect();
        Decision::new().effects(publish).status(Status::Active(greeting))
    }
}

fn main() -> std::process::ExitCode {
    juju_charm::run(Hello)
}

#[cfg(test)]
#[path = "hello/tests.rs"]
mod tests;
