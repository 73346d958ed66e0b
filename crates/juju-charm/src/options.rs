//! Options as a type of the charm's own.

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, MapAccess, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};
use serde_json::Value;

use crate::{Config, Status};

/// An option that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// It has another value than it takes.
    #[error("cannot use the option {option}: {why}")]
    Value {
        /// The option.
        option: String,
        /// What it takes instead.
        why: String,
    },
    /// One that has no value is needed, or `config.yaml` does not declare it.
    #[error("cannot read the options: {0}")]
    Missing(String),
}

impl From<&OptionError> for Status {
    fn from(error: &OptionError) -> Self {
        Self::blocked(error.to_string())
    }
}

impl Config {
    /// The options as a type: a field for each that is used, by its name in `config.yaml`.
    ///
    /// ```
    /// # use juju_charm::Config;
    /// #[derive(serde::Deserialize)]
    /// struct Options {
    ///     port: u16,
    /// }
    ///
    /// let config = |port: i64| Config::new([("port".to_owned(), port.into())]);
    /// assert!(config(8080).read::<Options>().is_ok_and(|options| options.port == 8080));
    /// let error = config(70_000).read::<Options>().map(|_| ()).unwrap_err();
    /// assert!(error.to_string().starts_with("cannot use the option port: "));
    /// ```
    ///
    /// # Errors
    /// The first option with another value than its field takes.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, OptionError> {
        let mut at = None;
        let options = Options { rest: self.iter().collect(), at: &mut at };
        T::deserialize(options).map_err(|error| match at {
            Some(option) => OptionError::Value { option, why: error.to_string() },
            None => OptionError::Missing(error.to_string()),
        })
    }
}

/// The options that are left, and the one that is being read.
struct Options<'a> {
    rest: Vec<(&'a str, &'a Value)>,
    at: &'a mut Option<String>,
}

impl<'de> Deserializer<'de> for Options<'_> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_map(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

impl<'de> MapAccess<'de> for Options<'_> {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Self::Error> {
        *self.at = None;
        match self.rest.last() {
            Some((key, _)) => seed.deserialize(StrDeserializer::new(key)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, Self::Error> {
        let (key, value) = self.rest.pop().unwrap_or(("", &Value::Null));
        *self.at = Some(key.to_owned());
        seed.deserialize(value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Wanted {
        port: u16,
        #[serde(default)]
        log_level: Option<Level>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Level {
        Debug,
    }

    #[track_caller]
    fn check(options: &str, expected: Result<Wanted, &str>) {
        let Ok(Value::Object(pairs)) = serde_json::from_str(options) else { panic!("{options}") };
        let read = Config::new(pairs).read::<Wanted>().map_err(|error| error.to_string());
        assert_eq!(read, expected.map_err(str::to_owned));
    }

    #[test]
    fn an_option_that_cannot_be_used_is_named() {
        let log_level = Some(Level::Debug);
        check(
            r#"{"other": 1, "port": 80, "log-level": "debug"}"#,
            Ok(Wanted { port: 80, log_level }),
        );
        check(r#"{"port": 80}"#, Ok(Wanted { port: 80, log_level: None }));
        check(
            r#"{"port": "eighty", "z": 1}"#,
            Err("cannot use the option port: invalid type: string \"eighty\", expected u16"),
        );
        check(
            r#"{"port": 80, "log-level": "loud"}"#,
            Err("cannot use the option log-level: unknown variant `loud`, expected `debug`"),
        );
        check("{}", Err("cannot read the options: missing field `port`"));
    }
}
