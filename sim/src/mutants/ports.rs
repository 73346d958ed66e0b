//! Planted faults where hook tools and requests pass.

use serde_json::{Map, Value};

use super::{Plant, planted, planted_in};

/// A hook-tool call that the planted fault has changed.
pub(crate) enum Changed {
    /// It is not made, and this is its answer.
    Answered(String),
    /// It is made with these arguments and this input.
    Made(Vec<String>, Option<String>),
}

/// What becomes of a hook-tool call of this application.
pub(crate) fn call(app: &str, tool: &str, args: &[&str], stdin: Option<&str>) -> Option<Changed> {
    planted_in(app, |plant| match plant {
        Plant::Tool(name, word) if *name == tool && has(args, word) => {
            Some(Changed::Answered(String::new()))
        }
        Plant::Answer(name, word, answer) if *name == tool && has(args, word) => {
            Some(Changed::Answered((*answer).to_owned()))
        }
        Plant::Without(name, word) if *name == tool && has(args, word) => {
            let args = args.iter().filter(|arg| *arg != word).map(|arg| (*arg).to_owned());
            Some(Changed::Made(args.collect(), stdin.map(str::to_owned)))
        }
        _ => {
            let written = written(plant, tool, stdin?)?;
            let args = args.iter().map(|arg| (*arg).to_owned()).collect();
            Some(Changed::Made(args, Some(written)))
        }
    })
}

/// Whether a word stands among the arguments; no word always does.
fn has(args: &[&str], word: &str) -> bool {
    word.is_empty() || args.contains(&word)
}

/// What is written in place of the content of a bag or secret.
fn written(plant: &Plant, tool: &str, content: &str) -> Option<String> {
    let secret = matches!(tool, "secret-add" | "secret-set");
    let bag = tool == "relation-set";
    let mut map: Map<String, Value> = serde_json::from_str(content).ok()?;
    match plant {
        Plant::Key(key) if bag => drop(map.remove(*key)),
        Plant::NoLegacy if bag => {
            let text = map.get("pgb_dbs_config")?.as_str()?;
            let mut databases: Map<String, Value> = serde_json::from_str(text).ok()?;
            databases.retain(|_, database| database["legacy"] != true);
            let text = Value::Object(databases).to_string();
            map.insert("pgb_dbs_config".to_owned(), text.into());
        }
        Plant::KeepsKeys if bag => map.retain(|_, value| *value != ""),
        Plant::SecretKey(begin) if secret => map.retain(|key, _| !key.starts_with(begin)),
        _ => return None,
    }
    Some(Value::Object(map).to_string())
}

/// Whether the content of a bag has a key that was written before and may not be again.
pub(crate) fn once(content: &str) -> Option<String> {
    planted(|plant| match plant {
        Plant::KeyOnce(key) => {
            let mut map: Map<String, Value> = serde_json::from_str(content).ok()?;
            map.remove(*key)?;
            Some(Value::Object(map).to_string())
        }
        _ => None,
    })
}

/// The key that may be written once only.
pub(crate) fn only_once() -> Option<&'static str> {
    planted(|plant| if let Plant::KeyOnce(key) = plant { Some(*key) } else { None })
}

/// What is read in place of a databag in a hook of this name.
pub(crate) fn read(app: &str, hook: &str, tool: &str, text: &str) -> Option<String> {
    planted_in(app, |plant| match plant {
        Plant::Blind(wanted, key) if *wanted == hook && tool == "relation-get" => {
            let mut map: Map<String, Value> = serde_json::from_str(text).ok()?;
            map.remove(*key)?;
            Some(Value::Object(map).to_string())
        }
        _ => None,
    })
}

/// Whether the charm does nothing in a hook of this name.
pub(crate) fn ignores(app: &str, hook: &str) -> bool {
    let ignores = planted_in(app, |plant| match plant {
        Plant::Ignore(name) => Some(*name == hook),
        _ => None,
    });
    ignores == Some(true)
}

/// The variable that the charm is not told.
pub(crate) fn unset(app: &str) -> Option<&'static str> {
    planted_in(app, |plant| if let Plant::Unset(name) = plant { Some(*name) } else { None })
}

/// Whether a request to Pebble is swallowed; `what` says what is asked.
pub(crate) fn swallows(what: impl FnOnce() -> String) -> bool {
    planted(|plant| match plant {
        Plant::Pebble(words) => Some(what().contains(words)),
        _ => None,
    }) == Some(true)
}

/// The content and mode of a file in place of those that were asked for.
pub(crate) fn file(path: &str, content: &[u8], mode: u32) -> Option<(Vec<u8>, u32)> {
    planted(|plant| {
        let text = || String::from_utf8_lossy(content).into_owned();
        match plant {
            Plant::OpenFiles => Some((content.to_vec(), 0o644)),
            Plant::Line(begin) if path.ends_with(".ini") => {
                let text = text();
                let kept = text.lines().filter(|line| !line.starts_with(begin));
                let kept: Vec<&str> = kept.collect();
                Some((kept.join("\n").into_bytes(), mode))
            }
            Plant::LongNames if path.ends_with(".ini") => {
                Some((with_long_names(&text()).into_bytes(), mode))
            }
            _ => None,
        }
    })
}

/// As an older charm wrote it: each database has a twin for reading only.
fn with_long_names(ini: &str) -> String {
    let mut lines = Vec::new();
    for line in ini.lines() {
        lines.push(line.to_owned());
        let Some((name, rest)) = line.split_once(" = ").filter(|(name, _)| name.len() > 54) else {
            continue;
        };
        lines.push(format!("{}_readonly = {rest}", name.trim_matches('"')));
    }
    lines.join("\n")
}

/// Whether a request to Kubernetes is swallowed.
pub(crate) fn drops(method: &str) -> bool {
    planted(|plant| match plant {
        Plant::Kubernetes(wanted) => Some(*wanted == method),
        _ => None,
    }) == Some(true)
}

/// The text of a statement in place of the one that was sent.
pub(crate) fn statement(text: &str) -> Option<String> {
    planted(|plant| match plant {
        Plant::Swap(from, to) => Some(text.replace(from, to)),
        _ => None,
    })
}

/// The words with which a statement begins that is left out.
pub(crate) fn left_out() -> Option<&'static str> {
    planted(|plant| if let Plant::Sql(words) = plant { Some(*words) } else { None })
}

/// Whether the charm cannot do without its peer relation.
pub(crate) fn needs_peers() -> bool {
    planted(|plant| (*plant == Plant::NeedsPeers).then_some(())).is_some()
}
