//! What a body says twice, and what its kind does not have: warned of, or refused where the
//! client wants that.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::cause::Cause;
use crate::{ApiError, Kind, schema};

/// No more remarks are made about one body.
const REMARKS_MAX: usize = 32;

/// What the client wants done about such fields: the parameter `fieldValidation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

impl FieldValidation {
    pub(crate) fn parse(text: Option<&str>, kind: Kind) -> Result<FieldValidation, ApiError> {
        match text {
            None | Some("Warn") => Ok(FieldValidation::Warn),
            Some("Ignore") => Ok(FieldValidation::Ignore),
            Some("Strict") => Ok(FieldValidation::Strict),
            Some(other) => {
                let known = ["Ignore", "Strict", "Warn"];
                let causes = vec![Cause::unsupported("fieldValidation", other, &known)];
                Err(ApiError::Invalid { kind, name: String::new(), causes })
            }
        }
    }
}

/// What is to be remarked about a body.
pub(crate) fn remarks(kind: Kind, bytes: &[u8], body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    // A body that is no JSON has been read as YAML, which knows no key twice.
    let _ = Keys { path: String::new(), found: &mut found }.deserialize(&mut reader);
    let mut remarks: Vec<String> =
        found.iter().map(|path| format!("duplicate field {path:?}")).collect();
    // Types are looked at when the whole object is known.
    let unknown = schema::decode(kind, &mut body.clone()).unwrap_or_default();
    // `$patch` and its like speak to the server.
    let unknown = unknown.iter().filter(|path| !path.split('.').any(|key| key.starts_with('$')));
    remarks.extend(unknown.map(|path| format!("unknown field {path:?}")));
    remarks.truncate(REMARKS_MAX);
    remarks
}

/// Reads a value and notes the paths of keys that a map has twice.
struct Keys<'a> {
    path: String,
    found: &'a mut Vec<String>,
}

impl Keys<'_> {
    fn below(&mut self, path: String) -> Keys<'_> {
        Keys { path, found: self.found }
    }
}

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut keys = std::collections::BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let path =
                if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            if !keys.insert(key) {
                self.found.push(path.clone());
            }
            map.next_value_seed(self.below(path))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let mut at = 0;
        loop {
            let path = format!("{}[{at}]", self.path);
            if list.next_element_seed(self.below(path))?.is_none() {
                return Ok(());
            }
            at += 1;
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: &[&str]) {
        let value = serde_json::from_str(body).unwrap();
        assert_eq!(remarks(Kind::Service, body.as_bytes(), &value), expected);
    }

    #[test]
    fn twice_and_unknown_are_remarked() {
        check(r#"{"metadata":{"name":"a"},"spec":{"ports":[{"port":1}]}}"#, &[]);
        check(
            r#"{"spec":{"ports":[{"port":1,"port":2}],"colour":"red"},"spec":{}}"#,
            &[r#"duplicate field "spec.ports[0].port""#, r#"duplicate field "spec""#],
        );
        check(r#"{"spec":{"colour":1,"$patch":"replace"}}"#, &[r#"unknown field "spec.colour""#]);
    }
}
