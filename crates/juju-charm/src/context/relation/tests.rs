//! What is read of a relation that Juju lists and has removed.

use crate::environment::{Environment, Vars};
use crate::tools::{ToolError, Tools};
use crate::{Context, Own};

/// An agent that still lists relation 8, which the controller has removed, beside relation 9.
struct Late;

impl Tools for Late {
    fn call(&mut self, tool: &str, args: &[&str], _: Option<&str>) -> Result<String, ToolError> {
        match (tool, args) {
            ("relation-ids", _) => Ok("[\"backend:8\",\"backend:9\"]".to_owned()),
            ("relation-list", _) => Ok("\"pg\"".to_owned()),
            ("relation-get", ["-r", "9", ..]) => Ok("{\"a\":\"b\"}".to_owned()),
            ("relation-set", ["-r", "9", ..]) => Ok(String::new()),
            // As 4.0.15 says it.
            _ => Err(ToolError::Refused {
                tool: tool.to_owned(),
                code: 1,
                message: "getting regular relation by key: relation not found".to_owned(),
            }),
        }
    }

    fn call_with_file(&mut self, tool: &str, args: &[&str], _: &str) -> Result<String, ToolError> {
        self.call(tool, args, None)
    }
}

#[test]
fn a_relation_that_is_listed_and_gone_holds_and_takes_nothing() {
    let vars = Vars::from([("JUJU_UNIT_NAME".into(), "pgb/0".to_owned())]);
    let mut context = Context::new(Environment::parse(&vars).unwrap(), Box::new(Late));
    let ids = context.relations("backend").unwrap();
    let seen = ids.iter().map(|id| context.remote_app_bag(*id).unwrap().len());
    assert_eq!(seen.collect::<Vec<_>>(), [0, 1]);
    let written = ids.iter().map(|id| context.set_bag(*id, Own::Unit, [("c", "d")]).unwrap());
    assert_eq!(written.collect::<Vec<_>>(), [false, true]);
    context.flush().unwrap();
}
