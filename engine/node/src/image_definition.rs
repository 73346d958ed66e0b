//! What an image is made of.

use serde::{Deserialize, Serialize};

/// What an image is made of. The same definition is built once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageDefinition {
    /// Name: lower-case letters, digits and hyphens.
    pub name: String,
    /// The distribution's release.
    pub suite: String,
    /// Packages to install besides the smallest system.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Files written before the packages are installed, so that packages find their settings.
    #[serde(default)]
    pub files: Vec<FileDefinition>,
    /// Folders made after the packages are installed.
    #[serde(default)]
    pub directories: Vec<DirectoryDefinition>,
    /// Shell lines run as root inside the image, last.
    #[serde(default)]
    pub steps: Vec<String>,
    /// What the image is called in a registry, with a tag: Juju reads it, and so the same file
    /// is a resource there. It is no part of what is built.
    #[serde(default, skip_serializing)]
    pub registrypath: Option<String>,
}

impl ImageDefinition {
    /// What the image is called outside of this machine.
    pub fn reference(&self) -> String {
        self.registrypath.clone().unwrap_or_else(|| format!("localhost/{}:1", self.name))
    }
}

/// A text file of an image, owned by root and readable by all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDefinition {
    /// Full path in the image.
    pub path: String,
    /// The text.
    pub content: String,
}

/// A folder of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryDefinition {
    /// Full path in the image.
    pub path: String,
    /// User and group that own it, by name, as in `postgres:postgres`.
    pub owner: String,
    /// Permissions as octal digits, as in `0755`.
    pub mode: String,
}

#[cfg(test)]
impl ImageDefinition {
    /// A definition with these packages.
    pub(crate) fn with_packages(packages: &[&str]) -> Self {
        Self {
            name: "db".to_owned(),
            suite: "trixie".to_owned(),
            packages: packages.iter().map(|one| (*one).to_owned()).collect(),
            files: vec![],
            directories: vec![],
            steps: vec![],
            registrypath: None,
        }
    }
}
