//! Whether two answers are the same, but for times and for the ids of secrets.

use std::collections::BTreeMap;

use juju_hooktools::Response;

use crate::history::Row;

/// The longest output that was recorded whole.
const CUT: usize = 6000;

/// Ids of secrets, ours and those that Juju gave in the same place.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    to_ours: BTreeMap<String, String>,
    to_theirs: BTreeMap<String, String>,
}

impl Ids {
    /// Learns from two outputs of `secret-add`.
    pub(crate) fn learn(&mut self, theirs: &str, ours: &str) {
        if let (Some(theirs), Some(ours)) = (id_in(theirs), id_in(ours)) {
            self.to_ours.insert(theirs.to_owned(), ours.to_owned());
            self.to_theirs.insert(ours.to_owned(), theirs.to_owned());
        }
    }

    pub(crate) fn ours(&self, text: &str) -> String {
        replaced(text, &self.to_ours)
    }

    pub(crate) fn theirs(&self, text: &str) -> String {
        replaced(text, &self.to_theirs)
    }
}

fn id_in(text: &str) -> Option<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| is_id(word))
}

fn is_id(word: &str) -> bool {
    word.len() == 20 && word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'v').contains(&b))
}

fn replaced(text: &str, ids: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        out.push_str(ids.get(bare).map_or(bare, String::as_str));
        out.push_str(&word[bare.len()..]);
    }
    out
}

/// How our answer differs from the recorded one.
pub(crate) fn differs(row: &Row, ours: &Response, ids: &Ids) -> Option<String> {
    let listing = row.argv[0] == "secret-ids";
    let form = |bytes: &[u8]| {
        let text = timeless(&ids.theirs(&cut(bytes)));
        // Ids of ours sort in another order.
        if listing { sorted(&text) } else { text }
    };
    let (stdout, stderr) = (row.stdout.bytes(), row.stderr.bytes());
    let theirs = (row.code, form(&stdout), form(&stderr));
    let ours = (ours.code, form(&ours.stdout), form(&ours.stderr));
    (theirs != ours).then(|| {
        let line = crate::typed(row);
        format!("  {line}\n    Juju {theirs:?}\n    ours {ours:?}")
    })
}

fn sorted(text: &str) -> String {
    let mut parts: Vec<&str> = text.split(['\n', ',', '[', ']', '"']).collect();
    parts.sort_unstable();
    format!("{} {}", text.starts_with('['), parts.join(" "))
}

fn cut(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if bytes.len() <= CUT {
        return text.into_owned();
    }
    format!("{}…({} bytes)", beginning(&text, 80), bytes.len())
}

/// At most so many bytes of a text.
pub(crate) fn beginning(text: &str, most: usize) -> &str {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    &text[..ends.take_while(|end| *end <= most).last().unwrap_or(0)]
}

/// Times give way to `<time>`.
fn timeless(text: &str) -> String {
    const DAY: &str = "0000-00-00";
    const TIME: &str = "00:00:00";
    let fits = |text: &str, shape: &str| {
        text.len() >= shape.len()
            && text.bytes().zip(shape.bytes()).all(|(byte, like)| match like {
                b'0' => byte.is_ascii_digit(),
                _ => byte == like,
            })
    };
    let mut out = String::with_capacity(text.len());
    let mut left = text;
    while let Some(c) = left.chars().next() {
        let after = left.get(DAY.len() + 1..).filter(|_| fits(left, DAY));
        let Some(after) = after.filter(|after| fits(after, TIME)) else {
            out.push(c);
            left = &left[c.len_utf8()..];
            continue;
        };
        let zone = after[TIME.len()..].trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
        out.push_str("<time>");
        left = zone;
        for shape in ["Z", " +0000", "+00:00"] {
            left = left.strip_prefix(shape).unwrap_or(left);
        }
    }
    out
}
