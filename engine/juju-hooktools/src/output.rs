//! How tools print: json, yaml and the smart rules.

use std::collections::BTreeMap;
use std::io;

use juju_model::tools::ToolError;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

use crate::node::Node;
use crate::yaml;

/// What `--format` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Texts, lists of texts and booleans bare; the rest as YAML.
    Smart,
    /// Compact, keys sorted.
    Json,
    /// YAML.
    Yaml,
}

impl Format {
    /// The format of a call: the given one, or the first of those that the tool has.
    ///
    /// # Errors
    /// A format that the tool does not have.
    pub(crate) fn of(formats: &[&str], given: Option<&str>) -> Result<Self, ToolError> {
        let Some(default) = formats.first() else { return Ok(Self::Smart) };
        match given.unwrap_or(default) {
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            "smart" if formats.contains(&"smart") => Ok(Self::Smart),
            other => Err(ToolError::Usage(format!(
                "invalid value {other:?} for option --format: unknown format {other:?}"
            ))),
        }
    }

    /// The bytes that go to standard output.
    ///
    /// # Errors
    /// Only when a value cannot be written in this format.
    pub(crate) fn print(self, value: &Value) -> Result<Vec<u8>, ToolError> {
        match self {
            Self::Json => json(&Sorted(value)),
            Self::Yaml => Ok(yaml(value)),
            Self::Smart => Ok(smart(value)),
        }
    }

    /// As [`Self::print`], of a map.
    ///
    /// # Errors
    /// As [`Self::print`].
    pub(crate) fn print_map<V: Serialize + Clone + Into<Value>>(
        self,
        map: &BTreeMap<String, V>,
    ) -> Result<Vec<u8>, ToolError> {
        if self == Self::Json {
            return json(map);
        }
        let entries = map.iter().map(|(key, value)| (key.clone(), value.clone().into()));
        self.print(&Value::Object(entries.collect()))
    }

    /// As [`Self::print`], of a record, whose members have an order of their own.
    ///
    /// # Errors
    /// As [`Self::print`].
    pub(crate) fn print_record(self, record: &Node) -> Result<Vec<u8>, ToolError> {
        match self {
            Self::Json => json(record),
            Self::Yaml | Self::Smart => Ok(yaml::write(record).into_bytes()),
        }
    }
}

/// A list of texts as a value.
pub(crate) fn list<T: ToString>(items: &[T]) -> Value {
    Value::Array(items.iter().map(|item| Value::String(item.to_string())).collect())
}

fn unprintable(error: impl std::fmt::Display) -> ToolError {
    ToolError::Refused(format!("cannot print the value: {error}"))
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, ToolError> {
    let mut out = Vec::with_capacity(512);
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, GoEscapes);
    value.serialize(&mut serializer).map_err(unprintable)?;
    out.push(b'\n');
    Ok(out)
}

/// A value as YAML, the way Go's encoder writes it and Juju prints it: keys in order, each value
/// on as few lines as it needs.
pub fn go_yaml(value: &Value) -> String {
    yaml::write(&Node::from(value))
}

fn yaml(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => Vec::new(),
        other => yaml::write(&Node::from(other)).into_bytes(),
    }
}

fn smart(value: &Value) -> Vec<u8> {
    let text = match value {
        Value::Null => return Vec::new(),
        Value::String(text) if text.is_empty() => return Vec::new(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Array(items) if items.is_empty() => return Vec::new(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let lines: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            lines.join("\n")
        }
        other => return yaml(other),
    };
    (text + "\n").into_bytes()
}

/// A value with its maps in the order of their keys, whatever `Value` is made of,
/// and whole floats without a fraction, as Go prints them.
#[derive(Clone)]
pub(crate) struct Sorted<'a>(pub(crate) &'a Value);

impl From<Sorted<'_>> for Value {
    fn from(sorted: Sorted<'_>) -> Self {
        sorted.0.clone()
    }
}

/// Up to here, whole floats are exact integers.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_unstable_by_key(|&(key, _)| key);
                let mut out = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    out.serialize_entry(key, &Sorted(value))?;
                }
                out.end()
            }
            Value::Array(items) => {
                let mut out = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    out.serialize_element(&Sorted(item))?;
                }
                out.end()
            }
            Value::Number(number) if number.is_f64() => match number.as_f64() {
                Some(float) if float.fract() == 0.0 && float.abs() < EXACT => {
                    serializer.serialize_i64(float as i64)
                }
                _ => number.serialize(serializer),
            },
            other => other.serialize(serializer),
        }
    }
}

/// Compact JSON with the escapes of Go's encoder.
struct GoEscapes;

impl serde_json::ser::Formatter for GoEscapes {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let escapes = |byte: u8| matches!(byte, b'<' | b'>' | b'&' | 0xe2 | 0xef);
        // Without an early end, which lets the compiler look at many bytes at once.
        if !fragment.bytes().fold(false, |found, byte| found | escapes(byte)) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut written = 0;
        for (at, c) in fragment.char_indices() {
            if matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\u{fffd}') {
                writer.write_all(&fragment.as_bytes()[written..at])?;
                write!(writer, "\\u{:04x}", u32::from(c))?;
                written = at + c.len_utf8();
            }
        }
        writer.write_all(&fragment.as_bytes()[written..])
    }
}

#[cfg(test)]
mod tests {
    use juju_model::tools::Bag;
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(value: &Value, want_json: &str, want_yaml: &str, want_smart: &str) {
        let print = |format: Format| String::from_utf8(format.print(value).unwrap()).unwrap();
        assert_eq!(print(Format::Json), want_json);
        assert_eq!(print(Format::Yaml), want_yaml);
        assert_eq!(print(Format::Smart), want_smart);
    }

    #[test]
    fn each_kind_of_value_has_three_forms() {
        check(&json!(null), "null\n", "", "");
        check(&json!(""), "\"\"\n", "\"\"\n", "");
        check(&json!("a"), "\"a\"\n", "a\n", "a\n");
        check(&json!("7"), "\"7\"\n", "\"7\"\n", "7\n");
        check(&json!("yes"), "\"yes\"\n", "\"yes\"\n", "yes\n");
        check(&json!(true), "true\n", "true\n", "True\n");
        check(&json!(false), "false\n", "false\n", "False\n");
        check(&json!(7), "7\n", "7\n", "7\n");
        check(&json!(1.5), "1.5\n", "1.5\n", "1.5\n");
        check(&json!(2.0), "2\n", "2\n", "2\n");
        check(&json!([]), "[]\n", "[]\n", "");
        check(&json!(["a", "b"]), "[\"a\",\"b\"]\n", "- a\n- b\n", "a\nb\n");
        check(&json!({}), "{}\n", "{}\n", "{}\n");
        let map = json!({"b": "1", "a": {"z": null, "x": [1]}});
        let yaml = "a:\n  x:\n  - 1\n  z: null\nb: \"1\"\n";
        check(&map, "{\"a\":{\"x\":[1],\"z\":null},\"b\":\"1\"}\n", yaml, yaml);
    }

    #[test]
    fn json_escapes_what_go_escapes() {
        let out = Format::Json.print(&json!({"<k>": "a&b\"\u{2028}é\n"})).unwrap();
        let want = "{\"\\u003ck\\u003e\":\"a\\u0026b\\\"\\u2028é\\n\"}\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    proptest::proptest! {
        #[test]
        fn texts_come_back_from_json_and_yaml(bag: Bag) {
            let json = Format::Json.print_map(&bag).unwrap();
            proptest::prop_assert_eq!(&serde_json::from_slice::<Bag>(&json).unwrap(), &bag);
            let yaml = Format::Yaml.print_map(&bag).unwrap();
            let back: Bag = serde_saphyr::from_slice(&yaml).unwrap();
            proptest::prop_assert_eq!(&back, &bag);
        }
    }
}
