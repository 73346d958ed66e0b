//! `secret-add`, `-set`, `-get`, `-info-get`, `-ids`, `-grant`, `-revoke` and `-remove`.

use model::tools::{Answer, Context, Party, Revision, SecretInfo, SecretMetadata};
use names::{AppName, SecretId};
use serde_json::{Map, Value, json};

use crate::expire::expire;
use crate::input::{Input, Printed, refused, secret_id, unit_name, usage};
use crate::secret_content::{BASE64, content, decode};

/// The rotation policies.
const ROTATIONS: [&str; 7] =
    ["never", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly"];

/// `secret-add [flags] KEY=VALUE…`: prints the id, which is minted at once.
pub(crate) fn add(context: &mut dyn Context, input: &Input) -> Printed {
    let metadata = metadata(context, input)?;
    let content = content(input, 0)?;
    if content.is_empty() {
        return usage("missing secret value or filename");
    }
    let id = context.secret_add(content, metadata)?;
    Ok(format!("{id}\n").into_bytes())
}

/// `secret-set ID [flags] [KEY=VALUE…]`: buffered.
pub(crate) fn set(context: &mut dyn Context, input: &Input) -> Printed {
    let id = required_id(input)?;
    let metadata = metadata(context, input)?;
    let content = content(input, 1)?;
    context.secret_set(&id, Some(content).filter(|content| !content.is_empty()), metadata)?;
    Ok(Vec::new())
}

fn metadata(context: &dyn Context, input: &Input) -> Answer<SecretMetadata> {
    let text = |name: &str| input.parsed.text(name).map(str::to_owned);
    let rotate = text("rotate");
    if let Some(policy) = rotate.as_deref().filter(|policy| !ROTATIONS.contains(policy)) {
        return usage(format!("rotate policy {policy:?} not valid"));
    }
    let owner_is_unit = match input.parsed.text("owner") {
        None => None,
        Some("unit") => Some(true),
        Some("application") => Some(false),
        Some(other) => return usage(format!("secret owner {other:?} not valid")),
    };
    let expire = input.parsed.text("expire").map(|text| expire(text, context.now())).transpose()?;
    let description = text("description");
    Ok(SecretMetadata { label: text("label"), description, rotate, expire, owner_is_unit })
}

fn required_id(input: &Input) -> Answer<SecretId> {
    match input.parsed.rest.first() {
        Some(text) => secret_id(text),
        None => usage("missing secret URI"),
    }
}

/// `secret-get [ID] [KEY[#base64]] [--label L] [--refresh|--peek]`.
pub(crate) fn get(context: &mut dyn Context, input: &Input) -> Printed {
    let args = input.at_most(2)?;
    let id = args.first().map(|text| secret_id(text)).transpose()?;
    let label = input.parsed.text("label");
    if id.is_none() && label.is_none() {
        return usage("require either a secret URI or label");
    }
    let revision = match (input.parsed.on("peek"), input.parsed.on("refresh")) {
        (true, true) => return usage("specify one of \"peek\" or \"refresh\" but not both"),
        (true, false) => Revision::Peek,
        (false, true) => Revision::Refresh,
        (false, false) => Revision::Tracked,
    };
    let mut content = context.secret_get(id.as_ref(), label, revision)?;
    let Some(&wanted) = args.get(1) else {
        for (key, value) in &mut content {
            *value = decode(key, value)?;
        }
        return input.print_map(&content);
    };
    let key = wanted.strip_suffix(BASE64).unwrap_or(wanted);
    let Some(value) = content.remove(key) else {
        return refused(format!("secret key {key:?} not found"));
    };
    let value = if key == wanted { decode(key, &value)? } else { value };
    input.print(&Value::String(value))
}

/// `secret-info-get ID`, or `--label L`.
pub(crate) fn info(context: &mut dyn Context, input: &Input) -> Printed {
    let id = input.at_most(1)?.first().map(|text| secret_id(text)).transpose()?;
    let label = input.parsed.text("label");
    match (&id, label) {
        (None, None) => return usage("require either a secret URI or label"),
        (Some(_), Some(_)) => return usage("specify either a secret URI or label but not both"),
        _ => {}
    }
    let info = context.secret_info(id.as_ref(), label)?;
    let bare = info.id.bare().to_owned();
    let mut whole = Map::new();
    whole.insert(bare, info_value(info));
    input.print(&Value::Object(whole))
}

/// Empty members are left out, but for the label.
fn info_value(info: SecretInfo) -> Value {
    let mut value = json!({
        "revision": info.revision,
        "label": info.label,
        "owner": info.owner,
        "rotation": if info.rotation.is_empty() { "never" } else { &info.rotation },
    });
    if !info.description.is_empty() {
        value["description"] = Value::String(info.description);
    }
    for (name, time) in [("expiry", info.expiry), ("rotates", info.rotates)] {
        if let Some(time) = time {
            value[name] = Value::String(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
    }
    if !info.access.is_empty() {
        let access = info
            .access
            .into_iter()
            .map(|(target, scope, role)| json!({ "target": target, "scope": scope, "role": role }));
        value["access"] = Value::Array(access.collect());
    }
    value
}

/// `secret-ids`: bare ids; none is null.
pub(crate) fn ids(context: &mut dyn Context, input: &Input) -> Printed {
    input.at_most(0)?;
    let ids = context.secret_ids()?;
    if ids.is_empty() {
        return input.print(&Value::Null);
    }
    let bare = ids.iter().map(|id| Value::String(id.bare().to_owned()));
    input.print(&Value::Array(bare.collect()))
}

/// `secret-grant ID -r REL [--unit U]`: buffered, but an unknown secret is refused at once.
pub(crate) fn grant(context: &mut dyn Context, input: &Input) -> Printed {
    let relation = input.relation(context)?;
    input.at_most(1)?;
    let id = required_id(input)?;
    let unit = input.parsed.text("unit").map(unit_name).transpose()?;
    context.secret_grant(&id, relation, unit.as_ref())?;
    Ok(Vec::new())
}

/// `secret-revoke ID (-r REL | --app A | --unit U)`: buffered.
pub(crate) fn revoke(context: &mut dyn Context, input: &Input) -> Printed {
    let relation = input.given_relation(context)?;
    input.at_most(1)?;
    let id = required_id(input)?;
    let app = input.parsed.text("app").or_else(|| input.parsed.text("application"));
    let of = match (app, input.parsed.text("unit")) {
        (Some(_), Some(_)) => return usage("specify only one of application or unit"),
        (Some(app), None) => match app.parse::<AppName>() {
            Ok(app) => Some(Party::App(app)),
            Err(_) => return usage(format!("invalid application name {app:?}")),
        },
        (None, Some(unit)) => Some(Party::Unit(unit_name(unit)?)),
        (None, None) => None,
    };
    if relation.is_none() && of.is_none() {
        return usage("one of relation, application or unit is required");
    }
    context.secret_revoke(&id, relation, of.as_ref())?;
    Ok(Vec::new())
}

/// `secret-remove ID [--revision N]`: buffered.
pub(crate) fn remove(context: &mut dyn Context, input: &Input) -> Printed {
    input.at_most(1)?;
    let id = required_id(input)?;
    let revision = match input.parsed.text("revision").map(|text| (text, text.parse::<u32>())) {
        None => None,
        Some((_, Ok(revision))) if revision > 0 => Some(revision),
        Some((text, _)) => {
            return usage(format!(
                "invalid value {text:?} for option --revision: revision must be a positive integer"
            ));
        }
    };
    context.secret_remove(&id, revision)?;
    Ok(Vec::new())
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
