//! Planted faults where hook tools and requests pass.

use http1_client::Bytes;
use postgres::sql::Query;
use serde_json::{Map, Value};

use super::{Plant, Twist, is, planted};

/// A hook-tool call that the planted fault has changed.
pub(crate) enum Changed {
    /// It is not made, and this is its answer.
    Answered(String),
    /// It is made with these arguments and this input.
    Made(Vec<String>, Option<String>),
}

/// What becomes of a hook-tool call.
pub(crate) fn call(tool: &str, args: &[&str], stdin: Option<&str>) -> Option<Changed> {
    planted(|plant| match plant {
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
pub(crate) fn read(hook: &str, tool: &str, text: &str) -> Option<String> {
    planted(|plant| match plant {
        Plant::Blind(wanted, key) if *wanted == hook && tool == "relation-get" => {
            let mut map: Map<String, Value> = serde_json::from_str(text).ok()?;
            map.remove(*key)?;
            Some(Value::Object(map).to_string())
        }
        _ => None,
    })
}

/// Whether the charm does nothing in a hook of this name; a planted fault may name several.
pub(crate) fn ignores(hook: &str) -> bool {
    let ignores = planted(|plant| match plant {
        Plant::Ignore(names) => Some(names.split(" and ").any(|name| name == hook)),
        _ => None,
    });
    ignores == Some(true)
}

/// The variable that the charm does not get.
pub(crate) fn unset() -> Option<&'static str> {
    planted(|plant| if let Plant::Unset(name) = plant { Some(*name) } else { None })
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
            Plant::Line(begin) if path.ends_with(".ini") || path.ends_with(".yml") => {
                let text = text();
                let kept = text.lines().filter(|line| !line.trim_start().starts_with(begin));
                let kept: Vec<&str> = kept.collect();
                Some(((kept.join("\n") + "\n").into_bytes(), mode))
            }
            Plant::Text(from, to) => Some((text().replace(from, to).into_bytes(), mode)),
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

/// Whether a file is not written although that was asked for.
pub(crate) fn loses(path: &str) -> bool {
    planted(|plant| match plant {
        Plant::Unwritten(words) => Some(path.contains(words)),
        _ => None,
    }) == Some(true)
}

/// Whether a file is hidden from who reads it.
pub(crate) fn hides(path: &str) -> bool {
    planted(|plant| match plant {
        Plant::Unread(end) => Some(path.ends_with(end)),
        _ => None,
    }) == Some(true)
}

/// A layer in place of the one that was given.
pub(crate) fn layer(text: &str) -> Option<String> {
    planted(|plant| match plant {
        Plant::Layer(from, to) => Some(text.replace(from, to)),
        _ => None,
    })
}

/// What becomes of a request to Kubernetes, by its body: none where it is swallowed.
pub(crate) fn object(method: &str, body: Bytes) -> Option<Bytes> {
    let has = |words: &str| String::from_utf8_lossy(&body).contains(words);
    let swallowed = planted(|plant| match plant {
        Plant::Kubernetes(wanted, words) => Some(*wanted == method && has(words)),
        _ => None,
    });
    if swallowed == Some(true) {
        return None;
    }
    let changed = planted(|plant| match plant {
        Plant::Object(from, to) => {
            Some(String::from_utf8_lossy(&body).replace(from, to).into_bytes().into())
        }
        _ => None,
    });
    Some(changed.unwrap_or(body))
}

/// Whether a refusal of Kubernetes' is mistaken.
pub(crate) fn mistakes_refusals() -> bool {
    is(&Plant::Unforbidden)
}

/// Whether a request to Patroni is swallowed.
pub(crate) fn silences(request: &str) -> bool {
    planted(|plant| match plant {
        Plant::Patroni(words) => Some(request == *words),
        _ => None,
    }) == Some(true)
}

/// What Patroni is sent in place of a body.
pub(crate) fn order(body: Bytes) -> Bytes {
    let changed = planted(|plant| match plant {
        Plant::PatroniBody(from, to) => {
            Some(String::from_utf8_lossy(&body).replace(from, to).into_bytes().into())
        }
        _ => None,
    });
    changed.unwrap_or(body)
}

/// What the charm gets of an answer of Patroni.
pub(crate) fn heard(mut body: Value) -> Value {
    planted(|plant| match plant {
        Plant::Unheard(key) => body.as_object_mut().and_then(|body| body.remove(*key)),
        _ => None,
    });
    body
}

/// Whether something does what this says instead of what it should.
pub(crate) fn twisted(twist: Twist) -> bool {
    is(&Plant::Twist(twist))
}

/// Whether a query finds nothing.
pub(crate) fn overlooks(query: &Query<'_>) -> bool {
    planted(|plant| match plant {
        Plant::Overlooks(wanted) => {
            Some(std::mem::discriminant(query) == std::mem::discriminant(wanted))
        }
        _ => None,
    }) == Some(true)
}

/// Whether statements of a kind are left out: those whose kind begins with the words of the fault.
pub(crate) fn leaves_out(kind: &str) -> bool {
    planted(|plant| match plant {
        Plant::Sql(words) => {
            let rest = kind.strip_prefix(words)?;
            Some(rest.is_empty() || rest.starts_with(' '))
        }
        _ => None,
    }) == Some(true)
}

/// Whether the charm cannot do without its peer relation.
pub(crate) fn needs_peers() -> bool {
    is(&Plant::NeedsPeers)
}
