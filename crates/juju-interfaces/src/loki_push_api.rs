//! The interface `loki_push_api`, the side whose logs are kept.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::topology::Topology;
use crate::{Bag, BagError, json};

/// The endpoint at which charms ask where to send logs.
pub const ENDPOINT: &str = "logging";

#[derive(Deserialize)]
struct Endpoint {
    url: String,
}

/// Where a unit of the other application accepts logs, if it has said so.
///
/// # Errors
/// When what it wrote is no address.
pub fn address(bag: &Bag) -> Result<Option<String>, BagError> {
    const KEY: &str = "endpoint";
    let Some(Endpoint { url }) = json(bag, KEY)? else { return Ok(None) };
    match url.starts_with("http://") || url.starts_with("https://") {
        true => Ok(Some(url)),
        false => Err(BagError::new(KEY, format!("{url:?} is no address of HTTP"))),
    }
}

/// The labels of all that a unit logs; the sender adds the service.
pub fn labels(topology: &Topology) -> BTreeMap<String, String> {
    let own = [
        ("product", "Juju".to_owned()),
        ("charm", topology.charm_name.clone()),
        ("juju_unit", topology.unit.clone()),
        ("job", format!("juju_{}", topology.identifier())),
    ];
    let shared = topology.labels().map(|(key, value)| (key, value.to_owned()));
    own.into_iter().chain(shared).map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::example;

    #[track_caller]
    fn check(written: Option<&str>, expected: Result<Option<&str>, &str>) {
        let bag =
            written.map(|text| ("endpoint".to_owned(), text.to_owned())).into_iter().collect();
        match (address(&bag), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.as_deref(), expected),
            (Err(error), Err(expected)) => {
                assert!(error.to_string().contains(expected), "{error}");
            }
            (found, _) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn addresses_are_read() {
        check(None, Ok(None));
        check(Some(""), Ok(None));
        let url = "http://loki-0.loki:3100/loki/api/v1/push";
        check(Some(&format!(r#"{{"url": "{url}"}}"#)), Ok(Some(url)));
        check(Some(r#"{"url": "file:///etc/passwd"}"#), Err("no address of HTTP"));
        check(Some("{}"), Err("cannot use \"endpoint\""));
    }

    #[test]
    fn logs_are_labelled_with_where_they_come_from() {
        insta::assert_json_snapshot!(labels(&example()), @r#"
        {
          "charm": "c",
          "job": "juju_m_01234567_a-b",
          "juju_application": "a-b",
          "juju_charm": "c",
          "juju_model": "m",
          "juju_model_uuid": "0123456789",
          "juju_unit": "a-b/0",
          "product": "Juju"
        }
        "#);
    }
}
