//! The shapes of `metadata.yaml`, `config.yaml` and `actions.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use juju_names::{ContainerName, EndpointName, NameError};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::Value;

use crate::{
    ActionMeta, CharmMeta, ContainerMeta, EndpointMeta, MetaError, OptionKind, OptionMeta,
    ResourceMeta, Role, StorageMeta,
};

/// A section that may be left empty: `null` is the same as none.
type Section<T> = Option<BTreeMap<String, Option<T>>>;

/// `metadata.yaml`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct MetadataYaml {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    containers: Section<ContainerYaml>,
    #[serde(default)]
    peers: Section<EndpointYaml>,
    #[serde(default)]
    provides: Section<EndpointYaml>,
    #[serde(default)]
    requires: Section<EndpointYaml>,
    #[serde(default, rename = "extra-bindings")]
    extra_bindings: Section<Value>,
    #[serde(default)]
    storage: Section<StorageYaml>,
    #[serde(default)]
    resources: Section<ResourceYaml>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct ContainerYaml {
    #[serde(default)]
    resource: Option<String>,
    #[serde(default)]
    mounts: Option<Vec<MountYaml>>,
}

#[derive(Debug, Clone, Deserialize)]
struct MountYaml {
    storage: String,
    #[serde(default)]
    location: Option<String>,
}

/// An endpoint: a map, or only the interface's name.
#[derive(Debug, Clone, Default)]
struct EndpointYaml {
    interface: Option<String>,
    limit: Option<u32>,
    optional: bool,
}

impl<'de> Deserialize<'de> for EndpointYaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if let Value::String(interface) = value {
            return Ok(Self { interface: Some(interface), ..Self::default() });
        }
        let Value::Object(map) = value else {
            return Err(D::Error::custom("an endpoint is a map or an interface's name"));
        };
        let limit = map.get("limit").and_then(Value::as_u64);
        Ok(Self {
            interface: map.get("interface").and_then(Value::as_str).map(str::to_owned),
            limit: limit.and_then(|limit| u32::try_from(limit).ok()).filter(|limit| *limit > 0),
            optional: map.get("optional").and_then(Value::as_bool).unwrap_or_default(),
        })
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
struct StorageYaml {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    location: Option<String>,
    #[serde(default, rename = "minimum-size")]
    minimum_size: Option<Value>,
    #[serde(default)]
    multiple: Option<MultipleYaml>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct MultipleYaml {
    #[serde(default)]
    range: Option<Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct ResourceYaml {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default, rename = "upstream-source")]
    upstream_source: Option<String>,
    #[serde(default)]
    filename: Option<String>,
}

/// `config.yaml`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ConfigYaml {
    #[serde(default)]
    options: Section<OptionYaml>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct OptionYaml {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    default: Option<Value>,
    #[serde(default)]
    description: Option<String>,
}

/// `actions.yaml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct ActionsYaml {
    actions: Section<ActionYaml>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct ActionYaml {
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    params: Section<Value>,
    #[serde(default)]
    required: Option<Vec<String>>,
    #[serde(default, rename = "additionalProperties")]
    additional_properties: Option<bool>,
}

/// The entries of a section; empty entries count as default ones.
fn entries<T: Default>(section: Section<T>) -> impl Iterator<Item = (String, T)> {
    section.unwrap_or_default().into_iter().map(|(name, entry)| (name, entry.unwrap_or_default()))
}

/// The entries of a section whose names become parts of paths.
fn parts<T: Default>(
    section: &'static str,
    yaml: Section<T>,
) -> Result<impl Iterator<Item = (String, T)>, MetaError> {
    let all: Vec<(String, T)> = entries(yaml).collect();
    all.iter().try_for_each(|(name, _)| is_part(section, name))?;
    Ok(all.into_iter())
}

/// Refuses what could lead elsewhere as a part of a path.
fn is_part(section: &'static str, name: &str) -> Result<(), MetaError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let fits = (1..=200).contains(&name.len()) && !name.starts_with('.');
    if fits && name.bytes().all(plain) {
        return Ok(());
    }
    Err(MetaError::Part { section, name: name.to_owned() })
}

impl CharmMeta {
    /// The declarations of a charm from its files; absent files count as empty ones.
    ///
    /// # Errors
    /// [`MetaError`] names the section and entry that cannot be used.
    pub fn from_parts(
        metadata: MetadataYaml,
        config: Option<ConfigYaml>,
        actions: Option<ActionsYaml>,
    ) -> Result<Self, MetaError> {
        let name = metadata.name.filter(|name| !name.is_empty()).ok_or(MetaError::Name)?;
        is_part("name", &name)?;
        let charm = Self {
            name,
            summary: metadata.summary.unwrap_or_default(),
            containers: containers(metadata.containers)?,
            peers: endpoints(metadata.peers, Role::Peer)?,
            provides: endpoints(metadata.provides, Role::Provider)?,
            requires: endpoints(metadata.requires, Role::Requirer)?,
            extra_bindings: entries(metadata.extra_bindings).map(|(name, _)| name).collect(),
            storage: parts("storage", metadata.storage)?
                .map(|(name, yaml)| (name, storage(yaml)))
                .collect(),
            resources: parts("resources", metadata.resources)?
                .map(|(name, yaml)| Ok((name.clone(), resource(name, yaml)?)))
                .collect::<Result<_, MetaError>>()?,
            config: config.map(|c| options(c.options)).transpose()?.unwrap_or_default(),
            actions: actions.map(|a| self::actions(a.actions)).transpose()?.unwrap_or_default(),
        };
        let mut seen = BTreeSet::new();
        let twice = charm.endpoints().map(|(name, _)| name).find(|name| !seen.insert(*name));
        match twice.cloned() {
            Some(name) => Err(MetaError::Endpoint(name.to_string())),
            None => Ok(charm),
        }
    }
}

fn containers(
    section: Section<ContainerYaml>,
) -> Result<BTreeMap<ContainerName, ContainerMeta>, MetaError> {
    let name = |text: String| text.parse().map_err(in_section("containers"));
    entries(section)
        .map(|(text, container)| {
            let mounts = container.mounts.unwrap_or_default();
            let mounts = mounts.into_iter().map(|m| (m.storage, m.location.unwrap_or_default()));
            let meta = ContainerMeta { resource: container.resource, mounts: mounts.collect() };
            Ok((name(text)?, meta))
        })
        .collect()
}

fn endpoints(
    section: Section<EndpointYaml>,
    role: Role,
) -> Result<BTreeMap<EndpointName, EndpointMeta>, MetaError> {
    entries(section)
        .map(|(text, endpoint)| {
            let name: EndpointName = text.parse().map_err(in_section("endpoints"))?;
            let EndpointYaml { interface, limit, optional } = endpoint;
            let interface = interface.ok_or(MetaError::Interface(text))?;
            Ok((name, EndpointMeta { interface, limit, optional, role }))
        })
        .collect()
}

fn in_section(section: &'static str) -> impl Fn(NameError) -> MetaError {
    move |source| MetaError::Section { section, source }
}

fn storage(yaml: StorageYaml) -> StorageMeta {
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    StorageMeta {
        kind: yaml.kind.unwrap_or_else(|| "filesystem".to_owned()),
        location: yaml.location.filter(|location| !location.is_empty()),
        minimum_size: yaml.minimum_size.map(text),
        multiple: yaml.multiple.and_then(|multiple| multiple.range).map(text),
    }
}

fn resource(name: String, yaml: ResourceYaml) -> Result<ResourceMeta, MetaError> {
    let kind = yaml.kind.unwrap_or_else(|| "file".to_owned());
    let refuse = |fault: String| MetaError::Resource { resource: name.clone(), fault };
    match (kind.as_str(), &yaml.filename) {
        ("oci-image", _) => {}
        ("file", None) => return Err(refuse("missing filename".to_owned())),
        ("file", Some(file)) if file.contains('/') => {
            return Err(refuse(format!("filename cannot contain \"/\" (got {file:?})")));
        }
        ("file", Some(file)) if file.is_empty() || file.starts_with("..") || file == "." => {
            return Err(refuse(format!("{file:?} is no name of a file")));
        }
        ("file", Some(_)) => {}
        (other, _) => {
            return Err(refuse(format!("type {other:?} is none of file, oci-image")));
        }
    }
    Ok(ResourceMeta {
        kind,
        description: yaml.description.unwrap_or_default(),
        upstream_source: yaml.upstream_source,
        filename: yaml.filename,
    })
}

fn options(section: Section<OptionYaml>) -> Result<BTreeMap<String, OptionMeta>, MetaError> {
    entries(section)
        .map(|(name, yaml)| {
            let kind = option_kind(&name, yaml.kind.as_deref().unwrap_or("string"))?;
            let default = yaml.default.filter(|value| !value.is_null());
            let default = default.map(|value| typed_default(&name, kind, value)).transpose()?;
            let description = yaml.description.unwrap_or_default();
            Ok((name, OptionMeta { kind, default, description }))
        })
        .collect()
}

fn option_kind(option: &str, kind: &str) -> Result<OptionKind, MetaError> {
    Ok(match kind {
        "string" => OptionKind::String,
        "int" => OptionKind::Int,
        "float" => OptionKind::Float,
        "boolean" => OptionKind::Boolean,
        "secret" => OptionKind::Secret,
        _ => return Err(MetaError::Kind { option: option.to_owned(), kind: kind.to_owned() }),
    })
}

/// A default in the option's type, read generously: YAML guesses types that authors did not mean.
fn typed_default(option: &str, kind: OptionKind, value: Value) -> Result<Value, MetaError> {
    let text = match &value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    crate::command::config::typed(kind, &text).ok_or_else(|| MetaError::Default {
        option: option.to_owned(),
        value: value.to_string(),
        kind: kind.to_string(),
    })
}

fn actions(section: Section<ActionYaml>) -> Result<BTreeMap<String, ActionMeta>, MetaError> {
    let one = |(name, yaml): (String, ActionYaml)| {
        let meta = ActionMeta {
            description: yaml.description.unwrap_or_default(),
            params: entries(yaml.params).collect(),
            required: yaml.required.unwrap_or_default(),
            additional_properties: yaml.additional_properties,
        };
        (name, meta)
    };
    Ok(parts("actions", section)?.map(one).collect())
}
