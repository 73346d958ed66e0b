//! Values whose maps have an order, as Go's encoder sorts them or as a record lists its members.

use std::cmp::Ordering;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

/// A value whose maps are in the order in which they are printed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// Members.
    Map(Vec<(String, Node)>),
    /// Items.
    List(Vec<Node>),
    /// A text.
    Text(String),
    /// `null`, a number, `true` or `false`.
    Bare(String),
}

impl Node {
    /// A record with these members.
    pub(crate) fn record<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Map(members.into_iter().map(|(name, node)| (name.to_owned(), node)).collect())
    }

    /// A text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Bare("null".to_owned()),
            Value::Bool(truth) => Self::Bare(truth.to_string()),
            Value::Number(number) => Self::Bare(go_number(number)),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(map) => {
                let mut members: Vec<(&String, &Value)> = Vec::with_capacity(map.len());
                for (key, value) in map {
                    // Go's order is no total one, for which the library's sort may panic.
                    let at = members.partition_point(|(other, _)| natural(other, key).is_le());
                    members.insert(at, (key, value));
                }
                Self::Map(members.into_iter().map(|(k, v)| (k.clone(), Self::from(v))).collect())
            }
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Map(members) => {
                let mut out = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    out.serialize_entry(key, value)?;
                }
                out.end()
            }
            Self::List(items) => items.serialize(serializer),
            Self::Text(text) => text.serialize(serializer),
            Self::Bare(words) => {
                let value: Value =
                    serde_json::from_str(words).map_err(serde::ser::Error::custom)?;
                value.serialize(serializer)
            }
        }
    }
}

/// A number as Go writes it in YAML: whole floats without a fraction, large ones with an exponent.
fn go_number(number: &serde_json::Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
        return number.to_string();
    };
    let scientific = format!("{float:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let power: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&power) {
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", power.abs());
    }
    format!("{float}")
}

/// The order of keys in YAML: numbers in texts by their value, letters after what is none.
fn natural(a: &str, b: &str) -> Ordering {
    let (left, right): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = left.iter().zip(&right).position(|(x, y)| x != y) else {
        return left.len().cmp(&right.len());
    };
    let (x, y) = (left[at], right[at]);
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => return x.cmp(&y),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let before = left[..at].iter().rev().take_while(|c| c.is_numeric());
    let leading = (x == '0' || y == '0') && before.into_iter().any(|c| *c != '0');
    let number = |chars: &[char]| {
        let digits = chars[at..].iter().map_while(|c| c.to_digit(10));
        let start = (u64::from(leading), 0_usize);
        digits.fold(start, |(n, len), digit| {
            (n.wrapping_mul(10).wrapping_add(u64::from(digit)), len + 1)
        })
    };
    number(&left).cmp(&number(&right)).then(x.cmp(&y))
}
