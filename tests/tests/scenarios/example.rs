//! The framework's example charm on the engine.

use anyhow::Result;
use end_to_end::{Talisman, root};

#[test]
fn the_example_greets() -> Result<()> {
    let engine = Talisman::new("e2ehello");
    engine.call(&["up"])?;
    let charm = root().join("dist/hello_ubuntu@22.04-amd64.charm").display().to_string();
    engine.call(&["deploy", &charm, "--config", "name=Ada"])?;
    let status = engine.wait_active(60)?;
    let unit = &status["applications"]["hello"]["units"]["hello/0"];
    assert_eq!(unit["workload-status"]["message"], "Hello, Ada");
    assert_eq!(unit["leader"], true);
    assert_eq!(engine.action("hello/0", "greet")?["greeting"], "Hello, Ada");
    engine.call(&["config", "hello", "name=Grace"])?;
    engine.wait("the new name in the status", 30, |status| {
        status["applications"]["hello"]["units"]["hello/0"]["workload-status"]["message"]
            == "Hello, Grace"
    })?;
    // An action with a wrong parameter has no task, and the reason is printed.
    let said =
        String::from_utf8(engine.output(&["run", "hello/0", "greet", "loud=perhaps"])?.stderr)?;
    assert!(said.contains("failed to schedule any tasks") && said.contains("loud"), "{said}");
    Ok(())
}
