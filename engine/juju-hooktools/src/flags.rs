//! GNU-style flags as Juju's tools read them: mixed with positionals, ended by `--`.

/// What follows a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing, or `=True` and the like.
    Switch,
    /// A text, after `=` or as the next argument.
    Text,
}

/// One flag of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// The long name without dashes, or empty.
    pub long: &'static str,
    /// The letter without its dash.
    pub short: Option<char>,
    /// What follows it.
    pub takes: Takes,
    /// One line for `--help`.
    pub help: &'static str,
}

/// A flag that takes nothing.
pub const fn switch(long: &'static str, help: &'static str) -> Flag {
    Flag { long, short: None, takes: Takes::Switch, help }
}

/// A flag that takes a text.
pub const fn text(long: &'static str, help: &'static str) -> Flag {
    Flag { long, short: None, takes: Takes::Text, help }
}

impl Flag {
    /// The same flag with a letter.
    pub const fn or(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    /// Whether `name` is the long name, or the letter of a flag.
    fn is(&self, name: &str) -> bool {
        if !self.long.is_empty() && self.long == name {
            return true;
        }
        let mut letters = name.chars();
        self.short.is_some() && letters.next() == self.short && letters.next().is_none()
    }
}

/// One flag as it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given<'a> {
    /// The flag.
    pub flag: Flag,
    /// Whether its letter was used.
    pub by_letter: bool,
    /// The value; of a switch `true` or `false`.
    pub value: &'a str,
}

impl Given<'_> {
    /// The flag as it was typed: `-r` or `--relation`.
    pub fn typed(&self) -> String {
        match self.flag.short {
            Some(letter) if self.by_letter => format!("-{letter}"),
            _ => format!("--{}", self.flag.long),
        }
    }
}

/// What the arguments say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// Flags in the order given.
    pub flags: Vec<Given<'a>>,
    /// Everything else in the order given.
    pub rest: Vec<&'a str>,
    /// `--help` was met; whatever follows it is not read.
    pub help: bool,
}

impl<'a> Parsed<'a> {
    /// The last use of a flag, by its long name or its letter.
    pub fn given(&self, name: &str) -> Option<Given<'a>> {
        self.flags.iter().rev().find(|given| given.flag.is(name)).copied()
    }

    /// The last value of a text flag; an empty one counts as not given.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.given(name).map(|given| given.value).filter(|value| !value.is_empty())
    }

    /// Whether a switch is on.
    pub fn on(&self, name: &str) -> bool {
        self.given(name).is_some_and(|given| given.value == "true")
    }
}

/// Arguments that do not fit the flags of a tool; `Display` is what follows `ERROR `.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// The tool has no such flag.
    #[error("option provided but not defined: {0}")]
    Unknown(String),
    /// A text flag stands last.
    #[error("option needs an argument: {0}")]
    NeedsArgument(String),
    /// A switch with something else than a truth value.
    #[error("invalid boolean value {value:?} for option {flag}")]
    Bool {
        /// The flag with its dashes.
        flag: String,
        /// What was given.
        value: String,
    },
}

/// Reads a tool's arguments.
///
/// # Errors
/// An unknown flag, a flag without its value, a switch with an odd value.
pub fn parse<'a>(args: &'a [impl AsRef<str>], flags: &[Flag]) -> Result<Parsed<'a>, FlagError> {
    let mut parsed = Parsed::default();
    let mut left = args.iter().map(AsRef::as_ref);
    while let Some(arg) = left.next() {
        if arg == "--" {
            parsed.rest.extend(left);
            break;
        }
        if arg == "--help" || arg == "-h" {
            parsed.help = true;
            break;
        }
        if let Some(long) = arg.strip_prefix("--") {
            parsed.flags.push(parse_long(long, flags, &mut left)?);
        } else if arg.len() > 1 && arg.starts_with('-') {
            parse_letters(&arg[1..], flags, &mut left, &mut parsed)?;
        } else {
            parsed.rest.push(arg);
        }
    }
    Ok(parsed)
}

fn parse_long<'a>(
    long: &'a str,
    flags: &[Flag],
    left: &mut dyn Iterator<Item = &'a str>,
) -> Result<Given<'a>, FlagError> {
    let (name, inline) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (long, None),
    };
    let flag = flags.iter().find(|flag| !flag.long.is_empty() && flag.long == name);
    let flag = *flag.ok_or_else(|| FlagError::Unknown(format!("--{name}")))?;
    let value = match (flag.takes, inline) {
        (Takes::Switch, None) => "true",
        (Takes::Switch, Some(value)) => truth(value).ok_or_else(|| FlagError::Bool {
            flag: format!("--{name}"),
            value: value.to_owned(),
        })?,
        (Takes::Text, Some(value)) => value,
        (Takes::Text, None) => {
            left.next().ok_or_else(|| FlagError::NeedsArgument(format!("--{name}")))?
        }
    };
    Ok(Given { flag, by_letter: false, value })
}

/// Reads `ab` of `-ab`: switches, the last of which may be a text flag and its value.
fn parse_letters<'a>(
    letters: &'a str,
    flags: &[Flag],
    left: &mut dyn Iterator<Item = &'a str>,
    parsed: &mut Parsed<'a>,
) -> Result<(), FlagError> {
    for (at, letter) in letters.char_indices() {
        let flag = flags.iter().find(|flag| flag.short == Some(letter));
        let flag = *flag.ok_or_else(|| FlagError::Unknown(format!("-{letter}")))?;
        if flag.takes == Takes::Switch {
            parsed.flags.push(Given { flag, by_letter: true, value: "true" });
            continue;
        }
        let inline = &letters[at + letter.len_utf8()..];
        let value = if inline.is_empty() {
            left.next().ok_or_else(|| FlagError::NeedsArgument(format!("-{letter}")))?
        } else {
            inline
        };
        parsed.flags.push(Given { flag, by_letter: true, value });
        break;
    }
    Ok(())
}

/// The truth values that Go's `strconv.ParseBool` reads.
fn truth(text: &str) -> Option<&'static str> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some("true"),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some("false"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[
        text("relation", "").or('r'),
        switch("app", ""),
        switch("all", "").or('a'),
        text("file", ""),
        Flag { long: "", short: Some('s'), takes: Takes::Text, help: "" },
    ];

    fn words(line: &[&str]) -> Vec<String> {
        line.iter().map(|&word| word.to_owned()).collect()
    }

    #[track_caller]
    fn check(line: &[&str], want_flags: &[(&str, &str)], want_rest: &[&str]) {
        let args = words(line);
        let parsed = parse(&args, FLAGS).unwrap();
        let flags: Vec<_> = parsed.flags.iter().map(|g| (g.typed(), g.value.to_owned())).collect();
        let want: Vec<_> = want_flags.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect();
        assert_eq!(flags, want, "{line:?}");
        assert_eq!(parsed.rest, want_rest, "{line:?}");
    }

    #[track_caller]
    fn check_error(line: &[&str], want: &str) {
        assert_eq!(parse(&words(line), FLAGS).unwrap_err().to_string(), want, "{line:?}");
    }

    #[test]
    fn flags_mix_with_positionals() {
        check(&["-r", "7", "-", "u/0", "--app"], &[("-r", "7"), ("--app", "true")], &["-", "u/0"]);
        check(&["key", "--relation=7"], &[("--relation", "7")], &["key"]);
        check(&["--relation", "db:7", "k"], &[("--relation", "db:7")], &["k"]);
        check(&["-r7"], &[("-r", "7")], &[]);
        check(&["-ar", "7"], &[("-a", "true"), ("-r", "7")], &[]);
        check(&["-as/0"], &[("-a", "true"), ("-s", "/0")], &[]);
        check(&["--file", "-", "a=b"], &[("--file", "-")], &["a=b"]);
        check(&["--file="], &[("--file", "")], &[]);
        check(&["--file", "--app"], &[("--file", "--app")], &[]);
        check(&["a", "", "-"], &[], &["a", "", "-"]);
    }

    #[test]
    fn two_dashes_end_the_flags() {
        check(&["--", "--app", "-x", "--"], &[], &["--app", "-x", "--"]);
        check(&["--app", "--", "x"], &[("--app", "true")], &["x"]);
        check(&["-r", "--", "x"], &[("-r", "--")], &["x"]);
    }

    #[test]
    fn switches_take_gos_truth_values() {
        for yes in ["1", "t", "T", "true", "True", "TRUE"] {
            check(&[&format!("--app={yes}")], &[("--app", "true")], &[]);
        }
        for no in ["0", "f", "F", "false", "False", "FALSE"] {
            check(&[&format!("--app={no}")], &[("--app", "false")], &[]);
        }
        check(&["--app", "False"], &[("--app", "true")], &["False"]);
        check_error(&["--app=yes"], "invalid boolean value \"yes\" for option --app");
    }

    #[test]
    fn misfits_are_named() {
        check_error(&["--nope"], "option provided but not defined: --nope");
        check_error(&["--nope=1"], "option provided but not defined: --nope");
        check_error(&["-x"], "option provided but not defined: -x");
        check_error(&["-ax"], "option provided but not defined: -x");
        check_error(&["--=1"], "option provided but not defined: --");
        check_error(&["x", "-r"], "option needs an argument: -r");
        check_error(&["--file"], "option needs an argument: --file");
    }

    #[test]
    fn the_last_use_of_a_flag_counts_and_help_ends_reading() {
        let args = words(&["--app", "-r", "1", "--app=False", "-r2", "--help", "--nope"]);
        let parsed = parse(&args, FLAGS).unwrap();
        assert!(parsed.help && !parsed.on("app"));
        assert_eq!(parsed.text("r"), Some("2"));
        assert_eq!(parsed.text("relation"), Some("2"));
        assert_eq!(parsed.text("s"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_arguments_are_read_or_refused(args: Vec<String>) {
            let _ = parse(&args, FLAGS);
        }

        #[test]
        fn after_two_dashes_everything_is_positional(args: Vec<String>) {
            let mut line = vec!["--".to_owned()];
            line.extend(args.iter().cloned());
            let parsed = parse(&line, FLAGS).unwrap();
            let want: Vec<&str> = args.iter().map(String::as_str).collect();
            proptest::prop_assert_eq!(parsed.rest, want);
        }
    }
}
