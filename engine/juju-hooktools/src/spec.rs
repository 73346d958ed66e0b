//! The table of tools: flags, output, words of `--help` and what each does.

use crate::flags::{Flag, Takes, switch, text};
use crate::tool::Run;
use crate::{
    action, config, leader, log, network, ports, relation, secret, state, status, storage,
    unsupported,
};

pub use crate::secret_content::{IN_BASE64, IN_FILE};
pub use crate::tool::Spec;

const SMART: &[&str] = &["smart", "json", "yaml"];
const YAML: &[&str] = &["yaml", "json"];

const FORMAT: Flag = text("format", "How to print: json, yaml or, mostly, smart");
const OUTPUT: Flag = text("output", "A file to write to instead of standard output").or('o');
const RELATION: Flag = text("relation", "The relation's id, 7 or name:7").or('r');
const APP: Flag = switch("app", "Meant is the application's databag");
const APPLICATION: Flag = switch("application", "Meant is the application, on its leader");
const FILE: Flag = text("file", "A YAML file of keys and values; - is standard input");
const LABEL: Flag = text("label", "The secret's label");
const ENDPOINTS: Flag = text("endpoints", "Endpoints, with commas between them");
pub(crate) const IGNORED_FORMAT: Flag = text("format", "Read and ignored");

const PRINTS: &[Flag] = &[FORMAT, OUTPUT];
const PRINTS_RELATION: &[Flag] = &[FORMAT, OUTPUT, RELATION, APP];
const SECRET: &[Flag] = &[
    LABEL,
    text("description", "Free text"),
    text("rotate", "never, hourly, daily, weekly, monthly, quarterly or yearly"),
    text("expire", "A time (RFC 3339) or a duration such as 24h"),
    text("owner", "application or unit"),
    FILE,
];

const fn quiet(
    name: &'static str,
    usage: &'static str,
    purpose: &'static str,
    flags: &'static [Flag],
    run: Run,
) -> Spec {
    Spec { name, usage, purpose, flags, formats: &[], run }
}

const fn smart(
    name: &'static str,
    usage: &'static str,
    purpose: &'static str,
    flags: &'static [Flag],
    run: Run,
) -> Spec {
    Spec { name, usage, purpose, flags, formats: SMART, run }
}

const fn yaml(
    name: &'static str,
    usage: &'static str,
    purpose: &'static str,
    flags: &'static [Flag],
    run: Run,
) -> Spec {
    Spec { name, usage, purpose, flags, formats: YAML, run }
}

/// Every tool, sorted by name.
pub const SPECS: &[Spec] = &[
    quiet("action-fail", "[<message>]", "mark the running action as failed", &[], action::fail),
    smart("action-get", "[<key>[.<key>...]]", "print the action's parameters", PRINTS, action::get),
    quiet("action-log", "<message>", "write to the action's log", &[], action::log),
    quiet("action-set", "<key>=<value> ...", "set results of the action", &[], action::set),
    quiet(
        "application-version-set",
        "<version>",
        "say which version the workload has",
        &[],
        status::application_version_set,
    ),
    quiet(
        "close-port",
        "<port>[/<protocol>] | icmp",
        "close a port when the hook ends",
        &[ENDPOINTS, IGNORED_FORMAT],
        ports::close_port,
    ),
    smart(
        "config-get",
        "[<key>]",
        "print the configuration",
        &[FORMAT, OUTPUT, switch("all", "Print options without a value too").or('a')],
        config::get,
    ),
    smart(
        "credential-get",
        "",
        "print the cloud's credential",
        PRINTS,
        unsupported::credential_get,
    ),
    yaml("goal-state", "", "print the planned units and relations", PRINTS, status::goal_state),
    smart(
        "is-leader",
        "",
        "print whether this unit leads its application",
        PRINTS,
        status::is_leader,
    ),
    quiet(
        "juju-log",
        "<message>",
        "write to the model's log",
        &[
            switch("debug", "Log at level DEBUG"),
            IGNORED_FORMAT,
            text("log-level", "The level, INFO if not given").or('l'),
        ],
        log::juju_log,
    ),
    quiet(
        "juju-reboot",
        "",
        "reboot the machine",
        &[switch("now", "Do not wait for the hook")],
        unsupported::juju_reboot,
    ),
    smart(
        "leader-get",
        "[<key>|-]",
        "print settings that the leader has made",
        PRINTS,
        leader::get,
    ),
    quiet("leader-set", "<key>=<value> ...", "change the leader's settings", &[], leader::set),
    smart(
        "network-get",
        "<binding>",
        "print the addresses of a binding",
        &[
            FORMAT,
            OUTPUT,
            RELATION,
            switch("bind-address", "The address to listen on"),
            switch("ingress-address", "The address to tell others"),
            switch("egress-subnets", "Where traffic seems to come from"),
            switch("primary-address", "The address to listen on (old name)"),
        ],
        network::get,
    ),
    quiet(
        "open-port",
        "<port>[/<protocol>] | icmp",
        "open a port when the hook ends",
        &[ENDPOINTS, IGNORED_FORMAT],
        ports::open_port,
    ),
    smart(
        "opened-ports",
        "",
        "print the open ports",
        &[FORMAT, OUTPUT, switch("endpoints", "Print the endpoints too")],
        ports::opened_ports,
    ),
    smart(
        "relation-get",
        "[<key>|-] [<unit or application>]",
        "read a databag",
        PRINTS_RELATION,
        relation::get,
    ),
    smart(
        "relation-ids",
        "[<endpoint>]",
        "print the relations of an endpoint",
        PRINTS,
        relation::ids,
    ),
    smart(
        "relation-list",
        "",
        "print the remote units of a relation",
        PRINTS_RELATION,
        relation::list,
    ),
    smart(
        "relation-model-get",
        "",
        "print the model of a relation's other side",
        &[FORMAT, OUTPUT, RELATION],
        relation::model_get,
    ),
    quiet(
        "relation-set",
        "<key>=<value> ...",
        "write to the own databag when the hook ends",
        &[RELATION, APP, FILE, IGNORED_FORMAT],
        relation::set,
    ),
    quiet(
        "resource-get",
        "<name>",
        "print the path of a resource's file",
        &[],
        storage::resource_get,
    ),
    quiet(
        "secret-add",
        "<key>[#base64|#file]=<value> ...",
        "make a secret, print its id",
        SECRET,
        secret::add,
    ),
    yaml(
        "secret-get",
        "[<id>] [<key>[#base64]]",
        "print the content of a secret",
        &[
            FORMAT,
            OUTPUT,
            LABEL,
            switch("refresh", "Read the latest revision and track it"),
            switch("peek", "Read the latest revision this once"),
        ],
        secret::get,
    ),
    quiet(
        "secret-grant",
        "<id>",
        "let a relation's remote application read a secret",
        &[RELATION, text("unit", "Only this unit")],
        secret::grant,
    ),
    smart("secret-ids", "", "print the ids of the own secrets", PRINTS, secret::ids),
    yaml(
        "secret-info-get",
        "[<id>]",
        "print what is known of an own secret",
        &[FORMAT, OUTPUT, LABEL],
        secret::info_get,
    ),
    quiet(
        "secret-remove",
        "<id>",
        "remove a secret when the hook ends",
        &[text("revision", "Only this revision")],
        secret::remove,
    ),
    quiet(
        "secret-revoke",
        "<id>",
        "take a grant back",
        &[
            RELATION,
            text("app", "The application"),
            text("application", "The application"),
            text("unit", "The unit"),
        ],
        secret::revoke,
    ),
    quiet(
        "secret-set",
        "<id> [<key>[#base64|#file]=<value> ...]",
        "change a secret",
        SECRET,
        secret::set,
    ),
    quiet("state-delete", "<key>", "delete a key of the unit's state", &[], state::delete),
    smart(
        "state-get",
        "[<key>|-]",
        "print the unit's state",
        &[FORMAT, OUTPUT, switch("strict", "A missing key is an error")],
        state::get,
    ),
    quiet("state-set", "<key>=<value> ...", "write to the unit's state", &[FILE], state::set),
    smart(
        "status-get",
        "",
        "print the status",
        &[FORMAT, OUTPUT, APPLICATION, switch("include-data", "Print the message too")],
        status::get,
    ),
    quiet(
        "status-set",
        "<maintenance|blocked|waiting|active> [<message>]",
        "set the status",
        &[APPLICATION],
        status::set,
    ),
    quiet(
        "storage-add",
        "<name>[=<count>] ...",
        "ask for more storage when the hook ends",
        &[],
        storage::add,
    ),
    smart(
        "storage-get",
        "[<kind|location>]",
        "print a storage instance",
        &[
            FORMAT,
            OUTPUT,
            Flag { long: "", short: Some('s'), takes: Takes::Text, help: "The instance's id" },
        ],
        storage::get,
    ),
    smart("storage-list", "[<name>]", "print the ids of storage instances", PRINTS, storage::list),
    smart(
        "unit-get",
        "<private-address|public-address>",
        "print an address",
        PRINTS,
        network::unit_get,
    ),
];

const NAMES: [&str; SPECS.len()] = {
    let mut names = [""; SPECS.len()];
    let mut at = 0;
    while at < SPECS.len() {
        names[at] = SPECS[at].name;
        at += 1;
    }
    names
};

/// The names of all tools, sorted: one link each in the tools folder.
pub const TOOLS: &[&str] = &NAMES;

/// Whether Juju's agent opens the files that the arguments name, not the tool.
pub fn takes_content(tool: &str) -> bool {
    matches!(tool, "secret-add" | "secret-set")
}

/// The tool of a name.
pub fn find(tool: &str) -> Option<&'static Spec> {
    SPECS.binary_search_by(|spec| spec.name.cmp(tool)).ok().map(|at| &SPECS[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_sorted_and_found() {
        assert!(TOOLS.is_sorted());
        for tool in TOOLS {
            assert_eq!(find(tool).map(|spec| spec.name), Some(*tool));
        }
        assert!(find("pod-spec-set").is_none());
    }

    #[test]
    fn flags_of_a_tool_differ() {
        for spec in SPECS {
            for (at, flag) in spec.flags.iter().enumerate() {
                for other in &spec.flags[at + 1..] {
                    assert_ne!(flag.long, other.long, "{}", spec.name);
                    assert!(flag.short.is_none() || flag.short != other.short, "{}", spec.name);
                }
            }
        }
    }

    #[test]
    fn help_names_every_flag() {
        let help = find("config-get").unwrap().help(None);
        assert!(help.starts_with("Usage: config-get [options] [<key>]\n\nSummary:\n"));
        assert!(help.contains("-a, --all\n    Print options"));
    }
}
