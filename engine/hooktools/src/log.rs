//! `juju-log`.

use model::tools::Context;

use crate::input::{Input, Printed, usage};

/// `juju-log [-l LEVEL] [--debug] MESSAGE…`: at once.
pub(crate) fn write(context: &mut dyn Context, input: &Input) -> Printed {
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
        context.log("WARNING", &warning);
        "INFO"
    });
    let mut message = match context.hook_relation().relation {
        Some((id, endpoint)) => format!("{endpoint}:{id}: "),
        None => String::new(),
    };
    message.push_str(&input.parsed.rest.join(" "));
    context.log(level, &message);
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
    use crate::fake::{check, check_effect, check_effect_in_relation};

    #[test]
    fn lines_carry_a_level() {
        check_effect(&["juju-log", "a", "b"], &["log INFO a b"]);
        check_effect(&["juju-log", "--debug", "a"], &["log DEBUG a"]);
        check_effect(&["juju-log", "-l", "warn", "a"], &["log WARNING a"]);
        let ops = ["juju-log", "--log-level", "CRITICAL", "--", "-x --y"];
        check_effect(&ops, &["log CRITICAL -x --y"]);
        check_effect(
            &["juju-log", "-l", "loud", "a"],
            &["log WARNING Specified log level of loud not valid, using INFO", "log INFO a"],
        );
        check(&["juju-log"], 2, "", "no message specified");
    }

    #[test]
    fn relation_hooks_prefix_the_relation() {
        check_effect_in_relation(&["juju-log", "a"], &["log INFO db:1: a"]);
    }
}
