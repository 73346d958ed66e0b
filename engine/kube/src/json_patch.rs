//! JSON Patch (RFC 6902).

use serde_json::Value;

use crate::ApiError;

/// The most operations of one patch.
const OPERATIONS_MAX: usize = 10_000;

/// Changes `target` operation by operation.
///
/// # Errors
/// `BadRequest` for what is no patch, `Unprocessable` for one that does not fit or whose test
/// fails.
pub(crate) fn apply(target: &mut Value, patch: &Value) -> Result<(), ApiError> {
    let operations = patch.as_array().ok_or_else(|| {
        let why = "json: cannot unmarshal object into Go value of type jsonpatch.Patch";
        ApiError::BadRequest(why.to_owned())
    })?;
    if operations.len() > OPERATIONS_MAX {
        return Err(ApiError::TooManyOperations { found: operations.len(), most: OPERATIONS_MAX });
    }
    let fits = operations.iter().try_for_each(|operation| step(target, operation));
    fits.ok_or(ApiError::Unprocessable)
}

/// One operation; nothing if it does not fit.
fn step(target: &mut Value, operation: &Value) -> Option<()> {
    let path = operation["path"].as_str()?;
    let value = || operation.get("value").cloned();
    match operation["op"].as_str()? {
        "add" => add(target, path, value()?),
        "remove" => remove(target, path).map(drop),
        "replace" => {
            *target.pointer_mut(path)? = value()?;
            Some(())
        }
        "test" => {
            let found = target.pointer(path);
            // What is not there is as good as null.
            (found.unwrap_or(&Value::Null) == operation.get("value").unwrap_or(&Value::Null))
                .then_some(())
        }
        "copy" => {
            let copied = target.pointer(operation["from"].as_str()?)?.clone();
            add(target, path, copied)
        }
        "move" => {
            let moved = remove(target, operation["from"].as_str()?)?;
            add(target, path, moved)
        }
        _ => None,
    }
}

/// The place that holds what a path names, and its key there.
fn parent<'a>(target: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (above, key) = path.rsplit_once('/')?;
    Some((target.pointer_mut(above)?, key.replace("~1", "/").replace("~0", "~")))
}

fn add(target: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *target = value;
        return Some(());
    }
    match parent(target, path)? {
        (Value::Object(fields), key) => drop(fields.insert(key, value)),
        (Value::Array(items), key) => {
            let at = if key == "-" { items.len() } else { key.parse().ok()? };
            (at <= items.len()).then(|| items.insert(at, value))?;
        }
        _ => return None,
    }
    Some(())
}

fn remove(target: &mut Value, path: &str) -> Option<Value> {
    match parent(target, path)? {
        (Value::Object(fields), key) => fields.remove(&key),
        (Value::Array(items), key) => {
            let at: usize = key.parse().ok()?;
            (at < items.len()).then(|| items.remove(at))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(patch: Value, expected: Result<Value, u16>) {
        let mut target = json!({ "m": { "a/b": "1" }, "l": [1, 2] });
        let done = apply(&mut target, &patch).map_err(|error| error.code());
        assert_eq!(done.map(|()| target), expected, "{patch}");
    }

    #[test]
    fn each_operation_does_what_it_says() {
        let add = |path: &str| json!([{ "op": "add", "path": path, "value": 9 }]);
        check(add("/m/c"), Ok(json!({ "m": { "a/b": "1", "c": 9 }, "l": [1, 2] })));
        check(add("/m/a~1b"), Ok(json!({ "m": { "a/b": 9 }, "l": [1, 2] })));
        check(add("/l/-"), Ok(json!({ "m": { "a/b": "1" }, "l": [1, 2, 9] })));
        check(add("/l/0"), Ok(json!({ "m": { "a/b": "1" }, "l": [9, 1, 2] })));
        check(add("/l/3"), Err(422));
        check(add("/none/c"), Err(422));
        let gone = json!({ "m": {}, "l": [1, 2] });
        check(json!([{ "op": "remove", "path": "/m/a~1b" }]), Ok(gone));
        check(json!([{ "op": "remove", "path": "/m/c" }]), Err(422));
        check(json!([{ "op": "replace", "path": "/m/c", "value": 1 }]), Err(422));
        let moved = json!({ "m": {}, "l": ["1", 1, 2] });
        check(json!([{ "op": "move", "from": "/m/a~1b", "path": "/l/0" }]), Ok(moved));
        let copied = json!({ "m": { "a/b": "1", "c": 2 }, "l": [1, 2] });
        check(json!([{ "op": "copy", "from": "/l/1", "path": "/m/c" }]), Ok(copied));
    }

    #[test]
    fn a_test_that_fails_and_what_is_no_patch_are_refused() {
        let unchanged = json!({ "m": { "a/b": "1" }, "l": [1, 2] });
        check(json!([{ "op": "test", "path": "/l/0", "value": 1 }]), Ok(unchanged));
        check(json!([{ "op": "test", "path": "/l/0", "value": 2 }]), Err(422));
        check(json!([{ "op": "mend", "path": "/l/0" }]), Err(422));
        check(json!({ "op": "add" }), Err(400));
        check(json!(vec![json!({}); 10_001]), Err(413));
    }
}
