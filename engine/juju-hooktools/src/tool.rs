//! A hook tool as the table has it: what its call may say, and the function that answers.

use juju_model::{Rules, ToolCall};

use crate::flags::Flag;
use crate::input::{Input, Printed};

/// What a tool does with a call that its flags allow.
pub(crate) type Run = fn(&mut ToolCall, &Input<'_>) -> Printed;

/// One hook tool.
#[derive(Debug)]
pub struct Spec {
    /// The tool's name, which is also the name of its link.
    pub name: &'static str,
    /// The positionals, for `--help`.
    pub usage: &'static str,
    /// One line, for `--help`.
    pub purpose: &'static str,
    /// Every flag, those of the output included.
    pub flags: &'static [Flag],
    /// What may stand in `--format`, the default first; empty without output.
    pub formats: &'static [&'static str],
    pub(crate) run: Run,
}

impl Spec {
    /// Whether this Juju has the tool.
    pub(crate) fn exists(&self, rules: &Rules) -> bool {
        rules.leader_settings || !matches!(self.name, "leader-get" | "leader-set")
    }

    /// What `--help` prints; `storage` is the hook's own. Version 2 of the Python library `ops`
    /// reads the instance of a storage hook from these words and from nowhere else.
    pub fn help(&self, storage: Option<&str>) -> String {
        let options = if self.flags.is_empty() { "" } else { " [options]" };
        let space = if self.usage.is_empty() { "" } else { " " };
        let mut help = format!("Usage: {}{options}{space}{}\n\n", self.name, self.usage);
        help.push_str(&format!("Summary:\n{}\n", self.purpose));
        if !self.flags.is_empty() {
            help.push_str("\nOptions:\n");
        }
        for flag in self.flags {
            let mut names: Vec<String> = flag.short.map(|c| format!("-{c}")).into_iter().collect();
            if !flag.long.is_empty() {
                names.push(format!("--{}", flag.long));
            }
            let default = match storage {
                Some(id) if flag.short == Some('s') => format!("  (= {id})"),
                _ => String::new(),
            };
            help.push_str(&format!("{}{default}\n    {}\n", names.join(", "), flag.help));
        }
        help
    }
}
