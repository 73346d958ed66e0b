//! The `key=value` connection strings of `[databases]` and `[peers]`.

use std::borrow::Cow;
use std::fmt;

/// Writes a space and `key=value`, quoted where the value is not a plain word.
pub(crate) fn pair(line: &mut impl fmt::Write, key: &str, value: &str) -> fmt::Result {
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b',' | b':' | b'/');
    for text in [" ", key, "="] {
        line.write_str(text)?;
    }
    if value.bytes().all(plain) {
        return line.write_str(value);
    }
    write!(line, "'{}'", value.replace('\'', "''"))
}

/// Splits a connection string into its pairs; `None` when PgBouncer would refuse it.
pub(crate) fn pairs(text: &str) -> Option<Vec<(&str, Cow<'_, str>)>> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = cut(rest, b'=')?;
        let key = key.trim_end();
        let (value, after) = value(after.trim_start())?;
        if key.is_empty() || key.contains(' ') || value.is_empty() {
            return None;
        }
        found.push((key, value));
        rest = after.trim_start();
    }
    Some(found)
}

/// What stands before and after the first of an ASCII character. In texts as short as these a
/// plain look at each byte is quicker than the standard library's search.
pub(crate) fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let index = text.bytes().position(|byte| byte == at)?;
    Some((&text[..index], &text[index + 1..]))
}

fn value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(mut rest) = text.strip_prefix('\'') else {
        let (word, rest) = cut(text, b' ').unwrap_or((text, ""));
        return Some((word.into(), rest));
    };
    let mut word = String::new();
    loop {
        let (part, after) = rest.split_once('\'')?;
        word.push_str(part);
        match after.strip_prefix('\'') {
            Some(more) => {
                word.push('\'');
                rest = more;
            }
            None => return Some((word.into(), after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pairs_survive_a_round_trip(
            pairs_in in prop::collection::vec(("[a-z_]{1,8}", "\\PC{1,12}"), 0..4),
        ) {
            let mut line = String::new();
            for (key, value) in &pairs_in {
                pair(&mut line, key, value).unwrap();
            }
            let found = pairs(&line).into_iter().flatten();
            let found = found.map(|(key, value)| (key.to_owned(), value.into_owned()));
            prop_assert_eq!(found.collect::<Vec<_>>(), pairs_in);
        }

        #[test]
        fn no_text_breaks_the_reader(text in "\\PC*") {
            let _ = pairs(&text);
        }
    }

    #[test]
    fn what_pgbouncer_refuses_is_refused() {
        for bad in ["host", "host=", "=x", "host=''", "host='x", "a b=c"] {
            assert_eq!(pairs(bad), None, "{bad:?}");
        }
    }
}
