//! The content of a secret as `secret-add` and `secret-set` take it, and as `secret-get` prints it.
//!
//! No message here quotes a value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use juju_model::tools::{Answer, Bag, ToolError};

use crate::input::{Input, parse_into, refused, usage};

/// A key of a secret with this ending has its value in base64.
pub const IN_BASE64: &str = "#base64";
/// A key of a secret with this ending names a file.
pub const IN_FILE: &str = "#file";

/// The most bytes, in base64, of a value and of a whole content.
const MAX_BYTES: usize = 1_000_000;

/// The most bytes of a file with a content.
const MAX_FILE_BYTES: usize = 1 << 20;

/// The arguments from `first` on and the file, in base64; the file wins.
pub(crate) fn content(input: &Input, first: usize) -> Answer<Bag> {
    let mut content = Bag::new();
    for arg in input.parsed.rest.iter().skip(first) {
        let empty = arg.strip_suffix('=').filter(|key| key.ends_with(IN_FILE));
        let (key, value) = empty.map_or_else(|| split(arg), |key| Ok((key, "")))?;
        add(&mut content, key, value)?;
    }
    for (key, value) in file(input)? {
        if key.ends_with(IN_FILE) {
            return usage(format!("key {key:?} not valid"));
        }
        add(&mut content, &key, &value)?;
    }
    let total: usize = content.values().map(String::len).sum();
    if total > MAX_BYTES {
        return usage(format!("secret content too large: {total} bytes"));
    }
    Ok(content)
}

/// The content of `--file`, which has to be there and to hold something.
fn file(input: &Input) -> Answer<Bag> {
    let Some(path) = input.parsed.text("file") else { return Ok(Bag::new()) };
    let Some(bytes) = input.stdin.filter(|_| path.starts_with('/')) else {
        return usage(format!("open {path}: no such file or directory"));
    };
    if bytes.len() > MAX_FILE_BYTES {
        let length = bytes.len();
        return usage(format!("secret content in file {path:?} too large: {length} bytes"));
    }
    let content = parse_into(bytes, "secrets.SecretData");
    let content = content.map_err(|error| ToolError::Usage(error.to_string()))?;
    if content.is_empty() { refused("empty secret value not valid") } else { Ok(content) }
}

/// Splits at the first `=` that is no base64 padding; so a value cannot be empty.
pub(crate) fn split(arg: &str) -> Answer<(&str, &str)> {
    match arg.trim_end_matches('=').find('=') {
        Some(at) if at > 0 => Ok((&arg[..at], &arg[at + 1..])),
        _ => {
            // Everything after a sign may be a value, so only what stands before it is shown.
            let key = arg.split('=').next().filter(|key| key.len() < arg.len()).unwrap_or("…");
            usage(format!("key value {key:?} not valid"))
        }
    }
}

fn add(content: &mut Bag, key: &str, value: &str) -> Answer<()> {
    let (key, encoded) = match (key.strip_suffix(IN_BASE64), key.strip_suffix(IN_FILE)) {
        // What is no base64 is refused when the hook ends.
        (Some(key), _) => match STANDARD.decode(value) {
            Ok(bytes) => (key, STANDARD.encode(bytes)),
            Err(_) => (key, value.to_owned()),
        },
        // The client sends `key#file=` for a file without content.
        (None, Some(key)) if value.is_empty() => (key, String::new()),
        (None, Some(key)) => {
            return usage(format!(
                "cannot read the file of key {key:?} here: the hook tool's own process sends it"
            ));
        }
        (None, None) => (key, STANDARD.encode(value)),
    };
    if !valid_key(key) {
        return usage(format!("key {key:?} not valid"));
    }
    if encoded.len() > MAX_BYTES {
        let length = encoded.len();
        return usage(format!("secret content for key {key:?} too large: {length} bytes"));
    }
    content.insert(key.to_owned(), encoded);
    Ok(())
}

/// The grammar `[a-z](?:-?[a-z0-9]){2,}`.
fn valid_key(key: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut parts = key.split('-');
    let first = parts.next().unwrap_or_default();
    let counted = key.bytes().filter(|&b| b != b'-').count();
    counted >= 3
        && first.starts_with(|c: char| c.is_ascii_lowercase())
        && first.bytes().all(alphanumeric)
        && parts.all(|part| !part.is_empty() && part.bytes().all(alphanumeric))
}

/// The bytes of a value as a text; bytes that are not UTF-8 are replaced, as in Juju's JSON.
pub(crate) fn decode(key: &str, encoded: &str) -> Answer<String> {
    match STANDARD.decode(encoded) {
        Ok(bytes) => Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())),
        Err(_) => refused(format!("cannot read the value of key {key:?}: it is not base64")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_jujus_grammar() {
        for good in ["abc", "a1b", "a-bc", "a-b-c", "password", "tls-ca"] {
            assert!(valid_key(good), "{good:?}");
        }
        for bad in ["", "ab", "a-b", "Abc", "1ab", "-abc", "abc-", "a--bc", "a_bc", "abcé", "a.bc"]
        {
            assert!(!valid_key(bad), "{bad:?}");
        }
    }

    #[test]
    fn padding_stays_with_the_value() {
        assert_eq!(split("key=v"), Ok(("key", "v")));
        assert_eq!(split("key=v=="), Ok(("key", "v==")));
        assert_eq!(split("key=a=b="), Ok(("key", "a=b=")));
        for bad in ["key=", "key", "=v", "", "==="] {
            assert!(split(bad).is_err(), "{bad:?}");
        }
        assert_eq!(split("=hush").unwrap_err().to_string(), "key value \"\" not valid");
        assert_eq!(split("hush").unwrap_err().to_string(), "key value \"…\" not valid");
    }

    proptest::proptest! {
        #[test]
        fn values_come_back(value: String) {
            let mut content = Bag::new();
            add(&mut content, "key", &value).unwrap();
            proptest::prop_assert_eq!(decode("key", &content["key"]), Ok(value));
        }

        #[test]
        fn any_argument_is_split_or_refused(arg: String) {
            let _ = split(&arg);
        }
    }
}
