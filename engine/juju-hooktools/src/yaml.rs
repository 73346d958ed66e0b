//! YAML as Go's encoder writes it, which Juju prints with: what is quoted, and how, is visible to a
//! charm's tests.

use crate::node::Node;

/// Where lines that have spaces are broken.
const WIDTH: usize = 80;
/// What one level is indented by.
const STEP: usize = 2;

/// A value as a document, with a newline at its end.
pub(crate) fn write(node: &Node) -> String {
    let mut writer = Writer::default();
    writer.node(node, 0, false);
    if !writer.out.ends_with('\n') {
        writer.out.push('\n');
    }
    writer.out
}

#[derive(Default)]
struct Writer {
    out: String,
    column: usize,
}

impl Writer {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        match text.rsplit_once('\n') {
            Some((_, last)) => self.column = last.chars().count(),
            None => self.column += text.chars().count(),
        }
    }

    fn line(&mut self, indent: usize) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.put("\n");
        }
        self.put(&" ".repeat(indent));
    }

    /// `inside`: something stands before it in its line, a key or a dash.
    fn node(&mut self, node: &Node, indent: usize, after_dash: bool) {
        match node {
            Node::Map(entries) if entries.is_empty() => self.put("{}"),
            Node::List(items) if items.is_empty() => self.put("[]"),
            Node::Map(entries) => self.map(entries, indent, after_dash),
            Node::List(items) => self.list(items, indent, after_dash),
            Node::Text(text) => self.text(text, indent + STEP, true),
            Node::Bare(words) => self.put(words),
        }
    }

    fn map(&mut self, entries: &[(String, Node)], indent: usize, mut here: bool) {
        for (key, value) in entries {
            if !here {
                self.line(indent);
            }
            here = false;
            self.text(key, indent + STEP, false);
            self.put(":");
            match value {
                Node::Map(inner) if !inner.is_empty() => self.map(inner, indent + STEP, false),
                // A list stands as far left as its key.
                Node::List(items) if !items.is_empty() => self.list(items, indent, false),
                other => {
                    self.put(" ");
                    self.node(other, indent, false);
                }
            }
        }
    }

    fn list(&mut self, items: &[Node], indent: usize, mut here: bool) {
        for item in items {
            if !here {
                self.line(indent);
            }
            here = false;
            self.put("- ");
            match item {
                Node::Map(_) | Node::List(_) => self.node(item, indent + STEP, true),
                other => self.node(other, indent, true),
            }
        }
    }

    /// A text, or a key, which stays in its line.
    fn text(&mut self, text: &str, indent: usize, breaks: bool) {
        let seen = Seen::of(text);
        let lines = text.contains('\n');
        if lines && breaks && seen.block {
            self.literal(text, indent);
        } else if !lines && seen.plain && is_text(text) {
            self.folded(text, indent, breaks);
        } else if !lines && is_text(text) && seen.single {
            self.put("'");
            self.folded(&text.replace('\'', "''"), indent, breaks);
            self.put("'");
        } else {
            self.quoted(text, indent, breaks);
        }
    }

    fn folded(&mut self, text: &str, indent: usize, breaks: bool) {
        let mut spaces = false;
        let mut left = text.chars().peekable();
        while let Some(c) = left.next() {
            let more = left.peek().is_some_and(|next| *next != ' ');
            if c == ' ' && breaks && !spaces && self.column > WIDTH && more {
                self.line(indent);
            } else {
                self.put(c.encode_utf8(&mut [0; 4]));
            }
            spaces = c == ' ';
        }
    }

    fn literal(&mut self, text: &str, indent: usize) {
        let hint = if text.starts_with([' ', '\n']) { "2" } else { "" };
        let chomp = match text.strip_suffix('\n') {
            None => "-",
            Some(rest) if rest.is_empty() || rest.ends_with('\n') => "+",
            Some(_) => "",
        };
        self.put(&format!("|{hint}{chomp}\n"));
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            if !line.is_empty() {
                self.put(&" ".repeat(indent));
                self.put(line);
            }
            self.put("\n");
        }
        if chomp == "-" {
            self.out.pop();
        }
    }

    fn quoted(&mut self, text: &str, indent: usize, breaks: bool) {
        self.put("\"");
        let mut spaces = false;
        let last = text.chars().count().saturating_sub(1);
        for (at, c) in text.chars().enumerate() {
            if c == ' ' && breaks && !spaces && self.column > WIDTH && at > 0 && at < last {
                self.line(indent);
                if text.chars().nth(at + 1) == Some(' ') {
                    self.put("\\");
                }
            } else if let Some(escape) = escape(c) {
                self.put(&escape);
            } else {
                self.put(c.encode_utf8(&mut [0; 4]));
            }
            spaces = c == ' ';
        }
        self.put("\"");
    }
}

/// Which styles a text may have.
struct Seen {
    plain: bool,
    single: bool,
    block: bool,
}

impl Seen {
    fn of(text: &str) -> Self {
        let mut seen = Self { plain: true, single: true, block: true };
        let chars: Vec<char> = text.chars().collect();
        let blank = |at: usize| chars.get(at).is_none_or(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
        seen.plain &= !text.starts_with("---") && !text.starts_with("...");
        for (at, &c) in chars.iter().enumerate() {
            let indicator = match c {
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
                | '@' | '`' => at == 0,
                '#' => at == 0 || blank(at - 1),
                ':' => blank(at + 1),
                '?' | '-' => at == 0 && blank(at + 1),
                _ => false,
            };
            seen.plain &= !indicator;
            if !printable(c) {
                seen.plain = false;
                seen.single = false;
                seen.block = false;
            }
            let broken = |c: Option<&char>| c == Some(&'\n');
            if c == ' ' && at > 0 && broken(chars.get(at - 1)) {
                seen.single = false;
            }
            if c == ' ' && broken(chars.get(at + 1)) {
                seen.block = false;
            }
        }
        let ends = |c: Option<&char>| matches!(c, Some(' ' | '\n'));
        seen.plain &= !ends(chars.first()) && !ends(chars.last());
        seen.block &= chars.last() != Some(&' ');
        seen
    }
}

/// Go's encoder escapes what lies beyond the basic plane.
fn printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

fn escape(c: char) -> Option<String> {
    Some(match c {
        '\0' => "\\0".to_owned(),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\r' => "\\r".to_owned(),
        '\u{1b}' => "\\e".to_owned(),
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\u{85}' => "\\N".to_owned(),
        '\u{a0}' => "\\_".to_owned(),
        '\u{2028}' => "\\L".to_owned(),
        '\u{2029}' => "\\P".to_owned(),
        c if printable(c) => return None,
        c if u32::from(c) <= 0xff => format!("\\x{:02X}", u32::from(c)),
        c if u32::from(c) <= 0xffff => format!("\\u{:04X}", u32::from(c)),
        c => format!("\\U{:08X}", u32::from(c)),
    })
}

/// Whether a text without quotes is read as a text again, by the rules of YAML 1.1.
fn is_text(text: &str) -> bool {
    const WORDS: [&str; 38] = [
        "", "~", "null", "Null", "NULL", "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE",
        "on", "On", "ON", "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off",
        "OFF", ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "<<",
        "-.inf",
    ];
    let first = text.bytes().next();
    let number = first.is_some_and(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.'));
    !WORDS.contains(&text)
        && !matches!(text, "-.Inf" | "-.INF")
        && !(number && (is_number(text) || is_sexagesimal(text) || is_time(text)))
}

fn is_number(text: &str) -> bool {
    let plain = text.replace('_', "");
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let of =
        |digits: &str, radix: u32| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    let lower = unsigned.to_ascii_lowercase();
    if let Some(digits) = lower.strip_prefix("0x") {
        return of(digits, 16);
    }
    if let Some(digits) = lower.strip_prefix("0b") {
        return of(digits, 2);
    }
    if let Some(digits) = lower.strip_prefix("0o") {
        return of(digits, 8);
    }
    let (mantissa, exponent) = lower.split_once('e').map_or((&*lower, None), |(m, e)| (m, Some(e)));
    let whole = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    let mantissa = match mantissa.split_once('.') {
        Some((before, after)) => {
            whole(before) && whole(after) && !(before.is_empty() && after.is_empty())
        }
        None => of(mantissa, 10),
    };
    mantissa && exponent.is_none_or(|e| of(e.strip_prefix(['+', '-']).unwrap_or(e), 10))
}

/// `12:30`, which YAML 1.1 counts by sixties.
fn is_sexagesimal(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (text, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let mut parts = text.split(':');
    let first = parts
        .next()
        .is_some_and(|part| part.starts_with(|c: char| c.is_ascii_digit()) && digits(part));
    let rest: Vec<&str> = parts.collect();
    let sixty = |part: &&str| part.parse::<u8>().is_ok_and(|n| n < 60) && part.len() <= 2;
    first && !rest.is_empty() && rest.iter().all(sixty) && digits(fraction)
}

fn is_time(text: &str) -> bool {
    let number = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    let end = text.find(['T', 't', ' ']).unwrap_or(text.len());
    let (day, rest) = text.split_at(end);
    let parts: Vec<&str> = day.split('-').collect();
    let [year, month, date] = parts.as_slice() else { return false };
    if year.len() != 4 || !number(year, 4) || !number(month, 2) || !number(date, 2) {
        return false;
    }
    let Some(separator) = rest.chars().next() else { return true };
    let clock = &rest[1..];
    let zone = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(zone);
    let clock = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    let clock: Vec<&str> = clock.split(':').collect();
    clock.len() == 3
        && clock.iter().all(|part| number(part, 2))
        && zone.is_empty() == (separator == ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        let map = Node::Map(vec![("k".to_owned(), Node::Text(text.to_owned()))]);
        assert_eq!(write(&map), format!("k: {want}\n"), "{text:?}");
    }

    #[test]
    fn texts_are_quoted_where_they_would_be_read_as_something_else() {
        for same in ["two words", "x=y", "/root", "10.96.254.7", "a:b", "1.2.3", "é", "a'b", "-a"]
        {
            check(same, same);
        }
        for word in ["", "true", "yes", "n", "null", "~", "1", "1.0", "0x10", "1e3", ".5", "-7"] {
            check(word, &format!("\"{word}\""));
        }
        for word in ["2020-01-01", "12:30", "2020-01-01T10:00:00Z", "1_000", ".inf", "<<"] {
            check(word, &format!("\"{word}\""));
        }
        check("2026-11-28 13:38:58Z", "2026-11-28 13:38:58Z");
        for odd in ["- a", "#c", "@a", ":", "a: b", "a #b", "{x}", " a", "a ", "&a", "--- a"] {
            check(odd, &format!("'{odd}'"));
        }
        check("'", "''''");
        check("\"", "'\"'");
        check("\u{1}", "\"\\x01\"");
        check("a\tb", "\"a\\tb\"");
        check("😀", "\"\\U0001F600\"");
    }

    #[test]
    fn lines_stand_in_a_block() {
        check("a\nb", "|-\n  a\n  b");
        check("a\nb\n", "|\n  a\n  b");
        check("a\n\n", "|+\n  a\n");
        check("\na", "|2-\n\n  a");
        check("a\n\nb", "|-\n  a\n\n  b");
        check("a \nb", "\"a \\nb\"");
        check("a\n\tb", "\"a\\n\\tb\"");
    }

    #[test]
    fn long_lines_are_folded_at_a_space() {
        let word = "x".repeat(77);
        check(&format!("{word} y z"), &format!("{word} y\n  z"));
        check(&format!("{word}yyyy z"), &format!("{word}yyyy\n  z"));
        check(&"x".repeat(100), &"x".repeat(100));
        check(&format!("@{word}yy z"), &format!("'@{word}yy\n  z'"));
    }

    #[test]
    fn maps_and_lists_are_nested() {
        let text = |text: &str| Node::Text(text.to_owned());
        let one = |key: &str, node: Node| Node::Map(vec![(key.to_owned(), node)]);
        let list = Node::List(vec![one("a", text("x")), text("y"), Node::List(vec![text("z")])]);
        let map = Node::Map(vec![
            ("l".to_owned(), list),
            ("m".to_owned(), one("b", Node::Bare("null".to_owned()))),
            ("n".to_owned(), Node::Map(Vec::new())),
            ("o".to_owned(), Node::List(Vec::new())),
        ]);
        assert_eq!(write(&map), "l:\n- a: x\n- \"y\"\n- - z\nm:\n  b: null\n\"n\": {}\no: []\n");
        assert_eq!(write(&text("a\nb\n")), "|\n  a\n  b\n");
    }
}
