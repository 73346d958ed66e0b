//! The command lines of hook tools, in Juju's GNU style.

use std::collections::BTreeMap;

use super::tools::usage;
use crate::{Bag, ToolError};

/// A command line taken apart.
pub(super) struct Parsed {
    values: BTreeMap<&'static str, String>,
    switches: Vec<&'static str>,
    positional: Vec<String>,
}

/// Flags that take a value, with their short spellings.
const VALUES: [(&str, &str); 11] = [
    ("-r", "--relation"),
    ("-l", "--log-level"),
    ("-s", "--storage"),
    ("-o", "--output"),
    ("", "--format"),
    ("", "--file"),
    ("", "--label"),
    ("", "--owner"),
    ("", "--revision"),
    ("", "--description"),
    ("", "--unit"),
];

/// Flags that take none.
const SWITCHES: [&str; 7] =
    ["--app", "--application", "--include-data", "--peek", "--refresh", "--all", "--strict"];

impl Parsed {
    pub(super) fn parse(tool: &str, args: &[&str]) -> Result<Self, ToolError> {
        let mut parsed =
            Self { values: BTreeMap::new(), switches: Vec::new(), positional: Vec::new() };
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            if *arg == "--" {
                parsed.positional.extend(rest.map(|arg| (*arg).to_owned()));
                break;
            }
            if !arg.starts_with('-') || *arg == "-" {
                parsed.positional.push((*arg).to_owned());
                continue;
            }
            let (flag, inline) = match arg.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (*arg, None),
            };
            if let Some(switch) = SWITCHES.iter().find(|switch| **switch == flag) {
                parsed.switches.push(switch);
                continue;
            }
            let known = VALUES.iter().find(|(short, long)| *short == flag || *long == flag);
            let (_, long) = known
                .ok_or_else(|| usage(tool, format!("flag provided but not defined: {flag}")))?;
            let value = inline.or_else(|| rest.next().copied());
            let value = value.ok_or_else(|| usage(tool, format!("flag needs a value: {flag}")))?;
            parsed.values.insert(long, value.to_owned());
        }
        Ok(parsed)
    }

    pub(super) fn has(&self, switch: &str) -> bool {
        self.switches.contains(&switch)
    }

    pub(super) fn value(&self, flag: &str) -> Option<&str> {
        self.values.get(flag).map(String::as_str)
    }

    pub(super) fn positional(&self, index: usize) -> Option<&str> {
        self.positional.get(index).map(String::as_str)
    }

    /// Everything that is no flag, from `index` on.
    pub(super) fn after(&self, index: usize) -> &[String] {
        self.positional.get(index..).unwrap_or_default()
    }

    /// `key=value` arguments from `skip` on, laid over the file: `-`, but an absolute path
    /// where the agent opens it.
    pub(super) fn content(
        &self,
        tool: &str,
        stdin: Option<&str>,
        skip: usize,
    ) -> Result<Bag, ToolError> {
        let mut content = Bag::new();
        if let Some(path) = self.value("--file") {
            let by_agent = matches!(tool, "secret-add" | "secret-set");
            if by_agent != path.starts_with('/') {
                return Err(usage(tool, format!("open {path}: no such file or directory")));
            }
            let missing = || usage(tool, "hook tool requires stdin, none supplied");
            let text = stdin.ok_or_else(missing)?;
            content = serde_json::from_str(text).map_err(|error| usage(tool, error.to_string()))?;
        }
        for pair in self.after(skip) {
            let wrong = || usage(tool, format!("expected \"key=value\", got {pair:?}"));
            let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
            content.insert(key.to_owned(), value.to_owned());
        }
        Ok(content)
    }
}
