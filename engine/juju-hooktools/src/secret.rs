//! `secret-add`, `-set`, `-get`, `-info-get`, `-ids`, `-grant`, `-revoke` and `-remove`.

use juju_model::ToolCall;
use juju_model::tools::{Answer, Party, Revision, SecretInfo, SecretMetadata};
use juju_names::{AppName, SecretId};
use serde_json::Value;

use crate::expire::expire;
use crate::input::{Input, Printed, refused, secret_id, unit_name, usage};
use crate::node::Node;
use crate::output::Format;
use crate::secret_content::{IN_BASE64, content, decode};

/// The rotation policies.
const ROTATIONS: [&str; 7] =
    ["never", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly"];

/// `secret-add [flags] KEY=VALUE…`: prints the id, which is minted at once.
pub(crate) fn add(tools: &mut ToolCall, input: &Input) -> Printed {
    let metadata = metadata(tools, input)?;
    let content = content(input, 0)?;
    if content.is_empty() {
        return usage("missing secret value or filename");
    }
    let id = tools.secret_add(content, metadata)?;
    Ok(format!("secret://{}/{}\n", tools.model_uuid(), id.bare()).into_bytes())
}

/// `secret-set ID [flags] [KEY=VALUE…]`: buffered.
pub(crate) fn set(tools: &mut ToolCall, input: &Input) -> Printed {
    let id = required_id(input)?;
    let metadata = metadata(tools, input)?;
    let content = content(input, 1)?;
    tools.secret_set(&id, Some(content).filter(|content| !content.is_empty()), metadata)?;
    Ok(Vec::new())
}

fn metadata(tools: &ToolCall, input: &Input) -> Answer<SecretMetadata> {
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
    let expire = input.parsed.text("expire").map(|text| expire(text, tools.now())).transpose()?;
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
pub(crate) fn get(tools: &mut ToolCall, input: &Input) -> Printed {
    let id = input.parsed.rest.first().map(|text| secret_id(text)).transpose()?;
    let args = input.at_most(2)?;
    let label = input.parsed.text("label");
    if id.is_none() && label.is_none() {
        return usage("require either a secret URI or label");
    }
    let revision = match (input.parsed.on("peek"), input.parsed.on("refresh")) {
        (true, true) => return usage("specify one of --peek or --refresh but not both"),
        (true, false) => Revision::Peek,
        (false, true) => Revision::Refresh,
        (false, false) => Revision::Tracked,
    };
    let mut content = tools.secret_get(id.as_ref(), label, revision)?;
    let Some(&wanted) = args.get(1) else {
        for (key, value) in &mut content {
            *value = decode(key, value)?;
        }
        return input.print_map(&content);
    };
    let key = wanted.strip_suffix(IN_BASE64).unwrap_or(wanted);
    let Some(value) = content.remove(key) else {
        return refused(format!("secret key value {key:?} not found"));
    };
    let value = if key == wanted { decode(key, &value)? } else { value };
    input.print(&Value::String(value))
}

/// `secret-info-get ID`, or `--label L`.
pub(crate) fn info_get(tools: &mut ToolCall, input: &Input) -> Printed {
    let id = input.parsed.rest.first().map(|text| secret_id(text)).transpose()?;
    input.at_most(1)?;
    let label = input.parsed.text("label");
    match (&id, label) {
        (None, None) => return usage("require either a secret URI or label"),
        (Some(_), Some(_)) => return usage("specify either a secret URI or label but not both"),
        _ => {}
    }
    let info = tools.secret_info_get(id.as_ref(), label)?;
    let bare = info.id.bare().to_owned();
    input.print_record(&Node::Map(vec![(bare, details(info))]))
}

/// Empty members are left out, but for the label.
fn details(info: SecretInfo) -> Node {
    let mut details = vec![
        ("revision", Node::Bare(info.revision.to_string())),
        ("label", Node::text(info.label)),
        ("owner", Node::text(info.owner)),
    ];
    for (name, text) in [("description", info.description), ("rotation", info.rotation)] {
        if !text.is_empty() {
            details.push((name, Node::text(text)));
        }
    }
    for (name, time) in [("expiry", info.expiry), ("rotates", info.rotates)] {
        if let Some(time) = time {
            details.push((name, Node::text(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())));
        }
    }
    let access = info.access.into_iter().map(|(target, scope, role)| {
        let [target, scope, role] = [target, scope, role].map(Node::Text);
        Node::record([("target", target), ("scope", scope), ("role", role)])
    });
    let access: Vec<Node> = access.collect();
    if !access.is_empty() {
        details.push(("access", Node::List(access)));
    }
    Node::Map(details.into_iter().map(|(name, node)| (name.to_owned(), node)).collect())
}

/// `secret-ids`: bare ids; none is null.
pub(crate) fn ids(tools: &mut ToolCall, input: &Input) -> Printed {
    input.at_most(0)?;
    let ids = tools.secret_ids()?;
    if ids.is_empty() && input.format == Format::Json {
        return input.print(&Value::Null);
    }
    let bare = ids.iter().map(|id| Value::String(id.bare().to_owned()));
    input.print(&Value::Array(bare.collect()))
}

/// `secret-grant ID -r REL [--unit U]`: buffered, but an unknown secret is refused at once.
pub(crate) fn grant(tools: &mut ToolCall, input: &Input) -> Printed {
    let id = required_id(input)?;
    let relation = input.relation(tools)?;
    let unit = input.parsed.text("unit").map(unit_name).transpose()?;
    let remote = tools.relation_remote_app(relation)?;
    if let Some(unit) = unit.as_ref().filter(|unit| *unit.app() != remote) {
        let (unit, remote) = (unit.to_string(), remote.to_string());
        return usage(format!(
            "cannot specify unit {unit:?} in relation to application {remote:?}"
        ));
    }
    input.at_most(1)?;
    tools.secret_grant(&id, relation, unit.as_ref())?;
    Ok(Vec::new())
}

/// `secret-revoke ID (-r REL | --app A | --unit U)`: buffered.
pub(crate) fn revoke(tools: &mut ToolCall, input: &Input) -> Printed {
    let id = required_id(input)?;
    let relation = input.given_relation(tools)?;
    let app = input.parsed.text("app").or_else(|| input.parsed.text("application"));
    let of = match (app, input.parsed.text("unit")) {
        (Some(_), Some(_)) => return usage("specify only one of application or unit"),
        (Some(_), None) if relation.is_some() => {
            return usage("do not specify both relation and app");
        }
        (Some(app), None) => match app.parse::<AppName>() {
            Ok(app) => Some(Party::App(app)),
            Err(_) => return usage(format!("invalid application name {app:?}")),
        },
        (None, Some(unit)) => Some(Party::Unit(unit_name(unit)?)),
        (None, None) => None,
    };
    if relation.is_none() && of.is_none() {
        return usage("missing relation or application or unit");
    }
    input.at_most(1)?;
    tools.secret_revoke(&id, relation, of.as_ref())?;
    Ok(Vec::new())
}

/// `secret-remove ID [--revision N]`: buffered.
pub(crate) fn remove(tools: &mut ToolCall, input: &Input) -> Printed {
    let revision = match input.parsed.text("revision").map(|text| (text, text.parse::<u32>())) {
        None => None,
        Some((_, Ok(revision))) => Some(revision).filter(|revision| *revision > 0),
        Some((text, Err(_))) => {
            return usage(format!(
                "invalid value {text:?} for option --revision: \
                 strconv.ParseInt: parsing {text:?}: invalid syntax"
            ));
        }
    };
    let id = required_id(input)?;
    input.at_most(1)?;
    tools.secret_remove(&id, revision)?;
    Ok(Vec::new())
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
