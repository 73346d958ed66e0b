//! `juju-log`.

use juju_model::ToolCall;

use crate::input::{Input, Printed, usage};

/// `juju-log [-l LEVEL] [--debug] MESSAGE…`: at once.
pub(crate) fn juju_log(tools: &mut ToolCall, input: &Input) -> Printed {
    if input.parsed.rest.is_empty() {
        return usage("no message specified");
    }
    let given = if input.parsed.on("debug") {
        "DEBUG"
    } else {
        input.parsed.text("log-level").unwrap_or("INFO")
    };
    let level = level(given).unwrap_or_else(|| {
        let warning = format!("Specified log level of {given} not valid, using INFO");
        tools.juju_log("WARNING", &warning);
        "INFO"
    });
    let mut message = match tools.hook_relation().relation {
        Some((id, endpoint)) => format!("{endpoint}:{id}: "),
        None => String::new(),
    };
    message.push_str(&input.parsed.rest.join(" "));
    tools.juju_log(level, &message);
    Ok(Vec::new())
}

/// The level of a name in any case.
fn level(name: &str) -> Option<&'static str> {
    const LEVELS: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];
    if name.eq_ignore_ascii_case("warn") {
        return Some("WARNING");
    }
    LEVELS.into_iter().find(|level| name.eq_ignore_ascii_case(level))
}

#[cfg(test)]
mod tests {
    use crate::stage::{At, Stage, check};

    /// The level and text of each line that a call logs.
    #[track_caller]
    fn check_logged(at: At, args: &[&str], want: &[&str]) {
        let mut stage = Stage::at(at);
        assert_eq!(stage.calls(args, None), "", "{args:?}");
        let lines = stage.model().take_log().into_iter();
        let lines = lines.map(|line| format!("{} {}", line.level, line.message));
        assert_eq!(lines.collect::<Vec<_>>(), want, "{args:?}");
    }

    #[test]
    fn lines_carry_a_level() {
        check_logged(At::Leader, &["juju-log", "a", "b"], &["INFO a b"]);
        check_logged(At::Leader, &["juju-log", "--debug", "a"], &["DEBUG a"]);
        check_logged(At::Leader, &["juju-log", "-l", "warn", "a"], &["WARNING a"]);
        let ops = ["juju-log", "--log-level", "CRITICAL", "--", "-x --y"];
        check_logged(At::Leader, &ops, &["CRITICAL -x --y"]);
        check_logged(
            At::Leader,
            &["juju-log", "-l", "loud", "a"],
            &["WARNING Specified log level of loud not valid, using INFO", "INFO a"],
        );
        check(&["juju-log"], 2, "", "no message specified");
    }

    #[test]
    fn relation_hooks_prefix_the_relation() {
        check_logged(At::Relation, &["juju-log", "a"], &["INFO db:1: a"]);
    }
}
