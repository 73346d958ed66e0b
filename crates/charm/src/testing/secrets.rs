//! Secrets in a world: revisions, tracking, labels, grants.

use std::collections::BTreeSet;

use names::{RelationId, SecretId};

use super::args::Parsed;
use super::tools::{Memory, refused, usage};
use crate::{Bag, SecretOwner, ToolError};

/// A secret: an own one has an owner.
#[derive(Clone)]
pub(super) struct Secret {
    pub(super) owner: Option<SecretOwner>,
    /// The owner's label of an own secret, this unit's label of another's.
    pub(super) label: Option<String>,
    pub(super) revisions: Vec<Bag>,
    pub(super) removed: BTreeSet<usize>,
    /// The revision an observer reads, counted from 1.
    pub(super) tracked: Option<usize>,
    pub(super) grants: BTreeSet<RelationId>,
    pub(super) denied: bool,
}

impl Secret {
    pub(super) fn own(label: &str, owner: SecretOwner, content: Bag) -> Self {
        let label = (!label.is_empty()).then(|| label.to_owned());
        Self { owner: Some(owner), label, revisions: vec![content], ..Self::remote() }
    }

    pub(super) fn remote() -> Self {
        Self {
            owner: None,
            label: None,
            revisions: Vec::new(),
            removed: BTreeSet::new(),
            tracked: None,
            grants: BTreeSet::new(),
            denied: false,
        }
    }
}

/// Juju's grammar of keys: `[a-z](-?[a-z0-9]){2,}`.
fn valid_key(key: &str) -> bool {
    let letters = key.bytes().filter(|b| *b != b'-').count();
    letters >= 3
        && key.starts_with(|c: char| c.is_ascii_lowercase())
        && !key.ends_with('-')
        && !key.contains("--")
        && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The most that a secret's values may take, in base64.
const CONTENT_MAX: usize = 1_000_000;

fn checked(tool: &str, content: Bag) -> Result<Bag, ToolError> {
    if let Some(key) = content.keys().find(|key| !valid_key(key)) {
        return Err(usage(tool, format!("key {key:?} not valid")));
    }
    // Three bytes are four signs of base64, which is what Juju counts.
    let total: usize = content.values().map(|value| value.len().div_ceil(3) * 4).sum();
    if total > CONTENT_MAX {
        return Err(usage(tool, format!("secret content too large: {total} bytes")));
    }
    Ok(content)
}

impl Memory {
    pub(super) fn secret_tool(
        &mut self,
        tool: &str,
        args: &Parsed,
        stdin: Option<&str>,
    ) -> Result<String, ToolError> {
        match tool {
            "secret-get" => self.secret_get(args),
            "secret-info-get" => self.secret_info(args),
            "secret-add" => self.secret_add(args, stdin),
            "secret-set" => self.secret_set(args, stdin),
            "secret-grant" => self.secret_grant(args),
            _ => self.secret_remove(args),
        }
    }

    fn secret_get(&mut self, args: &Parsed) -> Result<String, ToolError> {
        const TOOL: &str = "secret-get";
        let label = args.value("--label");
        let id = match (args.positional(0), label) {
            (Some(id), _) => parse(TOOL, id)?,
            (None, Some(label)) => self
                .labelled(label)
                .ok_or_else(|| refused(TOOL, format!("consumer label {label:?} not found")))?,
            (None, None) => return Err(usage(TOOL, "require either a secret URI or label")),
        };
        let leader = self.world.leader;
        let secret = self
            .world
            .secrets
            .get_mut(&id)
            .ok_or_else(|| refused(TOOL, format!("secret {:?} not found", id.bare())))?;
        if secret.denied {
            return Err(refused(TOOL, "permission denied"));
        }
        let latest = secret.revisions.len();
        let own = secret.owner.is_some();
        let tracked = secret.tracked.unwrap_or(latest);
        let revision = match (own, args.has("--refresh"), args.has("--peek")) {
            (true, ..) | (_, true, _) => latest,
            (_, _, true) => {
                secret.tracked.get_or_insert(latest);
                latest
            }
            _ => tracked,
        };
        if !own && !args.has("--peek") {
            secret.tracked = Some(revision);
        }
        if let (Some(label), false) = (label, own && !leader) {
            secret.label = Some(label.to_owned());
        }
        let content = revision.checked_sub(1).and_then(|index| secret.revisions.get(index));
        content
            .map(|content| serde_json::json!(content).to_string())
            .ok_or_else(|| refused(TOOL, format!("secret {:?} not found", id.bare())))
    }

    fn secret_info(&mut self, args: &Parsed) -> Result<String, ToolError> {
        const TOOL: &str = "secret-info-get";
        let name = args.positional(0).or(args.value("--label")).unwrap_or_default();
        let id = match args.positional(0) {
            Some(id) => Some(parse(TOOL, id)?),
            None => self.labelled(name),
        };
        let found = id.and_then(|id| Some((id.clone(), self.world.secrets.get(&id)?)));
        match found {
            Some((id, secret)) if self.may_change(secret) => Ok(serde_json::json!({ id.bare(): {
                "revision": secret.revisions.len(),
                "label": secret.label.clone().unwrap_or_default(),
                "owner": match secret.owner {
                    Some(SecretOwner::Unit) => "unit",
                    _ => "application",
                },
                "rotation": "never",
            }})
            .to_string()),
            _ => Err(refused(TOOL, format!("secret {name:?} not found"))),
        }
    }

    fn secret_add(&mut self, args: &Parsed, stdin: Option<&str>) -> Result<String, ToolError> {
        const TOOL: &str = "secret-add";
        let owner = match args.value("--owner") {
            Some("unit") => SecretOwner::Unit,
            _ => SecretOwner::App,
        };
        if owner == SecretOwner::App && !self.world.leader {
            return Err(refused(TOOL, "this unit is not the leader"));
        }
        let content = checked(TOOL, args.content(TOOL, stdin, 0)?)?;
        if content.is_empty() {
            return Err(usage(TOOL, "missing secret value or filename"));
        }
        let label = args.value("--label").unwrap_or_default();
        if self.world.own(label).is_some() {
            return Err(refused(TOOL, format!("secret with label {label:?} already exists")));
        }
        let id = self.world.mint();
        self.world.secrets.insert(id.clone(), Secret::own(label, owner, content));
        Ok(format!("{id}\n"))
    }

    fn secret_set(&mut self, args: &Parsed, stdin: Option<&str>) -> Result<String, ToolError> {
        const TOOL: &str = "secret-set";
        let content = checked(TOOL, args.content(TOOL, stdin, 1)?)?;
        let secret = self.changeable(TOOL, args)?;
        if !content.is_empty() && secret.revisions.last() != Some(&content) {
            secret.revisions.push(content);
        }
        Ok(String::new())
    }

    fn secret_grant(&mut self, args: &Parsed) -> Result<String, ToolError> {
        const TOOL: &str = "secret-grant";
        let relation = self.relation_of(TOOL, args)?;
        self.changeable(TOOL, args)?.grants.insert(relation);
        Ok(String::new())
    }

    fn secret_remove(&mut self, args: &Parsed) -> Result<String, ToolError> {
        const TOOL: &str = "secret-remove";
        let revision = args.value("--revision").map(str::parse::<usize>).transpose();
        let revision = revision.map_err(|error| usage(TOOL, error.to_string()))?;
        let secret = self.changeable(TOOL, args)?;
        match revision {
            Some(revision) => drop(secret.removed.insert(revision)),
            None => {
                let id = parse(TOOL, args.positional(0).unwrap_or_default())?;
                self.world.secrets.remove(&id);
            }
        }
        Ok(String::new())
    }

    fn changeable(&mut self, tool: &str, args: &Parsed) -> Result<&mut Secret, ToolError> {
        let id = parse(tool, args.positional(0).unwrap_or_default())?;
        let found = self.world.secrets.get(&id);
        match found {
            Some(secret) if self.may_change(secret) => {}
            Some(secret) if secret.owner.is_some() => {
                return Err(refused(tool, "this unit is not the leader"));
            }
            _ => return Err(refused(tool, format!("secret {:?} not found", id.bare()))),
        }
        let secret = self.world.secrets.get_mut(&id);
        secret.ok_or_else(|| refused(tool, format!("secret {:?} not found", id.bare())))
    }

    fn may_change(&self, secret: &Secret) -> bool {
        match secret.owner {
            Some(SecretOwner::Unit) => true,
            Some(SecretOwner::App) => self.world.leader,
            None => false,
        }
    }

    fn labelled(&self, label: &str) -> Option<SecretId> {
        let mut all = self.world.secrets.iter();
        all.find(|(_, s)| s.label.as_deref() == Some(label)).map(|(id, _)| id.clone())
    }
}

fn parse(tool: &str, id: &str) -> Result<SecretId, ToolError> {
    id.parse().map_err(|_| usage(tool, format!("secret URI {id:?} not valid")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_jujus_grammar() {
        for good in ["abc", "a-bc", "password", "tls-ca", "a1b"] {
            assert!(valid_key(good), "{good}");
        }
        for bad in ["ab", "a-b", "a_bc", "Abc", "1bc", "abc-", "ab--c", "-abc", ""] {
            assert!(!valid_key(bad), "{bad}");
        }
    }
}
