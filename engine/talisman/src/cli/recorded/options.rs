//! The options of Juju's commands: each is taken here, or named in `docs/reference/differences.md`.

use clap::Arg;

const THEIRS: &str = include_str!("../../../recordings/options.txt");
const SAID: &str = include_str!("../../../../../docs/reference/differences.md");

/// Verb and option, for all that Juju has.
fn theirs() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = THEIRS.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once(": "));
    pairs.flat_map(|(verb, options)| options.split(' ').map(move |option| (verb, option)))
}

/// Whether the command line takes it: for this verb, or for all.
fn is_taken(command: &clap::Command, verb: &str, option: &str) -> bool {
    let is = |arg: &Arg| {
        let longs = arg.get_long().into_iter().chain(arg.get_all_aliases().unwrap_or_default());
        let shorts =
            arg.get_short().into_iter().chain(arg.get_all_short_aliases().unwrap_or_default());
        longs
            .map(|name| format!("--{name}"))
            .chain(shorts.map(|name| format!("-{name}")))
            .any(|name| name == option)
    };
    let verb = command.find_subcommand(verb).unwrap_or_else(|| panic!("there is no {verb}"));
    verb.get_arguments().any(is)
        || command.get_arguments().any(|arg| arg.is_global_set() && is(arg))
}

/// Whether the page says that it is missing: in the verb's own row, or among those refused.
fn is_said(verb: &str, option: &str) -> bool {
    let (verb, option) = (format!("`{verb}`"), format!("`{option}`"));
    let rows = SAID.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let mut said = rows.flat_map(|(verbs, text)| {
        let refused = verbs == "options that are refused";
        let parts = refused.then(|| text.split("; ").filter_map(|part| part.split_once(": ")));
        let own = (!refused).then_some((verbs, text));
        own.into_iter().chain(parts.into_iter().flatten())
    });
    said.any(|(verbs, text)| verbs.contains(&verb) && text.contains(&option))
}

#[test]
fn every_option_of_juju_is_taken_or_said_to_be_missing() {
    let mut command = crate::cli::command();
    command.build();
    let silent: Vec<_> = theirs()
        .filter(|(verb, option)| !is_taken(&command, verb, option) && !is_said(verb, option))
        .collect();
    assert!(silent.is_empty(), "neither taken nor in differences.md: {silent:?}");
}
