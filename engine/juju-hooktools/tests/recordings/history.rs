//! The recording as it is kept: a line for each hook, and after it one for each call.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

const LINES: &str = include_str!("juju-4.0.15/history.jsonl");

/// One hook or action of one unit.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Group {
    /// The time of day.
    pub(crate) at: String,
    pub(crate) unit: String,
    /// `JUJU_DISPATCH_PATH`.
    pub(crate) event: String,
    /// Variables that only some hooks have.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// Of an action.
    #[serde(default)]
    pub(crate) params: Map<String, Value>,
    /// What the charm exited with.
    #[serde(default)]
    pub(crate) code: i32,
    #[serde(skip)]
    pub(crate) rows: Vec<Row>,
}

/// One call of a hook tool.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Row {
    /// Which table of the probe, and its how-manieth call.
    pub(crate) table: String,
    pub(crate) row: u32,
    pub(crate) argv: Vec<String>,
    #[serde(default)]
    pub(crate) stdin: Option<String>,
    /// Files that the arguments name.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, Bytes>,
    /// Made by the probe without looking at the answer.
    #[serde(default)]
    pub(crate) unseen: bool,
    #[serde(default)]
    pub(crate) code: u8,
    #[serde(default)]
    pub(crate) stdout: Bytes,
    #[serde(default)]
    pub(crate) stderr: Bytes,
}

/// Text, or in base64 what is none.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Bytes {
    Text(String),
    Coded { base64: String },
}

impl Default for Bytes {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl Bytes {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        use base64::Engine as _;
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Coded { base64 } => {
                base64::engine::general_purpose::STANDARD.decode(base64).unwrap()
            }
        }
    }
}

pub(crate) fn read() -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for line in LINES.lines() {
        if line.starts_with("{\"table\"") {
            let mut row: Row = serde_json::from_str(line).unwrap();
            row.argv.iter_mut().for_each(|arg| *arg = whole(arg));
            row.stdin = row.stdin.as_deref().map(whole);
            groups.last_mut().unwrap().rows.push(row);
        } else {
            groups.push(serde_json::from_str(line).unwrap());
        }
    }
    groups
}

/// What was cut in the recording: `xx…(9 bytes)` is nine times `x`, with a newline that `big: `
/// has at its end.
fn whole(text: &str) -> String {
    let Some((head, rest)) = text.split_once("…(") else { return text.to_owned() };
    let length: usize = rest.split(' ').next().unwrap().parse().unwrap();
    let newline = if head.starts_with("big: ") { "\n" } else { "" };
    let fill = head.chars().last().unwrap().to_string();
    format!("{head}{}{newline}", fill.repeat(length - head.len() - newline.len()))
}
