//! What a client says of a deletion.

use serde_json::Value;

use crate::cause::Cause;
use crate::request::Query;
use crate::{ApiError, DeleteOptions, Propagation};

/// The ways in which a client may ask for those that an object owns.
const POLICIES: [(&str, Propagation); 3] = [
    ("Background", Propagation::Background),
    ("Foreground", Propagation::Foreground),
    ("Orphan", Propagation::Orphan),
];

/// What a client asked for.
pub(crate) struct Asked {
    pub(crate) options: DeleteOptions,
    /// Whether nothing is to be changed.
    pub(crate) dry_run: bool,
    /// The older word for the propagation.
    pub(crate) orphan: Option<bool>,
}

/// Reads the options from a body, or from the query where there is none.
pub(crate) fn parse(body: Option<&Value>, query: &Query) -> Result<Asked, ApiError> {
    let from_query = Value::Object(
        ["gracePeriodSeconds", "propagationPolicy", "orphanDependents", "dryRun"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), parameter(name, query.get(name)?))))
            .collect(),
    );
    let options = body.unwrap_or(&from_query);
    let mut causes = Vec::new();
    let orphan = typed(options, "orphanDependents", "bool", Value::as_bool)?;
    let policy = typed(options, "propagationPolicy", "string", Value::as_str)?;
    if let (Some(policy), Some(_)) = (policy, orphan) {
        let rule = "orphanDependents and deletionPropagation cannot be both set";
        causes.push(Cause::invalid("propagationPolicy", policy, rule));
    }
    let known = POLICIES.iter().find(|(name, _)| policy == Some(name)).map(|(_, policy)| *policy);
    if let (Some(policy), None) = (policy, known) {
        let names = ["Background", "Foreground", "Orphan", "nil"];
        causes.push(Cause::unsupported("propagationPolicy", policy, &names));
    }
    let words: Vec<&str> = match &options["dryRun"] {
        Value::Array(words) => words.iter().map(|word| word.as_str().unwrap_or_default()).collect(),
        _ => Vec::new(),
    };
    if let Some(odd) = words.iter().find(|word| **word != "All") {
        causes.push(Cause::unsupported("dryRun", odd, &["All"]));
    }
    if !causes.is_empty() {
        return Err(ApiError::Options { name: "DeleteOptions", causes });
    }
    let old = |orphan| if orphan { Propagation::Orphan } else { Propagation::Background };
    let wanted = &options["preconditions"];
    let text_of = |field: &str| wanted[field].as_str().map(str::to_owned);
    let options = DeleteOptions {
        uid: text_of("uid"),
        resource_version: text_of("resourceVersion"),
        grace: typed(options, "gracePeriodSeconds", "int64", Value::as_i64)?,
        propagation: known.or(orphan.map(old)),
    };
    Ok(Asked { options, dry_run: !words.is_empty(), orphan })
}

/// A parameter's text as the body would have it.
fn parameter(name: &str, text: &str) -> Value {
    match name {
        "dryRun" => Value::Array(vec![text.into()]),
        "propagationPolicy" => text.into(),
        _ => text.parse::<Value>().unwrap_or_else(|_| text.into()),
    }
}

/// A field of that type; nothing where there is none.
fn typed<'a, T>(
    options: &'a Value,
    field: &str,
    wanted: &str,
    read: impl Fn(&'a Value) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    match &options[field] {
        Value::Null => Ok(None),
        value => read(value).map(Some).ok_or_else(|| {
            let why = format!(
                "json: cannot unmarshal {value} into Go struct field DeleteOptions.{field} of \
                 type {wanted}"
            );
            ApiError::BadRequest(why)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(body: Option<Value>, query: &str, expected: Result<(Option<i64>, bool), u16>) {
        let found = parse(body.as_ref(), &Query::parse(query));
        let found = found.map(|asked| (asked.options.grace, asked.dry_run));
        assert_eq!(found.map_err(|error| error.code()), expected);
    }

    #[test]
    fn the_body_or_the_query_says_how() {
        check(None, "", Ok((None, false)));
        check(None, "gracePeriodSeconds=0&dryRun=All", Ok((Some(0), true)));
        check(
            Some(json!({ "gracePeriodSeconds": 7 })),
            "gracePeriodSeconds=0",
            Ok((Some(7), false)),
        );
        check(Some(json!({ "dryRun": ["All"] })), "", Ok((None, true)));
        check(None, "gracePeriodSeconds=soon", Err(400));
        check(Some(json!({ "gracePeriodSeconds": "7" })), "", Err(400));
        check(None, "dryRun=Some", Err(422));
        check(None, "propagationPolicy=Sideways", Err(422));
        check(None, "propagationPolicy=Orphan&orphanDependents=true", Err(422));
    }
}
